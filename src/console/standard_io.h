/*
 * standard_io.h: standard input and output, read and written without ever blocking
 * the other direction, and without O_NONBLOCK on a description that the
 * caller's shell, its parent and its other children share.
 */
#ifndef SOCKEYE_CONSOLE_STANDARD_IO_H
#define SOCKEYE_CONSOLE_STANDARD_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sockeye__standard_io_kind {
	SOCKEYE__STANDARD_IO_NONE,   /* nothing there, or closed */
	SOCKEYE__STANDARD_IO_PLAIN,  /* does not block: a file, or an open description of our own */
	SOCKEYE__STANDARD_IO_SOCKET, /* MSG_DONTWAIT */
	SOCKEYE__STANDARD_IO_SHARED, /* may block: one small step after each poll */
};

struct sockeye__standard_io {
	enum sockeye__standard_io_kind kind;
	int fd;    /* to poll, read and write */
	int given; /* the caller's, which fd may be */
	bool for_write;
	bool tty;
	bool in_line; /* what was written last is not the end of a line */
};

/* Takes descriptor `given` into use; -1 is "none". Never fails: what cannot be
 * opened anew is used as it is, with more care. */
void sockeye__standard_io_open(struct sockeye__standard_io *local, int given, bool for_write);

/* As read(2) and write(2), with -errno; -EAGAIN when it would block. */
ssize_t sockeye__standard_io_read(struct sockeye__standard_io *local, void *buf, size_t len);
ssize_t sockeye__standard_io_write(struct sockeye__standard_io *local, const void *buf, size_t len);

/* Ends the line that writing left unfinished, with what of data[0..len) belongs
 * to it. Waits for the reader. */
void sockeye__standard_io_end_line(struct sockeye__standard_io *local, const void *data,
				   size_t len);

/* Ends the use. With `for_good` the caller's descriptor is closed as well, so
 * that the other end of a pipe sees it; 0, 1 and 2 become /dev/null, lest the
 * next socket take their number. */
void sockeye__standard_io_close(struct sockeye__standard_io *local, bool for_good);

#endif
