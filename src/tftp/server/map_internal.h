/* map_internal.h: the rules in memory, shared by map.c and map_parse.c. */
#ifndef SOCKEYE_TFTP_SERVER_MAP_INTERNAL_H
#define SOCKEYE_TFTP_SERVER_MAP_INTERNAL_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tftp/server/map.h"

enum {
	SOCKEYE__MAP_REWRITE = 1 << 0,
	SOCKEYE__MAP_EVERY = 1 << 1,
	SOCKEYE__MAP_ANY_CASE = 1 << 2,
	SOCKEYE__MAP_STOP = 1 << 3,
	SOCKEYE__MAP_RESTART = 1 << 4,
	SOCKEYE__MAP_DENY = 1 << 5,
	SOCKEYE__MAP_FOLD = 1 << 6,
	SOCKEYE__MAP_NOT = 1 << 7,
	SOCKEYE__MAP_GETS = 1 << 8,
	SOCKEYE__MAP_PUTS = 1 << 9,
	SOCKEYE__MAP_IPV4 = 1 << 10,
	SOCKEYE__MAP_IPV6 = 1 << 11,
	SOCKEYE__MAP_MISSING = 1 << 12,
};

#define SOCKEYE__MAP_LETTERS "rgiesal~GP46m" /* in the order of the flags */

struct sockeye__map_rule {
	unsigned line;
	unsigned flags;
	pcre2_code *code;
	struct sockeye__slice source, replacement; /* in the map's text */
};

struct sockeye__tftp_map {
	char *text;
	struct sockeye__map_rule *rules;
	size_t count;
	pcre2_match_context *limits;
	pcre2_match_data *match;
};

#endif
