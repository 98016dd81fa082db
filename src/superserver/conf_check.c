/* conf_check.c: completes the services after all files have been read, and finds services
 * that exclude each other (conf_internal.h). */
#include "superserver/conf_internal.h"

#include <string.h>

static bool list_names(const struct sockeye__conf_list *list, const char *id)
{
	for (size_t i = 0; i < list->count; i++)
		if (sockeye__conf_text_is(list->at[i], id))
			return true;
	return false;
}

/* Reports ids of a list that no service has: a service that it should disable stays
 * enabled. */
static void ids_check(struct sockeye__conf_reading *r, const struct sockeye__conf_list *list,
		      enum sockeye__conf_attribute attribute)
{
	const struct sockeye__conf *conf = r->conf;

	for (size_t i = 0; i < list->count; i++) {
		bool found = false;

		for (size_t j = 0; j < conf->count && !found; j++)
			found = sockeye__conf_text_is(list->at[i], conf->services[j].id);
		if (!found)
			SOCKEYE__CONF_PROBLEM(r, conf->defaults.given[attribute].place,
					      "%s: no service has the id '%.64s'",
					      sockeye__conf_infos[attribute].name, list->at[i]);
	}
}

/* Disables services by the lists of defaults. As in xinetd, `enabled` does not enable a
 * service with disable = yes. */
static void lists_apply(struct sockeye__conf_reading *r)
{
	struct sockeye__conf *conf = r->conf;
	const struct sockeye__conf_service *defaults = &conf->defaults;

	for (size_t i = 0; i < conf->count; i++) {
		struct sockeye__conf_service *service = &conf->services[i];

		if (service->id == NULL)
			service->id = service->name;
		if ((SOCKEYE__CONF_HAS(defaults, ENABLED) &&
		     !list_names(&defaults->enabled, service->id)) ||
		    list_names(&defaults->disabled, service->id))
			service->state = SOCKEYE__CONF_DISABLED;
		if (service->state == SOCKEYE__CONF_DISABLED)
			sockeye__conf_notes_excuse(&conf->notes, service->notes_from,
						   service->notes_to);
	}
	ids_check(r, &defaults->enabled, SOCKEYE__CONF_A_ENABLED);
	ids_check(r, &defaults->disabled, SOCKEYE__CONF_A_DISABLED);
}

/* Values that a service has if neither its entry nor defaults have one. */
static void builtin_defaults(struct sockeye__conf_service *s)
{
	static const char event[] = "event";

	if (!SOCKEYE__CONF_HAS(s, INSTANCES))
		s->instances = SOCKEYE__CONF_UNLIMITED;
	if (!SOCKEYE__CONF_HAS(s, PER_SOURCE))
		s->per_source = SOCKEYE__CONF_UNLIMITED;
	if (!SOCKEYE__CONF_HAS(s, CPS))
		memcpy(s->cps, (int64_t[]){50, 10}, sizeof s->cps);
	if (!SOCKEYE__CONF_HAS(s, PER_SOURCE_PREFIX))
		memcpy(s->per_source_prefix, (int64_t[]){32, 64}, sizeof s->per_source_prefix);
	if (!SOCKEYE__CONF_HAS(s, SANDBOX))
		s->sandbox = true;
	if (!SOCKEYE__CONF_HAS(s, STDERR))
		s->stderr_to = "client";
	if (!SOCKEYE__CONF_HAS(s, MODEL))
		s->model = (unsigned)sockeye__conf_word_find(
		    sockeye__conf_infos[SOCKEYE__CONF_A_MODEL].words,
		    (struct sockeye__slice){event, strlen(event)});
}

/* Whether a service takes the value from defaults after all files have been read. */
static bool is_late(const struct sockeye__conf_service *defaults,
		    const struct sockeye__conf_service *service,
		    enum sockeye__conf_attribute attribute)
{
	unsigned flags = sockeye__conf_infos[attribute].flags;

	if (!(flags & SOCKEYE__CONF_IN_SERVICE) || !sockeye__conf_has(defaults, attribute) ||
	    service->given[attribute].by == SOCKEYE__CONF_BY_ENTRY)
		return false;
	if ((flags & SOCKEYE__CONF_OF_BUILTIN) &&
	    !sockeye__conf_is_type(service, SOCKEYE__CONF_TYPE_INTERNAL))
		return false;
	return !(flags & SOCKEYE__CONF_COPIED) || attribute == SOCKEYE__CONF_A_LOG_ON_SUCCESS ||
	       attribute == SOCKEYE__CONF_A_LOG_ON_FAILURE;
}

