/* serve_log_output.c: writes lines without blocking (serve_log_output.h). */
#include "serve_log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sockeye/error.h>

static int out_fd = STDERR_FILENO;
static bool is_socket;         /* for example, of journald */
static _Atomic unsigned lost;  /* lines lost since the last line that was written */
static _Atomic int lost_err;   /* why they were lost */
static _Atomic bool cut_short; /* only part of the last line was written */

/* Other processes share the open file description of standard error, so O_NONBLOCK must not
 * be set on it. Opening the file again creates a new open file description. */
void log_output_open(void)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	is_socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode) && !isatty(STDERR_FILENO))
		return;
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		out_fd = fd;
}

/* Whether a write would not block, for a file that cannot be made non-blocking. */
static bool has_room(void)
{
	struct pollfd p = {.fd = out_fd, .events = POLLOUT};

	return out_fd != STDERR_FILENO || is_socket || poll(&p, 1, 0) != 0;
}

/* Returns the number of bytes written, or -errno. */
static ssize_t put(const char *text, size_t len)
{
	ssize_t n;

	if (!has_room())
		return -EAGAIN;
	n = is_socket ? send(out_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL)
		      : write(out_fd, text, len);
	return n < 0 ? -errno : n;
}

/* Writes a whole line. Returns false if the line is lost. */
static bool line_put(const char *line, size_t len)
{
	ssize_t n = cut_short ? put("\n", 1) : 1;

	if (n == 1) {
		cut_short = false;
		n = put(line, len);
	}
	if (n == (ssize_t)len)
		return true;
	if (n > 0)
		cut_short = true;
	lost_err = n < 0 ? (int)n : 0;
	lost++;
	return false;
}

/* Reports the lost lines. Returns false if the report is lost too. */
static bool lost_put(bool json)
{
	const unsigned lines = lost;
	/* a full pipe needs no explanation */
	const int err = lost_err == -EAGAIN ? 0 : lost_err;
	char note[160];

	if (json)
		snprintf(note, sizeof note, "{\"event\":\"warning\",\"lines_lost\":%u%s%s%s}\n",
			 lines, err != 0 ? ",\"error\":\"" : "",
			 err != 0 ? sockeye_error_name(err) : "", err != 0 ? "\"" : "");
	else
		snprintf(note, sizeof note, "warning: %u log lines were lost%s%s\n", lines,
			 err != 0 ? ": " : "", err != 0 ? sockeye_error_text(err) : "");
	if (!line_put(note, strlen(note))) {
		lost--; /* do not count the report itself */
		return false;
	}
	lost -= lines;
	return true;
}

void log_output_write(const char *line, size_t len, bool json)
{
	if (lost > 0 && !lost_put(json))
		lost++;
	else
		(void)line_put(line, len);
}
