/* map.c: apply the rules to a name (map.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "files/open_beneath.h"
#include "rules/clients.h"

#include "tftp/server/map_internal.h"

/* Limits on the steps of a match. PCRE2 starts counting again at each byte at which a
 * match may begin. A match may take MATCH_CHEAP steps per byte. At most COSTLY_MAX
 * matches of a request may take more: MATCH_TOTAL for all bytes together, which is about
 * 10 ms. If the caller is frugal, each match may take only MATCH_FRUGAL steps per byte. */
#define MATCH_CHEAP  1000
#define MATCH_FRUGAL 100
#define MATCH_TOTAL  1000000
#define COSTLY_MAX   4

/* Restarts of a request. Rules that lengthen a name and restart make each match slower than
 * the previous one. */
#define RESTARTS_MAX 256

#define PROBES_MAX 64 /* files that the rules may look for in one request */

/* The state of a request while rules are applied. */
struct walk {
	const struct sockeye__tftp_map *map;
	unsigned skipped; /* flags of rules for other clients or the other direction */
	struct sockeye__rules_client client;
	unsigned steps, costly, probes;
	const struct sockeye__tftp_map_files *files;
	const struct sockeye__tftp_map_watch *watch;
	struct sockeye__tftp_mapped *out; /* has the current name */
	size_t len;                       /* of the current name */
};

/* A text under construction: a new name, or the reason for denying the request. */
struct piece {
	char *at;
	size_t len, cap;
	char to_case; /* U, L, or E for neither */
	bool cut;
};

static void put(struct piece *to, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (to->len + 1 == to->cap) {
			to->cut = true;
			return;
		}
		to->at[to->len++] = to->to_case == 'U'   ? sockeye__ascii_upper(at[i])
				    : to->to_case == 'L' ? sockeye__ascii_lower(at[i])
							 : at[i];
	}
}

/* Copies bytes `from` to `end` of the name that the rule is applied to, without changing
 * their case. */
static void put_name(struct piece *to, const struct walk *w, size_t from, size_t end)
{
	to->to_case = 'E';
	put(to, w->out->name + from, end - from);
}

static void put_client(struct piece *to, const struct walk *w)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (w->client.len > 0)
		inet_ntop(w->client.len == 4 ? AF_INET : AF_INET6, w->client.bytes, text,
			  sizeof text);
	put(to, text, strlen(text));
}

/* Writes the client's address in hexadecimal, as PXELINUX does: C0A8025B. */
static void put_client_hex(struct piece *to, const struct walk *w)
{
	char text[3];

	for (size_t i = 0; i < w->client.len; i++) {
		snprintf(text, sizeof text, "%02X", w->client.bytes[i]);
		put(to, text, 2);
	}
}

static void put_group(struct piece *to, const struct walk *w, unsigned group, bool no_match)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(w->map->match) + 2 * (size_t)group;

	if (no_match) /* flag ~: \0 is the whole name */
		put(to, w->out->name, group == 0 ? w->len : 0);
	else if (at[0] != PCRE2_UNSET)
		put(to, w->out->name + at[0], at[1] - at[0]);
}

/* Writes the replacement of a rule that applied. It was checked when the rule was
 * read. */
static void put_replacement(struct piece *to, const struct walk *w,
			    const struct sockeye__map_rule *rule)
{
	const struct sockeye__slice *word = &rule->replacement;

	to->to_case = 'E';
	for (size_t i = 0; i < word->len; i++) {
		char c = word->at[i];

		if (c != '\\') {
			put(to, &c, 1);
			continue;
		}
		c = word->at[++i];
		if (c >= '0' && c <= '9')
			put_group(to, w, (unsigned)(c - '0'), rule->flags & SOCKEYE__MAP_NOT);
		else if (c == 'i')
			put_client(to, w);
		else if (c == 'x')
			put_client_hex(to, w);
		else if (c == 'U' || c == 'L' || c == 'E')
			to->to_case = c;
		else
			put(to, &c, 1);
	}
}

