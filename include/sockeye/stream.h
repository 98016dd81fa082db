/*
 * stream.h: connecting, listening, accepting, and reading and writing streams
 * so that partial counts, the end and errors are told apart.
 *
 * Descriptors are returned close-on-exec and blocking unless said otherwise,
 * and belong to the caller. Numbers of 1024 and more work everywhere. No call
 * raises SIGPIPE. All are thread-safe as long as two threads do not use the
 * same struct.
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
	uint64_t deadline_ns; /* for all addresses together; 0 none */
	uint32_t
	    attempt_delay_ms; /* before the next address is tried as well; 0 = 250 (RFC 8305 5) */
	bool nonblocking;     /* leave the descriptor non-blocking */
	/* Told of every address that was tried and how it ended (0 connected,
	 * -ECANCELED for the ones that lost the race). May be NULL. */
	void (*on_attempt)(void *arg, const struct sockeye_sockaddr *name, int err);
	void *arg;
};

/* Connects to `addr`: resolves it, tries its addresses as Happy Eyeballs does
 * (RFC 8305: families interleaved, a new attempt every attempt_delay_ms or as
 * soon as one fails, all losers closed) and applies the options of the address.
 * For datagram schemes this sets the peer (connect(2)); a unix-dgram client
 * gets an autobound abstract name so that it can be answered, unless bind= gives
 * it one (a path is the caller's to remove). `fd:N` returns a duplicate of N, a
 * socket; being (non)blocking is then a matter of both. A TCP socket that would
 * be connected to itself counts as refused. The deadline does not bound the
 * look-up of a name. opts and fail may be NULL.
 * Returns a descriptor, or a negative code: the error of the first address
 * that failed for a reason of its own. */
SOCKEYE_API int sockeye_connect(const struct sockeye_addr *addr,
				const struct sockeye_connect_opts *opts, struct sockeye_fail *fail);

/* One socket that listens (stream) or is bound (datagram). */
struct sockeye_listener {
	int fd;
	enum sockeye_scheme scheme;
	struct sockeye_sockaddr name; /* as getsockname gives it: the real port */
	bool unlink_at_close;         /* a UNIX path this call created, */
	uint64_t dev, ino;            /* and the file it is */
};

struct sockeye_listen_opts {
	uint32_t backlog; /* of listen(2); 0 = the address's, else 4096; the kernel's somaxconn caps
			     it */
	bool nonblocking;
	bool reuseport; /* SO_REUSEPORT once it is bound, so that workers can each have a socket */
};

/* Opens every address of `addr` (localhost may have two; '*' is one dual-stack
 * socket, or IPv4 alone where the kernel has no IPv6), with one common port
 * when port 0 asks for any. A stale UNIX socket file whose server is dead is
 * replaced; a live one or another kind of file never is. A port that another
 * server holds is -EADDRINUSE even with reuseport. Returns how many listeners
 * were written (at least 1, at most max), or a negative code with nothing left
 * open. Of a name with several addresses, those that this machine does not have
 * are left out as long as one is left. opts->reuseport shares the port only with
 * sockets this process opens later; `reuseport` in the address shares it with
 * other servers of the same user, too. For `fd:N`, a socket that listens (stream)
 * or is bound (datagram), the listener is a duplicate and has its own scheme.
 * opts and fail may be NULL. */
SOCKEYE_API int sockeye_listen(const struct sockeye_addr *addr,
			       const struct sockeye_listen_opts *opts,
			       struct sockeye_listener *out_listeners, size_t max,
			       struct sockeye_fail *fail);

/* Closes the socket and removes its UNIX path if it is still the one this
 * listener created. Safe on a zeroed or closed listener (fd <= 0). */
SOCKEYE_API void sockeye_listener_close(struct sockeye_listener *listener);

/* Accepts one connection; out_peer may be NULL. Retries what concerns only the
 * client that just left (ECONNABORTED, and the errors of its connection that
 * accept(2) lists). Returns the descriptor (non-blocking when asked) or -errno;
 * -EAGAIN from a non-blocking listener, -ETIMEDOUT past deadline_ns (0: none). On
 * a blocking listener that others accept from, too, it may wait longer. */
SOCKEYE_API int sockeye_accept(int fd, bool nonblocking, uint64_t deadline_ns,
			       struct sockeye_sockaddr *out_peer);

/* Reads until `len` bytes have come. Returns 0 then; SOCKEYE_E_EOF when the
 * peer ended first; -ETIMEDOUT past deadline_ns; else -errno. *out_done (which
 * may be NULL) always has the count that did come. Works on blocking and
 * non-blocking descriptors, sockets and others. */
SOCKEYE_API int sockeye_readn(int fd, void *buf, size_t len, uint64_t deadline_ns,
			      size_t *out_done);

/* Writes all `len` bytes; the same rules. Without a deadline and on a blocking
 * descriptor it waits as long as the peer does not read. */
SOCKEYE_API int sockeye_writen(int fd, const void *buf, size_t len, uint64_t deadline_ns,
			       size_t *out_done);

/* Reads at most `len` bytes as soon as some are there: the count, 0 at the
 * end of the stream, -ETIMEDOUT, or -errno. */
SOCKEYE_API ssize_t sockeye_read_some(int fd, void *buf, size_t len, uint64_t deadline_ns);

/* A line reader: one for each descriptor; what was read ahead stays in it. The
 * caller owns the struct and the buffer, whose size bounds a line. */
struct sockeye_lines {
	int fd;
	char *buf;
	size_t cap;
	size_t start; /* unread bytes are buf[start..end) */
	size_t end;
	bool skipping; /* in the middle of a line that was too long */
};

SOCKEYE_API void sockeye_lines_init(struct sockeye_lines *lines, int fd, char *buf, size_t cap);

/* The next line, without its LF (a CR stays), as *out_line and *out_len inside
 * the buffer, valid until the next call; it may hold NULs. Returns 1 for a
 * line, 2 for a last line without LF, 0 at the end, SOCKEYE_E_LINE_TOO_LONG
 * once for a line that with its LF is longer than the buffer (its rest is
 * skipped, the next call goes on behind it), -ETIMEDOUT (what has come of a line
 * is kept) or -errno. */
SOCKEYE_API int sockeye_readline(struct sockeye_lines *lines, uint64_t deadline_ns,
				 const char **out_line, size_t *out_len);

/* Half-close: ends our sending side; the peer reads end of file and can go on
 * sending. 0 or -errno. */
SOCKEYE_API int sockeye_half_close(int fd);

/* Closes so that the peer gets a reset (SO_LINGER 0). */
SOCKEYE_API void sockeye_reset(int fd);

SOCKEYE_END

#endif
