/*
 * map.h: rules with regular expressions that turn the name in a request into the
 * name of a file, or deny the request. sockeye-tftp-rules(5) describes the
 * language.
 *
 * The cost of a request is bounded for all rules and names: names and texts have a
 * fixed size, a request may try SOCKEYE__TFTP_MAP_STEPS matches, each match has limits
 * (map.c), and the caller may limit the time of all matches together.
 */
#ifndef SOCKEYE_TFTP_SERVER_MAP_H
#define SOCKEYE_TFTP_SERVER_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include <sockeye/sockaddr.h>

#include "proto/tftp_name.h"
#include "rules/lines.h"

#define SOCKEYE__TFTP_MAP_STEPS 8192 /* matches tried per request */
#define SOCKEYE__TFTP_NAME_MAX  512  /* of a file below the root, with its NUL */

/* Only one thread at a time may use a map: PCRE2 writes its results into it. */
struct sockeye__tftp_map;

/* Reads rules. Returns 0, -ENOMEM, or -EINVAL with *error filled in. */
int sockeye__tftp_map_parse(const char *text, size_t len, struct sockeye__tftp_map **out,
			    struct sockeye__rules_error *error);
/* For sockeye__rules_source_open(). */
extern const struct sockeye__rules_kind sockeye__tftp_map_kind;
/* NULL is legal in both. */
void sockeye__tftp_map_free(struct sockeye__tftp_map *map);
size_t sockeye__tftp_map_count(const struct sockeye__tftp_map *map);

struct sockeye__tftp_mapped {
	char name[SOCKEYE__TFTP_NAME_MAX];
	bool denied;    /* reply with ERROR 2 */
	char text[128]; /* the reason, or "" */
	unsigned rule;  /* the line of the last rule that applied; 0 for none */
};

/* The effect of one rule. */
enum sockeye__tftp_map_effect {
	SOCKEYE__TFTP_MAP_SKIPPED,  /* the rule is for other clients or the other direction */
	SOCKEYE__TFTP_MAP_NO_MATCH, /* the rule did not apply */
	SOCKEYE__TFTP_MAP_APPLIED,  /* the rule applied; the next rule follows */
	SOCKEYE__TFTP_MAP_STOPS,
	SOCKEYE__TFTP_MAP_RESTARTS,
	SOCKEYE__TFTP_MAP_DENIES,
};

struct sockeye__tftp_map_step {
	unsigned line;
	const char *rule; /* as written in the file; not terminated */
	size_t rule_len;
	enum sockeye__tftp_map_effect effect;
	const char *name; /* after the rule */
};

/* Whether a file exists, for flag m. */
struct sockeye__tftp_map_files {
	bool (*has)(void *arg, const char *name);
	void *arg;
};

/* Callbacks while rules are applied; each may be NULL. */
struct sockeye__tftp_map_watch {
	/* Called after each rule, also if it was skipped. */
	void (*step)(void *arg, const struct sockeye__tftp_map_step *step);
	void *arg;
	/* Called before each match. Returns whether the rules have used up their time. */
	bool (*is_spent)(void *arg);
	bool frugal; /* expressions must match with few steps */
};

/* Applies the rules to a name. Returns 0, or an error for which the request must be
 * refused, with the line in out->rule and the reason in out->text: -ENAMETOOLONG,
 * -ELOOP (too many steps), -ETIME (a pattern took too long), -EBUSY (all patterns together
 * took too long), -ENOMEM. */
int sockeye__tftp_map_apply(const struct sockeye__tftp_map *map,
			    const struct sockeye_sockaddr *client, bool upload, const char *name,
			    struct sockeye__tftp_mapped *out);

/* Turns the name in a request into the name to look up: cleans it, applies the
 * rules, and removes superfluous slashes from the result, but does not change
 * letter case and backslashes that a rule wrote. The rules see a leading slash if
 * the client sent one. `map` and `watch` may be NULL. If `files` is NULL, no file exists.
 * Fails like sockeye__tftp_map_apply(), with -EINVAL if no name is left, and with -EACCES
 * for a ".." that leads above the root or that a rule wrote. */
int sockeye__tftp_map_request(const struct sockeye__tftp_map *map,
			      const struct sockeye__tftp_name_rules *rules,
			      const struct sockeye_sockaddr *client, bool upload,
			      struct sockeye__span name,
			      const struct sockeye__tftp_map_files *files,
			      const struct sockeye__tftp_map_watch *watch,
			      struct sockeye__tftp_mapped *out);

#endif
