/*
 * standard_io.h: standard input and output that never block.
 *
 * O_NONBLOCK belongs to the open file description, which we share with the shell
 * and with other processes, so it is never set on the caller's descriptor.
 */
#ifndef SOCKEYE_CONSOLE_STANDARD_IO_H
#define SOCKEYE_CONSOLE_STANDARD_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sockeye__standard_io_kind {
	SOCKEYE__STANDARD_IO_NONE,   /* no descriptor, or closed */
	SOCKEYE__STANDARD_IO_PLAIN,  /* never blocks: a file, or a description that we opened */
	SOCKEYE__STANDARD_IO_SOCKET, /* never blocks: MSG_DONTWAIT in each call */
	SOCKEYE__STANDARD_IO_SHARED, /* may block: poll before each read or small write */
};

struct sockeye__standard_io {
	enum sockeye__standard_io_kind kind;
	int fd; /* to poll, read and write: caller_fd or a new description of it */
	int caller_fd;
	bool for_write;
	bool tty;
	bool line_open; /* the last byte written was not LF */
};

/* Prepares the caller's descriptor fd for use; -1 means none. Cannot fail: a
 * descriptor that cannot be opened again is used directly, with poll(2) before each
 * call. */
void sockeye__standard_io_open(struct sockeye__standard_io *io, int fd, bool for_write);

/* Like read(2) and write(2), but they return -errno, and -EAGAIN instead of
 * blocking. */
ssize_t sockeye__standard_io_read(struct sockeye__standard_io *io, void *buf, size_t len);
ssize_t sockeye__standard_io_write(struct sockeye__standard_io *io, const void *buf, size_t len);

/* Whether reading is allowed: always, except from the controlling terminal while another
 * job is in the foreground, when a read would stop this process (SIGTTIN). No event
 * reports the return to the foreground, so callers must check again periodically. */
bool sockeye__standard_io_may_read(const struct sockeye__standard_io *io);

/* Like sockeye__standard_io_read(), but returns -EAGAIN if reading is not allowed. */
ssize_t sockeye__standard_io_read_job(struct sockeye__standard_io *io, void *buf, size_t len);

/* Whether a terminal has input that may be read now. False for other descriptors. */
bool sockeye__standard_io_typed(const struct sockeye__standard_io *io);

/* If the last write stopped within a line, writes data up to the first LF to
 * complete it. data[0..len) are the next bytes to write. Blocks until the line is
 * written. */
void sockeye__standard_io_end_line(struct sockeye__standard_io *io, const void *data, size_t len);

/* Releases io. With close_caller_fd the caller's descriptor is closed as well, so
 * that the other end of a pipe sees the end; 0, 1 and 2 then refer to /dev/null, so
 * that the next socket does not get their number. */
void sockeye__standard_io_close(struct sockeye__standard_io *io, bool close_caller_fd);

#endif
