/* wait.c: repeats requests to a server that cannot be reached yet (internal.h). A device
 * that is starting refuses requests for some seconds, or has no link. */
#include "tftp/client/internal.h"

#include <errno.h>

#include <sockeye/time.h>

#include "base/number.h"

#define PAUSE_NS (250 * SOCKEYE_NS_PER_MS)

/* Linux reports a neighbor that does not answer ARP after three attempts, one per second. */
#define NEIGHBOR_NS (4 * SOCKEYE_NS_PER_S)

/* Whether the cause can be a server that is starting, a link that is not up yet, or a
 * firewall whose table of connections is full. */
static bool may_start(const struct sockeye__tftp_run *r, int err)
{
	switch (err) {
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
	case -EHOSTDOWN:
	case -ENETUNREACH:
	case -ENETDOWN:
	case -EADDRNOTAVAIL:
	case -EPERM:
		return true;
	case -ETIMEDOUT:
		return r->client->wait_ns > 0;
	default:
		return false;
	}
}

/* Whether an error concerns the address itself. Otherwise this machine cannot reach
 * any address of the family. */
static bool is_specific(int err)
{
	return err != -EAFNOSUPPORT && err != -ENETUNREACH && err != -EADDRNOTAVAIL;
}

static uint64_t wait_ns(const struct sockeye__tftp_run *r)
{
	return r->client->wait_ns ?: SOCKEYE__TFTP_CLIENT_WAIT_NS;
}

void sockeye__tftp_run_wait_begin(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	if (r->wait_until_ns == 0)
		r->wait_until_ns = now_ns + wait_ns(r);
}

void sockeye__tftp_run_address_failed(struct sockeye__tftp_run *r, const struct sockeye_fail *fail)
{
	if (r->first.err == 0 || (!is_specific(r->first.err) && is_specific(fail->err)))
		r->first = *fail;
	r->may_start = r->may_start || may_start(r, fail->err);
}

/* Whether the wait is over. The timer that gives up a silent request has jitter, which must not
 * decide whether the request is repeated. */
static bool is_over(const struct sockeye__tftp_run *r, uint64_t now_ns)
{
	uint64_t jitter_ns = r->first.err == -ETIMEDOUT ? wait_ns(r) / 8 : 0;

	return now_ns >= r->wait_until_ns + jitter_ns;
}

/* A silent request was a pause itself. A second one would lose the kernel's report that no host
 * answers ARP. */
static uint64_t pause_ns(const struct sockeye__tftp_run *r, uint64_t now_ns)
{
	bool paused = r->first.err == -ETIMEDOUT && now_ns - r->begun_ns > SOCKEYE_NS_PER_S;

	return paused ? 0 : PAUSE_NS;
}

bool sockeye__tftp_run_wait(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	if (!r->may_start || r->no_wait || r->client->no_wait || r->end.answered ||
	    is_over(r, now_ns))
		return false;
	if (r->end.waited_for == 0)
		sockeye__tftp_run_note_wait(r, wait_ns(r));
	r->end.waited_for = r->first.err;
	sockeye__tftp_run_hang_up(r);
	r->phase = SOCKEYE__RUN_WAITING;
	r->next_ns = sockeye__least(now_ns + pause_ns(r, now_ns), r->wait_until_ns);
	return true;
}

void sockeye__tftp_run_ask_again(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	r->name = 0;
	r->first.err = 0;
	r->may_start = false;
	r->begun_ns = now_ns; /* the time of the transfer does not include the wait */
}

static bool was_unreachable(const struct sockeye__tftp_run *r)
{
	return r->phase == SOCKEYE__RUN_ASKING &&
	       (r->end.waited_for == -EHOSTUNREACH || r->end.waited_for == -EHOSTDOWN);
}

/* A server may need more time for a write request, for example to erase its flash. */
uint64_t sockeye__tftp_run_wait_end(const struct sockeye__tftp_run *r)
{
	uint64_t timeout_ns = r->client->timeout_ns ?: SOCKEYE_NS_PER_S;

	if (!was_unreachable(r) || r->client->wait_ns == 0 || sockeye__tftp_run_is_put(r))
		return 0;
	return r->wait_until_ns > r->begun_ns + timeout_ns ? r->wait_until_ns
							   : r->begun_ns + timeout_ns;
}

bool sockeye__tftp_run_is_unreachable(const struct sockeye__tftp_run *r, uint64_t now_ns)
{
	return was_unreachable(r) && now_ns - r->begun_ns < NEIGHBOR_NS;
}
