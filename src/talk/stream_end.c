/* stream_end.c: ends a direction or the session (stream.h). */
#include "talk/stream_internal.h"

void sockeye__stream_finish(struct sockeye__stream *s, enum sockeye__talk_end end, int err)
{
	s->phase = SOCKEYE__STREAM_OVER;
	s->r.end = end;
	s->r.err = err;
}

void sockeye__stream_source_close(struct sockeye__stream *s, bool ended)
{
	if (s->sending != SOCKEYE__STREAM_OPEN)
		return;
	s->sending = SOCKEYE__STREAM_DRAINING;
	s->first_len = 0;
	s->r.input_ended = ended;
	sockeye__filtered_queue_end(&s->sendq);
	sockeye__standard_io_close(&s->src, !s->o->keep_in);
}

void sockeye__stream_note(struct sockeye__stream *s, enum sockeye__talk_note_kind kind,
			  const uint8_t *data, size_t len)
{
	struct sockeye__talk_note note = {kind, s->r.received, data, len,
					  s->sending == SOCKEYE__STREAM_OPEN};
	uint8_t *room;

	if (!s->o->on_note || s->phase == SOCKEYE__STREAM_DISCARDING)
		return;
	room = sockeye__filtered_queue_note_room(&s->recvq);
	sockeye__filtered_queue_note_add(&s->recvq, s->o->on_note(s->o->arg, &note, room));
}

void sockeye__stream_peer_close(struct sockeye__stream *s, bool ended)
{
	if (s->receiving != SOCKEYE__STREAM_OPEN)
		return;
	s->receiving = SOCKEYE__STREAM_DRAINING;
	s->r.peer_ended_last = ended && s->sending == SOCKEYE__STREAM_DONE;
	if (s->phase == SOCKEYE__STREAM_DISCARDING)
		return;
	sockeye__filtered_queue_end(&s->recvq);
	if (ended)
		sockeye__stream_note(s, SOCKEYE__TALK_NOTE_END, NULL, 0);
}

void sockeye__stream_leave(struct sockeye__stream *s, enum sockeye__talk_end end)
{
	if (s->phase != SOCKEYE__STREAM_RUNNING)
		return;
	s->phase = SOCKEYE__STREAM_LEAVING;
	s->r.end = end;
	sockeye__stream_peer_close(s, false);
}

void sockeye__stream_sending_failed(struct sockeye__stream *s, const char *op, int err)
{
	sockeye__stream_source_close(s, false);
	sockeye__filtered_queue_consume(&s->sendq, sockeye__filtered_queue_waiting(&s->sendq));
	s->urgent_len = 0;
	s->sending = SOCKEYE__STREAM_DONE;
	if (err < 0 && s->r.err == 0) {
		s->r.end = SOCKEYE__TALK_SOCKET;
		s->r.err = err;
		s->r.op = op;
	}
}

void sockeye__stream_reader_left(struct sockeye__stream *s)
{
	sockeye__filtered_queue_consume(&s->recvq, sockeye__stream_to_write(s));
	sockeye__standard_io_close(&s->dst, !s->o->keep_out);
	sockeye__stream_source_close(s, false);
	if (s->phase == SOCKEYE__STREAM_OVER)
		return;
	s->phase = SOCKEYE__STREAM_DISCARDING;
	s->r.end = SOCKEYE__TALK_READER;
}
