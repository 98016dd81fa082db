/*
 * race.c: connects to the first of several addresses that answers: Happy Eyeballs
 * (RFC 8305, section 5).
 *
 * If an attempt has no answer after the attempt delay, the next address is tried in
 * parallel while that attempt continues. The first connection wins.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <sockeye/time.h>

#include "base/deadline.h"
#include "net/net.h"

#define ATTEMPT_DELAY_MS 250 /* RFC 8305, sections 5 and 8: "recommended" */

struct race {
	const struct sockeye_addr *addr;
	const struct sockeye_connect_opts *opts;
	const struct sockeye_sockaddr *locals;
	size_t local_count;
	struct sockeye_fail *fail;
	int err;      /* the code of the failure in *fail, which is to be reported; 0: none */
	size_t tried; /* addresses tried */
	size_t count; /* attempts in progress: the entries of fds and names in use */
	struct pollfd fds[SOCKEYE__NAMES_MAX];
	const struct sockeye_sockaddr *names[SOCKEYE__NAMES_MAX];
};

static void report(const struct race *r, const struct sockeye_sockaddr *name, int err)
{
	if (r->opts->on_attempt != NULL)
		r->opts->on_attempt(r->opts->arg, name, err);
}

/* Whether an error concerns the address itself. Otherwise this machine cannot reach
 * any address of the family. */
static bool is_specific(int err)
{
	return err != -EAFNOSUPPORT && err != -ENETUNREACH && err != -EADDRNOTAVAIL;
}

static const struct sockeye_sockaddr *local_for(const struct race *r,
						const struct sockeye_sockaddr *name)
{
	/* A datagram server can reply to an autobound abstract name (unix(7)). */
	static const struct sockeye_sockaddr autobind = {
	    .len = sizeof(sa_family_t),
	    .u.sa.sa_family = AF_UNIX,
	};

	for (size_t i = 0; i < r->local_count; i++)
		if (r->locals[i].u.sa.sa_family == name->u.sa.sa_family)
			return &r->locals[i];
	return r->addr->scheme == SOCKEYE_UNIX_DGRAM ? &autobind : NULL;
}

/* Notes that step `op` failed in the attempt to reach `name`. */
static void attempt_failed(struct race *r, const struct sockeye_sockaddr *name, const char *op,
			   int err)
{
	const struct sockeye_sockaddr *local = local_for(r, name);

	report(r, name, err);
	if (r->err != 0 && (is_specific(r->err) || !is_specific(err)))
		return;
	r->err = strcmp(op, "bind") == 0 ? sockeye__fail_local(r->fail, r->addr, local, err)
					 : sockeye__fail_name(r->fail, op, r->addr, name, err);
	if (strcmp(op, "connect") == 0 && err == -EADDRNOTAVAIL && local != NULL &&
	    sockeye_sockaddr_port(local) != 0)
		sockeye__fail_pair(r->fail, local, name);
}

int sockeye__client_bind(int fd, const struct sockeye_addr *addr,
			 const struct sockeye_sockaddr *local)
{
	bool stream = sockeye_scheme_is_stream(addr->scheme);
	int err = 0;

	if (addr->opts.reuseport)
		err = sockeye__option_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (err < 0)
		return err;
	if (stream && local->u.sa.sa_family != AF_UNIX) {
		/* A fixed port may be in TIME_WAIT after a connection to another
		 * server. If the port is 0, the kernel chooses one in connect(2),
		 * where it has to be unique only for this server. Not all protocols
		 * have these options, so errors are ignored. */
		if (sockeye_sockaddr_port(local) != 0)
			sockeye__option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		else
			sockeye__option_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	}
	return bind(fd, &local->u.sa, local->len) < 0 ? -errno : 0;
}

static int send_timeout_set(int fd, int ms)
{
	const struct timeval limit = {
	    .tv_sec = ms / 1000,
	    .tv_usec = ms % 1000 * 1000,
	};

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ? -errno : 0;
}

