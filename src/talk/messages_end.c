/*
 * messages_end.c: ends a session of messages, and finds room for its events
 * (messages.h).
 */
#include "talk/messages_internal.h"

void sockeye__messages_finish(struct sockeye__messages *m, enum sockeye__talk_end end, int err)
{
	m->phase = SOCKEYE__MESSAGES_OVER;
	m->r.end = end;
	m->r.err = err;
}

void sockeye__messages_connection_failed(struct sockeye__messages *m, const char *op, int err)
{
	m->sending_done = true;
	if (m->phase == SOCKEYE__MESSAGES_OVER)
		return;
	m->phase = SOCKEYE__MESSAGES_BROKEN;
	m->r.end = SOCKEYE__TALK_SOCKET;
	m->r.err = err;
	m->r.op = op;
}

uint8_t *sockeye__messages_event_room(struct sockeye__messages *m)
{
	uint8_t *room = sockeye__filtered_queue_note_room(&m->recvq);
	size_t free_bytes = m->recvq.cap - m->recvq.end;

	return free_bytes >= SOCKEYE__FILTERED_QUEUE_NOTE_ROOM ? room : NULL;
}
