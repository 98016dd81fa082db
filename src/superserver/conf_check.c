/* conf_check.c: completes the services after all files have been read, and finds services
 * that cannot work, would not be protected, or exclude each other (conf_internal.h). */
#include "superserver/conf_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Reports that a service cannot be started. */
#define DROP(r, service, place, ...) \
	do { \
		SOCKEYE__CONF_PROBLEM(r, place, __VA_ARGS__); \
		(service)->state = SOCKEYE__CONF_DROPPED; \
	} while (0)

#define HAS(service, attribute)   sockeye__conf_has(service, SOCKEYE__CONF_A_##attribute)
#define PLACE(service, attribute) ((service)->given[SOCKEYE__CONF_A_##attribute].place)

static bool is_type(const struct sockeye__conf_service *service, unsigned type)
{
	return (service->type & type) != 0;
}

static bool has_flag(const struct sockeye__conf_service *service, unsigned flag)
{
	return (service->flags & flag) != 0;
}

static bool is_mux_client(const struct sockeye__conf_service *service)
{
	return is_type(service, SOCKEYE__CONF_TYPE_TCPMUX | SOCKEYE__CONF_TYPE_TCPMUXPLUS);
}

static bool is_word(const char *a, const char *b)
{
	return sockeye__conf_word_is((struct sockeye__slice){a, strlen(a)}, b);
}