/* Connects to a UNIX-domain socket. If the backlog is full, a non-blocking connect(2)
 * fails immediately instead of continuing in the background. So the call blocks,
 * limited by SO_SNDTIMEO, and is repeated after a signal. */
static int unix_connect(int fd, const struct sockeye_sockaddr *name, uint64_t deadline_ns)
{
	int ms = 0, err;

	do {
		if (deadline_ns != 0) {
			ms = sockeye__poll_ms(deadline_ns, sockeye_now().mono_ns);
			err = send_timeout_set(fd, ms > 0 ? ms : 1); /* 0 would mean no limit */
			if (err < 0)
				return err;
		}
		err = connect(fd, &name->u.sa, name->len) < 0 ? -errno : 0;
	} while (err == -EINTR && (deadline_ns == 0 || ms > 0));
	if (err == -EAGAIN || err == -EINTR)
		return -ETIMEDOUT;
	if (err == 0 && deadline_ns != 0)
		err = send_timeout_set(fd, 0);
	return err;
}

bool sockeye__is_own_peer(int fd, const struct sockeye_sockaddr *name)
{
	struct sockeye_sockaddr local;

	return name->u.sa.sa_family != AF_UNIX && sockeye_local_name(fd, &local) == 0 &&
	       sockeye_sockaddr_equal(&local, name);
}

/* Ends an attempt. Returns fd if it is connected, or the error. */
static int attempt_end(struct race *r, int fd, const struct sockeye_sockaddr *name, int err)
{
	if (err == 0 && sockeye_scheme_is_stream(r->addr->scheme) && sockeye__is_own_peer(fd, name))
		err = -ECONNREFUSED;
	if (err == 0)
		err = sockeye__nonblocking_set(fd, r->opts->nonblocking);
	if (err == 0) {
		report(r, name, 0);
		return fd;
	}
	attempt_failed(r, name, "connect", err);
	close(fd);
	return err;
}

/* Opens, prepares and binds a socket for `name`. Returns the file descriptor, or an
 * error that it has passed to attempt_failed(). */
static int attempt_open(struct race *r, const struct sockeye_sockaddr *name)
{
	const struct sockeye_sockaddr *local = local_for(r, name);
	bool is_unix = name->u.sa.sa_family == AF_UNIX;
	const char *op = "socket";
	struct sockeye__kind kind;
	int fd, err;

	err = sockeye__kind_of(r->addr->scheme, name, &kind);
	fd = err < 0 ? err : sockeye__socket_open(&kind, is_unix ? 0 : SOCK_NONBLOCK);
	if (fd < 0) {
		attempt_failed(r, name, op, fd);
		return fd;
	}
	op = "setsockopt";
	err = sockeye__options_apply(fd, r->addr, name);
	if (err == 0 && local != NULL) {
		op = "bind";
		err = sockeye__client_bind(fd, r->addr, local);
	}
	if (err == 0)
		return fd;
	attempt_failed(r, name, op, err);
	close(fd);
	return err;
}

/* Starts an attempt. Returns the file descriptor if it is connected, -EINPROGRESS if
 * the attempt continues in the background, or its error. */
static int attempt_start(struct race *r, const struct sockeye_sockaddr *name)
{
	int fd, err;

	r->tried++;
	fd = attempt_open(r, name);
	if (fd < 0)
		return fd;
	if (name->u.sa.sa_family == AF_UNIX)
		err = unix_connect(fd, name, r->opts->deadline_ns);
	else
		err = connect(fd, &name->u.sa, name->len) < 0 ? -errno : 0;
	if (err != -EINPROGRESS && err != -EINTR) /* POSIX: after EINTR the attempt continues */
		return attempt_end(r, fd, name, err);
	r->fds[r->count] = (struct pollfd){.fd = fd, .events = POLLOUT};
	r->names[r->count++] = name;
	return -EINPROGRESS;
}