static int match_error(int rc)
{
	switch (rc) {
	case PCRE2_ERROR_MATCHLIMIT:
	case PCRE2_ERROR_DEPTHLIMIT:
	case PCRE2_ERROR_HEAPLIMIT:
		return -ETIME;
	case PCRE2_ERROR_NOMEMORY:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

/* Returns 1 for a match, 0 for none, or a negative code. Groups that the pattern
 * does not have are unset. */
static int match(struct walk *w, const struct sockeye__map_rule *rule, size_t from,
		 uint32_t options)
{
	const struct sockeye__tftp_map *map = w->map;
	PCRE2_SPTR name = (PCRE2_SPTR)w->out->name;
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(map->match);
	bool frugal = w->watch != NULL && w->watch->frugal;
	int rc;

	if (w->steps++ == SOCKEYE__TFTP_MAP_STEPS)
		return -ELOOP;
	if (w->watch != NULL && w->watch->is_spent != NULL && w->watch->is_spent(w->watch->arg))
		return -EBUSY;
	pcre2_set_match_limit(map->limits, frugal ? MATCH_FRUGAL : MATCH_CHEAP);
	rc = pcre2_match(rule->code, name, w->len, from, options, map->match, map->limits);
	if (rc == PCRE2_ERROR_MATCHLIMIT && !frugal && w->costly < COSTLY_MAX) {
		w->costly++;
		pcre2_set_match_limit(map->limits, (uint32_t)(MATCH_TOTAL / (w->len + 1)));
		rc = pcre2_match(rule->code, name, w->len, from, options, map->match, map->limits);
	}
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0)
		return match_error(rc);
	/* \K can move the start of a match, so that the next match would find it again. */
	return at[0] < from || at[1] < at[0] ? -EBADMSG : 1;
}

/* Finds the match that follows [start, end), and never the same empty match again. */
static int match_again(struct walk *w, const struct sockeye__map_rule *rule, size_t start,
		       size_t end)
{
	int rc;

	if (start < end)
		return match(w, rule, end, 0);
	rc = match(w, rule, end, PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED);
	if (rc != 0 || end == w->len)
		return rc;
	return match(w, rule, end + 1, 0);
}

static int name_set(struct walk *w, const struct piece *made)
{
	if (made->cut)
		return -ENAMETOOLONG;
	memcpy(w->out->name, made->at, made->len);
	w->out->name[made->len] = '\0';
	w->len = made->len;
	return 0;
}

/* Rewrites the name. PCRE2's match data holds the first match. */
static int rewrite(struct walk *w, const struct sockeye__map_rule *rule)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(w->map->match);
	char name[sizeof w->out->name];
	struct piece made = {.at = name, .cap = sizeof name};
	size_t done = 0;
	int rc;

	if (rule->flags & SOCKEYE__MAP_NOT) {
		put_replacement(&made, w, rule);
		return name_set(w, &made);
	}
	do {
		size_t start = at[0], end = at[1];

		put_name(&made, w, done, start);
		put_replacement(&made, w, rule);
		done = end;
		rc = rule->flags & SOCKEYE__MAP_EVERY ? match_again(w, rule, start, end) : 0;
	} while (rc > 0 && !made.cut);
	put_name(&made, w, done, w->len);
	return rc < 0 ? rc : name_set(w, &made);
}

static void deny(struct walk *w, const struct sockeye__map_rule *rule)
{
	struct piece made = {.at = w->out->text, .cap = sizeof w->out->text};

	put_replacement(&made, w, rule);
	made.at[made.len] = '\0';
	w->out->denied = true;
}

/* Returns 1 if a file has the current name, 0 if none has, or a negative code. */
static int has_file(struct walk *w)
{
	static const struct sockeye__tftp_name_rules slashes_only;
	struct sockeye__span name = {(const uint8_t *)w->out->name, w->len};
	char cleaned[sizeof w->out->name];

	if (w->files == NULL ||
	    sockeye__tftp_name_clean(name, &slashes_only, cleaned, sizeof cleaned) < 0)
		return 0;
	if (w->probes++ == PROBES_MAX)
		return -ELOOP;
	return w->files->has(w->files->arg, cleaned);
}

/* Returns one of enum sockeye__tftp_map_effect, or a negative code. */
static int rule_apply(struct walk *w, const struct sockeye__map_rule *rule)
{
	int rc;

	if (rule->flags & w->skipped)
		return SOCKEYE__TFTP_MAP_SKIPPED;
	rc = match(w, rule, 0, 0);
	if (rc < 0)
		return rc;
	if ((rc == 0) != ((rule->flags & SOCKEYE__MAP_NOT) != 0))
		return SOCKEYE__TFTP_MAP_NO_MATCH;
	if (rule->flags & SOCKEYE__MAP_MISSING) {
		rc = has_file(w);
		if (rc != 0)
			return rc < 0 ? rc : SOCKEYE__TFTP_MAP_NO_MATCH;
	}
	w->out->rule = rule->line;
	rc = 0;
	if (rule->flags & SOCKEYE__MAP_REWRITE)
		rc = rewrite(w, rule);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < w->len && (rule->flags & SOCKEYE__MAP_FOLD); i++)
		w->out->name[i] = sockeye__ascii_lower(w->out->name[i]);
	if (rule->flags & SOCKEYE__MAP_DENY) {
		deny(w, rule);
		return SOCKEYE__TFTP_MAP_DENIES;
	}
	if (rule->flags & SOCKEYE__MAP_STOP)
		return SOCKEYE__TFTP_MAP_STOPS;
	return rule->flags & SOCKEYE__MAP_RESTART ? SOCKEYE__TFTP_MAP_RESTARTS
						  : SOCKEYE__TFTP_MAP_APPLIED;
}

static void report(const struct walk *w, const struct sockeye__map_rule *rule, int effect)
{
	struct sockeye__tftp_map_step step = {
	    .line = rule->line,
	    .rule = rule->source.at,
	    .rule_len = rule->source.len,
	    .effect = (enum sockeye__tftp_map_effect)effect,
	    .name = w->out->name,
	};

	if (w->watch != NULL && w->watch->step != NULL)
		w->watch->step(w->watch->arg, &step);
}

