/*
 * messages_end.c: the ends of a session of messages, and room for its events
 * (messages.h).
 */
#include "talk/messages_internal.h"

void sockeye__messages_finish(struct sockeye__messages *t, enum sockeye__talk_end end, int err)
{
	t->finished = true;
	t->r.end = end;
	t->r.err = err;
}

void sockeye__messages_connection_failed(struct sockeye__messages *t, const char *op, int err)
{
	t->shut = t->broken = true;
	t->r.end = SOCKEYE__TALK_SOCKET;
	t->r.err = err;
	t->r.op = op;
}

uint8_t *sockeye__messages_event_room(struct sockeye__messages *t)
{
	uint8_t *room = sockeye__filtered_queue_note_room(&t->in);

	return t->in.cap - t->in.end >= SOCKEYE__FILTERED_QUEUE_NOTE_ROOM ? room : NULL;
}
