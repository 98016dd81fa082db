/* connect_check.c: finds out which ports accept connections (connect_check.h). */
#include "connect_check.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/stream.h>
#include <sockeye/text.h>
#include <sockeye/time.h>

#include "cli/address.h"
#include "cli/report.h"
#include "cli/stop.h"
#include "commands.h"
#include "talk/check.h"

#define TIMEOUT_NS   (5 * SOCKEYE_NS_PER_S)
#define PORTS_MAX    65535
#define PORTS_WANTED "--check takes a port, or a list such as 20-25,80 of at most 65535 ports"

struct check {
	const struct check_opts *o;
	struct sockeye_addr addr; /* as the user wrote it, with the first port */
	uint16_t *ports;          /* in the order of the output */
	size_t port_count;        /* 1 for a UNIX-domain socket */
	bool seen[256];           /* which exit codes the ports had */
	int code;                 /* of the first port that is not open */
};

/* --- operands --- */

/* Reads "20" or "20-25" up to a comma or the end of the text. Returns the position there,
 * or NULL if the text is malformed. */
static const char *range_read(const char *text, unsigned long *out_first, unsigned long *out_last)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return NULL;
	*out_first = *out_last = strtoul(text, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		*out_last = strtoul(end + 1, &end, 10);
	if (*out_first == 0 || *out_last > PORTS_MAX || *out_first > *out_last)
		return NULL;
	return *end == '\0' || *end == ',' ? end : NULL;
}

/* Adds the ports of a list. Returns false if the list is malformed or too long. */
static bool ports_read(struct check *c, const char *text)
{
	unsigned long first, last;

	for (const char *end;; text = end + 1) {
		end = range_read(text, &first, &last);
		if (end == NULL || c->port_count + (last - first + 1) > PORTS_MAX)
			return false;
		for (unsigned long port = first; port <= last; port++)
			c->ports[c->port_count++] = (uint16_t)port;
		if (*end == '\0')
			return true;
	}
}

/* Returns the list of ports that ends the word, or NULL if it has none. `may_be_port`:
 * the word follows a host. */
static const char *list_find(const char *word, bool may_be_port)
{
	const char *colon = strrchr(word, ':'), *list = may_be_port ? word : colon ? colon + 1 : "";
	size_t len = strspn(list, "0123456789,-");

	/* a question mark begins the options of the address */
	return len > 0 && (list[len] == '\0' || list[len] == '?') && strcspn(list, ",-") < len
		   ? list
		   : NULL;
}

/* Reads the address and its ports. Returns CLI_GO or the exit code. */
static int operands_read(struct check *c, const struct cli_operands *operands)
{
	const struct cli_common *common = c->o->common;
	char word[SOCKEYE_ADDR_TEXT_MAX], list[SOCKEYE_ADDR_TEXT_MAX], *v[2];
	struct cli_operands one = {operands->count, v};
	const char *last = operands->v[operands->count - 1], *found;
	int code;

	found = list_find(last, operands->count == 2);
	if (!found || operands->count > 2 || strlen(last) >= sizeof word) {
		code = cli_address_only(common, &connect_command, operands, CLI_CONNECTS, "tcp",
					&c->addr);
		c->ports[c->port_count++] = c->addr.port;
		return code;
	}
	snprintf(list, sizeof list, "%.*s", (int)strcspn(found, "?"), found);
	if (!ports_read(c, list))
		return cli_usage(common, &connect_command, "%s, not '%s'", PORTS_WANTED,
				 cli_shown(list).text);
	snprintf(word, sizeof word, "%.*s%u%s", (int)(found - last), last, c->ports[0],
		 found + strlen(list));
	v[0] = operands->count == 2 ? operands->v[0] : word;
	v[1] = word;
	return cli_address_only(common, &connect_command, &one, CLI_CONNECTS, "tcp", &c->addr);
}

/* --- output --- */

