/*
 * open.c: opens the load generator's connections without waiting, and closes
 * them with a FIN or a reset.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/net.h"
#include "bench/internal.h"

#define FDS_OTHER    16        /* stdio, epoll, signals, and files of the resolver */
#define RCVBUF_BYTES (4 << 20) /* for datagrams: the load generator must not lose replies */

int sockeye__bench_limit(uint32_t connections, struct sockeye_fail *fail)
{
	rlim_t needed = (rlim_t)connections + FDS_OTHER;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	if (needed <= files.rlim_cur)
		return 0;
	if (needed > files.rlim_max) {
		sockeye__fail_set(fail, "bench", "", -EMFILE);
		sockeye__fail_detail(fail,
				     "%u connections need %llu file descriptors, but the limit is "
				     "%llu; raise it with ulimit -n",
				     connections, (unsigned long long)needed,
				     (unsigned long long)files.rlim_max);
		return -EMFILE;
	}
	files.rlim_cur = needed;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

/* Binds the connection to one of the source addresses. With churn, a connection uses all
 * source addresses in turn. */
static int local_bind(const struct sockeye__bench_run *run, const struct sockeye__bench_conn *conn)
{
	struct sockeye_sockaddr local = run->opts.local;
	uint64_t turn = conn->index;
	int on = 1;

	if (run->opts.churn != SOCKEYE__BENCH_KEEP)
		turn += run->result->connections;
	/* A socket without a name would get no reply; the kernel chooses a name. */
	if (run->addr->scheme == SOCKEYE_UNIX_DGRAM)
		local = (struct sockeye_sockaddr){.len = sizeof(sa_family_t),
						  .u.sa.sa_family = AF_UNIX};
	if (run->opts.sources > 1) {
		if (local.len == 0) {
			local.len = sizeof local.u.in;
			local.u.in.sin_family = AF_INET;
			local.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		}
		local.u.in.sin_addr.s_addr =
		    htonl(ntohl(local.u.in.sin_addr.s_addr) + (uint32_t)(turn % run->opts.sources));
	}
	if (local.len == 0)
		return 0;
	/* connect(2) then chooses the port, and may choose the same port for several source
	 * addresses. */
	if (local.u.sa.sa_family != AF_UNIX &&
	    setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0)
		return -errno;
	return bind(conn->fd, &local.u.sa, local.len) < 0 ? -errno : 0;
}

static int prepare(const struct sockeye__bench_run *run, const struct sockeye__bench_conn *conn)
{
	int err = sockeye__options_apply(conn->fd, run->addr, run->name);

	if (err == 0 && !run->stream && run->addr->opts.rcvbuf == 0)
		err = sockeye__option_set(conn->fd, SOL_SOCKET, SO_RCVBUF, RCVBUF_BYTES);
	/* Not with churn: the kernel does not delay the only message of a connection, and
	 * each connection would need this call. */
	if (err == 0 && run->addr->scheme == SOCKEYE_TCP && run->opts.churn == SOCKEYE__BENCH_KEEP)
		err = sockeye__option_set(conn->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return err < 0 ? err : local_bind(run, conn);
}

/* Whether the socket is connected to itself: the server's port was free, and the kernel
 * gave it to the client. That happens to clients that retry often (RFC 9293, section 3.5,
 * simultaneous open). */
static bool is_own_peer(const struct sockeye__bench_run *run,
			const struct sockeye__bench_conn *conn)
{
	struct sockeye_sockaddr name;

	return conn->retrying && sockeye_local_name(conn->fd, &name) == 0 &&
	       sockeye_sockaddr_port(&name) != 0 && sockeye_sockaddr_equal(&name, run->name);
}

static int begin_connect(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	int err = prepare(run, conn);

	if (err < 0)
		return err;
	if (connect(conn->fd, &run->name->u.sa, run->name->len) == 0) {
		if (is_own_peer(run, conn))
			return -ECONNREFUSED;
		conn->life = SOCKEYE__BENCH_CONNECTED;
		run->result->connections++;
	} else if (errno != EINPROGRESS) {
		run->no_port = run->no_port || errno == EADDRNOTAVAIL;
		return -errno;
	}
	sockeye__bench_watch(run, conn,
			     conn->life == SOCKEYE__BENCH_CONNECTED ? EPOLLIN : EPOLLOUT);
	return 0;
}

int sockeye__bench_open(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	struct sockeye__kind kind;
	int err = sockeye__kind_of(run->addr->scheme, run->name, &kind);

	if (err < 0)
		return err;
	conn->fd = sockeye__socket_open(&kind, SOCK_NONBLOCK);
	if (conn->fd < 0) {
		err = conn->fd;
		conn->fd = -1;
		return err;
	}
	conn->opened_ns = conn->moved_ns = run->now_ns;
	conn->life = SOCKEYE__BENCH_CONNECTING;
	conn->watched = 0;
	err = begin_connect(run, conn);
	if (err < 0)
		sockeye__bench_close(conn, false);
	return err;
}

void sockeye__bench_reopen(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	int err;

	if (run->retries_left == 0)
		return;
	run->retries_left--;
	err = sockeye__bench_open(run, conn);
	if (err < 0 && err != -EAGAIN)
		sockeye__bench_broke(run, conn, err);
}

int sockeye__bench_connected(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	int err = 0;
	socklen_t len = sizeof err;

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -errno;
	if (err != 0)
		return -err;
	if (is_own_peer(run, conn))
		return -ECONNREFUSED;
	conn->life = SOCKEYE__BENCH_CONNECTED;
	conn->moved_ns = run->now_ns;
	run->result->connections++;
	return 0;
}

void sockeye__bench_close(struct sockeye__bench_conn *conn, bool reset)
{
	if (conn->fd < 0)
		return;
	if (reset)
		sockeye_reset(conn->fd);
	else
		close(conn->fd);
	conn->fd = -1;
	conn->life = SOCKEYE__BENCH_CLOSED;
}

void sockeye__bench_watch(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			  uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = conn};

	if (conn->watched == events)
		return;
	/* This fails only if memory is short; the timeout then ends the connection. */
	(void)epoll_ctl(run->epoll, conn->watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, conn->fd,
			&ev);
	conn->watched = events;
}
