/* listen.c: the listen subcommand. */
#include "commands.h"
#include "cli/address.h"
#include "cli/inherited.h"
#include "cli/translate.h"
#include "cli/report.h"
#include "cli/words.h"
#include "talk.h"
#include "cli/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/stream.h>
#include <sockeye/time.h>

struct opts {
	struct talk_opts talk;
	bool keep;
	uint32_t ready_fd, backlog;
};

static const struct cli_option options[] = {
    {.help = "Listening:"},
    {"keep", 'k', NULL, CLI_FLAG, offsetof(struct opts, keep),
     "serve one client after another until interrupted"},
    {"count", 'n', "N", CLI_UINT, offsetof(struct opts, talk.count),
     "exit after N clients, one after another (default 1; with -k no limit), or "
     "after receiving N datagrams (default: no limit)",
     .min = 1},
    {"backlog", 0, "N", CLI_UINT, offsetof(struct opts, backlog),
     "let up to N clients wait to be accepted (default 4096)", .min = 1, .max = 65535},
    {"ready-fd", 0, "N", CLI_UINT, offsetof(struct opts, ready_fd),
     "when all sockets are listening, write the addresses to file descriptor N, one "
     "per line, and close it",
     .min = 1, .max = 1 << 20},
    {NULL},
};

struct listening {
	const struct opts *o;
	enum talk_kind kind;
	enum sockeye_scheme scheme; /* of the last client's listener */
	struct sockeye_listener at[SOCKEYE__MESSAGES_SOCKETS_MAX];
	size_t count;
	char names[SOCKEYE__MESSAGES_SOCKETS_MAX][SOCKEYE_ADDR_TEXT_MAX];
	int ready_fd; /* -1: none */
	int stop_fd;
	int in_fd; /* -1 once standard input has ended */
	bool reader_left;
};

static void close_all(struct listening *l)
{
	for (size_t i = 0; i < l->count; i++)
		sockeye_listener_close(&l->at[i]);
	l->count = 0;
}

/* Reports the bound addresses on standard error and --ready-fd, with the port that
 * the kernel chose for port 0. Returns CLI_GO or the exit code. */
static int report_ready(struct listening *l)
{
	const struct opts *o = l->o;
	char lines[SOCKEYE__MESSAGES_SOCKETS_MAX * SOCKEYE_ADDR_TEXT_MAX];
	size_t len = 0;
	int err;

	for (size_t i = 0; i < l->count; i++) {
		sockeye_sockaddr_print_url(&l->at[i].name, l->at[i].scheme, l->names[i],
					   sizeof l->names[i]);
		report_info(&o->talk.common, "listening on %s", l->names[i]);
		if (o->talk.common.json)
			report_json(json_pack("{ss so}", "event", "listening", "address",
					      report_string(l->names[i])));
		len += (size_t)snprintf(lines + len, sizeof lines - len, "%s\n", l->names[i]);
	}
	err = cli_ready_write(l->ready_fd, lines);
	return err < 0 ? report_error(&o->talk.common, "write", "--ready-fd", err, NULL) : CLI_GO;
}

/* Waits for the next client. Returns its file descriptor, -EINTR on a signal, -ETIME
 * after --timeout, -EPIPE if the reader of standard output has closed it, or another
 * -errno. */
