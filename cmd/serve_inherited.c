/* serve_inherited.c: the sockets that systemd passes to a server (sd_listen_fds(3)). */
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

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

void serve_inherited_take(struct serve_inherited *out)
{
	uint64_t pid = 0, count = 0;
	bool counted = number_take("LISTEN_FDS", SERVE_SITES_MAX, &count);
	bool named = variable_take("LISTEN_FDNAMES", out->text, sizeof out->text);
	bool ours = number_take("LISTEN_PID", INT32_MAX, &pid) && pid == (uint64_t)getpid();

	out->count = ours && counted ? (size_t)count : 0;
	for (char *at = out->text; named && at != NULL && out->named < out->count; out->named++)
		out->names[out->named] = strsep(&at, ":");
}

/* --- which service gets a socket --- */

/* Adds socket i as an address of the service. Returns CLI_GO or the exit code. */
static int socket_add(struct serve *s, const struct sockeye_service *service, size_t i)
{
	const struct serve_feature *feature = serve_feature_of(service);
	char text[16];
	int code = CLI_GO;

	snprintf(text, sizeof text, "fd:%zu", FIRST_FD + i);
	if (feature != NULL)
		code = feature->address_check(s, text);
	if (code == CLI_GO)
		code = serve_site_add(s, service, text);
	return code;
}

/* Whether the service has a socket, or will get one by name. */
static bool is_provided(const struct serve *s, const struct serve_inherited *in,
			const struct sockeye_service *service)
{
	for (size_t i = 0; i < in->named; i++)
		if (strcmp(in->names[i], service->name) == 0)
			return true;
	return serve_has(s, service);
}

/* Returns the service that gets socket i, or NULL if there is none: the service that the
 * socket's name denotes, otherwise the first waiting service without a socket, otherwise
 * the last waiting service. */
static const struct sockeye_service *service_for(const struct serve *s,
						 const struct serve_inherited *in, size_t i)
{
	const struct sockeye_service *named =
	    i < in->named ? serve_service_find(in->names[i]) : NULL;

	for (size_t k = 0; named != NULL && k < in->waiting_count; k++)
		if (in->waiting[k] == named)
			return named;
	if (named != NULL)
		return s->has_operands ? NULL : named;
	for (size_t k = 0; k < in->waiting_count; k++)
		if (!is_provided(s, in, in->waiting[k]))
			return in->waiting[k];
	return in->waiting_count > 0 ? in->waiting[in->waiting_count - 1] : NULL;
}

int serve_inherited_share(struct serve *s, const struct serve_inherited *in)
{
	int code = CLI_GO;

	for (size_t i = 0; i < in->count && code == CLI_GO; i++) {
		const struct sockeye_service *service = service_for(s, in, i);

		if (service == NULL)
			return cli_usage(
			    &s->common, &serve_command,
			    "no service is given for the socket fd:%zu%s%s of LISTEN_FDS",
			    FIRST_FD + i, i < in->named ? ", " : "",
			    i < in->named ? in->names[i] : "");
		code = socket_add(s, service, i);
	}
	for (size_t k = 0; k < in->waiting_count && code == CLI_GO; k++)
		if (!serve_has(s, in->waiting[k]))
			return cli_usage(&s->common, &serve_command,
					 "LISTEN_FDS has no socket for %s", in->waiting[k]->name);
	return code;
}
