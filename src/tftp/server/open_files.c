/* open_files.c: the files that are being sent (open_files.h). */
#include "tftp/server/open_files.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAYS 4 /* slots that a chunk may use */
#define STALE \
	(256 * SOCKEYE__TFTP_CHUNKS) /* reads; a chunk not used in the last STALE reads is free */
#define TICK_NS (20 * 1000 * 1000)   /* the granularity of file times is at most this */
#define SEC_NS  (1000 * 1000 * 1000)

struct sockeye__tftp_open_file {
	struct sockeye__tftp_open_file *next; /* in its bucket */
	int fd;
	unsigned users;
	bool shared; /* sockeye__tftp_open_files_find() may return it */
	dev_t dev;
	ino_t ino;
	uint64_t size;
	struct timespec mtime, ctime;
};

/* --- which files are open --- */

static struct sockeye__tftp_open_file **bucket(struct sockeye__tftp_open_files *files, ino_t ino)
{
	return &files->buckets[(ino ^ ino >> 8) % SOCKEYE__TFTP_FILE_BUCKETS];
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool unchanged(const struct sockeye__tftp_open_file *file, const struct stat *st)
{
	return file->ino == st->st_ino && file->dev == st->st_dev &&
	       file->size == (uint64_t)st->st_size && same_time(&file->mtime, &st->st_mtim) &&
	       same_time(&file->ctime, &st->st_ctim);
}

/* Whether the file's last change is old enough to rely on its times. A file that has just
 * changed could change again while its times stay the same. */
static bool times_are_reliable(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec == st->st_ctim.tv_sec)
		return now.tv_nsec - st->st_ctim.tv_nsec > TICK_NS;
	if (now.tv_sec == st->st_ctim.tv_sec + 1)
		return now.tv_nsec + SEC_NS - st->st_ctim.tv_nsec > TICK_NS;
	return now.tv_sec > st->st_ctim.tv_sec;
}

void sockeye__tftp_open_files_fini(struct sockeye__tftp_open_files *files)
{
	assert(files->count == 0);
	for (size_t i = 0; i < SOCKEYE__TFTP_CHUNKS; i++)
		free(files->chunks[i].bytes);
	*files = (struct sockeye__tftp_open_files){0};
}

struct sockeye__tftp_open_file *
sockeye__tftp_open_files_find(struct sockeye__tftp_open_files *files, const struct stat *st)
{
	for (struct sockeye__tftp_open_file *file = *bucket(files, st->st_ino); file;
	     file = file->next)
		if (file->shared && unchanged(file, st))
			return sockeye__tftp_open_files_share(file);
	return NULL;
}

struct sockeye__tftp_open_file *sockeye__tftp_open_files_share(struct sockeye__tftp_open_file *file)
{
	file->users++;
	return file;
}

struct sockeye__tftp_open_file *
sockeye__tftp_open_files_adopt(struct sockeye__tftp_open_files *files, int fd,
			       const struct stat *st)
{
	struct sockeye__tftp_open_file **where = bucket(files, st->st_ino);
	struct sockeye__tftp_open_file *file = malloc(sizeof *file);

	if (file == NULL)
		return NULL;
	*file = (struct sockeye__tftp_open_file){
	    .next = *where,
	    .fd = fd,
	    .users = 1,
	    .shared = times_are_reliable(st),
	    .dev = st->st_dev,
	    .ino = st->st_ino,
	    .size = (uint64_t)st->st_size,
	    .mtime = st->st_mtim,
	    .ctime = st->st_ctim,
	};
	*where = file;
	files->count++;
	return file;
}

void sockeye__tftp_open_files_release(struct sockeye__tftp_open_files *files,
				      struct sockeye__tftp_open_file *file)
{
	struct sockeye__tftp_open_file **where = bucket(files, file->ino);

	if (--file->users > 0)
		return;
	for (size_t i = 0; i < SOCKEYE__TFTP_CHUNKS; i++)
		if (files->chunks[i].file == file)
			files->chunks[i].file = NULL;
	while (*where != file)
		where = &(*where)->next;
	*where = file->next;
	files->count--;
	close(file->fd);
	free(file);
}

uint64_t sockeye__tftp_open_file_size(const struct sockeye__tftp_open_file *file)
{
	return file->size;
}

/* --- reading --- */

/* Reads `len` bytes, fewer only at the end of the file: network file systems may
 * return fewer at any time. */
static ssize_t read_fully(struct sockeye__tftp_open_files *files, int fd, uint64_t offset,
			  void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, (uint8_t *)buf + got, len - got, (off_t)(offset + got));

		files->preads++;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* Whether another chunk may replace this one: it is unused, was read to its end, or
 * was not used for a long time. If there are more transfers than slots, the transfers
 * without a slot read single blocks from the file, not a whole chunk for each block. */
static bool is_replaceable(const struct sockeye__tftp_open_files *files,
			   const struct sockeye__tftp_chunk *c)
{
	return c->file == NULL || c->read_to == c->len || files->reads - c->used > STALE;
}

/* Returns the chunk (*out_hit is true), a slot to read it into, or NULL if all slots are in
 * use. */
static struct sockeye__tftp_chunk *chunk_find(struct sockeye__tftp_open_files *files,
					      const struct sockeye__tftp_open_file *file,
					      uint64_t number, bool *out_hit)
{
	uint64_t hash = ((uint64_t)(uintptr_t)file / sizeof *file + number) * 0x9e3779b97f4a7c15;
	struct sockeye__tftp_chunk *set =
	    &files->chunks[(hash >> 32) % (SOCKEYE__TFTP_CHUNKS / WAYS) * WAYS];
	struct sockeye__tftp_chunk *slot = NULL;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].file == file && set[i].number == number) {
			*out_hit = true;
			return &set[i];
		}
		if (is_replaceable(files, &set[i]) && (slot == NULL || set[i].used < slot->used))
			slot = &set[i];
	}
	*out_hit = false;
	return slot;
}

