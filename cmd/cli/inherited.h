/*
 * inherited.h: the sockets that a service manager passes (sd_listen_fds(3)).
 */
#ifndef SOCKEYE_CMD_CLI_INHERITED_H
#define SOCKEYE_CMD_CLI_INHERITED_H

#include <stddef.h>

#include <sockeye/stream.h>

#include "cli/cli.h"

#define CLI_INHERITED_FIRST 3 /* SD_LISTEN_FDS_START: their first file descriptor */
#define CLI_INHERITED_MAX   128

struct cli_inherited {
	size_t count, named;
	const char *names[CLI_INHERITED_MAX]; /* from the service manager; point into `text` */
	char text[4096];
};

/* Takes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES out of the environment. *out has no
 * sockets if they are not for this process. */
void cli_inherited_take(struct cli_inherited *out);

/* Writes the address of socket i. */
struct sockeye_addr cli_inherited_addr(size_t i);

/* Returns the scheme of a socket's addresses, or -errno. */
int cli_fd_scheme(int fd);

/* Writes a socket and its address: "fd:3, udp://127.0.0.1:69". */
void cli_fd_text(int fd, char *buf, size_t cap);

/* Closes socket i, which is not served, so that its clients do not wait. Prints a warning with
 * its address and `instead`, a sentence about how to use it. Does nothing if it is not a
 * socket. */
void cli_inherited_drop(const struct cli_common *common, size_t i, const char *instead);

/* Does the same for all sockets, except for the socket of the address `used`. */
void cli_inherited_drop_all(const struct cli_common *common, const struct cli_inherited *in,
			    const struct sockeye_addr *used, const char *instead);

/* Opens in->count listeners like sockeye_listen(), and closes the file descriptors that were
 * passed. Returns their number, or a negative code with *fail and without a listener. */
int cli_inherited_listen(const struct cli_inherited *in, const struct sockeye_listen_opts *opts,
			 struct sockeye_listener *out_listeners, struct sockeye_fail *fail);

#endif
