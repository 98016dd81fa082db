/* stop.c: signals that stop the program (stop.h). */
#include "cli/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <jansson.h>

#include <sockeye/error.h>

#include "cli/report.h"

static volatile sig_atomic_t stop_fd = -1;
static const char *stop_path; /* both set before the handlers are installed */
static char stop_line[640];

static void put(int fd, const void *data, size_t len)
{
	while (write(fd, data, len) < 0 && errno == EINTR)
		;
}

static bool hangup_only, on_terminal; /* both set before the handlers are installed */

/* Also called by the handler. */
static bool has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void stop_at_hangup_only(void)
{
	hangup_only = true;
	on_terminal = has_terminal();
}

static void on_signal(int sig)
{
	int saved = errno, fd = stop_fd;

	if (sig == SIGHUP && hangup_only && (!on_terminal || has_terminal())) {
		errno = saved;
		return;
	}
	stop_fd = -1;
	if (fd >= 0) {
		put(fd, &(uint64_t){1}, sizeof(uint64_t));
		errno = saved;
		return;
	}
	if (stop_path)
		unlink(stop_path);
	put(STDOUT_FILENO, stop_line, strlen(stop_line));
	_exit(SOCKEYE_EXIT_INTERRUPTED);
}

void stop_catch(const struct cli_common *common, const char *op, const char *address,
		const char *path)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	json_t *event =
	    common->json ? report_error_event(op, address, -EINTR, SOCKEYE_EXIT_INTERRUPTED) : NULL;
	size_t len = event ? json_dumpb(event, stop_line, sizeof stop_line - 2,
					JSON_COMPACT | JSON_ENSURE_ASCII)
			   : 0;

	json_decref(event);
	stop_path = path;
	if (len > 0 && len < sizeof stop_line - 2)
		stop_line[len] = '\n';
	else
		stop_line[0] = '\0';
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		struct sigaction old;

		/* An ignored signal stays ignored: SIGHUP under nohup(1), SIGINT in a
		 * background job. */
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

int stop_open(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	stop_line[0] = '\0'; /* the caller reports the interruption */
	stop_fd = fd;
	return fd;
}