static bool list_names(const struct sockeye__conf_list *list, const char *id)
{
	for (size_t i = 0; i < list->count; i++)
		if (is_word(list->at[i], id))
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
			found = is_word(list->at[i], conf->services[j].id);
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
		if ((HAS(defaults, ENABLED) && !list_names(&defaults->enabled, service->id)) ||
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

	if (!HAS(s, INSTANCES))
		s->instances = SOCKEYE__CONF_UNLIMITED;
	if (!HAS(s, PER_SOURCE))
		s->per_source = SOCKEYE__CONF_UNLIMITED;
	if (!HAS(s, CPS))
		memcpy(s->cps, (int64_t[]){50, 10}, sizeof s->cps);
	if (!HAS(s, PER_SOURCE_PREFIX))
		memcpy(s->per_source_prefix, (int64_t[]){32, 64}, sizeof s->per_source_prefix);
	if (!HAS(s, SANDBOX))
		s->sandbox = true;
	if (!HAS(s, STDERR))
		s->stderr_to = "client";
	if (!HAS(s, MODEL))
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
	if ((flags & SOCKEYE__CONF_OF_BUILTIN) && !is_type(service, SOCKEYE__CONF_TYPE_INTERNAL))
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

static void set_derived(struct sockeye__conf_service *service,
			enum sockeye__conf_attribute attribute)
{
	service->given[attribute] =
	    (struct sockeye__conf_given){service->place, SOCKEYE__CONF_DERIVED};
}

/* Derives socket type and protocol from each other. */
static void derive(struct sockeye__conf_service *s)
{
	if (has_flag(s, SOCKEYE__CONF_FLAG_SENSOR))
		s->type |= SOCKEYE__CONF_TYPE_INTERNAL;
	if (!HAS(s, PROTOCOL) && HAS(s, SOCKET_TYPE) && s->socket_type <= SOCKEYE__CONF_DGRAM) {
		s->protocol =
		    s->socket_type == SOCKEYE__CONF_STREAM ? SOCKEYE__CONF_TCP : SOCKEYE__CONF_UDP;
		set_derived(s, SOCKEYE__CONF_A_PROTOCOL);
	}
	if (!HAS(s, SOCKET_TYPE) && HAS(s, PROTOCOL) && s->protocol <= SOCKEYE__CONF_UDP) {
		s->socket_type =
		    s->protocol == SOCKEYE__CONF_TCP ? SOCKEYE__CONF_STREAM : SOCKEYE__CONF_DGRAM;
		set_derived(s, SOCKEYE__CONF_A_SOCKET_TYPE);
	}
}

/* Built-in services, and the ports that they have without services(5). A port of 0 is not
 * known. */
static const struct {
	const char *name;
	int port;
} builtins[] = {
    {"echo", 7},  {"discard", 9}, {"daytime", 13}, {"chargen", 19}, {"time", 37},
    {"tftp", 69}, {"tcpmux", 1},  {"reply", 0},    {"upper", 0},
};

static int listed_port(const struct sockeye__conf_reading *r, const struct sockeye__conf_service *s)
{
	const char *protocol = sockeye__conf_infos[SOCKEYE__CONF_A_PROTOCOL].words[s->protocol];
	int port = -1;

	if (r->world->port != NULL)
		port = r->world->port(r->world->context, s->name, protocol);
	for (size_t i = 0; port <= 0 && i < sizeof builtins / sizeof *builtins; i++)
		if (is_word(s->name, builtins[i].name) && builtins[i].port > 0)
			port = builtins[i].port;
	return port;
}

/* Finds the port of a service. */
static void port_find(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	int port;

	if (is_mux_client(s) || is_type(s, SOCKEYE__CONF_TYPE_RPC | SOCKEYE__CONF_TYPE_UNLISTED) ||
	    !HAS(s, PROTOCOL))
		return;
	port = listed_port(r, s);
	if (port > 0 && HAS(s, PORT) && s->port != port) {
		DROP(r, s, PLACE(s, PORT),
		     "port = %lld: services(5) has port %d for '%.64s': add 'type = UNLISTED' for "
		     "another port",
		     (long long)s->port, port, s->name);
	} else if (port > 0 && !HAS(s, PORT)) {
		s->port = port;
		set_derived(s, SOCKEYE__CONF_A_PORT);
	} else if (port <= 0 && HAS(s, PORT)) {
		/* Only xinetd needs services(5) here. */
		sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_WARNING, PLACE(s, PORT),
				   "'%.64s' is not in services(5): xinetd needs 'type = UNLISTED'",
				   s->name);
		if (r->compat)
			s->state = SOCKEYE__CONF_DROPPED;
	} else if (port <= 0 && s->given[SOCKEYE__CONF_A_PORT].by != SOCKEYE__CONF_WRONG) {
		DROP(r, s, s->place,
		     "'%.64s' is not in services(5): add 'type = UNLISTED' and 'port = N'",
		     s->name);
	}
}

static void require(struct sockeye__conf_reading *r, struct sockeye__conf_service *s,
		    enum sockeye__conf_attribute attribute, const char *why)
{
	if (sockeye__conf_has(s, attribute))
		return;
	/* A wrong value has been reported. */
	if (s->given[attribute].by == SOCKEYE__CONF_WRONG && !r->compat)
		return;
	DROP(r, s, s->place, "service '%.64s' has no '%s'%s", s->name,
	     sockeye__conf_infos[attribute].name, why);
}

static void required_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	bool internal = is_type(s, SOCKEYE__CONF_TYPE_INTERNAL);
	bool rpc = is_type(s, SOCKEYE__CONF_TYPE_RPC);

	require(r, s, SOCKEYE__CONF_A_WAIT,
		": write 'wait = no', or yes for a program that accepts clients itself");
	require(r, s, SOCKEYE__CONF_A_SOCKET_TYPE, "");
	if (!internal)
		require(r, s, SOCKEYE__CONF_A_USER, "");
	if (!internal && !HAS(s, REDIRECT))
		require(r, s, SOCKEYE__CONF_A_SERVER, ", and its type is not INTERNAL");
	if (rpc || is_type(s, SOCKEYE__CONF_TYPE_UNLISTED))
		require(r, s, SOCKEYE__CONF_A_PROTOCOL, "");
	if (is_type(s, SOCKEYE__CONF_TYPE_UNLISTED) && !rpc && !is_mux_client(s))
		require(r, s, SOCKEYE__CONF_A_PORT, ", and its type is UNLISTED");
	if (rpc)
		require(r, s, SOCKEYE__CONF_A_RPC_VERSION, ", and its type is RPC");
	if (rpc && is_type(s, SOCKEYE__CONF_TYPE_UNLISTED))
		require(r, s, SOCKEYE__CONF_A_RPC_NUMBER, ", and its type is RPC UNLISTED");
}

static bool is_number(const char *text)
{
	return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static bool is_address(const char *text)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* Reports a program that cannot be run, addresses to bind, and users and groups that do not exist.
 * Numbers need no entry in passwd(5) or group(5). */
static void names_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	const struct sockeye__conf_world *world = r->world;

	if (HAS(s, SERVER) && !HAS(s, REDIRECT) && world->is_program != NULL &&
	    !world->is_program(world->context, s->server))
		DROP(r, s, PLACE(s, SERVER), "server = %.200s: is not a program that can be run",
		     s->server);
	if (HAS(s, BIND) && world->name_known != NULL && !is_address(s->bind) &&
	    !world->name_known(world->context, s->bind))
		DROP(r, s, PLACE(s, BIND),
		     "bind = %.64s: is not an address and not the name of a known host", s->bind);
	if (HAS(s, USER) && world->is_user != NULL && !is_number(s->user) &&
	    !world->is_user(world->context, s->user))
		DROP(r, s, PLACE(s, USER), "user = %.64s: there is no such user", s->user);
	if (HAS(s, GROUP) && world->is_group != NULL && !is_number(s->group) &&
	    !world->is_group(world->context, s->group))
		DROP(r, s, PLACE(s, GROUP), "group = %.64s: there is no such group", s->group);
}

