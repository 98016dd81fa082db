/*
 * net.h: what src/net offers to serve and tool beyond the public headers.
 */
#ifndef SOCKEYE_NET_NET_H
#define SOCKEYE_NET_NET_H

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

#define SOCKEYE__NAMES_MAX 32 /* addresses of one name that are considered */

/* The length of an address as the kernel gave it, as it takes it back: a path
 * that fills sun_path comes with one byte more (unix(7), BUGS). */
static inline socklen_t sockeye__name_len(socklen_t len)
{
	return len < sizeof(struct sockaddr_un) ? len : (socklen_t)sizeof(struct sockaddr_un);
}

/* --- options.c --- */

/* The socket(2) arguments of a scheme for one resolved address (NULL: only
 * whether the scheme can be opened). 0, or SOCKEYE_E_SCHEME_UNSUPPORTED for
 * schemes that are no kernel socket of this build. */
struct sockeye__kind {
	int domain, type, protocol;
};
int sockeye__kind_of(enum sockeye_scheme scheme, const struct sockeye_sockaddr *name,
		     struct sockeye__kind *out_kind);

/* socket(2), close-on-exec with `flags` (SOCK_NONBLOCK) added, never 0, 1 or 2:
 * in a process started with those closed, what is printed would go to the
 * peer. The descriptor or -errno. */
int sockeye__socket_open(const struct sockeye__kind *kind, int flags);

/* fd itself, or a duplicate above 2 in its stead. The descriptor or -errno, fd
 * being closed then; a negative fd is an error in errno. */
int sockeye__fd_above_stdio(int fd);

/* Applies what the address's options ask of a socket, before bind or connect,
 * but for reuseport, which is the matter of bind. 0 or -errno. */
int sockeye__options_apply(int fd, const struct sockeye_addr *addr,
			   const struct sockeye_sockaddr *name);

/* setsockopt(2) and getsockopt(2) of an int; 0 or -errno. */
int sockeye__option_set(int fd, int level, int option, int value);
int sockeye__option_get(int fd, int level, int option, int *out_value);

/* Makes the file description non-blocking or blocking; 0 or -errno. */
int sockeye__nonblocking_set(int fd, bool nonblocking);

/* --- fail.c --- */

/* Fills in *fail when it is not NULL, and returns err. */
int sockeye__fail_set(struct sockeye_fail *fail, const char *op, const char *address, int err);

/* The same for a whole address, and for one of its resolved addresses; the
 * latter says in the detail what can be done about it where that is known. */
int sockeye__fail_addr(struct sockeye_fail *fail, const char *op, const struct sockeye_addr *addr,
		       int err);
int sockeye__fail_name(struct sockeye_fail *fail, const char *op, enum sockeye_scheme scheme,
		       const struct sockeye_sockaddr *name, int err);

