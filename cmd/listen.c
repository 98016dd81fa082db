/* listen.c: sockeye listen. */
#include "commands.h"
#include "cli/report.h"
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
	struct session_opts s;
	bool keep;
	uint32_t ready_fd, backlog;
};

static const struct cli_option options[] = {
    {.help = "How it listens:"},
    {"keep", 'k', NULL, CLI_FLAG, offsetof(struct opts, keep), "serve one client after another"},
    {"count", 'n', "N", CLI_UINT, offsetof(struct opts, s.count),
     "leave after N clients (as -k); of datagrams, messages", .min = 1},
    {"backlog", 0, "N", CLI_UINT, offsetof(struct opts, backlog), "clients that may wait", .min = 1,
     .max = 65535},
    {"ready-fd", 0, "N", CLI_UINT, offsetof(struct opts, ready_fd),
     "write the addresses to descriptor N, a line each, once they listen", .min = 1,
     .max = 1 << 20},
    {NULL},
};

struct listening {
	const struct opts *o;
	enum session_kind kind;
	struct sockeye_listener at[SOCKEYE__TALK_SOCKETS_MAX];
	size_t count;
	char names[SOCKEYE__TALK_SOCKETS_MAX][SOCKEYE_ADDR_TEXT_MAX];
	int ready_fd; /* -1 none */
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

/* Tells the real addresses, to people and to --ready-fd. */
static int tell_ready(struct listening *l)
{
	const struct opts *o = l->o;
	FILE *ready = l->ready_fd >= 0 ? fdopen(l->ready_fd, "w") : NULL;

	if (l->ready_fd >= 0 && !ready)
		return report_error(&o->s.common, "write", "--ready-fd", -errno, NULL);
	for (size_t i = 0; i < l->count; i++) {
		sockeye_sockaddr_print_url(&l->at[i].name, l->at[i].scheme, l->names[i],
					   sizeof(l->names[i]));
		report_say(&o->s.common, "listening on %s", l->names[i]);
		if (o->s.common.json)
			report_json(json_pack("{ss so}", "event", "listening", "address",
					      report_string(l->names[i])));
		if (ready)
			fprintf(ready, "%s\n", l->names[i]);
	}
	if (ready && fclose(ready) != 0)
		return report_error(&o->s.common, "write", "--ready-fd", -errno, NULL);
	return CLI_GO;
}

/* Waits for the next client: its descriptor, -EINTR when stopped, -ETIME,
 * -EPIPE when nobody reads standard output any more, or -errno. */
static int next_client(struct listening *l, struct sockeye_sockaddr *out_peer)
{
	struct pollfd fds[SOCKEYE__TALK_SOCKETS_MAX + 2];
	uint64_t idle_ms = (l->o->s.idle_ns + SOCKEYE_NS_PER_MS - 1) / SOCKEYE_NS_PER_MS;
	int timeout = l->o->s.idle_ns == 0 ? -1 : idle_ms > INT32_MAX ? INT32_MAX : (int)idle_ms;

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
			/* records are sent as they are: a peer that does not read would
			 * stop us from hearing it */
			int fd = fds[i].revents
				     ? sockeye_accept(l->at[i].fd, l->kind == SESSION_RECORDS, 0,
						      out_peer)
				     : -EAGAIN;

			if (fd != -EAGAIN)
				return fd;
		}
	}
}

/* Who sends a signal needs no words. */
static int interrupted(const struct listening *l)
{
	if (l->o->s.common.json)
		report_json(
		    report_error_event("accept", l->names[0], -EINTR, SOCKEYE_EXIT_INTERRUPTED));
	return SOCKEYE_EXIT_INTERRUPTED;
}

static int serve_client(struct listening *l, int fd, const struct sockeye_sockaddr *peer, bool more)
{
	char name[SOCKEYE_ADDR_TEXT_MAX];
	struct session s = {
	    .o = &l->o->s,
	    .address = name,
	    .kind = l->kind,
	    .in_fd = l->in_fd,
	    .stop_fd = l->stop_fd,
	    .more_follow = more,
	};
	int code;

	sockeye_sockaddr_print_url(peer, l->at[0].scheme, name, sizeof(name));
	session_tell_names(&l->o->s, "accepted", fd);
	code = session_run(&s, &fd, 1);
	session_close(&l->o->s, fd);
	if (s.input_ended)
		l->in_fd = -1;
	l->reader_left = s.reader_left;
	return code;
}

