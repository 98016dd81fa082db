/* outcome.c: report how a run has ended (internal.h). */
#include "tftp/client/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TEXT_SHOWN 80 /* bytes of an ERROR's text in a message */

static const char *op_of(const struct sockeye__tftp_run *r)
{
	static const char *const ops[] = {[SOCKEYE__TFTP_GET] = "get",
					  [SOCKEYE__TFTP_PUT] = "put",
					  [SOCKEYE__TFTP_PROBE] = "probe"};

	return ops[r->job->way];
}

static void sum_up(struct sockeye__tftp_run *r, enum sockeye__tftp_run_phase phase, uint64_t now_ns)
{
	struct sockeye__tftp_end *end = &r->end;

	if (!end->peer_error)
		end->code = r->machine.error_text != NULL ? r->machine.error_code : -1;
	end->without_options = r->without_options;
	end->options = r->machine.options;
	end->blksize = r->machine.blksize;
	end->lost_blksize = r->lost_blksize;
	end->window = r->machine.window;
	end->bytes = sockeye__tftp_run_bytes(r);
	end->ns = now_ns - r->begun_ns;
	end->count = r->machine.count;
	r->phase = phase;
}

void sockeye__tftp_run_fail(struct sockeye__tftp_run *r, const char *op, const char *address,
			    int err, const char *detail, uint64_t now_ns)
{
	struct sockeye_fail *fail = &r->end.fail;

	*fail = (struct sockeye_fail){.op = op ? op : op_of(r), .err = err};
	snprintf(fail->address, sizeof fail->address, "%s",
		 address && *address ? address : r->job->address);
	if (detail)
		snprintf(fail->detail, sizeof fail->detail, "%s", detail);
	fail->explained = r->phase == SOCKEYE__RUN_TRANSFERRING; /* the server has answered */
	sum_up(r, SOCKEYE__RUN_OVER, now_ns);
}

void sockeye__tftp_run_trouble(const struct sockeye__tftp_run *r, struct sockeye_fail *out)
{
	sockeye__tftp_trouble_text(&r->wire.trouble, &r->wire.to.peer, out->detail);
	out->err = r->wire.trouble.err;
	out->explained = true;
}

/* Ends the run because the server is silent, with the last network error if there is one,
 * otherwise with a timeout. */
static void silent(struct sockeye__tftp_run *r, const char *detail, uint64_t now_ns)
{
	struct sockeye_fail fail;

	r->end.trouble = r->wire.trouble;
	if (r->wire.trouble.err == 0) {
		sockeye__tftp_run_fail(r, NULL, NULL, -ETIMEDOUT, detail, now_ns);
		return;
	}
	sockeye__tftp_run_trouble(r, &fail);
	sockeye__tftp_run_fail(r, NULL, NULL, fail.err, fail.detail, now_ns);
	r->end.fail.explained = true;
}

void sockeye__tftp_run_unreachable(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	sockeye__tftp_run_fail(r, NULL, NULL, r->end.waited_for, "no reply to the last request",
			       now_ns);
}

static bool none_moved(const struct sockeye__tftp *machine)
{
	return machine->config.sends ? machine->sender.una == 1 : machine->receiver.next == 1;
}

static void timed_out(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	char detail[sizeof r->end.fail.detail], name[80];

	if (r->strangers == 0 && r->wire.trouble.err == 0 &&
	    sockeye__tftp_run_is_unreachable(r, now_ns)) {
		sockeye__tftp_run_unreachable(r, now_ns);
		return;
	}
	sockeye_sockaddr_print(&r->stranger, name, sizeof name);
	if (r->lost_blksize > 0 && none_moved(&r->machine))
		snprintf(detail, sizeof detail,
			 "no block arrived, neither of %u bytes nor of 512 bytes", r->lost_blksize);
	else if (r->phase == SOCKEYE__RUN_TRANSFERRING && sockeye__tftp_is_stuck(&r->machine))
		snprintf(detail, sizeof detail,
			 "no block of %u bytes arrived; --blksize 512 works on more networks",
			 r->machine.blksize);
	else if (r->phase == SOCKEYE__RUN_TRANSFERRING)
		snprintf(detail, sizeof detail, "no packet from the server after %" PRIu64 " bytes",
			 sockeye__tftp_run_bytes(r));
	else if (r->strangers > 0)
		snprintf(detail, sizeof detail, "%s answered instead", name);
	else
		snprintf(detail, sizeof detail,
			 "no reply; replies come from a new port, which a firewall may block");
	r->end.other_source = r->phase == SOCKEYE__RUN_ASKING && r->strangers > 0;
	silent(r, detail, now_ns);
}

/* The meaning of error codes (RFC 1350, section 5; RFC 2347). */
static const char *const meanings[] = {
    "not defined",         "file not found",    "access violation",
    "disk full",           "illegal operation", "unknown transfer ID",
    "file already exists", "no such user",      "option refused",
};