static int fail(struct sockeye__tftp_mapped *out, unsigned line, int err)
{
	static const struct {
		int err;
		const char *why;
	} reasons[] = {
	    {-EINVAL, "empty name"},
	    {-EACCES, "name leads outside its directory"},
	    {-ENAMETOOLONG, "name too long"},
	    {-ELOOP, "the rules never end for this name"},
	    {-ETIME, "a pattern takes too long for this name"},
	    {-EBUSY, "the rules take too long for this name"},
	    {-ENOMEM, "out of memory"},
	    {-EBADMSG, "a pattern cannot be matched"},
	};

	if (line)
		out->rule = line;
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].err == err)
			snprintf(out->text, sizeof out->text, "%s", reasons[i].why);
	return err;
}

static int walk(struct walk *w)
{
	const struct sockeye__tftp_map *map = w->map;
	unsigned restarts = 0;
	size_t i = 0;

	while (i < map->count) {
		const struct sockeye__map_rule *rule = &map->rules[i];
		int effect = rule_apply(w, rule);

		if (effect == SOCKEYE__TFTP_MAP_RESTARTS && restarts++ == RESTARTS_MAX)
			effect = -ELOOP;
		if (effect < 0)
			return fail(w->out, rule->line, effect);
		report(w, rule, effect);
		if (effect == SOCKEYE__TFTP_MAP_STOPS || effect == SOCKEYE__TFTP_MAP_DENIES)
			return 0;
		i = effect == SOCKEYE__TFTP_MAP_RESTARTS ? 0 : i + 1;
	}
	return 0;
}

static int apply(const struct sockeye__tftp_map *map, const struct sockeye_sockaddr *client,
		 bool upload, const struct sockeye__tftp_map_files *files,
		 const struct sockeye__tftp_map_watch *watch, struct sockeye__tftp_mapped *out)
{
	struct walk w = {
	    .map = map, .files = files, .watch = watch, .out = out, .len = strlen(out->name)};

	w.client = sockeye__rules_client_of(client);
	w.skipped = upload ? SOCKEYE__MAP_GETS : SOCKEYE__MAP_PUTS;
	if (w.client.len != 4)
		w.skipped |= SOCKEYE__MAP_IPV4;
	if (w.client.len != 16)
		w.skipped |= SOCKEYE__MAP_IPV6;
	return walk(&w);
}

int sockeye__tftp_map_apply(const struct sockeye__tftp_map *map,
			    const struct sockeye_sockaddr *client, bool upload, const char *name,
			    struct sockeye__tftp_mapped *out)
{
	size_t len = strlen(name);

	*out = (struct sockeye__tftp_mapped){0};
	if (len >= sizeof out->name)
		return fail(out, 0, -ENAMETOOLONG);
	memcpy(out->name, name, len);
	return apply(map, client, upload, NULL, NULL, out);
}

/* Puts a slash in front of the name. */
static int slash_prepend(struct sockeye__tftp_mapped *out)
{
	size_t len = strlen(out->name);

	if (len + 2 > sizeof out->name)
		return fail(out, 0, -ENAMETOOLONG);
	memmove(out->name + 1, out->name, len + 1);
	out->name[0] = '/';
	return 0;
}

static bool begins_with_slash(struct sockeye__span name,
			      const struct sockeye__tftp_name_rules *rules)
{
	return name.len > 0 && (name.at[0] == '/' || (name.at[0] == '\\' && rules->backslash));
}

static int clean(struct sockeye__span name, const struct sockeye__tftp_name_rules *rules,
		 struct sockeye__tftp_mapped *out)
{
	char cleaned[sizeof out->name];
	ssize_t len = sockeye__tftp_name_clean(name, rules, cleaned, sizeof cleaned);

	if (len < 0)
		return fail(out, 0, (int)len);
	memcpy(out->name, cleaned, (size_t)len + 1);
	return 0;
}

int sockeye__tftp_map_request(const struct sockeye__tftp_map *map,
			      const struct sockeye__tftp_name_rules *rules,
			      const struct sockeye_sockaddr *client, bool upload,
			      struct sockeye__span name,
			      const struct sockeye__tftp_map_files *files,
			      const struct sockeye__tftp_map_watch *watch,
			      struct sockeye__tftp_mapped *out)
{
	static const struct sockeye__tftp_name_rules slashes_only;
	int err;

	*out = (struct sockeye__tftp_mapped){0};
	err = clean(name, rules, out);
	if (err < 0 || map == NULL)
		return err;
	if (begins_with_slash(name, rules))
		err = slash_prepend(out);
	if (err < 0)
		return err;
	err = apply(map, client, upload, files, watch, out);
	if (err < 0 || out->denied)
		return err;
	/* A rule may have made a ".." component, for example from backslashes, and another
	 * rule may have put the client's directory in front of it: ".." would lead out of
	 * that directory. */
	if (sockeye__path_has_up(out->name))
		return fail(out, 0, -EACCES);
	name = (struct sockeye__span){(const uint8_t *)out->name, strlen(out->name)};
	return clean(name, &slashes_only, out);
}
