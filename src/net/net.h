/*
 * net.h: what src/net offers to the other folders beyond the public headers.
 */
#ifndef SOCKEYE_NET_NET_H
#define SOCKEYE_NET_NET_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <sockeye/addr.h>
#include <sockeye/dgram.h>
#include <sockeye/error.h>
#include <sockeye/sockaddr.h>
#include <sockeye/stream.h>

#define SOCKEYE__NAMES_MAX 32 /* addresses of one host name that are used */

/* Returns the length of an address that the kernel returned, limited to the length that
 * the kernel accepts: for a path that fills sun_path, the kernel returns one byte too
 * many (unix(7), BUGS). */
static inline socklen_t sockeye__name_len(socklen_t len)
{
	return len < sizeof(struct sockaddr_un) ? len : (socklen_t)sizeof(struct sockaddr_un);
}

/* --- options.c --- */

/* The arguments of socket(2) for a scheme and one of its resolved addresses. Without
 * an address (NULL) the domain of an Internet scheme is AF_INET. Returns 0, or
 * SOCKEYE_E_SCHEME_UNSUPPORTED if this build has no socket for the scheme. */
struct sockeye__kind {
	int domain, type, protocol;
};
int sockeye__kind_of(enum sockeye_scheme scheme, const struct sockeye_sockaddr *name,
		     struct sockeye__kind *out_kind);

/* Opens a close-on-exec socket; `flags` may be SOCK_NONBLOCK. Returns the file
 * descriptor or -errno. Never returns 0, 1 or 2: in a process that was started with
 * those closed, printed text would be sent to the peer. */
int sockeye__socket_open(const struct sockeye__kind *kind, int flags);

/* Returns fd if it is above 2. Otherwise closes it and returns a duplicate above 2,
 * or -errno. Returns -errno if fd is negative. */
int sockeye__fd_above_stdio(int fd);

/* Sets the socket options of an address except reuseport, which must be set at bind(2).
 * Call it before bind(2) or connect(2). Returns 0 or -errno. */
int sockeye__options_apply(int fd, const struct sockeye_addr *addr,
			   const struct sockeye_sockaddr *name);

/* setsockopt(2) and getsockopt(2) of an int. Return 0 or -errno. */
int sockeye__option_set(int fd, int level, int option, int value);
int sockeye__option_get(int fd, int level, int option, int *out_value);

/* Makes the file description non-blocking or blocking. Returns 0 or -errno. */
int sockeye__nonblocking_set(int fd, bool nonblocking);

/* --- fail.c --- */

/* Fills in *fail unless it is NULL. Returns err. */
int sockeye__fail_set(struct sockeye_fail *fail, const char *op, const char *address, int err);

/* sockeye__fail_addr() fills in *fail for an address. sockeye__fail_name() fills it in for
 * one of the resolved addresses of `addr`: the detail shows this resolved address if the
 * user wrote a host name, and the cause if it is known. Both return err. */
int sockeye__fail_addr(struct sockeye_fail *fail, const char *op, const struct sockeye_addr *addr,
		       int err);
int sockeye__fail_name(struct sockeye_fail *fail, const char *op, const struct sockeye_addr *addr,
		       const struct sockeye_sockaddr *name, int err);

/* Fills in *fail for a client's local address, `local`, that cannot be bound. Returns
 * err. */
int sockeye__fail_local(struct sockeye_fail *fail, const struct sockeye_addr *addr,
			const struct sockeye_sockaddr *local, int err);

/* Adds the cause if the port of `local` cannot be used for the peer `name`. */
void sockeye__fail_pair(struct sockeye_fail *fail, const struct sockeye_sockaddr *local,
			const struct sockeye_sockaddr *name);