static int next_client(struct listening *l, struct sockeye_sockaddr *out_peer)
{
	struct pollfd fds[SOCKEYE__MESSAGES_SOCKETS_MAX + 2];
	uint64_t idle_ms = (l->o->talk.idle_ns + SOCKEYE_NS_PER_MS - 1) / SOCKEYE_NS_PER_MS;
	int timeout = l->o->talk.idle_ns == 0 ? -1 : idle_ms > INT32_MAX ? INT32_MAX : (int)idle_ms;

	for (size_t i = 0; i < l->count; i++)
		fds[i] = (struct pollfd){.fd = l->at[i].fd, .events = POLLIN};
	fds[l->count] = (struct pollfd){.fd = l->stop_fd, .events = POLLIN};
	fds[l->count + 1] = (struct pollfd){.fd = STDOUT_FILENO};
	for (;;) {
		int n = poll(fds, l->count + 2, timeout);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIME;
		if (n > 0 && fds[l->count].revents)
			return -EINTR;
		if (n > 0 && fds[l->count + 1].revents & (POLLERR | POLLHUP))
			return -EPIPE;
		for (size_t i = 0; n > 0 && i < l->count; i++) {
			/* A socket of records does not block: while a send waited for a peer
			 * that does not read, nothing would be received. */
			int fd =
			    fds[i].revents
				? sockeye_accept(l->at[i].fd, l->kind == TALK_RECORDS, 0, out_peer)
				: -EAGAIN;

			l->scheme = l->at[i].scheme;
			if (fd != -EAGAIN)
				return fd;
		}
	}
}

/* Reports the signal only in JSON: a user who pressed Ctrl-C needs no message. */
static int interrupted(const struct listening *l)
{
	if (stop_is_late())
		return stop_report(&l->o->talk.common, "accept", l->names[0]);
	if (l->o->talk.common.json)
		report_json(
		    report_error_event("accept", l->names[0], -EINTR, SOCKEYE_EXIT_INTERRUPTED));
	return SOCKEYE_EXIT_INTERRUPTED;
}

static int serve_client(struct listening *l, int fd, const struct sockeye_sockaddr *peer, bool more)
{
	char name[SOCKEYE_ADDR_TEXT_MAX];
	struct talk talk = {
	    .o = &l->o->talk,
	    .address = name,
	    .kind = l->kind,
	    .in_fd = l->in_fd,
	    .stop_fd = l->stop_fd,
	    .more_follow = more,
	};
	int code;

	sockeye_sockaddr_print_url(peer, l->scheme, name, sizeof name);
	talk_report_names(&l->o->talk, "accepted", fd);
	code = talk_run(&talk, &fd, 1);
	talk_close(&l->o->talk, fd);
	if (talk.input_ended)
		l->in_fd = -1;
	l->reader_left = talk.reader_left;
	return code;
}

static int serve_streams(struct listening *l)
{
	const struct opts *o = l->o;
	uint32_t left = o->talk.count ? o->talk.count : o->keep ? UINT32_MAX : 1;
	bool unlimited = o->keep && !o->talk.count;
	int code = SOCKEYE_EXIT_DONE;

	while (left > 0 && !l->reader_left) {
		struct sockeye_sockaddr peer;
		int fd = next_client(l, &peer);

		if (fd == -EINTR)
			return interrupted(l);
		if (fd == -EPIPE) {
			report_verbose(&o->talk.common, "the reader of standard output closed it");
			break;
		}
		if (fd < 0)
			return report_error(&o->talk.common, "accept", l->names[0], fd,
					    fd == -ETIME ? "no client connected within --timeout"
							 : NULL);
		left -= !unlimited;
		if (left == 0)
			close_all(l); /* refuse further clients instead of queueing them */
		code = serve_client(l, fd, &peer, left > 0);
		if (code == SOCKEYE_EXIT_INTERRUPTED || stop_is_late())
			break;
	}
	return code;
}

static int serve_datagrams(struct listening *l)
{
	struct talk talk = {
	    .o = &l->o->talk,
	    .address = l->names[0],
	    .kind = l->kind,
	    .in_fd = l->in_fd,
	    .stop_fd = l->stop_fd,
	    .listening = true,
	    .count_max = l->o->talk.count,
	};
	int fds[SOCKEYE__MESSAGES_SOCKETS_MAX];

	for (size_t i = 0; i < l->count; i++)
		fds[i] = l->at[i].fd;
	return talk_run(&talk, fds, l->count);
}

/* Checks that the sockets of LISTEN_FDS are of one kind, as the options and the session
 * require, and not too many. Returns CLI_GO or 2. */
