/*
 * reply.c: recognizes the replies that messages must get. On a stream, the bytes after a
 * reply belong to the next reply.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "bench/internal.h"

#define REPLY_MAX (1u << 20) /* bytes that a regular expression is tried on */
/* A reply does not match if the match would need more steps or memory (pcre2api(3),
 * pcre2_set_match_limit). */
#define MATCH_MAX 10000000u
#define HEAP_KIB  (64u << 10)

struct sockeye__bench_regex {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

void sockeye__bench_regex_free(struct sockeye__bench_regex *regex)
{
	if (regex == NULL)
		return;
	pcre2_match_context_free(regex->limits);
	pcre2_match_data_free(regex->match);
	pcre2_code_free(regex->code);
	free(regex);
}

struct sockeye__bench_regex *sockeye__bench_regex_new(const char *pattern, char *out_why,
						      size_t cap)
{
	struct sockeye__bench_regex *regex = calloc(1, sizeof *regex);
	PCRE2_SIZE at;
	int err = PCRE2_ERROR_NOMEMORY;

	if (regex != NULL) {
		/* Up to 10.44, optimizing the start of some patterns misses matches
		 * (github.com/PCRE2Project/pcre2/pull/444). */
		regex->code = pcre2_compile(
		    (PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
		    PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NO_START_OPTIMIZE, &err, &at, NULL);
		regex->match = pcre2_match_data_create(1, NULL);
		regex->limits = pcre2_match_context_create(NULL);
	}
	if (regex == NULL || regex->code == NULL || regex->match == NULL || regex->limits == NULL) {
		pcre2_get_error_message(err, (PCRE2_UCHAR *)out_why, cap);
		sockeye__bench_regex_free(regex);
		return NULL;
	}
	pcre2_set_match_limit(regex->limits, MATCH_MAX);
	pcre2_set_heap_limit(regex->limits, HEAP_KIB);
	return regex;
}

static bool matches(const struct sockeye__bench_run *run, const uint8_t *data, size_t len)
{
	const struct sockeye__bench_regex *regex = run->opts.regex;

	return pcre2_match(regex->code, data, len, 0, 0, regex->match, regex->limits) >= 0;
}

/* The expected bytes of the reply to message `number`. */
static const uint8_t *expected(const struct sockeye__bench_run *run,
			       const struct sockeye__bench_conn *conn, uint64_t number)
{
	return run->expected + sockeye__bench_offset(run, conn->index, number);
}

static bool is_compared(const struct sockeye__bench_run *run)
{
	return run->opts.expect != SOCKEYE__BENCH_LENGTH;
}

/* Takes a part of a reply of reply_len bytes. Bytes of an echo that arrive before they
 * were sent are wrong. */
static enum sockeye__bench_reply counted_part(const struct sockeye__bench_run *run,
					      const struct sockeye__bench_conn *conn,
					      const uint8_t *data, size_t len, size_t *out_n)
{
	size_t end = run->opts.reply_len, n;

	if (run->opts.expect <= SOCKEYE__BENCH_UPPER && conn->answered + 1 == conn->begun)
		end = conn->sent;
	n = len < end - conn->received ? len : end - conn->received;
	*out_n = n;
	if (is_compared(run))
		*out_n = sockeye__bench_differs(
		    data, expected(run, conn, conn->answered) + conn->received, n);
	if (n == 0 || *out_n < n)
		return SOCKEYE__BENCH_REPLY_WRONG;
	return conn->received + n == run->opts.reply_len ? SOCKEYE__BENCH_REPLY_WHOLE
							 : SOCKEYE__BENCH_REPLY_PART;
}

static enum sockeye__bench_reply line_part(const uint8_t *data, size_t len, size_t *out_n)
{
	const uint8_t *end = memchr(data, '\n', len);

	*out_n = end != NULL ? (size_t)(end - data) + 1 : len;
	return end != NULL ? SOCKEYE__BENCH_REPLY_WHOLE : SOCKEYE__BENCH_REPLY_PART;
}

/* Takes all bytes that have arrived as a part of the reply. */
static enum sockeye__bench_reply regex_part(const struct sockeye__bench_run *run,
					    struct sockeye__bench_conn *conn, const uint8_t *data,
					    size_t len, size_t *out_n)
{
	*out_n = 0;
	if (conn->reply == NULL)
		conn->reply = malloc(REPLY_MAX);
	if (conn->reply == NULL || len > REPLY_MAX - conn->received)
		return SOCKEYE__BENCH_REPLY_WRONG;
	memcpy(conn->reply + conn->received, data, len);
	*out_n = len;
	return matches(run, conn->reply, conn->received + len) ? SOCKEYE__BENCH_REPLY_WHOLE
							       : SOCKEYE__BENCH_REPLY_PART;
}

enum sockeye__bench_reply sockeye__bench_reply_part(struct sockeye__bench_run *run,
						    struct sockeye__bench_conn *conn,
						    const uint8_t *data, size_t len, size_t *out_n)
{
	*out_n = 0;
	if (conn->answered == conn->begun) /* no message waits for a reply */
		return SOCKEYE__BENCH_REPLY_WRONG;
	switch (run->opts.expect) {
	case SOCKEYE__BENCH_LINE:
		return line_part(data, len, out_n);
	case SOCKEYE__BENCH_REGEX:
		return regex_part(run, conn, data, len, out_n);
	default:
		return counted_part(run, conn, data, len, out_n);
	}
}

enum sockeye__bench_reply sockeye__bench_reply_datagram(const struct sockeye__bench_run *run,
							const struct sockeye__bench_conn *conn,
							uint64_t number, size_t head,
							const uint8_t *data, size_t len,
							size_t *out_n)
{
	size_t common = len < run->opts.reply_len ? len : run->opts.reply_len;
	bool right;

	*out_n = 0;
	switch (run->opts.expect) {
	case SOCKEYE__BENCH_LINE: /* the last LF may be missing */
		right = len > 0 && memchr(data, '\n', len - 1) == NULL;
		break;
	case SOCKEYE__BENCH_REGEX:
		right = matches(run, data, len);
		break;
	default:
		*out_n = common;
		if (is_compared(run))
			*out_n = head + sockeye__bench_differs(data + head,
							       expected(run, conn, number) + head,
							       common - head);
		right = *out_n == run->opts.reply_len && len == run->opts.reply_len;
	}
	return right ? SOCKEYE__BENCH_REPLY_WHOLE : SOCKEYE__BENCH_REPLY_WRONG;
}
