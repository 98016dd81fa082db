/* stop.c: signals that stop the program (stop.h). */
#include "cli/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <jansson.h>

#include <sockeye/error.h>
#include <sockeye/time.h>

#include "cli/report.h"

/* Ends a program that is blocked in a write or a name look-up when the deadline passes. */
#define LATE_AGAIN_S 2

/* The second signal for one stop may come from another process, as with sockeye_serve(). */
#define STOP_AGAIN_NS (500 * SOCKEYE_NS_PER_MS)

static volatile sig_atomic_t stop_fd = -1, stop_late, late_reported;
static uint64_t stopped_ns;   /* used by the handler only */
static const char *stop_path; /* set before the handlers are installed, like the lines */
static char stop_line[640], late_line[768];
static int late_fd = STDERR_FILENO;

static void put(int fd, const void *data, size_t len)
{
	while (write(fd, data, len) < 0 && errno == EINTR)
		;
}

/* Writes a line if that does not block: while a handler waits for the reader of a full pipe,
 * only SIGKILL ends the process. A pipe with POLLOUT takes PIPE_BUF bytes. */
static void line_put(int fd, const char *line)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	if (poll(&ready, 1, 0) == 1)
		put(fd, line, strlen(line));
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
	if (stopped_ns != 0 && sig != SIGALRM &&
	    sockeye_now().mono_ns - stopped_ns < STOP_AGAIN_NS) {
		errno = saved;
		return;
	}
	stop_fd = -1;
	if (fd >= 0) {
		stopped_ns = sockeye_now().mono_ns;
		stop_late = sig == SIGALRM;
		put(fd, &(uint64_t){1}, sizeof(uint64_t));
		errno = saved;
		return;
	}
	if (stop_path)
		unlink(stop_path);
	if (sig == SIGALRM && !late_reported)
		line_put(late_fd, late_line);
	else if (!stop_late)
		line_put(STDOUT_FILENO, stop_line);
	_exit(sig == SIGALRM || stop_late ? SOCKEYE_EXIT_TIMED_OUT : SOCKEYE_EXIT_INTERRUPTED);
}

/* Writes the document as one line, or an empty line if the document does not fit. */
static void line_write(json_t *event, char *line, size_t cap)
{
	size_t len = event ? json_dumpb(event, line, cap - 2, JSON_COMPACT | JSON_ENSURE_ASCII) : 0;

	json_decref(event);
	line[0] = len > 0 && len < cap - 2 ? line[0] : '\0';
	if (line[0])
		memcpy(line + len, "\n", 2);
}

void stop_catch(const struct cli_common *common, const char *op, const char *address,
		const char *path)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigfillset(&action.sa_mask); /* the handler is not interrupted by another signal */
	line_write(common->json ? report_error_event(op, address, -EINTR, SOCKEYE_EXIT_INTERRUPTED)
				: NULL,
		   stop_line, sizeof stop_line);
	stop_path = path;
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

static struct sockeye_fail late_fail(const char *op, const char *address)
{
	struct sockeye_fail fail = {
	    .op = op, .err = -ETIMEDOUT, .detail = STOP_DEADLINE_DETAIL, .explained = true};

	snprintf(fail.address, sizeof fail.address, "%s", address);
	return fail;
}

/* Writes the line that the handler prints when the deadline has passed. */
static void late_line_write(const struct cli_common *common, const struct sockeye_fail *fail)
{
	json_t *event;
	size_t len;

	if (common->json) {
		late_fd = STDOUT_FILENO;
		event =
		    report_error_event(fail->op, fail->address, fail->err, SOCKEYE_EXIT_TIMED_OUT);
		if (event)
			json_object_set_new(event, "detail", json_string(fail->detail));
		line_write(event, late_line, sizeof late_line);
		return;
	}
	len = (size_t)snprintf(late_line, sizeof late_line, "sockeye: ");
	sockeye_fail_text(fail, late_line + len, sizeof late_line - len - 1);
	len = strlen(late_line);
	memcpy(late_line + len, "\n", 2);
}

void stop_deadline(const struct cli_common *common, const char *op, const char *address,
		   uint64_t deadline_ns)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	const struct itimerval timer = {
	    .it_interval = {.tv_sec = LATE_AGAIN_S},
	    .it_value = {.tv_sec = (time_t)(deadline_ns / SOCKEYE_NS_PER_S),
			 .tv_usec = (suseconds_t)(deadline_ns % SOCKEYE_NS_PER_S / 1000)}};
	const struct sockeye_fail fail = late_fail(op, address);
	sigset_t alarm;

	if (deadline_ns == 0)
		return;
	late_line_write(common, &fail);
	sigfillset(&action.sa_mask);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigaction(SIGALRM, &action, NULL);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

bool stop_is_late(void)
{
	return stop_late != 0;
}

int stop_report(const struct cli_common *common, const char *op, const char *address)
{
	const struct sockeye_fail fail = late_fail(op, address);

	if (!stop_late)
		return SOCKEYE_EXIT_INTERRUPTED;
	late_reported = 1;
	return report_fail(common, &fail);
}
