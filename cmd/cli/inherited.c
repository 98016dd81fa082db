/* inherited.c: the sockets that a service manager passes (inherited.h). */
#include "cli/inherited.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/report.h"

/* Moves the value of a variable to buf. Removes the variable, and erases its text, which
 * would remain visible in /proc/PID/environ. Returns false if the variable is not set or its
 * value does not fit. */
static bool variable_take(const char *name, char *buf, size_t cap)
{
	char *value = getenv(name);
	size_t len = value != NULL ? strlen(value) : 0;
	bool fits = value != NULL && len < cap;

	if (value == NULL)
		return false;
	if (fits)
		memcpy(buf, value, len + 1);
	unsetenv(name);
	memset(value - strlen(name) - 1, 0, strlen(name) + 1 + len);
	return fits;
}

static bool number_take(const char *name, uint64_t max, uint64_t *out)
{
	char text[16], *end;

	if (!variable_take(name, text, sizeof text) || *text < '0' || *text > '9')
		return false;
	*out = strtoull(text, &end, 10);
	return *end == '\0' && *out <= max;
}

void cli_inherited_take(struct cli_inherited *out)
{
	uint64_t pid = 0, count = 0;
	bool counted = number_take("LISTEN_FDS", CLI_INHERITED_MAX, &count);
	bool named = variable_take("LISTEN_FDNAMES", out->text, sizeof out->text);
	bool ours = number_take("LISTEN_PID", INT32_MAX, &pid) && pid == (uint64_t)getpid();

	out->count = ours && counted ? (size_t)count : 0;
	out->named = 0;
	for (char *at = out->text; named && at != NULL && out->named < out->count; out->named++)
		out->names[out->named] = strsep(&at, ":");
}

struct sockeye_addr cli_inherited_addr(size_t i)
{
	return (struct sockeye_addr){.scheme = SOCKEYE_FD, .fd = CLI_INHERITED_FIRST + (int)i};
}

int cli_fd_scheme(int fd)
{
	int domain, type;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){sizeof domain}) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof type}) < 0)
		return -errno;
	if (domain == AF_UNIX)
		return type == SOCK_STREAM  ? SOCKEYE_UNIX
		       : type == SOCK_DGRAM ? SOCKEYE_UNIX_DGRAM
					    : SOCKEYE_UNIX_SEQPACKET;
	return type == SOCK_DGRAM ? SOCKEYE_UDP : SOCKEYE_TCP;
}

void cli_fd_text(int fd, char *buf, size_t cap)
{
	struct sockeye_sockaddr name;
	int scheme = cli_fd_scheme(fd);
	size_t len = (size_t)snprintf(buf, cap, "fd:%d", fd);

	if (scheme < 0 || sockeye_local_name(fd, &name) < 0 || len + 2 >= cap)
		return;
	memcpy(buf + len, ", ", 3);
	sockeye_sockaddr_print_url(&name, (enum sockeye_scheme)scheme, buf + len + 2,
				   cap - len - 2);
}

void cli_inherited_drop(const struct cli_common *common, size_t i, const char *instead)
{
	const int fd = CLI_INHERITED_FIRST + (int)i;
	char text[256];

	if (cli_fd_scheme(fd) < 0)
		return;
	cli_fd_text(fd, text, sizeof text);
	close(fd);
	report_info(common, "warning: closed a socket of LISTEN_FDS that is not used: %s; %s", text,
		    instead);
}

void cli_inherited_drop_all(const struct cli_common *common, const struct cli_inherited *in,
			    const struct sockeye_addr *used, const char *instead)
{
	for (size_t i = 0; i < in->count; i++)
		if (used->scheme != SOCKEYE_FD || used->fd != CLI_INHERITED_FIRST + (int)i)
			cli_inherited_drop(common, i, instead);
}

int cli_inherited_listen(const struct cli_inherited *in, const struct sockeye_listen_opts *opts,
			 struct sockeye_listener *out_listeners, struct sockeye_fail *fail)
{
	size_t opened = 0;
	int err = 0;

	while (opened < in->count && err >= 0) {
		struct sockeye_addr addr = cli_inherited_addr(opened);

		err = sockeye_listen(&addr, opts, &out_listeners[opened], 1, fail);
		opened += err > 0;
	}
	for (size_t i = 0; i < opened; i++) {
		if (err < 0)
			sockeye_listener_close(&out_listeners[i]);
		else
			close(CLI_INHERITED_FIRST + (int)i);
	}
	return err < 0 ? err : (int)opened;
}
