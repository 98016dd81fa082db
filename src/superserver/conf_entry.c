/* conf_entry.c: reads services and defaults (conf_internal.h). */
#include "superserver/conf_internal.h"

#include <stdlib.h>
#include <string.h>

/* Copies the values that xinetd copies when it begins to read a service. */
static void copied_defaults(const struct sockeye__conf_reading *r,
			    struct sockeye__conf_service *service)
{
	const struct sockeye__conf_service *defaults = &r->conf->defaults;

	service->only_from = defaults->only_from;
	service->no_access = defaults->no_access;
	service->passenv = defaults->passenv;
	service->banner = defaults->banner;
	service->banner_success = defaults->banner_success;
	service->banner_fail = defaults->banner_fail;
	service->log_on_success = defaults->log_on_success;
	service->log_on_failure = defaults->log_on_failure;
	for (unsigned i = 0; i < SOCKEYE__CONF_ATTRIBUTES; i++)
		if ((sockeye__conf_infos[i].flags & SOCKEYE__CONF_COPIED) &&
		    sockeye__conf_has(defaults, (enum sockeye__conf_attribute)i))
			service->given[i] = (struct sockeye__conf_given){defaults->given[i].place,
									 SOCKEYE__CONF_BY_DEFAULTS};
}

struct sockeye__conf_service *sockeye__conf_service_add(struct sockeye__conf_reading *r,
							struct sockeye__conf_place place,
							struct sockeye__slice name)
{
	struct sockeye__conf *conf = r->conf;
	struct sockeye__conf_service *service;

	if (conf->count == SOCKEYE__CONF_SERVICES_MAX) {
		sockeye__conf_note(&conf->notes, SOCKEYE__CONF_BROKEN, place,
				   "more than %d services", SOCKEYE__CONF_SERVICES_MAX);
		return NULL;
	}
	if (conf->count == r->services_room) {
		size_t room = r->services_room ? 2 * r->services_room : 16;
		struct sockeye__conf_service *more =
		    reallocarray(conf->services, room, sizeof *more);

		if (more == NULL) {
			r->failed = true;
			return NULL;
		}
		conf->services = more;
		r->services_room = room;
	}
	service = &conf->services[conf->count++];
	*service = (struct sockeye__conf_service){
	    .place = place,
	    .name = sockeye__conf_text(r, name),
	    .defaults_before = r->defaults,
	    .notes_from = conf->notes.count,
	};
	copied_defaults(r, service);
	return service;
}

/* The attribute of a line. Returns false, after a note, if there is none that may be
 * here. */
static bool attribute_allowed(struct sockeye__conf_reading *r,
			      const struct sockeye__conf_item *item,
			      struct sockeye__conf_place place, bool in_defaults,
			      enum sockeye__conf_attribute *out)
{
	struct sockeye__conf_shown shown = sockeye__conf_show(item->name);
	const char *like = sockeye__conf_attribute_like(item->name);
	unsigned needed = in_defaults ? SOCKEYE__CONF_IN_DEFAULTS : SOCKEYE__CONF_IN_SERVICE;

	*out = sockeye__conf_attribute_find(item->name);
	if (*out < SOCKEYE__CONF_ATTRIBUTES && (sockeye__conf_infos[*out].flags & needed))
		return true;
	if (*out < SOCKEYE__CONF_ATTRIBUTES)
		SOCKEYE__CONF_PROBLEM(r, place, "'%s' has no effect in %s: move it to %s",
				      shown.text, in_defaults ? "defaults" : "a service",
				      in_defaults ? "each service" : "defaults");
	else if (sockeye__conf_word_is(item->name, "mdns"))
		sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_WARNING, place,
				   "'mdns' has no effect, as in xinetd since 2017: remove it");
	else if (like != NULL)
		SOCKEYE__CONF_PROBLEM(r, place, "unknown attribute '%s': write '%s'", shown.text,
				      like);
	else
		SOCKEYE__CONF_PROBLEM(r, place, "unknown attribute '%s'", shown.text);
	return false;
}

enum verdict {
	TAKEN,
	IGNORED,  /* xinetd ignores the line */
	REJECTED, /* xinetd does not start the service */
};