/* Hints on a refused request, printed if the server's text adds nothing to the code,
 * or always (`anyway`): dnsmasq describes an upload as an unsupported request. */
static const struct {
	int code;
	bool put, anyway;
	const char *text;
} hints[] = {
    {SOCKEYE__TFTP_NOT_FOUND, false, false,
     "names are case-sensitive and relative to the server's root"},
    {SOCKEYE__TFTP_NOT_FOUND, true, false,
     "the directory does not exist, or the server does not accept new files"},
    {SOCKEYE__TFTP_ACCESS, false, false, "many servers send only files that all users may read"},
    {SOCKEYE__TFTP_ACCESS, true, false,
     "the server does not accept uploads, or not to this directory or file"},
    {SOCKEYE__TFTP_ILLEGAL, true, true, "the server probably does not accept uploads"},
    {SOCKEYE__TFTP_EXISTS, true, false, "the server does not replace files"},
};

static const char *hint_find(const struct sockeye__tftp_run *r, bool text_adds_nothing)
{
	if (!sockeye__tftp_is_unanswered(&r->machine))
		return NULL;
	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
		if (hints[i].code == r->end.code && (text_adds_nothing || hints[i].anyway) &&
		    hints[i].put == sockeye__tftp_run_is_put(r))
			return hints[i].text;
	return NULL;
}

static bool text_is(const struct sockeye__tftp_end *end, const char *text)
{
	return strlen(text) == end->text_len &&
	       strncasecmp(text, (const char *)end->text, end->text_len) == 0;
}

/* Ends the run with a detail such as: error 2, access violation: "not today". Leaves
 * the meaning out if the server's text is the same, or if the server sent a text with
 * code 0. */
static void refused(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	const struct sockeye__tftp_end *end = &r->end;
	const char *text = (const char *)end->text, *meaning = "unknown code", *hint;
	char detail[sizeof r->end.fail.detail];
	int len = (int)(end->text_len < TEXT_SHOWN ? end->text_len : TEXT_SHOWN);
	bool same;

	if ((size_t)end->code < sizeof meanings / sizeof meanings[0])
		meaning = meanings[end->code];
	same = text_is(end, meaning);
	hint = hint_find(r, same || len == 0 || text_is(end, "permission denied"));
	same = same || (len > 0 && end->code == SOCKEYE__TFTP_UNDEFINED);
	snprintf(detail, sizeof detail, "error %d%s%s%s%.*s%s%s%s", end->code, same ? "" : ", ",
		 same ? "" : meaning, len > 0 ? ": \"" : "", len, text, len > 0 ? "\"" : "",
		 hint ? "; " : "", hint ? hint : "");
	sockeye__tftp_run_fail(r, NULL, NULL, SOCKEYE_E_PEER, detail, now_ns);
}

static void wrong_size(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	char detail[sizeof r->end.fail.detail];

	snprintf(detail, sizeof detail,
		 "received %" PRIu64 " bytes, but the server announced %" PRIu64,
		 r->machine.receiver.bytes, sockeye__tftp_run_size(r));
	sockeye__tftp_run_fail(r, NULL, NULL, -EPROTO, detail, now_ns);
}

void sockeye__tftp_run_finish(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	const char *detail = NULL;

	if (r->phase == SOCKEYE__RUN_DALLYING && sockeye__tftp_is_over(&r->machine))
		r->phase = SOCKEYE__RUN_OVER;
	if (sockeye__tftp_run_ended(r) || r->machine.result == SOCKEYE__TFTP_RUNNING ||
	    r->file.len > 0)
		return;
	switch (r->machine.result) {
	case SOCKEYE__TFTP_TIMED_OUT:
		timed_out(r, now_ns);
		return;
	case SOCKEYE__TFTP_PEER_ERROR:
		refused(r, now_ns);
		return;
	case SOCKEYE__TFTP_WRONG_SIZE:
		wrong_size(r, now_ns);
		return;
	case SOCKEYE__TFTP_LAST_ACK_MISSING:
		if (r->lost_blksize > 0 || sockeye__tftp_is_stuck(&r->machine))
			timed_out(r, now_ns);
		else
			silent(r, "all data was sent, but the last block was not acknowledged",
			       now_ns);
		return;
	case SOCKEYE__TFTP_BAD_OACK:
		detail = "the server granted an option that was not requested";
		break;
	case SOCKEYE__TFTP_BAD_START:
		detail = "the server's first block has number 0";
		break;
	case SOCKEYE__TFTP_TOO_LARGE:
		detail = "file too large";
		break;
	default: /* done, or a probe that was aborted on purpose */
		sum_up(r,
		       sockeye__tftp_is_over(&r->machine) ? SOCKEYE__RUN_OVER
							  : SOCKEYE__RUN_DALLYING,
		       now_ns);
		return;
	}
	sockeye__tftp_run_fail(r, NULL, NULL, -EPROTO, detail, now_ns);
}