static void builtin_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	bool known = has_flag(s, SOCKEYE__CONF_FLAG_SENSOR), tftp = is_word(s->name, "tftp");

	for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
		known = known || is_word(s->name, builtins[i].name);
	if (!known)
		DROP(r, s, PLACE(s, TYPE), "there is no built-in service '%.64s'", s->name);
	if (has_flag(s, SOCKEYE__CONF_FLAG_NAMEINARGS))
		DROP(r, s, PLACE(s, FLAGS), "NAMEINARGS excludes 'type = INTERNAL'");
	if (has_flag(s, SOCKEYE__CONF_FLAG_INTERCEPT))
		SOCKEYE__CONF_PROBLEM(r, PLACE(s, FLAGS),
				      "INTERCEPT has no effect on a built-in service: remove it");
	if (tftp && !HAS(s, ROOT))
		DROP(r, s, s->place, "service 'tftp' has no 'root'");
	if (!tftp && (HAS(s, ROOT) || HAS(s, UPLOAD)))
		SOCKEYE__CONF_PROBLEM(
		    r, HAS(s, ROOT) ? PLACE(s, ROOT) : PLACE(s, UPLOAD),
		    "'root' and 'upload' have an effect only on the built-in tftp");
}

static void program_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	if (has_flag(s, SOCKEYE__CONF_FLAG_NAMEINARGS) && !HAS(s, SERVER_ARGS) && !HAS(s, REDIRECT))
		DROP(r, s, PLACE(s, FLAGS),
		     "NAMEINARGS needs the name of the program as first word of 'server_args'");
	if (has_flag(s, SOCKEYE__CONF_FLAG_INTERCEPT) && !s->wait)
		SOCKEYE__CONF_PROBLEM(r, PLACE(s, FLAGS),
				      "INTERCEPT has no effect without 'wait = yes': remove it");
	for (unsigned i = 0; i < SOCKEYE__CONF_ATTRIBUTES; i++) {
		const struct sockeye__conf_info *info = &sockeye__conf_infos[i];

		if ((info->flags & SOCKEYE__CONF_OF_BUILTIN) &&
		    s->given[i].by == SOCKEYE__CONF_BY_ENTRY)
			SOCKEYE__CONF_PROBLEM(r, s->given[i].place,
					      "'%s' has an effect only on built-in services",
					      info->name);
	}
}

static void redirect_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	if (!HAS(s, REDIRECT)) {
		if (s->log_on_success & SOCKEYE__CONF_LOG_TRAFFIC)
			DROP(r, s, PLACE(s, LOG_ON_SUCCESS),
			     "service '%.64s': TRAFFIC in log_on_success needs 'redirect'",
			     s->name);
		return;
	}
	if (HAS(s, SOCKET_TYPE) && s->socket_type != SOCKEYE__CONF_STREAM &&
	    (r->compat || s->socket_type != SOCKEYE__CONF_DGRAM))
		DROP(r, s, PLACE(s, REDIRECT), "'redirect' needs 'socket_type = stream'");
	if (s->wait)
		DROP(r, s, PLACE(s, REDIRECT), "'redirect' needs 'wait = no'");
	if (has_flag(s, SOCKEYE__CONF_FLAG_NAMEINARGS))
		DROP(r, s, PLACE(s, FLAGS), "NAMEINARGS excludes 'redirect'");
	if (HAS(s, SERVER))
		sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_WARNING, PLACE(s, SERVER),
				   "'server' has no effect beside 'redirect'");
}

/* Access rules that are not applied, or deny every client. */
static void access_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	bool rules = s->only_from.given || s->no_access.count > 0;

	if (rules && s->wait && HAS(s, SOCKET_TYPE) && s->socket_type == SOCKEYE__CONF_STREAM)
		SOCKEYE__CONF_PROBLEM(
		    r, s->only_from.given ? PLACE(s, ONLY_FROM) : PLACE(s, NO_ACCESS),
		    "service '%.64s': with 'wait = yes' the program accepts TCP connections "
		    "itself, "
		    "and xinetd then serves no client: write 'wait = no', or check addresses in "
		    "the program",
		    s->name);
	if (s->only_from.given && s->only_from.count == 0)
		sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_WARNING, PLACE(s, ONLY_FROM),
				   "service '%.64s': an empty only_from denies every client",
				   s->name);
	if (HAS(s, DENY_TIME) && !has_flag(s, SOCKEYE__CONF_FLAG_SENSOR))
		SOCKEYE__CONF_PROBLEM(r, PLACE(s, DENY_TIME), "'deny_time' needs 'flags = SENSOR'");
	if (s->per_source_prefix[0] > 32)
		SOCKEYE__CONF_PROBLEM(r, PLACE(s, PER_SOURCE_PREFIX),
				      "per_source_prefix: an IPv4 address has 32 bits");
}

