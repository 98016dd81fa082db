/*
 * map.h: rules with regular expressions that say which file a request
 * means, or that it means none. man/sockeye-tftp-rules.5 has the language.
 *
 * What a request may cost is bounded, whatever the rules and the name: a name
 * and a text have a fixed size, rules are tried SOCKEYE__TFTP_MAP_STEPS times at
 * most, and PCRE2 has limits of its own (map.c).
 */
#ifndef SOCKEYE_TFTP_SERVER_MAP_H
#define SOCKEYE_TFTP_SERVER_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include <sockeye/sockaddr.h>

#include "proto/tftp_name.h"
#include "rules/lines.h"

#define SOCKEYE__TFTP_MAP_STEPS 8192 /* matches tried for one request */
#define SOCKEYE__TFTP_NAME_MAX  512  /* of a file below the root, with its NUL */

/* Not to be used by two threads at once: they would share where PCRE2 writes. */
struct sockeye__tftp_map;

/* 0, -ENOMEM, or -EINVAL with *error filled in. */
int sockeye__tftp_map_parse(const char *text, size_t len, struct sockeye__tftp_map **out,
			    struct sockeye__rules_error *error);
/* The rules of a file; of none (NULL) there are none (NULL). 0, or a negative
 * code with *fail filled in. */
int sockeye__tftp_map_open(const char *path, struct sockeye__tftp_map **out,
			   struct sockeye_fail *fail);
void sockeye__tftp_map_free(struct sockeye__tftp_map *map);          /* NULL is legal */
size_t sockeye__tftp_map_count(const struct sockeye__tftp_map *map); /* so is it here */

struct sockeye__tftp_mapped {
	char name[SOCKEYE__TFTP_NAME_MAX];
	bool denied;    /* answer ERROR 2 */
	char text[128]; /* what the rule has to say about it, or nothing */
	unsigned rule;  /* the line of the last rule that matched, 0 for none */
};

/* What became of one rule, for who wants to see. */
enum sockeye__tftp_map_fate {
	SOCKEYE__TFTP_MAP_OTHERS,  /* is for other clients or for the other direction */
	SOCKEYE__TFTP_MAP_NO,      /* did not apply */
	SOCKEYE__TFTP_MAP_GOES_ON, /* applied; the next rule follows */
	SOCKEYE__TFTP_MAP_STOPS,
	SOCKEYE__TFTP_MAP_RESTARTS,
	SOCKEYE__TFTP_MAP_DENIES,
};

struct sockeye__tftp_map_step {
	unsigned line;
	const char *rule; /* as it was written, without a NUL at its end */
	size_t rule_len;
	enum sockeye__tftp_map_fate fate;
	const char *name; /* behind the rule */
};

struct sockeye__tftp_map_watch {
	void (*step)(void *arg, const struct sockeye__tftp_map_step *step);
	void *arg;
};

/* Takes a name through the rules. 0, or what to refuse the request for, with
 * out->rule and out->text saying where and why: -ENAMETOOLONG, -ELOOP (too many
 * steps), -ETIME (a pattern took too long), -ENOMEM. */
int sockeye__tftp_map_apply(const struct sockeye__tftp_map *map,
			    const struct sockeye_sockaddr *client, bool upload, const char *name,
			    struct sockeye__tftp_mapped *out);

/* The whole way from the name in a request to the one to look for: cleaned,
 * mapped, and cleaned of what rules put there (slashes only: letter case and
 * backslashes of a rule are meant). `map` and `watch` may be NULL. As apply,
 * and -EINVAL where no name is left, -EACCES for ".." that leads above the
 * beginning or that a rule put there. */
int sockeye__tftp_map_request(const struct sockeye__tftp_map *map,
			      const struct sockeye__tftp_name_rules *rules,
			      const struct sockeye_sockaddr *client, bool upload,
			      struct sockeye__span name,
			      const struct sockeye__tftp_map_watch *watch,
			      struct sockeye__tftp_mapped *out);

#endif
