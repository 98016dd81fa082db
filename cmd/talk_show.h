/*
 * talk_show.h: how connect and listen show what passes: exactly, safe for a
 * terminal, as a hex dump, or as JSON.
 */
#ifndef SOCKEYE_CMD_TALK_SHOW_H
#define SOCKEYE_CMD_TALK_SHOW_H

#include "talk.h"
#include "console/filters.h"

struct show {
	const struct session_opts *o;
	const char *address; /* whom it is with */
	bool safe;           /* the output is a terminal: no control sequences */
	bool input_tty;      /* somebody types what is sent */
	bool records;        /* messages are records of a connection */
	bool senders;        /* say who sent each datagram */
	bool color;          /* of the dump */
	uint64_t offsets[2]; /* in the dump, by enum sockeye__side */
	uint64_t offset;     /* in JSON */
	struct sockeye__safe text;
	struct sockeye__filter filter;
};

/* What the scheme of a datagram's peer is. */
enum sockeye_scheme show_scheme(const struct sockeye_sockaddr *name);

void show_init(struct show *show, const struct session_opts *o, const char *address);

/* What received bytes go through to standard output, NULL for nothing. */
const struct sockeye__filter *show_filter(struct show *show);

/* Callbacks of the pump and of talk; arg is the struct show. */
void show_moved(void *arg, enum sockeye__side side, const uint8_t *data, size_t len);
void show_sent(void *arg, const uint8_t *data, size_t len);
size_t show_note(void *arg, const struct sockeye__note *note, uint8_t *room);
size_t show_message(void *arg, const struct sockeye_dgram *dgram, const uint8_t *data,
		    uint8_t *room);
size_t show_error(void *arg, const struct sockeye_dgram_error *error, uint8_t *room);
size_t show_switch(void *arg, const struct sockeye__switch *to, uint8_t *room);

#endif