static void socket_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	bool both = HAS(s, SOCKET_TYPE) && HAS(s, PROTOCOL);

	if (has_flag(s, SOCKEYE__CONF_FLAG_IPV4) && has_flag(s, SOCKEYE__CONF_FLAG_IPV6))
		SOCKEYE__CONF_PROBLEM(r, PLACE(s, FLAGS),
				      "flags IPv4 and IPv6 exclude each other; "
				      "xinetd takes IPv6");
	if (has_flag(s, SOCKEYE__CONF_FLAG_LABELED))
		DROP(r, s, PLACE(s, FLAGS), "the flag LABELED is not supported");
	if (both && ((s->protocol == SOCKEYE__CONF_TCP && s->socket_type != SOCKEYE__CONF_STREAM) ||
		     (s->protocol == SOCKEYE__CONF_UDP && s->socket_type != SOCKEYE__CONF_DGRAM)))
		DROP(r, s, PLACE(s, PROTOCOL), "'protocol = %s' needs 'socket_type = %s'",
		     s->protocol == SOCKEYE__CONF_TCP ? "tcp" : "udp",
		     s->protocol == SOCKEYE__CONF_TCP ? "stream" : "dgram");
	if (!is_mux_client(s))
		return;
	if (!is_type(s, SOCKEYE__CONF_TYPE_UNLISTED))
		DROP(r, s, PLACE(s, TYPE), "type TCPMUX needs UNLISTED as well");
	if (HAS(s, PROTOCOL) && s->protocol != SOCKEYE__CONF_TCP)
		DROP(r, s, PLACE(s, PROTOCOL), "type TCPMUX needs 'protocol = tcp'");
}

/* xinetd copies only_from and other values when it begins to read a service, so that a
 * service before defaults is open to every client. */
static void order_check(struct sockeye__conf_reading *r, const struct sockeye__conf_service *s)
{
	const struct sockeye__conf_place *defaults = &r->conf->defaults.place;

	if (s->defaults_before < r->defaults)
		SOCKEYE__CONF_PROBLEM(
		    r, s->place,
		    "service '%.64s' is before defaults (%.100s:%u) and does not get only_from, "
		    "no_access, log_on_success and others from it: move defaults to the start",
		    s->name, defaults->file, defaults->line);
}

/* The strict reader drops a service with a line that it could not read. */
static void wrong_check(const struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	for (unsigned i = 0; i < SOCKEYE__CONF_ATTRIBUTES; i++)
		if (s->given[i].by == SOCKEYE__CONF_WRONG && !r->compat)
			s->state = SOCKEYE__CONF_DROPPED;
}

static void service_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	wrong_check(r, s);
	order_check(r, s);
	required_check(r, s);
	socket_check(r, s);
	port_find(r, s);
	if (is_type(s, SOCKEYE__CONF_TYPE_INTERNAL))
		builtin_check(r, s);
	else
		program_check(r, s);
	names_check(r, s);
	redirect_check(r, s);
	access_check(r, s);
}

/* Whether a service binds a port that is known. */
static bool has_socket(const struct sockeye__conf_service *s)
{
	return s->state == SOCKEYE__CONF_ENABLED && !is_mux_client(s) &&
	       !is_type(s, SOCKEYE__CONF_TYPE_RPC) && HAS(s, PROTOCOL) && s->port > 0;
}

static bool same_socket(const struct sockeye__conf_service *a,
			const struct sockeye__conf_service *b)
{
	unsigned families = SOCKEYE__CONF_FLAG_IPV4 | SOCKEYE__CONF_FLAG_IPV6;

	if (a->protocol != b->protocol || a->port != b->port)
		return false;
	if (a->bind != NULL && b->bind != NULL && !is_word(a->bind, b->bind))
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
			bool debian = is_word(s->id, t->id) && is_word(s->name, t->name);

			if (!has_socket(t) || !same_socket(s, t))
				continue;
			DROP(r, s, s->place,
			     "service '%.64s' (id %.64s) has the socket of the service at "
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
				service_check(r, service);
	}
	duplicates_check(r);
	for (size_t i = 0; i < conf->count; i++)
		enabled += conf->services[i].state == SOCKEYE__CONF_ENABLED;
	if (enabled == 0 && !sockeye__conf_notes_fatal(&conf->notes))
		sockeye__conf_note(&conf->notes, SOCKEYE__CONF_WARNING,
				   (struct sockeye__conf_place){r->stack[0], 1},
				   "no service is enabled");
}
