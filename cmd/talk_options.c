/* talk_options.c: the options that connect and listen share (talk.h). */
#include "talk.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <sockeye/text.h>

#include "cli/stop.h"

#define FIELD(field) offsetof(struct talk_opts, field)

const struct cli_option talk_options[] = {
    {.help = "Sending:"},
    {"message", 'm', "TEXT", CLI_LIST, FIELD(messages),
     "send TEXT instead of standard input; on a stream, add a line feed (repeatable)"},
    {"per", 0, "WHAT", CLI_TEXT, FIELD(per),
     "send each WHAT of the input as one datagram or record: line (default), read, "
     "all, or a size of at most 256Ki"},
    {"crlf", 'C', NULL, CLI_FLAG, FIELD(crlf), "send LF as CRLF, unless a CR precedes it"},
    {"oob", 0, "TEXT", CLI_TEXT, FIELD(urgent),
     "send TEXT first, with its last byte as urgent data"},
    {"no-shutdown", 0, NULL, CLI_FLAG, FIELD(no_shutdown),
     "do not half-close the connection when the input ends"},
    {"send-only", 0, NULL, CLI_FLAG, FIELD(send_only),
     "discard received data, and exit when all input has been sent"},
    {.help = "Output:"},
    {"recv-only", 0, NULL, CLI_FLAG, FIELD(recv_only),
     "send nothing and do not read standard input; exit when the peer has ended its side"},
    {"hex", 'x', NULL, CLI_FLAG, FIELD(hex),
     "dump both directions with timestamps on standard error"},
    {"raw", 0, NULL, CLI_FLAG, FIELD(raw), "do not escape control sequences on a terminal"},
    {"peek", 0, "N", CLI_UINT, FIELD(peek),
     "print up to N of the first bytes received, and leave them in the receive queue", .min = 1,
     .max = SOCKEYE__TALK_PEEK_MAX},
    {"buffer", 0, "SIZE", CLI_SIZE, FIELD(buffer),
     "truncate received datagrams and records to SIZE bytes, at most 256Ki, and "
     "report their full length (default 64Ki)",
     .min = 1, .max = SOCKEYE__MESSAGE_MAX},
    {"stats", 0, NULL, CLI_FLAG, FIELD(stats),
     "print bytes, time and rates on standard error at the end"},
    {.help = "Ending:"},
    {"keep-open", 0, NULL, CLI_FLAG, FIELD(keep_open),
     "if standard input is a terminal, continue to send after the peer has ended "
     "its side, until Ctrl-D"},
    {"timeout", 't', "TIME", CLI_TIME, FIELD(idle_ns),
     "give up if no data is transferred in either direction for TIME (default: never)",
     .min = 1000000},
    {"wait-after-eof", 'w', "TIME", CLI_TIME, FIELD(wait_ns),
     "after the end of the input: on a stream, exit after TIME (default: never); "
     "with datagrams or records, exit when nothing has arrived for TIME (default "
     "for datagrams: 1s; 0: do not wait)"},
    {"deadline", 0, "TIME", CLI_TIME, FIELD(deadline_ns), STOP_DEADLINE_HELP, .min = 1000000},
    {"linger0", 0, NULL, CLI_FLAG, FIELD(linger0), "close the connection with a reset"},
    {.help = "Addresses:"},
    {"ipv4", '4', NULL, CLI_FLAG, FIELD(ipv4), "use IPv4 only"},
    {"ipv6", '6', NULL, CLI_FLAG, FIELD(ipv6), "use IPv6 only"},
    {NULL},
};

enum talk_kind talk_kind_of(const struct sockeye_addr *addr)
{
	socklen_t len = sizeof(int);
	int type = SOCK_STREAM;

