/* trouble.c: describes network errors (trouble.h). */
#include "tftp/trouble.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>

#define SMALL_PACKET 516 /* a block of 512 bytes, which every network transports */

/* Whether a firewall or a router's rules reject the packets. The kernel reports most of
 * these as EHOSTUNREACH, "No route to host". */
static bool is_prohibited(const struct sockeye_dgram_error *e)
{
	if (e->offender.u.sa.sa_family == AF_INET6)
		return e->icmp_type == ICMP6_DST_UNREACH &&
		       (e->icmp_code == ICMP6_DST_UNREACH_ADMIN || e->icmp_code == 5 ||
			e->icmp_code == 6); /* RFC 4443, section 3.1 */
	return e->icmp_type == ICMP_DEST_UNREACH &&
	       (e->icmp_code == ICMP_NET_ANO || e->icmp_code == ICMP_HOST_ANO ||
		e->icmp_code == ICMP_PKT_FILTERED);
}

struct sockeye__tftp_trouble sockeye__tftp_trouble_of_icmp(const struct sockeye_dgram_error *e)
{
	return (struct sockeye__tftp_trouble){
	    .err = e->err,
	    .step = e->from_icmp ? SOCKEYE__TFTP_STEP_ICMP : SOCKEYE__TFTP_STEP_SEND,
	    .prohibited = e->from_icmp && is_prohibited(e),
	    .reporter = e->from_icmp ? e->offender : (struct sockeye_sockaddr){0},
	};
}

const char *sockeye__tftp_trouble_step(const struct sockeye__tftp_trouble *t)
{
	static const char *const steps[] = {[SOCKEYE__TFTP_STEP_SEND] = "send",
					    [SOCKEYE__TFTP_STEP_RECEIVE] = "receive",
					    [SOCKEYE__TFTP_STEP_ICMP] = "icmp"};

	return steps[t->step];
}

static const struct {
	int err;
	enum sockeye__tftp_step step;
	const char *text;
} causes[] = {
    {-EPERM, SOCKEYE__TFTP_STEP_SEND, "a firewall on this machine drops them"},
    {-EACCES, SOCKEYE__TFTP_STEP_SEND, "it is a broadcast address, or a route prohibits sending"},
    {-ENETUNREACH, SOCKEYE__TFTP_STEP_SEND, "no route leads there"},
    {-EHOSTUNREACH, SOCKEYE__TFTP_STEP_SEND, "no route leads there"},
    {-ENETDOWN, SOCKEYE__TFTP_STEP_SEND, "the network interface is down"},
    {-EMSGSIZE, SOCKEYE__TFTP_STEP_SEND, "they exceed the MTU"},
    {-EINVAL, SOCKEYE__TFTP_STEP_SEND, "a blackhole route discards them"},
    {-EADDRNOTAVAIL, SOCKEYE__TFTP_STEP_SEND, "the local address was removed"},
    {-ENOBUFS, SOCKEYE__TFTP_STEP_SEND, "the queue of the network interface is full"},
    {-EAGAIN, SOCKEYE__TFTP_STEP_SEND, "the queue of the network interface is full"},
    {-ENETUNREACH, SOCKEYE__TFTP_STEP_ICMP, "it has no route there"},
    {-EHOSTUNREACH, SOCKEYE__TFTP_STEP_ICMP, "no host answers there"},
    {-EMSGSIZE, SOCKEYE__TFTP_STEP_ICMP, "they exceed the MTU of the path"},
    {-ECONNREFUSED, SOCKEYE__TFTP_STEP_ICMP, "the port is closed"},
};

static const char *cause_of(const struct sockeye__tftp_trouble *t)
{
	if (t->prohibited)
		return "a firewall rejects them";
	for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++)
		if (causes[i].err == t->err && causes[i].step == t->step)
			return causes[i].text;
	return NULL;
}

const char *sockeye__tftp_trouble_text(const struct sockeye__tftp_trouble *t,
				       const struct sockeye_sockaddr *peer,
				       char buf[SOCKEYE__TFTP_TROUBLE_TEXT_MAX])
{
	const size_t cap = SOCKEYE__TFTP_TROUBLE_TEXT_MAX;
	const char *cause = cause_of(t);
	char to[80], by[80]; /* `by` ends in ":0": ICMP has no ports */
	int len;

	sockeye_sockaddr_print(peer, to, sizeof to);
	sockeye_sockaddr_print(&t->reporter, by, sizeof by);
	if (t->step == SOCKEYE__TFTP_STEP_RECEIVE)
		len = snprintf(buf, cap, "receiving packets from %s", to);
	else if (t->reporter.len > 0)
		len = snprintf(buf, cap, "ICMP from %.*s about packets to %s", (int)strlen(by) - 2,
			       by, to);
	else if (t->len > SMALL_PACKET)
		len = snprintf(buf, cap, "sending packets of %zu bytes to %s", t->len, to);
	else
		len = snprintf(buf, cap, "sending packets to %s", to);
	if (cause != NULL && len > 0 && (size_t)len < cap)
		snprintf(buf + len, cap - (size_t)len, ": %s", cause);
	return buf;
}