static void port_print(const struct check *c, uint16_t port, int err, uint64_t ns)
{
	struct sockeye_addr addr = c->addr;
	char text[SOCKEYE_ADDR_TEXT_MAX];
	const char *what = err < 0 ? sockeye_error_text(err) : "open";

	if (c->port_count > 1) {
		addr.has_port = true;
		addr.port = port;
	}
	sockeye_addr_print(&addr, text, sizeof text);
	if (!c->o->common->json) {
		printf("%s: %s\n", text, what);
		return;
	}
	report_json(json_pack("{ss so sb ss? ss sf si}", "event", "check", "address",
			      report_string(text), "open", err == 0, "error",
			      err < 0 ? sockeye_error_name(err) : NULL, "text", what, "seconds",
			      (double)ns / 1e9, "exit", sockeye_error_exit(err)));
}

static void on_port(void *arg, size_t port, int err, uint64_t ns)
{
	struct check *c = arg;

	port_print(c, c->ports[port], err, ns);
	c->seen[sockeye_error_exit(err)] = true;
	if (c->code == SOCKEYE_EXIT_DONE)
		c->code = sockeye_error_exit(err);
}

/* --- the run --- */

/* Returns the exit code of the most informative failure, not of the most frequent one. */
static int code_choose(const struct check *c)
{
	static const int order[] = {SOCKEYE_EXIT_LOCAL, SOCKEYE_EXIT_NOT_FOUND,
				    SOCKEYE_EXIT_NETWORK, SOCKEYE_EXIT_TIMED_OUT,
				    SOCKEYE_EXIT_REFUSED};

	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
		if (c->seen[order[i]])
			return order[i];
	return c->code;
}

/* Probes all ports. Returns the exit code. */
static int ports_probe(struct check *c, const struct sockeye_addr *addr, const char *address)
{
	const struct check_opts *o = c->o;
	struct sockeye__check *check;
	struct sockeye_fail fail;
	int code, err = sockeye__check_open(addr, c->ports, c->port_count, &check, &fail);

	if (err < 0)
		return cli_address_fail(o->common, &fail);
	err = sockeye__check_run(check, o->timeout_ns ? o->timeout_ns : TIMEOUT_NS, stop_open(),
				 on_port, c);
	if (err == -EINTR && stop_is_late()) {
		sockeye__check_expire(check);
		err = 0;
	}
	if (err == 0)
		code = code_choose(c);
	else if (err == -EINTR)
		code = SOCKEYE_EXIT_INTERRUPTED;
	else
		code = report_error(o->common, "connect", address, err, NULL);
	sockeye__check_close(check);
	return code;
}

/* Applies the options of the command line. Returns NULL, or the reason why they do not
 * fit the address. */
static const char *options_apply(const struct check_opts *o, struct sockeye_addr *addr)
{
	if (addr->scheme == SOCKEYE_FD || !sockeye_scheme_is_stream(addr->scheme))
		return "--check is for connections; a datagram socket has none to open";
	if (sockeye_scheme_is_unix(addr->scheme) && (o->dontroute || o->family))
		return "-4, -6 and --dontroute are for IP addresses";
	if (o->family && addr->family && addr->family != o->family)
		return "-4 and -6 do not fit the address";
	if (o->bind && strlen(o->bind) >= sizeof addr->opts.bind)
		return "--bind is too long";
	if (o->family)
		addr->family = o->family;
	if (o->bind)
		snprintf(addr->opts.bind, sizeof addr->opts.bind, "%s", o->bind);
	addr->opts.dontroute = addr->opts.dontroute || o->dontroute;
	return NULL;
}

int check_run(const struct check_opts *o, const struct cli_operands *operands)
{
	static uint16_t ports[PORTS_MAX]; /* too large for the stack */
	struct check c = {.o = o, .ports = ports};
	char address[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;
	const char *wrong;
	int code = operands_read(&c, operands);

	if (code != CLI_GO)
		return code;
	addr = c.addr;
	sockeye_addr_print(&addr, address, sizeof address);
	addr.shown = address;
	wrong = options_apply(o, &addr);
	if (wrong)
		return cli_usage(o->common, &connect_command, "%s", wrong);
	stop_catch(o->common, "connect", address, NULL);
	stop_deadline(o->common, "connect", address, o->deadline_ns);
	code = ports_probe(&c, &addr, address);
	fflush(stdout);
	return code;
}