/* Reads a chunk into its slot. Caches nothing of a file that has become shorter, because the
 * file may grow again. */
static int chunk_fill(struct sockeye__tftp_open_files *files, struct sockeye__tftp_chunk *c,
		      const struct sockeye__tftp_open_file *file, uint64_t number)
{
	uint64_t start = number * SOCKEYE__TFTP_CHUNK_BYTES, left = file->size - start;
	size_t len = left < SOCKEYE__TFTP_CHUNK_BYTES ? (size_t)left : SOCKEYE__TFTP_CHUNK_BYTES;

	c->file = NULL;
	if (c->bytes == NULL)
		c->bytes = malloc(SOCKEYE__TFTP_CHUNK_BYTES);
	if (c->bytes == NULL)
		return -ENOMEM;
	if (read_fully(files, file->fd, start, c->bytes, len) < (ssize_t)len)
		return -ENODATA;
	c->file = file;
	c->number = number;
	c->len = (uint32_t)len;
	c->read_to = 0;
	return 0;
}

/* Reads bytes of one chunk that are all within the file's size. */
static ssize_t chunk_read(struct sockeye__tftp_open_files *files,
			  const struct sockeye__tftp_open_file *file, uint64_t offset, void *buf,
			  size_t len)
{
	uint64_t number = offset / SOCKEYE__TFTP_CHUNK_BYTES;
	uint32_t from = (uint32_t)(offset % SOCKEYE__TFTP_CHUNK_BYTES);
	struct sockeye__tftp_chunk *c;
	bool hit;

	files->reads++;
	c = chunk_find(files, file, number, &hit);
	if (c == NULL || (!hit && chunk_fill(files, c, file, number) < 0))
		return read_fully(files, file->fd, offset, buf, len);
	assert(len <= c->len - from);
	memcpy(buf, c->bytes + from, len);
	c->used = files->reads;
	if (from + len > c->read_to)
		c->read_to = from + (uint32_t)len;
	return (ssize_t)len;
}

static ssize_t small_read(struct sockeye__tftp_open_files *files,
			  const struct sockeye__tftp_open_file *file, uint64_t offset, void *buf,
			  size_t len)
{
	size_t first = SOCKEYE__TFTP_CHUNK_BYTES - (size_t)(offset % SOCKEYE__TFTP_CHUNK_BYTES);
	ssize_t n, more;

	if (len <= first)
		return chunk_read(files, file, offset, buf, len);
	n = chunk_read(files, file, offset, buf, first);
	if (n < (ssize_t)first)
		return n;
	more = chunk_read(files, file, offset + first, (uint8_t *)buf + first, len - first);
	return more < 0 ? more : n + more;
}

/* Reads from `offset` into iov[] after its first `skip` bytes. */
static ssize_t each_read(struct sockeye__tftp_open_files *files,
			 const struct sockeye__tftp_open_file *file, uint64_t offset,
			 const struct iovec *iov, int count, size_t skip, bool small)
{
	ssize_t total = 0;

	for (int i = 0; i < count; i++) {
		size_t len = iov[i].iov_len, before = skip < len ? skip : len;
		uint64_t left = file->size - offset;
		uint8_t *to = (uint8_t *)iov[i].iov_base + before;
		ssize_t n;

		skip -= before;
		len = len - before < left ? len - before : (size_t)left;
		if (len == 0)
			continue;
		n = small ? small_read(files, file, offset, to, len)
			  : read_fully(files, file->fd, offset, to, len);
		if (n < 0)
			return n;
		offset += (uint64_t)n;
		total += n;
		if ((size_t)n < len)
			break;
	}
	return total;
}

static ssize_t large_read(struct sockeye__tftp_open_files *files,
			  const struct sockeye__tftp_open_file *file, uint64_t offset,
			  const struct iovec *iov, int count, size_t room)
{
	uint64_t left = file->size - offset;
	ssize_t n, more;

	files->preads++;
	n = preadv(file->fd, iov, count, (off_t)offset);
	if (n < 0 && errno != EINTR)
		return -errno;
	if (n < 0)
		n = 0;
	if ((uint64_t)n >= left) /* more if the file has grown */
		return (ssize_t)left;
	if ((size_t)n == room)
		return n;
	more = each_read(files, file, offset + (uint64_t)n, iov, count, (size_t)n, false);
	return more < 0 ? more : n + more;
}

ssize_t sockeye__tftp_open_file_readv(struct sockeye__tftp_open_files *files,
				      const struct sockeye__tftp_open_file *file, uint64_t offset,
				      const struct iovec *iov, int count)
{
	size_t room = 0;

	if (offset >= file->size)
		return 0;
	for (int i = 0; i < count; i++)
		room += iov[i].iov_len;
	if (room <= SOCKEYE__TFTP_SMALL_READ)
		return each_read(files, file, offset, iov, count, 0, true);
	return large_read(files, file, offset, iov, count, room);
}

ssize_t sockeye__tftp_open_file_read(struct sockeye__tftp_open_files *files,
				     const struct sockeye__tftp_open_file *file, uint64_t offset,
				     void *buf, size_t len)
{
	const struct iovec iov = {buf, len};

	return sockeye__tftp_open_file_readv(files, file, offset, &iov, 1);
}
