/*
 * talk_show.h: how connect and listen show data: unchanged, escaped for a terminal, as a
 * hex dump, or as JSON.
 */
#ifndef SOCKEYE_CMD_TALK_SHOW_H
#define SOCKEYE_CMD_TALK_SHOW_H

#include "talk.h"
#include "console/filters.h"
#include "console/hex_line.h"

struct talk_show {
	const struct talk_opts *o;
	const char *address; /* the peer, for messages */
	bool safe;           /* standard output is a terminal: escape control sequences */
	bool input_tty;      /* standard input is a terminal */
	bool records;        /* messages are records of a connection, not datagrams */
	bool senders;        /* print the sender of each datagram */
	bool color;          /* in the dump */
	uint64_t offsets[2]; /* in the dump, by enum sockeye__talk_direction */
	uint64_t offset;     /* in JSON: received bytes */
	struct sockeye__filter_safe text;
	struct sockeye__filter filter;
};

/* The URL scheme of a datagram's peer. */
enum sockeye_scheme talk_show_scheme(const struct sockeye_sockaddr *name);

void talk_show_init(struct talk_show *show, const struct talk_opts *o, const char *address);

/* Returns the filter between a stream and standard output, or NULL for none. */
const struct sockeye__filter *talk_show_filter(struct talk_show *show);

/* Callbacks for struct sockeye__stream_opts and struct sockeye__messages_opts. arg is the
 * struct talk_show. Callbacks with `room` return the length of the text that they wrote
 * there. */
void talk_show_dump(void *arg, enum sockeye__talk_direction side, const uint8_t *data, size_t len);
void talk_show_sent(void *arg, const uint8_t *data, size_t len);
size_t talk_show_note(void *arg, const struct sockeye__talk_note *note, uint8_t *room);
size_t talk_show_message(void *arg, const struct sockeye_dgram *dgram, const uint8_t *data,
			 uint8_t *room);
size_t talk_show_error(void *arg, const struct sockeye_dgram_error *error, uint8_t *room);
size_t talk_show_switch(void *arg, const struct sockeye__peer_switch *to, uint8_t *room);

#endif
