/*
 * open_files.h: the files that are being sent, each open once however many
 * transfers send it, and their bytes.
 *
 * A lockstep transfer reads little at a time; that is served from chunks which
 * were read at once. There is a fixed number of them, filled when first needed.
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
#define SOCKEYE__TFTP_SMALL_READ   4096 /* bytes; a larger read is its own system call */
#define SOCKEYE__TFTP_FILE_BUCKETS 256

struct sockeye__tftp_open_file;

/* A part of a file, in memory. */
struct sockeye__tftp_chunk {
	const struct sockeye__tftp_open_file *file; /* NULL: nobody's */
	uint64_t number;
	uint64_t used; /* when last, in reads */
	uint32_t len;
	uint32_t read_to; /* how far somebody has got */
	uint8_t *bytes;   /* NULL until first used */
};

struct sockeye__tftp_open_files {
	struct sockeye__tftp_open_file *buckets[SOCKEYE__TFTP_FILE_BUCKETS];
	struct sockeye__tftp_chunk chunks[SOCKEYE__TFTP_CHUNKS];
	uint64_t reads; /* the clock of the chunks */
	uint64_t preads;
	unsigned count; /* files that are open */
};

/* All files must have been released. Legal when zeroed. */
void sockeye__tftp_open_files_fini(struct sockeye__tftp_open_files *files);

/* The open file that `st` describes, counted once more; NULL when there is none
 * or it has changed since: same device, inode, size, and times of its last
 * change. */
struct sockeye__tftp_open_file *
sockeye__tftp_open_files_find(struct sockeye__tftp_open_files *files, const struct stat *st);

/* A file for the descriptor, which `st` describes, counted once; NULL without
 * memory. Takes fd for good on success. */
struct sockeye__tftp_open_file *
sockeye__tftp_open_files_adopt(struct sockeye__tftp_open_files *files, int fd,
			       const struct stat *st);

/* Counts it once more. */
struct sockeye__tftp_open_file *
sockeye__tftp_open_files_share(struct sockeye__tftp_open_file *file);

/* Counts it once less; the last one closes it. */
void sockeye__tftp_open_files_release(struct sockeye__tftp_open_files *files,
				      struct sockeye__tftp_open_file *file);

/* Bytes it had when it was opened. More are never read, though it grows. */
uint64_t sockeye__tftp_open_file_size(const struct sockeye__tftp_open_file *file);

/* Reads into iov[] from `offset` on. How many bytes: all there is room for,
 * less at the end, and when the file has been cut meanwhile; or -errno. `count`
 * is at most IOV_MAX. */
ssize_t sockeye__tftp_open_file_readv(struct sockeye__tftp_open_files *files,
				      const struct sockeye__tftp_open_file *file, uint64_t offset,
				      const struct iovec *iov, int count);
ssize_t sockeye__tftp_open_file_read(struct sockeye__tftp_open_files *files,
				     const struct sockeye__tftp_open_file *file, uint64_t offset,
				     void *buf, size_t len);

#endif