static void attempt_remove(struct race *r, size_t i)
{
	r->count--;
	memmove(&r->fds[i], &r->fds[i + 1], (r->count - i) * sizeof r->fds[0]);
	memmove(&r->names[i], &r->names[i + 1], (r->count - i) * sizeof r->names[0]);
}

static void attempts_end_all(struct race *r, int err)
{
	for (size_t i = 0; i < r->count; i++) {
		if (err == -ECANCELED)
			report(r, r->names[i], err);
		else
			attempt_failed(r, r->names[i], "connect", err);
		close(r->fds[i].fd);
	}
	r->count = 0;
}

static int socket_error(int fd)
{
	int pending, err = sockeye__option_get(fd, SOL_SOCKET, SO_ERROR, &pending);

	return err < 0 ? err : -pending;
}

/* Waits until an attempt ends or until `until_ns`. Returns the file descriptor of a
 * connection, -EAGAIN if no attempt ended, or the error of a failed attempt. */
static int attempts_wait(struct race *r, uint64_t until_ns)
{
	int ms = sockeye__poll_ms(until_ns, sockeye_now().mono_ns), result = -EAGAIN;

	if (poll(r->fds, r->count, ms) < 0) {
		if (errno == EINTR)
			return -EAGAIN;
		result = -errno;
		attempts_end_all(r, result);
		return result;
	}
	for (size_t i = 0; i < r->count && result < 0;) {
		const struct sockeye_sockaddr *name = r->names[i];
		int fd = r->fds[i].fd;

		if (r->fds[i].revents == 0) {
			i++;
			continue;
		}
		attempt_remove(r, i);
		result = attempt_end(r, fd, name, socket_error(fd));
	}
	return result;
}

static int race_run(struct race *r, const struct sockeye_sockaddr *names, size_t count)
{
	const uint64_t deadline_ns = r->opts->deadline_ns;
	const uint32_t delay_ms =
	    r->opts->attempt_delay_ms != 0 ? r->opts->attempt_delay_ms : ATTEMPT_DELAY_MS;
	uint64_t next_ns = 0; /* when the next attempt may start */

	while (r->tried < count || r->count > 0) {
		uint64_t now_ns = sockeye_now().mono_ns;
		int fd;

		if (r->tried > 0 && deadline_ns != 0 && now_ns >= deadline_ns)
			break;
		if (r->tried < count && (r->count == 0 || now_ns >= next_ns)) {
			fd = attempt_start(r, &names[r->tried]);
			next_ns = now_ns + delay_ms * SOCKEYE_NS_PER_MS;
		} else {
			fd = attempts_wait(r, r->tried < count
						  ? sockeye__earlier(next_ns, deadline_ns)
						  : deadline_ns);
		}
		if (fd >= 0)
			return fd;
		if (fd != -EINPROGRESS && fd != -EAGAIN)
			next_ns = 0; /* start the next attempt immediately after a failure */
	}
	attempts_end_all(r, -ETIMEDOUT);
	return r->err;
}

int sockeye__connect_list(const struct sockeye_addr *addr, const struct sockeye_sockaddr *names,
			  size_t count, const struct sockeye_sockaddr *locals, size_t local_count,
			  const struct sockeye_connect_opts *opts, struct sockeye_fail *fail)
{
	struct sockeye_fail first;
	struct race r = {
	    .addr = addr,
	    .opts = opts,
	    .locals = locals,
	    .local_count = local_count,
	    .fail = &first,
	};
	int fd;

	assert(count > 0 && count <= SOCKEYE__NAMES_MAX);
	fd = race_run(&r, names, count);
	attempts_end_all(&r, -ECANCELED);
	if (fd >= 0)
		return fd;
	if (r.tried > 1 && !first.explained)
		sockeye__fail_add(&first, "tried %zu addresses", r.tried);
	if (fail != NULL)
		*fail = first;
	return fd;
}