/* Writes the detail of *fail unless fail is NULL, or adds to it after a semicolon. */
void sockeye__fail_detail(struct sockeye_fail *fail, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sockeye__fail_add(struct sockeye_fail *fail, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- holder.c --- */

/* Why a TCP port is in use: the state of the sockets that are bound to the port. If they
 * differ, the kind that is last in this list is reported. */
enum sockeye__holder_kind {
	SOCKEYE__HOLDER_UNKNOWN,
	SOCKEYE__HOLDER_TIME_WAIT, /* only connections that have ended */
	SOCKEYE__HOLDER_CONNECTED,
	SOCKEYE__HOLDER_BOUND, /* neither connected nor listening */
	SOCKEYE__HOLDER_LISTENS,
};
struct sockeye__holder {
	enum sockeye__holder_kind kind;
	uint32_t free_ms;          /* TIME_WAIT: time until the port is free */
	uint32_t waiting, backlog; /* LISTENS: connections that wait in the backlog, and its size */
};

/* Looks for the TCP sockets that have the local address `name` or a wildcard, and are
 * connected to `peer` (NULL: to any). */
struct sockeye__holder sockeye__holder_find(const struct sockeye_sockaddr *name,
					    const struct sockeye_sockaddr *peer);

/* Whether a socket of this process has the address `name` or one that includes it. */
bool sockeye__holder_is_self(const struct sockeye_sockaddr *name, bool stream);

/* Whether an Internet address is one of this machine. */
bool sockeye__holder_is_here(const struct sockeye_sockaddr *name);

/* --- clock.c --- */

/* Returns the time of a clock in nanoseconds. */
uint64_t sockeye__clock_ns(clockid_t clock);

/* Waits until fd is ready for `events` (as in poll(2)) or until the deadline (0: none).
 * Returns 0, -ETIMEDOUT or -errno, but never -EINTR. */
int sockeye__wait(int fd, short events, uint64_t deadline_ns);

/* Returns the timeout for poll(2): the milliseconds until the deadline, rounded up, or
 * -1 if there is no deadline. */
int sockeye__poll_ms(uint64_t deadline_ns, uint64_t mono_ns);

/* --- sockaddr.c --- */

/* Lets sockeye_sockaddr_print() name the interface of a link-local address although this
 * process will be unable to open sockets. Returns 0 or -errno. */
int sockeye__zones_prepare(void);

/* Returns the IPv4 address of an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2),
 * and any other address unchanged. A dual-stack socket reports its IPv4 peers as
 * mapped. */
struct sockeye_sockaddr sockeye__sockaddr_unmapped(const struct sockeye_sockaddr *name);

/* Whether an Internet address is the wildcard: 0.0.0.0 or [::]. */
bool sockeye__sockaddr_is_any(const struct sockeye_sockaddr *name);

/* Whether the address is a multicast group. */
bool sockeye__sockaddr_is_multicast(const struct sockeye_sockaddr *name);

/* --- interfaces.c --- */

/* Returns the index of an interface by its name or number, or 0. */
uint32_t sockeye__interface_index(const char *zone);
/* Returns how many interfaces have link-local IPv6 addresses, and writes the name of the first
 * one, if there is one. */
unsigned sockeye__interfaces_link_local(char name[IF_NAMESIZE]);
/* Adds the interfaces of this machine to the detail. */
void sockeye__fail_interfaces(struct sockeye_fail *fail);
/* Explains that a link-local address needs an interface or, if `zone` is not "", that this
 * interface does not exist. Lists the interfaces. */
void sockeye__fail_zone(struct sockeye_fail *fail, const char *host, const char *zone);

/* --- multicast.c --- */

/* Checks the options interface= and source= of an address against `names`, the resolved
 * addresses of its host, and gives IPv6 groups the interface as their zone. `joins`: the
 * socket will listen to the group. Returns 0 or a negative code with *fail. */
int sockeye__multicast_check(const struct sockeye_addr *addr, struct sockeye_sockaddr *names,
			     size_t count, bool joins, struct sockeye_fail *fail);

/* Sets the interface and the time to live (TTL) of datagrams that are sent to groups.
 * Returns 0 or -errno. */
int sockeye__multicast_send(int fd, const struct sockeye_addr *addr,
			    const struct sockeye_sockaddr *name);

/* Joins the multicast group `name`; closing the socket leaves the group. Does nothing if
 * `name` is not a multicast group. Returns 0 or a negative code. */
int sockeye__multicast_join(int fd, const struct sockeye_addr *addr,
			    const struct sockeye_sockaddr *name);

/* --- connect.c --- */

/* Resolves the address option bind=. Returns the number of local addresses, 0 without
 * the option, or a negative code. */
int sockeye__locals_find(const struct sockeye_addr *addr, struct sockeye_sockaddr *locals,
			 size_t max, struct sockeye_fail *fail);

/* Removes the names of a family that no local address has. Without local addresses, keeps
 * all names. Returns the number of names left, or a negative code if none is left. */
int sockeye__names_reachable(const struct sockeye_addr *addr, struct sockeye_sockaddr *names,
			     size_t count, const struct sockeye_sockaddr *locals,
			     size_t local_count, struct sockeye_fail *fail);

/* --- race.c --- */

/* Connects to the first of `names` that answers, like sockeye_connect() after it has
 * resolved the host. Each attempt binds to the first of `locals` that has its
 * family. opts must not be NULL. Returns the file descriptor or a negative code. */
int sockeye__connect_list(const struct sockeye_addr *addr, const struct sockeye_sockaddr *names,
			  size_t count, const struct sockeye_sockaddr *locals, size_t local_count,
			  const struct sockeye_connect_opts *opts, struct sockeye_fail *fail);

/* Binds a client's socket to one of the addresses of sockeye__locals_find(). */
int sockeye__client_bind(int fd, const struct sockeye_addr *addr,
			 const struct sockeye_sockaddr *local);

/* Whether the socket is connected to itself: no server listens, and the kernel chose
 * the server's port for us (simultaneous open, RFC 9293 3.5). */
bool sockeye__is_own_peer(int fd, const struct sockeye_sockaddr *name);

/* --- probe.c --- */

/* Whether a server accepts connections. */
struct sockeye__probe {
	struct sockeye_sockaddr name;
	bool cancelled; /* set by the caller: the result is not wanted any more */
	bool ended;
	int err; /* 0 if the server accepts, or a negative errno */
	uint64_t ns;
};

struct sockeye__probe_opts {
	const struct sockeye_addr *addr; /* the scheme and the options of the sockets */
	const struct sockeye_sockaddr *locals;
	size_t local_count;
	uint64_t timeout_ns; /* of each probe */
	int stop_fd;         /* ends all probes when readable; -1 none */
	void (*on_end)(void *arg, const struct sockeye__probe *probe);
	void *arg;
};

/* Connects to the names, many at once, and closes each connection. Returns 0 when all
 * probes have ended, -EINTR if stop_fd ended them before, or another negative errno. */
int sockeye__probe_run(struct sockeye__probe *probes, size_t count,
		       const struct sockeye__probe_opts *opts);

/* --- listen.c --- */

/* Opens one more SO_REUSEPORT socket on the name of `first`, which sockeye_listen()
 * has opened with opts->reuseport. Returns 0 or a negative code: -EOPNOTSUPP for
 * UNIX sockets and fd:, which cannot be opened twice. */
int sockeye__listen_again(const struct sockeye_listener *first, const struct sockeye_addr *addr,
			  const struct sockeye_listen_opts *opts, int *out_fd);

/* --- unix.c --- */

/* Whether two results of stat(2) describe the same file. */
bool sockeye__same_file(const struct stat *a, const struct stat *b);

/* Binds fd to the UNIX name of `addr` and replaces the file of a dead server. Fills
 * in unlink_at_close, dev and ino of *listener. Returns 0 or a negative code. */
int sockeye__unix_bind(int fd, const struct sockeye_addr *addr, const struct sockeye_sockaddr *name,
		       struct sockeye_listener *listener);

/* Removes the path of a listener if it is still the file that the listener created.
 * Must be called before the socket is closed: as long as the socket is open, no other
 * file can have its inode number. */
void sockeye__unix_unlink(const struct sockeye_listener *listener);

/* --- dgram.c: records --- */

/* Makes the kernel add a timestamp to each record, including those in the queue.
 * recvmsg(2) returns 0 both for an empty record and after the peer has closed, but only
 * the empty record has a timestamp. Returns 0 or -errno. */
int sockeye__records_stamp(int fd);

/* Like sockeye_dgram_recv(), for a socket with timestamps. After the peer has closed,
 * returns SOCKEYE_E_EOF. */
int sockeye__record_recv(int fd, void *buf, size_t cap, uint64_t deadline_ns,
			 struct sockeye_dgram *out);

/* --- dgram.c: for callers of recvmmsg and sendmmsg --- */

/* Bytes for the control messages of one datagram, received or sent. The buffer must
 * be aligned like struct cmsghdr. */
#define SOCKEYE__CONTROL_MAX 128

/* Fills in local, ifindex and group of *out from a received message. */
void sockeye__dgram_local(struct msghdr *msg, struct sockeye_dgram *out);

/* Makes dgram->local the source address of msg, with a control message in the
 * SOCKEYE__CONTROL_MAX bytes at `control`. If dgram->local is empty, adds no control
 * message. */
void sockeye__dgram_source(struct msghdr *msg, void *control, const struct sockeye_dgram *dgram);

/* --- dgram.c: several UDP datagrams of one size in one message (udp(7)); the
 * last one may be shorter --- */

/* Allows the kernel to join received datagrams (UDP_GRO). Has no effect on old
 * kernels. */
void sockeye__dgram_join(int fd);

/* Returns the size of each datagram in a received message of `len` bytes. A message
 * with one datagram gives `len`. */
size_t sockeye__dgram_segment(struct msghdr *msg, size_t len);

/* Makes the kernel split msg into datagrams (UDP_SEGMENT), with one more control
 * message in `control`, after those that msg has. */
void sockeye__dgram_cut(struct msghdr *msg, void *control, uint16_t size);

/* Whether `err`, a negative errno of sending such a message, means that the kernel
 * cannot split it: a segment is longer than the link's MTU, the route or its device
 * does not support splitting (IPsec, checksums), or the kernel is too old. */
bool sockeye__dgram_cut_refused(int err);

#endif
