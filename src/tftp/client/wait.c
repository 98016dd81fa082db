/* wait.c: repeats requests to a server that cannot be reached yet (internal.h). A device
 * that is starting refuses requests for some seconds, or has no link. */
#include "tftp/client/internal.h"

#include <errno.h>

#include <sockeye/time.h>

#include "base/number.h"

#define PAUSE_NS (250 * SOCKEYE_NS_PER_MS)

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

/* Reports the rest of the wait, or all of it if it has just begun. */
static void wait_note(const struct sockeye__tftp_run *r, uint64_t now_ns)
{
	uint64_t left_ns = r->wait_until_ns - now_ns;

	sockeye__tftp_run_note_wait(r,
				    wait_ns(r) - left_ns < SOCKEYE_NS_PER_S ? wait_ns(r) : left_ns);
}

void sockeye__tftp_run_address_failed(struct sockeye__tftp_run *r, const struct sockeye_fail *fail)
{
	if (r->first.err == 0 || (!is_specific(r->first.err) && is_specific(fail->err)))
		r->first = *fail;
	r->may_start = r->may_start || may_start(r, fail->err);
}

bool sockeye__tftp_run_wait(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	if (!r->may_start || r->no_wait || r->client->no_wait || r->end.answered ||
	    now_ns >= r->wait_until_ns)
		return false;
	if (!r->end.waited)
		wait_note(r, now_ns);
	r->end.waited = true;
	sockeye__tftp_run_hang_up(r);
	r->phase = SOCKEYE__RUN_WAITING;
	r->next_ns = sockeye__least(now_ns + PAUSE_NS, r->wait_until_ns);
	return true;
}

void sockeye__tftp_run_ask_again(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	r->name = 0;
	r->first.err = 0;
	r->may_start = false;
	r->begun_ns = now_ns; /* the time of the transfer does not include the wait */
}
