/* serve_inherited.c: shares the sockets that systemd passes out to the services. */
#include "serve.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"

/* Adds socket i as an address of the service. Returns CLI_GO or the exit code. */
static int socket_add(struct serve *s, const struct sockeye_service *service, size_t i)
{
	const struct serve_feature *feature = serve_feature_of(service);
	char text[16];
	int code = CLI_GO;

	snprintf(text, sizeof text, "fd:%zu", CLI_INHERITED_FIRST + i);
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
	for (size_t i = 0; i < in->from.named; i++)
		if (strcmp(in->from.names[i], service->name) == 0)
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
	    i < in->from.named ? serve_service_find(in->from.names[i]) : NULL;

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

static bool is_used(const struct serve *s, size_t i)
{
	for (size_t k = 0; k < s->site_count; k++)
		if (s->sites[k].site.addr.scheme == SOCKEYE_FD &&
		    s->sites[k].site.addr.fd == CLI_INHERITED_FIRST + (int)i)
			return true;
	return false;
}

void serve_inherited_drop(const struct serve *s, const struct serve_inherited *in)
{
	for (size_t i = 0; i < in->from.count; i++)
		if (!is_used(s, i))
			cli_inherited_drop(&s->common, i, "a service without an address takes it");
}

int serve_inherited_share(struct serve *s, const struct serve_inherited *in)
{
	int code = CLI_GO;

	for (size_t i = 0; i < in->from.count && code == CLI_GO; i++) {
		const struct sockeye_service *service = service_for(s, in, i);

		if (service == NULL)
			return cli_usage(
			    &s->common, &serve_command,
			    "no service is given for the socket fd:%zu%s%s of LISTEN_FDS",
			    CLI_INHERITED_FIRST + i, i < in->from.named ? ", " : "",
			    i < in->from.named ? in->from.names[i] : "");
		code = socket_add(s, service, i);
	}
	for (size_t k = 0; k < in->waiting_count && code == CLI_GO; k++)
		if (!serve_has(s, in->waiting[k]))
			return cli_usage(&s->common, &serve_command,
					 "LISTEN_FDS has no socket for %s", in->waiting[k]->name);
	return code;
}
