/*
 * open_files.h: the files that are being sent. A file is open once, no matter how many
 * transfers send it, unless it had just changed when it was opened.
 *
 * A transfer without a window reads one block at a time. Such small reads are served
 * from a cache of larger chunks. The number of chunks is fixed; their memory is
 * allocated when it is first used.
 */
#ifndef SOCKEYE_TFTP_SERVER_OPEN_FILES_H
#define SOCKEYE_TFTP_SERVER_OPEN_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#define SOCKEYE__TFTP_CHUNK_BYTES  (32 * 1024)
#define SOCKEYE__TFTP_CHUNKS       64
#define SOCKEYE__TFTP_SMALL_READ   4096 /* bytes; larger reads bypass the cache */
#define SOCKEYE__TFTP_FILE_BUCKETS 256

struct sockeye__tftp_open_file;

/* A part of a file in the cache. */
struct sockeye__tftp_chunk {
	const struct sockeye__tftp_open_file *file; /* NULL: unused */
	uint64_t number;
	uint64_t used; /* value of `reads` when it was last used */
	uint32_t len;
	uint32_t read_to; /* the end of the furthest read from it */
	uint8_t *bytes;   /* NULL until it is first used */
};

struct sockeye__tftp_open_files {
	struct sockeye__tftp_open_file *buckets[SOCKEYE__TFTP_FILE_BUCKETS];
	struct sockeye__tftp_chunk chunks[SOCKEYE__TFTP_CHUNKS];
	uint64_t reads; /* small reads so far; the clock of the cache */
	uint64_t preads;
	unsigned count; /* open files */
};

/* Frees the cache. All files must have been released. Legal when zeroed. */
void sockeye__tftp_open_files_fini(struct sockeye__tftp_open_files *files);

/* Returns the open file that `st` describes, with one more user, or NULL if the file is not
 * open or has changed: its device, inode, size and times must be the same. */
struct sockeye__tftp_open_file *
sockeye__tftp_open_files_find(struct sockeye__tftp_open_files *files, const struct stat *st);

/* Returns a new open file with one user for the descriptor, which `st` describes. The
 * new file owns the descriptor. Returns NULL if memory is short. */
struct sockeye__tftp_open_file *
sockeye__tftp_open_files_adopt(struct sockeye__tftp_open_files *files, int fd,
			       const struct stat *st);

/* Adds a user. */
struct sockeye__tftp_open_file *
sockeye__tftp_open_files_share(struct sockeye__tftp_open_file *file);

/* Removes a user. The last one closes the file. */
void sockeye__tftp_open_files_release(struct sockeye__tftp_open_files *files,
				      struct sockeye__tftp_open_file *file);

/* Returns the size that the file had when it was opened. Later bytes are never read. */
uint64_t sockeye__tftp_open_file_size(const struct sockeye__tftp_open_file *file);

/* Reads into iov[] from `offset` on. Returns the number of bytes, fewer than fit only
 * at the end of the file or if the file has become shorter, or -errno. `count` is at
 * most IOV_MAX. */
ssize_t sockeye__tftp_open_file_readv(struct sockeye__tftp_open_files *files,
				      const struct sockeye__tftp_open_file *file, uint64_t offset,
				      const struct iovec *iov, int count);
ssize_t sockeye__tftp_open_file_read(struct sockeye__tftp_open_files *files,
				     const struct sockeye__tftp_open_file *file, uint64_t offset,
				     void *buf, size_t len);

#endif
