/* cause.c: explains why a client became silent (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdio.h>

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

/* Some clients never acknowledge the last block. But if the client has acknowledged none of
 * several blocks, the blocks were probably lost. */
bool sockeye__tftp_undelivered(const struct sockeye__tftp_transfer *t)
{
	return sockeye__tftp_cannot_send(t) ||
	       (sockeye__tftp_is_stuck(&t->machine) && t->machine.sender.high > 2);
}

void sockeye__tftp_explain(const struct sockeye__tftp_transfer *t, struct sockeye__tftp_report *r,
			   char buf[SOCKEYE__TFTP_TROUBLE_TEXT_MAX])
{
	enum sockeye__tftp_result result = t->machine.result;
	bool silent = result == SOCKEYE__TFTP_TIMED_OUT || result == SOCKEYE__TFTP_LAST_ACK_MISSING;

	if (is_trouble(t) && (silent || t->err == t->wire.trouble.err)) {
		r->trouble = &t->wire.trouble;
		r->err = t->wire.trouble.err;
		r->detail = sockeye__tftp_trouble_text(&t->wire.trouble, &t->wire.to.peer, buf);
	} else if (silent && sockeye__tftp_is_stuck(&t->machine)) {
		snprintf(buf, SOCKEYE__TFTP_TROUBLE_TEXT_MAX,
			 "no block of %u bytes arrived: if the path drops large packets, use "
			 "--blksize-max 512",
			 t->machine.blksize);
		r->detail = buf;
	}
}