static int serve_streams(struct listening *l)
{
	const struct opts *o = l->o;
	uint32_t left = o->s.count ? o->s.count : o->keep ? UINT32_MAX : 1;
	bool for_ever = o->keep && !o->s.count;
	int code = SOCKEYE_EXIT_DONE;

	while (left > 0 && !l->reader_left) {
		struct sockeye_sockaddr peer;
		int fd = next_client(l, &peer);

		if (fd == -EINTR)
			return interrupted(l);
		if (fd == -EPIPE) {
			report_verbose(&o->s.common, "nobody reads standard output any more");
			break;
		}
		if (fd < 0)
			return report_error(&o->s.common, "accept", l->names[0], fd,
					    fd == -ETIME ? "no client for the time of --timeout"
							 : NULL);
		left -= !for_ever;
		if (left == 0)
			close_all(l); /* the next client is refused, not left waiting */
		code = serve_client(l, fd, &peer, left > 0);
		if (code == SOCKEYE_EXIT_INTERRUPTED)
			break;
	}
	return code;
}

static int serve_datagrams(struct listening *l)
{
	struct session s = {
	    .o = &l->o->s,
	    .address = l->names[0],
	    .kind = l->kind,
	    .in_fd = l->in_fd,
	    .stop_fd = l->stop_fd,
	    .listening = true,
	    .count_max = l->o->s.count,
	};
	int fds[SOCKEYE__TALK_SOCKETS_MAX];

	for (size_t i = 0; i < l->count; i++)
		fds[i] = l->at[i].fd;
	return session_run(&s, fds, l->count);
}

static int cmd_listen(int argc, char **argv)
{
	struct opts o = {.s = SESSION_DEFAULTS};
	struct listening l = {.o = &o, .in_fd = STDIN_FILENO};
	struct sockeye_listen_opts how = {.nonblocking = true};
	struct cli_operands operands;
	struct sockeye_addr addr;
	struct sockeye_fail fail;
	int code = cli_parse(&listen_command, argc, argv, &o, &operands), n;

	if (code == CLI_GO)
		code = cli_ready_fd(&o.s.common, &listen_command, o.ready_fd, &l.ready_fd);
	if (code != CLI_GO)
		return code;
	if (sockeye_addr_parse(operands.v[0], &addr, &fail) < 0)
		return report_fail(&o.s.common, &fail);
	if (o.backlog && session_kind_of(&addr) == SESSION_DATAGRAMS)
		return cli_usage(
		    &o.s.common, &listen_command,
		    "--backlog is for connections: datagrams have no queue of clients");
	code = session_check(&o.s, &listen_command, &addr);
	if (code != CLI_GO)
		return code;
	l.kind = session_kind_of(&addr);
	how.backlog = o.backlog;
	stop_catch(&o.s.common, "listen", operands.v[0], NULL);
	l.stop_fd = stop_open();
	n = sockeye_listen(&addr, &how, l.at, SOCKEYE__TALK_SOCKETS_MAX, &fail);
	if (n < 0)
		return report_fail(&o.s.common, &fail);
	l.count = (size_t)n;
	code = tell_ready(&l);
	if (code == CLI_GO)
		code = l.kind == SESSION_DATAGRAMS ? serve_datagrams(&l) : serve_streams(&l);
	close_all(&l);
	return code;
}

const struct cli_command listen_command = {
    .name = "listen",
    .summary = "wait for a client, then be as connect is",
    .operands = "ADDRESS",
    .operands_min = 1,
    .operands_max = 1,
    .options = options,
    .more_options = session_options,
    .run = cmd_listen,
    .about = "One client, then it leaves, unless -k. Datagrams are shown whoever sends them,\n"
	     "and answers go to the last sender.",
};
