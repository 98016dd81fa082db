/*
 * drops.c: reports requests that get no reply (internal.h).
 *
 * The log must show that requests of a legitimate client were dropped, but a flood must not
 * fill the log: each worker writes at most one line per second for each reason.
 */
#include "tftp/server/internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/deadline.h"

static const struct {
	const char *why, *option;
} reasons[SOCKEYE__TFTP_DROPS] = {
    [SOCKEYE__TFTP_DROP_RATE] = {"too many unconfirmed requests from its source",
				 "--request-rate, or a policy line with trusted"},
    [SOCKEYE__TFTP_DROP_BROADCAST] = {"sent to a broadcast or multicast address", "--broadcast"},
};

static void write_line(struct sockeye__tftp_worker *w, enum sockeye__tftp_drop reason)
{
	struct sockeye__tftp_dropped *d = &w->dropped[reason];
	char text[200];

	snprintf(text, sizeof text,
		 "%" PRIu64 " request%s dropped, the last from this client: %s (%s)", d->count,
		 &"s"[d->count == 1], reasons[reason].why, reasons[reason].option);
	sockeye__worker_event(w->base, &(struct sockeye_event){
					   .kind = SOCKEYE_EVENT_REFUSE,
					   .service = "tftp",
					   .peer = &d->peer,
					   .scheme = SOCKEYE_UDP,
					   .text = text,
				       });
	d->count = 0;
	d->logged_ns = w->now_ns;
}

static uint64_t due_ns(const struct sockeye__tftp_dropped *d)
{
	return d->count == 0 ? 0 : d->logged_ns == 0 ? 1 : d->logged_ns + SOCKEYE_NS_PER_S;
}

void sockeye__tftp_drop(struct sockeye__tftp_worker *w, enum sockeye__tftp_drop reason,
			const struct sockeye_sockaddr *peer)
{
	struct sockeye__tftp_dropped *d = &w->dropped[reason];

	if (reason == SOCKEYE__TFTP_DROP_RATE)
		sockeye__count(&w->base->counters->dropped_rate, 1);
	d->peer = *peer;
	d->count++;
	if (due_ns(d) <= w->now_ns)
		write_line(w, reason);
}

uint64_t sockeye__tftp_drops_due_ns(const struct sockeye__tftp_worker *w)
{
	uint64_t at = 0;

	for (int i = 0; i < SOCKEYE__TFTP_DROPS; i++)
		at = sockeye__earlier(at, due_ns(&w->dropped[i]));
	return at;
}

void sockeye__tftp_drops_report(struct sockeye__tftp_worker *w)
{
	for (int i = 0; i < SOCKEYE__TFTP_DROPS; i++) {
		uint64_t at = due_ns(&w->dropped[i]);

		if (at != 0 && at <= w->now_ns)
			write_line(w, (enum sockeye__tftp_drop)i);
	}
}