/* Checks an operator and whether the attribute is there already. */
static enum verdict operator_check(struct sockeye__conf_reading *r,
				   struct sockeye__conf_value *value,
				   const struct sockeye__conf_given *given, bool in_defaults)
{
	const struct sockeye__conf_info *info = value->info;

	if (info->flags & SOCKEYE__CONF_IS_SET) {
		if (in_defaults && value->op == SOCKEYE__CONF_SET)
			value->op = SOCKEYE__CONF_ADD; /* as in xinetd */
		if (!(info->flags & SOCKEYE__CONF_NO_REMOVE) || value->op != SOCKEYE__CONF_REMOVE)
			return TAKEN;
		SOCKEYE__CONF_PROBLEM(r, value->place, "'%s' cannot be used with -=", info->name);
		return REJECTED;
	}
	if (given->by == SOCKEYE__CONF_BY_ENTRY) {
		SOCKEYE__CONF_PROBLEM(r, value->place,
				      "'%s' is already set at line %u, which takes effect",
				      info->name, given->place.line);
		return IGNORED;
	}
	if (value->op != SOCKEYE__CONF_SET) {
		SOCKEYE__CONF_PROBLEM(r, value->place, "'%s' has a single value: write '%s = %s'",
				      info->name, info->name,
				      sockeye__conf_show(value->words).text);
		return IGNORED;
	}
	return TAKEN;
}

/* Checks the number of words. xinetd ignores a line with a wrong number if the attribute has
 * a fixed one. */
static enum verdict count_check(struct sockeye__conf_reading *r,
				const struct sockeye__conf_value *value)
{
	const struct sockeye__conf_info *info = value->info;
	struct sockeye__conf_arity arity = sockeye__conf_kind_arity(info->kind);
	size_t count = sockeye__conf_words_count(value->words);

	if (arity.min == 0 && !(info->flags & SOCKEYE__CONF_IS_SET))
		arity.min = 1;
	if (info->kind == SOCKEYE__CONF_K_TARGETS && r->compat)
		arity.max = arity.min;
	if (count >= arity.min && count <= arity.max)
		return TAKEN;
	if (memchr(value->words.at, '#', value->words.len) != NULL)
		SOCKEYE__CONF_PROBLEM(
		    r, value->place,
		    "'%s = %s': # begins a comment only at the start of a line, "
		    "and xinetd ignores this line: put the comment on its own line",
		    info->name, sockeye__conf_show(value->words).text);
	else
		SOCKEYE__CONF_PROBLEM(r, value->place, "'%s' needs %zu value%s and has %zu",
				      info->name, arity.min, &"s"[arity.min == 1], count);
	return arity.min == arity.max ? IGNORED : REJECTED;
}

/* xinetd ignores a line with a wrong number of values, so that "disable = yes # off" enables
 * the service. The compatible reader disables it; with the strict one, nothing starts. */
static void disable_if_meant(const struct sockeye__conf_reading *r,
			     const struct sockeye__conf_value *value,
			     enum sockeye__conf_attribute attribute,
			     struct sockeye__conf_service *entry)
{
	struct sockeye__slice rest = value->words, word;

	if (r->compat && attribute == SOCKEYE__CONF_A_DISABLE &&
	    sockeye__conf_word_take(&rest, &word) && sockeye__conf_word_is(word, "yes"))
		entry->disable = true;
}

/* After a value that cannot be read: xinetd disables the service, but a later
 * "disable = no" would enable it again. It would exit on one in defaults. */
static void wrong_value(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			struct sockeye__conf_service *entry, bool in_defaults)
{
	entry->state = SOCKEYE__CONF_DROPPED;
	if (!r->compat)
		return;
	if (in_defaults)
		sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_BROKEN, value->place,
				   "xinetd exits because of this value of '%s' in defaults",
				   value->info->name);
	else
		sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_WARNING, value->place,
				   "service '%.64s' is not started because of '%s'", entry->name,
				   value->info->name);
}

void sockeye__conf_attribute_apply(struct sockeye__conf_reading *r,
				   const struct sockeye__conf_item *item, const char *file,
				   struct sockeye__conf_service *entry)
{
	bool in_defaults = entry == &r->conf->defaults;
	struct sockeye__conf_value value = {
	    .place = {file, item->line}, .op = item->op, .words = item->values};
	enum sockeye__conf_attribute attribute;
	struct sockeye__conf_given *given;
	enum verdict verdict;

