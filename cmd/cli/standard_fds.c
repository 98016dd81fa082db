/* standard_fds.c: see standard_fds.h. */
#include "cli/standard_fds.h"

#include <fcntl.h>
#include <unistd.h>

static bool closed[STDERR_FILENO + 1];

bool standard_fd_was_closed(int fd)
{
	return closed[fd];
}

void standard_fds_fill(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		closed[fd] = true;
	if (fd >= 0)
		close(fd);
}
