/* cause.c: explains why a client became silent (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>

/* Ignores ICMP messages about a closed port: clients close their port after the last
 * block. */
static bool is_trouble(const struct sockeye__tftp_transfer *t)
{
	return t->wire.trouble.err < 0 && t->wire.trouble.err != -ECONNREFUSED;
}

bool sockeye__tftp_cannot_send(const struct sockeye__tftp_transfer *t)
{
	return is_trouble(t) && t->wire.trouble.step == SOCKEYE__TFTP_STEP_SEND;
}

void sockeye__tftp_explain(const struct sockeye__tftp_transfer *t, struct sockeye__tftp_report *r,
			   char buf[SOCKEYE__TFTP_TROUBLE_TEXT_MAX])
{
	enum sockeye__tftp_result result = t->machine.result;
	bool silent = result == SOCKEYE__TFTP_TIMED_OUT || result == SOCKEYE__TFTP_LAST_ACK_MISSING;

	if (!is_trouble(t) || !(silent || t->err == t->wire.trouble.err))
		return;
	r->trouble = &t->wire.trouble;
	r->err = t->wire.trouble.err;
	r->detail = sockeye__tftp_trouble_text(&t->wire.trouble, &t->wire.to.peer, buf);
}