static void late_defaults(const struct sockeye__conf_service *defaults,
			  struct sockeye__conf_service *service)
{
	for (unsigned i = 0; i < SOCKEYE__CONF_ATTRIBUTES; i++) {
		const struct sockeye__conf_info *info = &sockeye__conf_infos[i];

		if (!is_late(defaults, service, (enum sockeye__conf_attribute)i))
			continue;
		memcpy((char *)service + info->offset, (const char *)defaults + info->offset,
		       info->size);
		service->given[i] = (struct sockeye__conf_given){defaults->given[i].place,
								 SOCKEYE__CONF_BY_DEFAULTS};
	}
}

/* Derives socket type and protocol from each other. */
static void derive(struct sockeye__conf_service *s)
{
	if (sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_SENSOR))
		s->type |= SOCKEYE__CONF_TYPE_INTERNAL;
	if (!SOCKEYE__CONF_HAS(s, PROTOCOL) && SOCKEYE__CONF_HAS(s, SOCKET_TYPE) &&
	    s->socket_type <= SOCKEYE__CONF_DGRAM) {
		s->protocol =
		    s->socket_type == SOCKEYE__CONF_STREAM ? SOCKEYE__CONF_TCP : SOCKEYE__CONF_UDP;
		sockeye__conf_set_derived(s, SOCKEYE__CONF_A_PROTOCOL);
	}
	if (!SOCKEYE__CONF_HAS(s, SOCKET_TYPE) && SOCKEYE__CONF_HAS(s, PROTOCOL) &&
	    s->protocol <= SOCKEYE__CONF_UDP) {
		s->socket_type =
		    s->protocol == SOCKEYE__CONF_TCP ? SOCKEYE__CONF_STREAM : SOCKEYE__CONF_DGRAM;
		sockeye__conf_set_derived(s, SOCKEYE__CONF_A_SOCKET_TYPE);
	}
}

/* Whether a service binds a port that is known. */
static bool has_socket(const struct sockeye__conf_service *s)
{
	return s->state == SOCKEYE__CONF_ENABLED && !sockeye__conf_is_mux_client(s) &&
	       !sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_RPC) &&
	       SOCKEYE__CONF_HAS(s, PROTOCOL) && s->port > 0;
}

static bool same_socket(const struct sockeye__conf_service *a,
			const struct sockeye__conf_service *b)
{
	unsigned families = SOCKEYE__CONF_FLAG_IPV4 | SOCKEYE__CONF_FLAG_IPV6;

	if (a->protocol != b->protocol || a->port != b->port)
		return false;
	if (a->bind != NULL && b->bind != NULL && !sockeye__conf_text_is(a->bind, b->bind))
		return false;
	return (a->flags & families) == 0 || (b->flags & families) == 0 ||
	       (a->flags & families) == (b->flags & families);
}

/* Reports services that would bind the same socket. Debian's package has the UDP services
 * twice, with the same id. */
static void duplicates_check(struct sockeye__conf_reading *r)
{
	struct sockeye__conf *conf = r->conf;

	for (size_t i = 0; i < conf->count; i++) {
		struct sockeye__conf_service *s = &conf->services[i];

		for (size_t j = 0; j < i && has_socket(s); j++) {
			const struct sockeye__conf_service *t = &conf->services[j];
			bool debian = sockeye__conf_text_is(s->id, t->id) &&
				      sockeye__conf_text_is(s->name, t->name);

			if (!has_socket(t) || !same_socket(s, t))
				continue;
			SOCKEYE__CONF_DROP(
			    r, s, s->place,
			    "service '%.64s' (id %.64s) binds the socket of the service at "
			    "%.100s:%u, %s port %lld: disable one of them%s",
			    s->name, s->id, t->place.file, t->place.line,
			    sockeye__conf_infos[SOCKEYE__CONF_A_PROTOCOL].words[s->protocol],
			    (long long)s->port,
			    debian ? " (Debian's package has some services in two files)" : "");
		}
	}
}

void sockeye__conf_finish(struct sockeye__conf_reading *r)
{
	struct sockeye__conf *conf = r->conf;
	size_t enabled = 0;

	lists_apply(r);
	for (size_t i = 0; i < conf->count; i++) {
		struct sockeye__conf_service *service = &conf->services[i];

		derive(service);
		late_defaults(&conf->defaults, service);
		builtin_defaults(service);
		if (service->state == SOCKEYE__CONF_ENABLED || !r->compat)
			if (service->state != SOCKEYE__CONF_DISABLED)
				sockeye__conf_service_check(r, service);
	}
	duplicates_check(r);
	for (size_t i = 0; i < conf->count; i++)
		enabled += conf->services[i].state == SOCKEYE__CONF_ENABLED;
	if (enabled == 0 && !sockeye__conf_notes_fatal(&conf->notes))
		sockeye__conf_note(&conf->notes, SOCKEYE__CONF_WARNING,
				   (struct sockeye__conf_place){r->stack[0], 1},
				   "no service is enabled");
}