static int inherited_check(const struct opts *o, const struct cli_inherited *in)
{
	const struct sockeye_addr first = cli_inherited_addr(0);

	if (in->count > SOCKEYE__MESSAGES_SOCKETS_MAX)
		return cli_usage(&o->talk.common, &listen_command,
				 "LISTEN_FDS has %zu sockets; listen takes at most %d", in->count,
				 SOCKEYE__MESSAGES_SOCKETS_MAX);
	for (size_t i = 1; i < in->count; i++) {
		const struct sockeye_addr other = cli_inherited_addr(i);

		if (talk_kind_of(&other) != talk_kind_of(&first))
			return cli_usage(&o->talk.common, &listen_command,
					 "LISTEN_FDS has sockets of different kinds, such as TCP "
					 "and UDP; start listen for each of them");
	}
	return CLI_GO;
}

/* Writes the address on the command line to *out or, without one, that of the first socket of
 * LISTEN_FDS. Returns CLI_GO or the exit code. */
static int address_read(const struct opts *o, const struct cli_operands *operands,
			const struct cli_inherited *in, struct sockeye_addr *out)
{
	if (operands->count > 0)
		return cli_address_only(&o->talk.common, &listen_command, operands, CLI_LISTENS,
					"tcp", out);
	if (in->count == 0)
		return cli_too_few(&o->talk.common, &listen_command, 0);
	*out = cli_inherited_addr(0);
	return inherited_check(o, in);
}

static int cmd_listen(int argc, char **argv)
{
	struct opts o = {.talk = TALK_DEFAULTS};
	struct listening l = {.o = &o, .in_fd = STDIN_FILENO};
	struct sockeye_listen_opts how = {.nonblocking = true};
	struct cli_inherited in;
	struct cli_operands operands;
	struct sockeye_addr addr;
	struct sockeye_fail fail;
	char address[SOCKEYE_ADDR_TEXT_MAX];
	int code = cli_parse(&listen_command, argc, argv, &o, &operands), n;

	cli_inherited_take(&in);

	if (code == CLI_GO)
		code = cli_ready_fd(&o.talk.common, &listen_command, o.ready_fd, &l.ready_fd);
	if (code != CLI_GO)
		return code;
	code = address_read(&o, &operands, &in, &addr);
	if (code != CLI_GO)
		return code;
	if (o.backlog && talk_kind_of(&addr) == TALK_DATAGRAMS)
		return cli_usage(
		    &o.talk.common, &listen_command,
		    "--backlog is for connections; a datagram socket has no queue of clients");
	sockeye_addr_print(&addr, address, sizeof address);
	addr.shown = address;
	code = talk_check(&o.talk, &listen_command, &addr);
	if (code != CLI_GO)
		return code;
	if (operands.count > 0)
		cli_inherited_drop_all(&o.talk.common, &in, &addr,
				       "listen takes it if no address is given");
	l.kind = talk_kind_of(&addr);
	how.backlog = o.backlog;
	stop_catch(&o.talk.common, "listen", address, NULL);
	stop_deadline(&o.talk.common, "listen", address, o.talk.deadline_ns);
	l.stop_fd = stop_open();
	n = operands.count > 0
		? sockeye_listen(&addr, &how, l.at, SOCKEYE__MESSAGES_SOCKETS_MAX, &fail)
		: cli_inherited_listen(&in, &how, l.at, &fail);
	if (n < 0)
		return cli_address_fail(&o.talk.common, &fail);
	l.count = (size_t)n;
	code = report_ready(&l);
	if (code == CLI_GO)
		code = l.kind == TALK_DATAGRAMS ? serve_datagrams(&l) : serve_streams(&l);
	close_all(&l);
	return code;
}

const struct cli_command listen_command = {
    .name = "listen",
    .summary = "accept one client and exchange data with it, like nc -l",
    .operands = "ADDRESS | HOST PORT",
    .operands_max = -1,
    .operand = cli_scheme_word,
    .example = ":7000",
    .translate = translate_line,
    .options = options,
    .more_options = talk_options,
    .run = cmd_listen,
    .about = "Exits after the first client unless -k or -n is given. On a datagram address,\n"
	     "prints the datagrams of every sender, and sends the input to the most recent\n"
	     "sender.",
};