	if (addr->scheme == SOCKEYE_UNIX_SEQPACKET)
		return TALK_RECORDS;
	if (addr->scheme != SOCKEYE_FD)
		return sockeye_scheme_is_stream(addr->scheme) ? TALK_STREAM : TALK_DATAGRAMS;
	getsockopt(addr->fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return type == SOCK_SEQPACKET ? TALK_RECORDS
	       : type == SOCK_DGRAM   ? TALK_DATAGRAMS
				      : TALK_STREAM;
}

int talk_per_parse(const char *text, enum sockeye__message_per *out_per, size_t *out_size)
{
	static const char *const words[] = {
	    [SOCKEYE__MESSAGE_PER_LINE] = "line",
	    [SOCKEYE__MESSAGE_PER_READ] = "read",
	    [SOCKEYE__MESSAGE_PER_ALL] = "all",
	};
	uint64_t size;

	*out_per = SOCKEYE__MESSAGE_PER_LINE;
	*out_size = 0;
	for (size_t i = 0; text && i < sizeof words / sizeof words[0]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*out_per = (enum sockeye__message_per)i;
			return 0;
		}
	}
	if (!text)
		return 0;
	if (sockeye_size_parse(text, &size) < 0 || size == 0 || size > SOCKEYE__MESSAGE_MAX)
		return -EINVAL;
	*out_per = SOCKEYE__MESSAGE_PER_SIZE;
	*out_size = (size_t)size;
	return 0;
}

/* Returns NULL, or the reason why -4 or -6 does not fit the address. */
static const char *family_apply(const struct talk_opts *o, struct sockeye_addr *addr)
{
	int family = o->ipv4 ? 4 : 6;

	if (!o->ipv4 && !o->ipv6)
		return NULL;
	if (o->ipv4 && o->ipv6)
		return "-4 and -6 cannot be combined";
	if (sockeye_scheme_is_unix(addr->scheme) || addr->scheme == SOCKEYE_FD)
		return "-4 and -6 are for IP addresses";
	if (addr->family && addr->family != family)
		return o->ipv4 ? "-4 does not fit an IPv6 address"
			       : "-6 does not fit an IPv4 address";
	addr->family = family;
	return NULL;
}

/* Rejects options that have no effect with --recv-only or --send-only. Returns NULL, or the
 * reason. */
static const char *directions_check(const struct talk_opts *o)
{
	if (o->recv_only && o->send_only)
		return "--recv-only and --send-only cannot be combined";
	if (o->recv_only && o->messages.count)
		return "--recv-only sends nothing; -m has no effect";
	if (o->recv_only && (o->per || o->crlf || o->urgent || o->no_shutdown || o->keep_open))
		return "--recv-only sends nothing; --per, --crlf, --oob, --no-shutdown and "
		       "--keep-open are for sending";
	if (o->send_only && (o->raw || o->peek || o->buffer || o->keep_open))
		return "--send-only discards what arrives; --raw, --peek, --buffer and --keep-open "
		       "have no effect";
	if (o->send_only && o->wait_ns != TALK_WAIT_NOT_GIVEN)
		return "--send-only exits when the input is sent; --wait-after-eof waits longer";
	return NULL;
}

/* Rejects options that would have no effect. Returns NULL, or the reason. */
static const char *options_check(const struct talk_opts *o, const struct sockeye_addr *addr)
{
	enum talk_kind kind = talk_kind_of(addr);

	if (kind == TALK_STREAM && o->per)
		return "--per is for messages; a stream has no message boundaries";
	if (kind == TALK_STREAM && o->buffer)
		return "--buffer is for messages; a stream has no message boundaries";
	if (o->per && o->messages.count)
		return "--per splits standard input, which -m replaces";
	if (kind != TALK_STREAM && o->urgent)
		return "--oob is for streams; messages have no urgent data";
	if (o->urgent && !*o->urgent)
		return "--oob needs at least one byte";
	if (kind == TALK_DATAGRAMS && o->no_shutdown)
		return "--no-shutdown is for connections; datagrams have no half-close";
	if (o->linger0 && (kind == TALK_DATAGRAMS || sockeye_scheme_is_unix(addr->scheme)))
		return "--linger0 is for IP connections; other sockets have no reset";
	if (o->raw && o->common.json)
		return "--raw is for terminal output; it has no effect on --json";
	return directions_check(o);
}

int talk_check(const struct talk_opts *o, const struct cli_command *command,
	       struct sockeye_addr *addr)
{
	const char *wrong = family_apply(o, addr);
	enum sockeye__message_per per;
	size_t size;

	if (!wrong && talk_per_parse(o->per, &per, &size) < 0)
		wrong = "--per takes line, read, all, or a size of at most 256Ki";
	if (!wrong)
		wrong = options_check(o, addr);
	return wrong ? cli_usage(&o->common, command, "%s", wrong) : CLI_GO;
}
