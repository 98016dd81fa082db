/*
 * tftp_path.c: recognizes a path that drops large packets.
 *
 * Some firewalls drop fragments, and some drop the ICMP messages that report the path's MTU
 * (RFC 2923, section 2.1). The request and the OACK are small and pass, but no block does. The
 * block size cannot change within a transfer, so only a new request helps.
 */
#include <sockeye/time.h>

#include "proto/tftp_internal.h"

/* Lost packets or a pause must rarely look like such a path. In 3 s tftp-hpa and this server
 * have sent their first window twice more (after 1 s and 2 s), dnsmasq once (2 s), and a
 * loss of 1 % would have to hit each copy. Pauses of devices that write flash are shorter. */
#define LOST_NS       (3 * SOCKEYE_NS_PER_S)
#define LOST_TIMEOUTS 3

bool sockeye__tftp_is_stuck(const struct sockeye__tftp *x)
{
	if (x->blksize <= SOCKEYE__TFTP_BLKSIZE_DEFAULT)
		return false;
	return x->config.sends ? x->confirmed && x->sender.una == 1 && x->sender.high > 1
			       : x->receiver.next == 1;
}

bool sockeye__tftp_loses_blocks(const struct sockeye__tftp *x, uint64_t now_ns)
{
	bool silent =
	    x->result == SOCKEYE__TFTP_TIMED_OUT || x->result == SOCKEYE__TFTP_LAST_ACK_MISSING;

	if (!(x->result == SOCKEYE__TFTP_RUNNING || silent) || !sockeye__tftp_is_stuck(x) ||
	    now_ns - x->moving_ns < LOST_NS)
		return false;
	/* A device may erase its flash after the first block. Only a server that repeats its
	 * reply to the request has certainly not received the block. */
	if (x->config.sends && x->start_repeats == 0)
		return false;
	return silent || x->count.timeouts - x->moving_timeouts >= LOST_TIMEOUTS;
}
