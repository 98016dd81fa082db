/* local_file.c: the local end of a client's transfer (local_file.h). */
#include "tftp/client/local_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SAFE_PIECE 4096 /* bytes escaped at a time */

static void file_init(struct sockeye__tftp_local_file *f)
{
	*f = (struct sockeye__tftp_local_file){.fd = -1, .stream.fd = -1};
}

/* --- writing to a stream --- */

static int room_make(struct sockeye__tftp_local_file *f, size_t more)
{
	size_t cap = f->cap ? f->cap : 4096;
	uint8_t *buf;

	if (f->start > 0)
		memmove(f->buf, f->buf + f->start, f->len);
	f->start = 0;
	if (more <= f->cap - f->len)
		return 0;
	while (cap < f->len + more)
		cap *= 2;
	buf = realloc(f->buf, cap);
	if (buf == NULL)
		return -ENOMEM;
	f->buf = buf;
	f->cap = cap;
	return 0;
}

static int enqueue(struct sockeye__tftp_local_file *f, const uint8_t *data, size_t len)
{
	int err = len > 0 ? room_make(f, len) : 0;

	if (err == 0 && len > 0)
		memcpy(f->buf + f->len, data, len);
	f->len += err == 0 ? len : 0;
	return err;
}

/* Escapes control characters, on which a terminal would act. */
static int enqueue_escaped(struct sockeye__tftp_local_file *f, const uint8_t *data, size_t len)
{
	uint8_t room[SOCKEYE__FILTER_SAFE_FACTOR * SAFE_PIECE + SOCKEYE__FILTER_SLACK];
	int err = 0;

	while (len > 0 && err == 0) {
		size_t piece = len < SAFE_PIECE ? len : SAFE_PIECE;

		err = enqueue(f, room, sockeye__filter_safe_encode(&f->safe, data, piece, room));
		data += piece;
		len -= piece;
	}
	return err;
}

static int stream_put(struct sockeye__tftp_local_file *f, const uint8_t *data, size_t len)
{
	if (f->stream.tty)
		return enqueue_escaped(f, data, len);
	while (f->len == 0 && len > 0) {
		ssize_t n = sockeye__standard_io_write(&f->stream, data, len);

		if (n == -EAGAIN)
			break;
		if (n < 0)
			return (int)n;
		data += n;
		len -= (size_t)n;
	}
	return enqueue(f, data, len);
}

static int stream_write(void *arg, uint64_t offset, const struct iovec *iov, int count)
{
	int err = 0;

	(void)offset; /* the calls are in order */
	for (int i = 0; i < count && err == 0; i++)
		err = stream_put(arg, iov[i].iov_base, iov[i].iov_len);
	return err;
}

int sockeye__tftp_local_file_drain(struct sockeye__tftp_local_file *f)
{
	while (f->len > 0) {
		ssize_t n = sockeye__standard_io_write(&f->stream, f->buf + f->start, f->len);

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		f->start += (size_t)n;
		f->len -= (size_t)n;
	}
	f->start = 0;
	return 0;
}

int sockeye__tftp_local_file_end(struct sockeye__tftp_local_file *f)
{
	uint8_t held[SOCKEYE__FILTER_SLACK];

	if (f->stream.kind == SOCKEYE__STANDARD_IO_NONE || !f->stream.tty)
		return 0;
	return enqueue(f, held, sockeye__filter_safe_end(&f->safe, held));
}

/* --- opening to write --- */

void sockeye__tftp_local_file_create_at(struct sockeye__tftp_local_file *f, int fd,
					struct sockeye__tftp_sink *out_sink)
{
	file_init(f);
	sockeye__standard_io_open(&f->stream, fd, true);
	*out_sink = (struct sockeye__tftp_sink){.write = stream_write, .arg = f, .fd = -1};
}

/* Opens an existing device or FIFO. */
static int special_create(struct sockeye__tftp_local_file *f, const char *path,
			  struct sockeye__tftp_sink *out_sink)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	sockeye__tftp_local_file_create_at(f, fd, out_sink);
	f->fd = fd;
	return 0;
}

