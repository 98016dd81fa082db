/*
 * stream.h: connects, listens and accepts, and reads and writes streams. Partial
 * transfers, end of file and errors have different results.
 *
 * The caller owns all file descriptors that a call returns. They are close-on-exec, and
 * blocking unless the options request otherwise. File descriptors of 1024 and above
 * work in every call. No call raises SIGPIPE. All calls are thread-safe if no two
 * threads use the same struct at the same time.
 */
#ifndef SOCKEYE_STREAM_H
#define SOCKEYE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>
#include <sockeye/sockaddr.h>
#include <sockeye/visibility.h>

SOCKEYE_BEGIN

struct sockeye_connect_opts {
	uint64_t deadline_ns; /* for all addresses together; 0: none */
	/* Delay before the next address is tried in parallel; 0: 250 ms (RFC 8305,
	 * section 5). */
	uint32_t attempt_delay_ms;
	bool nonblocking; /* return a non-blocking file descriptor */
	/* Called after each attempt, with its address and its result: 0 if it is
	 * connected, -ECANCELED if another address won. May be NULL. */
	void (*on_attempt)(void *arg, const struct sockeye_sockaddr *name, int err);
	void *arg;
};

/* Resolves `addr`, applies its options and connects to the first of its addresses that
 * answers (Happy Eyeballs, RFC 8305): alternates between the address families, and
 * starts a new attempt after attempt_delay_ms or as soon as one fails.
 * A datagram socket gets a peer (connect(2)). A unix-dgram client is also bound, so that
 * the server can reply: to an abstract name that the kernel chooses or, with bind=PATH,
 * to PATH, which the caller removes. fd:N returns a duplicate of the socket N, and both
 * share the non-blocking mode. A TCP socket that is connected to itself counts as refused.
 * opts and fail may be NULL.
 * Returns a file descriptor or a negative code: the error of the first address, unless
 * that error only shows that this machine cannot reach the address family. Attempts
 * that the deadline ends fail with -ETIMEDOUT. The deadline does not limit the time to
 * resolve the name. */
SOCKEYE_API int sockeye_connect(const struct sockeye_addr *addr,
				const struct sockeye_connect_opts *opts, struct sockeye_fail *fail);

/* One socket that listens (stream) or is bound (datagram). */
struct sockeye_listener {
	int fd;
	enum sockeye_scheme scheme;
	struct sockeye_sockaddr name; /* from getsockname(2): with the actual port */
	bool unlink_at_close;         /* the listener has created its UNIX path */
	uint64_t dev, ino;            /* the file of that path */
	bool restores_mode;           /* closing an fd:N listener restores this mode: */
	bool was_nonblocking;
};

struct sockeye_listen_opts {
	uint32_t backlog; /* of listen(2); 0: that of the address, or 4096; limited by somaxconn */
	bool nonblocking;
	bool reuseport; /* set SO_REUSEPORT after bind(2), so that each worker can have a socket */
};

/* Opens a socket for every address of `addr` that this machine has; localhost may have
 * two. '*' is one dual-stack socket, or IPv4 if the kernel has no IPv6. With port 0
 * the kernel chooses a port, the same for all sockets. Replaces a UNIX socket file
 * whose server is dead, but never a socket in use or another kind of file.
 * opts->reuseport shares the port only with sockets that the same user opens later; if
 * another server uses the port already, the call fails. The option `reuseport` of the
 * address also shares the port with servers of the same user that were started before
 * with this option. fd:N must be a socket that listens (stream) or is bound (datagram).
 * The listener has a duplicate of N and the scheme of that socket. Both share the
 * non-blocking mode with the process that passed the socket; sockeye_listener_close()
 * restores that mode. opts and fail may be NULL.
 * Returns the number of listeners, from 1 to max, which the caller closes with
 * sockeye_listener_close(). On failure closes all listeners and returns a negative code:
 * -EADDRINUSE, SOCKEYE_E_IN_USE_LIVE, SOCKEYE_E_NOT_A_SOCKET ... */
SOCKEYE_API int sockeye_listen(const struct sockeye_addr *addr,
			       const struct sockeye_listen_opts *opts,
			       struct sockeye_listener *out_listeners, size_t max,
			       struct sockeye_fail *fail);

