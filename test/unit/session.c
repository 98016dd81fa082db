/* session.c: see session.h. */
#include <stdlib.h>
#include <string.h>

#include "session.h"

struct driver {
	const struct session *s;
	struct dice dice;
	void *state;
	const uint8_t *in;
	size_t in_len;
	size_t taken, arrived; /* bytes of `in` that the service, and the driver, has received */
	bool in_end;
	bool more; /* the last turn requested another one */
	struct session_out out;
	size_t out_cap;
};

static uint64_t dice_roll(struct dice *d)
{
	if (d->len >= 2) {
		d->bytes += 2;
		d->len -= 2;
		return (uint64_t)d->bytes[-2] << 8 | d->bytes[-1];
	}
	d->seed ^= d->seed << 13; /* xorshift64, G. Marsaglia 2003 */
	d->seed ^= d->seed >> 7;
	d->seed ^= d->seed << 17;
	return d->seed >> 16;
}

size_t dice_pick(struct dice *d, size_t lo, size_t hi)
{
	if (hi <= lo || (d->len < 2 && d->seed == 0))
		return hi;
	size_t span = hi - lo + 1;
	uint64_t roll = dice_roll(d);

	if (roll % 2 == 0 && span > 16)
		span = 16;
	return lo + (size_t)(roll / 2 % span);
}

/* Makes bytes, the end, or both arrive; perhaps neither if the service requested
 * another turn. */
static void driver_arrive(struct driver *d)
{
	size_t coming = d->in_len - d->arrived;
	size_t held = d->arrived - d->taken;

	if (d->s->in_max > 0 && coming > d->s->in_max - held)
		coming = d->s->in_max - held;
	d->arrived += dice_pick(&d->dice, d->more ? 0 : coming > 0, coming);
	if (d->arrived < d->in_len || (d->more && d->out.len < d->s->out_min))
		return;
	d->in_end |= coming == 0 || dice_pick(&d->dice, 0, 1);
}

static bool within(const uint8_t *ptr, size_t len, const uint8_t *area, size_t area_len)
{
	return area && ptr >= area && len <= area_len && (size_t)(ptr - area) <= area_len - len;
}

static const char *turn_broken(const struct driver *d, const struct sockeye_turn *t, bool first)
{
	bool rest = t->in_taken < t->in_len;
	bool asked = (first && d->s->service->speaks_first) || d->more;

	if (t->in_taken > t->in_len)
		return "took more bytes than it was given";
	if (t->out_len > 0 && !within(t->out, t->out_len, t->in, t->in_taken) &&
	    !within(t->out, t->out_len, t->room, t->room_len))
		return "output outside the input taken and the room";
	if (t->out_len > 0 && t->in_len == 0 && !t->in_end && !asked)
		return "sent output in a turn that was not for output";
	if (t->deadline_ns > 0 && !d->s->service->uses_time)
		return "set a deadline without uses_time";
	if (t->more && !t->close && t->in_taken == 0 && t->out_len == 0)
		return "requests another turn after one without progress";
	if (t->in_end && !t->close && !t->more)
		return rest ? "leaves input after its end" : "does not close after the end";
	return NULL;
}

static void driver_keep(struct driver *d, const struct sockeye_turn *t)
{
	if (t->out_len == 0)
		return;
	if (d->out.len + t->out_len > d->out_cap) {
		d->out_cap = 2 * (d->out.len + t->out_len);
		d->out.ptr = realloc(d->out.ptr, d->out_cap);
	}
	if (!d->out.ptr)
		abort();
	memcpy(d->out.ptr + d->out.len, t->out, t->out_len);
	d->out.len += t->out_len;
}

/* Runs one turn. Returns whether the session goes on. */
static bool driver_turn(struct driver *d)
{
	const struct session *s = d->s;
	size_t room_max = s->room_max > 0 ? s->room_max : SOCKEYE_ROOM_MIN;
	struct sockeye_turn t = {
	    .in_len = d->arrived - d->taken,
	    .room_len = dice_pick(&d->dice, SOCKEYE_ROOM_MIN, room_max),
	    .in_end = d->in_end,
	    .in_is_record = s->in_is_record,
	};

	if (s->service->uses_time)
		t.now = s->now;
	t.in = t.in_len > 0 ? malloc(t.in_len) : NULL;
	t.room = malloc(t.room_len);
	if ((t.in_len > 0 && !t.in) || !t.room)
		abort();
	if (t.in_len > 0)
		memcpy(t.in, d->in + d->taken, t.in_len);
	s->service->turn(d->state, s->config, &t);
	d->out.broken = turn_broken(d, &t, d->out.turns == 0);
	if (!d->out.broken)
		driver_keep(d, &t);
	free(t.in);
	free(t.room);
	d->out.turns++;
	d->out.pieces += t.in_len > 0;
	d->taken += t.in_taken;
	d->more = t.more;
	return !t.close && !d->out.broken;
}

struct session_out session_run(const struct session *s, const void *in, size_t in_len)
{
	struct driver d = {.s = s, .dice = s->dice, .in = in, .in_len = in_len};

	d.state = calloc(1, s->service->state_size > 0 ? s->service->state_size : 1);
	if (!d.state)
		abort();
	if (!s->service->speaks_first)
		driver_arrive(&d);
	while (driver_turn(&d))
		driver_arrive(&d);
	free(d.state);
	return d.out;
}