/* Writes the detail of *fail, when fail is not NULL. */
void sockeye__fail_detail(struct sockeye_fail *fail, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- clock.c --- */

/* The time of a clock in nanoseconds. */
uint64_t sockeye__clock_ns(clockid_t clock);

/* Waits until fd is ready for `events` (poll(2) bits) or the deadline (0:
 * none). 0, -ETIMEDOUT or -errno; never -EINTR. */
int sockeye__wait(int fd, short events, uint64_t deadline_ns);

/* Milliseconds for poll(2) until the deadline, rounded up: -1 for none. */
int sockeye__poll_ms(uint64_t deadline_ns, uint64_t mono_ns);

/* --- sockaddr.c --- */

/* The Internet address behind an IPv4-mapped IPv6 one (RFC 4291 2.5.5.2), which
 * is how a dual-stack socket shows an IPv4 peer; any other as it is. */
struct sockeye_sockaddr sockeye__sockaddr_unmapped(const struct sockeye_sockaddr *name);

/* Whether an Internet address is the one that stands for all of this machine. */
bool sockeye__sockaddr_is_any(const struct sockeye_sockaddr *name);

/* --- connect.c --- */

/* The local addresses that bind= of `addr` names: their count, 0 when it is not
 * given, or a negative code. */
int sockeye__locals_find(const struct sockeye_addr *addr, struct sockeye_sockaddr *locals,
			 size_t max, struct sockeye_fail *fail);

/* Leaves only the names that one of these local addresses (any, when there are
 * none) can speak to: their count, or a negative code when none is left. */
int sockeye__names_reachable(const struct sockeye_addr *addr, struct sockeye_sockaddr *names,
			     size_t count, const struct sockeye_sockaddr *locals,
			     size_t local_count, struct sockeye_fail *fail);

/* --- race.c --- */

/* Connects to the first of `names` that answers, as sockeye_connect does once
 * it has looked the name up. `locals` are the addresses to bind to, one of the
 * right family for each attempt; local_count 0: none. opts is not NULL. */
int sockeye__connect_list(const struct sockeye_addr *addr, const struct sockeye_sockaddr *names,
			  size_t count, const struct sockeye_sockaddr *locals, size_t local_count,
			  const struct sockeye_connect_opts *opts, struct sockeye_fail *fail);

/* --- listen.c --- */

/* Opens one more SO_REUSEPORT socket on the name of `first`, which
 * sockeye_listen opened with opts->reuseport. 0 or a negative code;
 * -EOPNOTSUPP for what cannot be opened twice (UNIX sockets, fd:). */
int sockeye__listen_again(const struct sockeye_listener *first, const struct sockeye_addr *addr,
			  const struct sockeye_listen_opts *opts, int *out_fd);

/* --- unix.c --- */

/* Whether two results of stat(2) describe the same file. */
bool sockeye__same_file(const struct stat *a, const struct stat *b);

/* Binds fd to the UNIX name of `addr`, replacing the file of a dead server.
 * Fills in the file's identity and unlink_at_close of *listener. */
int sockeye__unix_bind(int fd, const struct sockeye_addr *addr, const struct sockeye_sockaddr *name,
		       struct sockeye_listener *listener);

/* Removes the path of a listener if it is still the file it made. Before the
 * close: while the socket is open the file's inode number is not used again. */
void sockeye__unix_unlink(const struct sockeye_listener *listener);

/* --- dgram.c: records --- */

/* recvmsg(2) gives nothing for an empty record and for the peer's end alike.
 * A socket that asks for time stamps gets one with every record, also with those
 * that were queued before, and none with the end. 0 or -errno. */
int sockeye__records_stamp(int fd);

/* sockeye_dgram_recv of a socket with stamps; SOCKEYE_E_EOF for the peer's end. */
int sockeye__record_recv(int fd, void *buf, size_t cap, uint64_t deadline_ns,
			 struct sockeye_dgram *out);

/* --- dgram.c: for whoever calls recvmmsg and sendmmsg --- */

/* Room for the control messages of one datagram, in and out; the buffer must
 * be aligned as a struct cmsghdr. */
#define SOCKEYE__CONTROL_MAX 128

/* Fills in local, ifindex and group from a received message. */
void sockeye__dgram_local(struct msghdr *msg, struct sockeye_dgram *out);

/* Makes msg leave from dgram->local, in the SOCKEYE__CONTROL_MAX bytes at
 * `control`; without a local address msg gets no control message. */
void sockeye__dgram_source(struct msghdr *msg, void *control, const struct sockeye_dgram *dgram);

/* --- dgram.c: several UDP datagrams of one size in one message (udp(7)); the
 * last of them may be shorter --- */

/* Lets the kernel hand them over so (UDP_GRO), where it can. */
void sockeye__dgram_join(int fd);

/* The size of each in a received message of `len` bytes: `len` when it is one. */
size_t sockeye__dgram_segment(struct msghdr *msg, size_t len);

/* Has the kernel cut msg into them (UDP_SEGMENT): one more control message at
 * `control`, behind those that are in msg. */
void sockeye__dgram_cut(struct msghdr *msg, void *control, uint16_t size);

/* Whether `err`, a negative errno of sending such a message, means that the kernel
 * cannot cut it: a segment does not fit the link, the route or its device cannot
 * (IPsec, checksums), or the kernel is too old. */
bool sockeye__dgram_cut_refused(int err);

#endif