/* Closes the socket. Removes its UNIX path if the path is still the file that the listener
 * created. Restores the non-blocking mode that the socket of fd:N had before. Does nothing for a
 * zeroed or closed listener (fd <= 0). */
SOCKEYE_API void sockeye_listener_close(struct sockeye_listener *listener);

/* Accepts one connection. Skips clients that have disconnected (ECONNABORTED, and the
 * errors of the connection that accept(2) lists). out_peer may be NULL. Returns the
 * file descriptor, non-blocking if requested, -EAGAIN if a non-blocking listener has no
 * client, -ETIMEDOUT after deadline_ns (0: none), or -errno. If several processes accept
 * from one blocking listener, the call may return later than its deadline. */
SOCKEYE_API int sockeye_accept(int fd, bool nonblocking, uint64_t deadline_ns,
			       struct sockeye_sockaddr *out_peer);

/* Reads `len` bytes from a blocking or non-blocking file descriptor of any kind. Returns
 * 0, SOCKEYE_E_EOF if the peer closed too early, -ETIMEDOUT after deadline_ns (0: none),
 * or -errno. Always sets *out_done to the number of bytes read; out_done may be NULL. */
SOCKEYE_API int sockeye_readn(int fd, void *buf, size_t len, uint64_t deadline_ns,
			      size_t *out_done);

/* Writes `len` bytes to a blocking or non-blocking file descriptor of any kind. Returns 0,
 * -ETIMEDOUT after deadline_ns (0: none), or -errno. Always sets *out_done to the number
 * of bytes written; out_done may be NULL. Without a deadline, waits as long as the peer
 * does not read. */
SOCKEYE_API int sockeye_writen(int fd, const void *buf, size_t len, uint64_t deadline_ns,
			       size_t *out_done);

/* Waits until there is a byte to read, and reads at most `len`. Returns the count, 0 at
 * the end of the stream, -ETIMEDOUT after deadline_ns (0: none), or -errno. */
SOCKEYE_API ssize_t sockeye_read_some(int fd, void *buf, size_t len, uint64_t deadline_ns);

/* Reads lines from one file descriptor, and keeps the bytes that it has read ahead. The
 * caller owns the struct and the buffer, whose size limits the length of a line. */
struct sockeye_lines {
	int fd;
	char *buf;
	size_t cap;
	size_t start; /* the unread bytes are buf[start..end) */
	size_t end;
	bool skipping; /* within a line that was too long */
};

/* Begins to read lines from fd with the buffer buf[0..cap). cap must not be 0. */
SOCKEYE_API void sockeye_lines_init(struct sockeye_lines *lines, int fd, char *buf, size_t cap);

/* Reads the next line. *out_line and *out_len refer to the buffer, without the LF but
 * with a CR, and are valid until the next call. A line may contain NULs. Returns 1 for
 * a line, 2 for a last line without LF, or 0 at the end. Returns
 * SOCKEYE_E_LINE_TOO_LONG once for a line that does not fit in the buffer with its LF;
 * the next call continues after it. Returns -ETIMEDOUT after deadline_ns (0: none) or
 * -errno; a partial line is kept. */
SOCKEYE_API int sockeye_readline(struct sockeye_lines *lines, uint64_t deadline_ns,
				 const char **out_line, size_t *out_len);

/* Reads at most `len` bytes that follow the last line, for binary data after a text
 * header. Returns bytes that were read ahead; if there are none, reads from the file
 * descriptor like sockeye_read_some(). After SOCKEYE_E_LINE_TOO_LONG, continues within
 * that line, where the buffer ended. */
SOCKEYE_API ssize_t sockeye_reader_read(struct sockeye_lines *lines, void *buf, size_t len,
					uint64_t deadline_ns);

/* Half-closes a connection: the peer reads end of file and can still send. Returns 0 or
 * -errno. */
SOCKEYE_API int sockeye_half_close(int fd);

/* Closes a socket and sends a reset to the peer (SO_LINGER with 0 s). */
SOCKEYE_API void sockeye_reset(int fd);

SOCKEYE_END

#endif