	if (!attribute_allowed(r, item, value.place, in_defaults, &attribute))
		return;
	value.info = &sockeye__conf_infos[attribute];
	given = &entry->given[attribute];
	verdict = item->op == SOCKEYE__CONF_NO_OPERATOR
		      ? IGNORED
		      : operator_check(r, &value, given, in_defaults);
	if (verdict == TAKEN)
		verdict = count_check(r, &value);
	if (verdict == IGNORED) {
		disable_if_meant(r, &value, attribute, entry);
		if (!sockeye__conf_has(entry, attribute))
			*given = (struct sockeye__conf_given){value.place, SOCKEYE__CONF_WRONG};
		return;
	}
	if ((attribute == SOCKEYE__CONF_A_DISABLED || attribute == SOCKEYE__CONF_A_ENABLED) &&
	    value.op == SOCKEYE__CONF_REMOVE) {
		SOCKEYE__CONF_PROBLEM(r, value.place, "xinetd reads -= as += here: write '%s ='",
				      value.info->name);
		value.op = SOCKEYE__CONF_ADD;
	}
	if (verdict == REJECTED ||
	    sockeye__conf_value_read(r, &value, sockeye__conf_field(entry, attribute)) < 0) {
		*given = (struct sockeye__conf_given){value.place, SOCKEYE__CONF_WRONG};
		wrong_value(r, &value, entry, in_defaults);
		return;
	}
	*given = (struct sockeye__conf_given){value.place, SOCKEYE__CONF_BY_ENTRY};
	if (attribute == SOCKEYE__CONF_A_DISABLE && !entry->disable &&
	    entry->state == SOCKEYE__CONF_DROPPED)
		SOCKEYE__CONF_PROBLEM(r, value.place,
				      "this line makes xinetd start the service in spite of the "
				      "wrong value above: correct the value");
}

/* Reads the lines of an entry until it ends. Returns false if the entry is lost. */
static bool entry_read(struct sockeye__conf_reading *r, struct sockeye__conf_words *words,
		       struct sockeye__conf_service *entry)
{
	struct sockeye__conf_item item;

	for (;;) {
		item = sockeye__conf_words_next(words);
		if (item.kind != SOCKEYE__CONF_ATTRIBUTE)
			return item.kind == SOCKEYE__CONF_CLOSE;
		/* xinetd does not read an entry beyond "disable = yes". */
		if (!r->compat || !entry->disable)
			sockeye__conf_attribute_apply(r, &item, words->file, entry);
	}
}

/* Skips the lines of an entry. */
static void entry_skip(struct sockeye__conf_words *words)
{
	while (sockeye__conf_words_next(words).kind == SOCKEYE__CONF_ATTRIBUTE)
		;
}

void sockeye__conf_service_read(struct sockeye__conf_reading *r, struct sockeye__conf_words *words,
				const struct sockeye__conf_item *header)
{
	struct sockeye__conf_place place = {words->file, header->line};
	struct sockeye__conf_service *service = sockeye__conf_service_add(r, place, header->name);
	bool complete;

	if (service == NULL) {
		entry_skip(words);
		return;
	}
	complete = entry_read(r, words, service);
	service->notes_to = r->conf->notes.count;
	if (service->disable)
		service->state = SOCKEYE__CONF_DISABLED;
	if (!complete)
		service->state = SOCKEYE__CONF_DROPPED;
}

void sockeye__conf_defaults_read(struct sockeye__conf_reading *r, struct sockeye__conf_words *words,
				 const struct sockeye__conf_item *header, bool *found)
{
	struct sockeye__conf_place place = {words->file, header->line};

	if (*found) {
		SOCKEYE__CONF_PROBLEM(r, place,
				      "second defaults in this file, which xinetd "
				      "ignores: merge it with the first");
		entry_skip(words);
		return;
	}
	*found = true;
	r->defaults++;
	if (r->conf->defaults.place.file == NULL)
		r->conf->defaults.place = place;
	entry_read(r, words, &r->conf->defaults);
}
