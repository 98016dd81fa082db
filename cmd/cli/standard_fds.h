/* standard_fds.h: file descriptors 0, 1 and 2 that the caller closed. */
#ifndef SOCKEYE_CMD_CLI_STANDARD_FDS_H
#define SOCKEYE_CMD_CLI_STANDARD_FDS_H

#include <stdbool.h>

/* Opens /dev/null in place of each of these descriptors that is closed. Otherwise a socket
 * could get its number, and messages for the user would be sent to the peer. */
void standard_fds_fill(void);

/* Whether the descriptor was closed when the program started, so that it cannot be used for
 * input or output. */
bool standard_fd_was_closed(int fd);

#endif
