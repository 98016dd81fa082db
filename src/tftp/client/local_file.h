/*
 * local_file.h: the local end of a client's transfer: a file that appears whole
 * or not at all, a file to read in place, or a pipe, terminal or device.
 */
#ifndef SOCKEYE_TFTP_CLIENT_LOCAL_FILE_H
#define SOCKEYE_TFTP_CLIENT_LOCAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/filters.h"
#include "console/standard_io.h"
#include "files/atomic_file.h"
#include "tftp/sink.h"
#include "tftp/source.h"

/* Waiting bytes of a stream beyond which the network is read no more. */
#define SOCKEYE__TFTP_LOCAL_FILE_FULL (1U << 20)

/* Its place must not change while it is open. */
struct sockeye__tftp_local_file {
	int fd;        /* to read in place, or a stream's that was opened here; -1 none */
	uint64_t base; /* where reading begins */
	struct sockeye__atomic_file newfile;
	struct sockeye__standard_io stream; /* of kind NONE for files */
	bool awaited;                       /* a stream that has not been ready once yet */
	struct sockeye__filter_safe safe;   /* what a terminal is shown */
	uint8_t *buf;                       /* what the stream has not taken yet, */
	size_t cap, start, len;             /* at buf[start..start + len) */
};

/* To write to. A path gets a new file, unless something is there that is no
 * regular file (a device, a FIFO): that is written to. A path that is a symbolic
 * link to a file stands for that file. 0 or -errno; fills in *out_sink. */
int sockeye__tftp_local_file_create(struct sockeye__tftp_local_file *f, const char *path,
				    struct sockeye__tftp_sink *out_sink);

/* To read: a regular file or a FIFO (-EISDIR, -ENXIO for others). */
int sockeye__tftp_local_file_open(struct sockeye__tftp_local_file *f, const char *path,
				  struct sockeye__tftp_source *out_source);

/* The same for a descriptor of the caller's: standard output and input. */
void sockeye__tftp_local_file_create_at(struct sockeye__tftp_local_file *f, int fd,
					struct sockeye__tftp_sink *out_sink);
void sockeye__tftp_local_file_open_at(struct sockeye__tftp_local_file *f, int fd,
				      struct sockeye__tftp_source *out_source);

/* Writes what waits, as far as the stream takes it now. 0 or -errno. */
int sockeye__tftp_local_file_drain(struct sockeye__tftp_local_file *f);

/* All has been written to the sink: what is held back waits, too. */
int sockeye__tftp_local_file_end(struct sockeye__tftp_local_file *f);

/* A file gets its name. 0 or -errno. */
int sockeye__tftp_local_file_commit(struct sockeye__tftp_local_file *f);

/* Leaves nothing of what was not committed. Legal when zeroed. */
void sockeye__tftp_local_file_close(struct sockeye__tftp_local_file *f);

#endif
