/*
 * event_internal.h: what the files of the event model share.
 */
#ifndef SOCKEYE_SERVE_EVENT_INTERNAL_H
#define SOCKEYE_SERVE_EVENT_INTERNAL_H

#include "serve/conn.h"

/* An event's data is a pointer to a connection or one of these odd numbers. */
#define SOCKEYE__LOOP_TAG_STOP         UINT64_C(1)
#define SOCKEYE__LOOP_TAG_SITE(i)      ((uint64_t)(i)*2 + 3)
#define SOCKEYE__LOOP_TAG_SITE_OF(tag) (((tag)-3) / 2)

struct sockeye__loop {
	struct sockeye__worker *worker;
	struct sockeye__counters *counters;
	bool show_messages;
	int epoll;
	bool listeners_watched; /* the listeners are in the epoll set */
	bool stopping;
	uint64_t resume_ns; /* accept nothing before this time; 0: no pause */
	struct sockeye__clocks clocks;
	struct sockeye__answerer *answerer;
	struct sockeye_turn turn;
	uint8_t *buffer;
	uint8_t room[SOCKEYE__ROOM_BYTES];
};

/* --- event_listeners.c --- */

/* Adds a file descriptor to the epoll set. Returns false with errno on failure. */
bool sockeye__loop_watch(struct sockeye__loop *l, int fd, uint32_t events, uint64_t tag);
/* Watches all listeners or, if memory is short, none until the end of a pause. */
void sockeye__loop_listeners_watch(struct sockeye__loop *l);
void sockeye__loop_listeners_unwatch(struct sockeye__loop *l);

#endif