/* Makes a new file. Modifies the path. */
static int new_create(struct sockeye__tftp_local_file *f, char *path,
		      struct sockeye__tftp_sink *out_sink)
{
	char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int dir = AT_FDCWD, err;

	if (slash != NULL) {
		*slash = '\0';
		dir = open(slash == path ? "/" : path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return -errno;
	}
	err = sockeye__atomic_file_open(&f->newfile, dir, name, 0666, SOCKEYE__ATOMIC_FILE_REPLACE);
	if (dir >= 0)
		close(dir);
	if (err == 0)
		*out_sink = (struct sockeye__tftp_sink){.fd = f->newfile.fd};
	return err;
}

int sockeye__tftp_local_file_create(struct sockeye__tftp_local_file *f, const char *path,
				    struct sockeye__tftp_sink *out_sink)
{
	struct stat st;
	char *real;
	int err;

	file_init(f);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return special_create(f, path, out_sink);
	real = lstat(path, &st) == 0 && S_ISLNK(st.st_mode) ? realpath(path, NULL) : strdup(path);
	if (real == NULL)
		return -errno;
	err = new_create(f, real, out_sink);
	free(real);
	return err;
}

/* --- reading --- */

static ssize_t in_place_read(void *arg, uint64_t offset, const struct iovec *iov, int count)
{
	const struct sockeye__tftp_local_file *f = arg;
	ssize_t n;

	do
		n = preadv(f->fd, iov, count, (off_t)(f->base + offset));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t stream_read(void *arg, uint64_t offset, const struct iovec *iov, int count)
{
	struct sockeye__tftp_local_file *f = arg;

	(void)offset;
	(void)count;
	return sockeye__standard_io_read(&f->stream, iov[0].iov_base, iov[0].iov_len);
}

static int regular_open(struct sockeye__tftp_local_file *f, int fd, const struct stat *st,
			off_t base, struct sockeye__tftp_source *out_source)
{
	uint64_t size = (uint64_t)(st->st_size > base ? st->st_size - base : 0);

	f->fd = fd;
	f->base = (uint64_t)base;
	*out_source = (struct sockeye__tftp_source){
	    .read = in_place_read, .arg = f, .has_size = true, .size = size};
	return 0;
}

static void stream_open(struct sockeye__tftp_local_file *f, int fd,
			struct sockeye__tftp_source *out_source)
{
	sockeye__standard_io_open(&f->stream, fd, false);
	f->awaited = true;
	*out_source = (struct sockeye__tftp_source){.read = stream_read, .arg = f};
}

void sockeye__tftp_local_file_open_at(struct sockeye__tftp_local_file *f, int fd,
				      struct sockeye__tftp_source *out_source)
{
	off_t base = lseek(fd, 0, SEEK_CUR);
	struct stat st;
	int duplicate;

	file_init(f);
	duplicate = base >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
			? fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
			: -1;
	if (duplicate >= 0)
		regular_open(f, duplicate, &st, base, out_source);
	else
		stream_open(f, fd, out_source);
}

int sockeye__tftp_local_file_open(struct sockeye__tftp_local_file *f, const char *path,
				  struct sockeye__tftp_source *out_source)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	file_init(f);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int err = -errno;

		if (fd >= 0)
			close(fd);
		return err;
	}
	if (S_ISREG(st.st_mode))
		return regular_open(f, fd, &st, 0, out_source);
	if (!S_ISFIFO(st.st_mode)) {
		close(fd);
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
	}
	stream_open(f, fd, out_source);
	f->fd = fd;
	return 0;
}

/* --- the end --- */

int sockeye__tftp_local_file_commit(struct sockeye__tftp_local_file *f)
{
	return f->newfile.is_open ? sockeye__atomic_file_commit(&f->newfile) : 0;
}

void sockeye__tftp_local_file_close(struct sockeye__tftp_local_file *f)
{
	sockeye__standard_io_close(&f->stream, false);
	sockeye__atomic_file_discard(&f->newfile);
	free(f->buf);
	if (f->fd > STDERR_FILENO)
		close(f->fd);
	file_init(f);
}
