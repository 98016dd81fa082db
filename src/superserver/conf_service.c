/* conf_service.c: finds services that cannot work or would not be protected
 * (conf_internal.h). */
#include "superserver/conf_internal.h"

#include <arpa/inet.h>
#include <string.h>

/* Built-in services, and the ports that they have without services(5). A port of 0 is not
 * known. */
static const struct {
	const char *name;
	int port;
} builtins[] = {
    {"echo", 7},  {"discard", 9}, {"daytime", 13}, {"chargen", 19}, {"time", 37},
    {"tftp", 69}, {"tcpmux", 1},  {"reply", 0},    {"upper", 0},
};

static int listed_port(const struct sockeye__conf_reading *r, const struct sockeye__conf_service *s)
{
	const char *protocol = sockeye__conf_infos[SOCKEYE__CONF_A_PROTOCOL].words[s->protocol];
	int port = -1;

	if (r->world->port != NULL)
		port = r->world->port(r->world->context, s->name, protocol);
	for (size_t i = 0; port <= 0 && i < sizeof builtins / sizeof *builtins; i++)
		if (sockeye__conf_text_is(s->name, builtins[i].name) && builtins[i].port > 0)
			port = builtins[i].port;
	return port;
}

/* Finds the port of a service. */
static void port_find(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	int port;

	if (sockeye__conf_is_mux_client(s) ||
	    sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_RPC | SOCKEYE__CONF_TYPE_UNLISTED) ||
	    !SOCKEYE__CONF_HAS(s, PROTOCOL))
		return;
	port = listed_port(r, s);
	if (port > 0 && SOCKEYE__CONF_HAS(s, PORT) && s->port != port) {
		SOCKEYE__CONF_DROP(
		    r, s, SOCKEYE__CONF_PLACE(s, PORT),
		    "port = %lld: services(5) has port %d for '%.64s': add 'type = UNLISTED' for "
		    "another port",
		    (long long)s->port, port, s->name);
	} else if (port > 0 && !SOCKEYE__CONF_HAS(s, PORT)) {
		s->port = port;
		sockeye__conf_set_derived(s, SOCKEYE__CONF_A_PORT);
	} else if (port <= 0 && SOCKEYE__CONF_HAS(s, PORT)) {
		/* Only xinetd needs services(5) here. */
		sockeye__conf_note(
		    &r->conf->notes, SOCKEYE__CONF_WARNING, SOCKEYE__CONF_PLACE(s, PORT),
		    "'%.64s' is not in services(5): xinetd needs 'type = UNLISTED'", s->name);
		if (r->compat)
			s->state = SOCKEYE__CONF_DROPPED;
	} else if (port <= 0 && s->given[SOCKEYE__CONF_A_PORT].by != SOCKEYE__CONF_WRONG) {
		SOCKEYE__CONF_DROP(
		    r, s, s->place,
		    "'%.64s' is not in services(5): add 'type = UNLISTED' and 'port = N'", s->name);
	}
}

static void require(struct sockeye__conf_reading *r, struct sockeye__conf_service *s,
		    enum sockeye__conf_attribute attribute, const char *why)
{
	if (sockeye__conf_has(s, attribute))
		return;
	/* A wrong value has been reported. */
	if (s->given[attribute].by == SOCKEYE__CONF_WRONG && !r->compat)
		return;
	SOCKEYE__CONF_DROP(r, s, s->place, "service '%.64s' has no '%s'%s", s->name,
			   sockeye__conf_infos[attribute].name, why);
}

static void required_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	bool internal = sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_INTERNAL);
	bool rpc = sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_RPC);

	require(r, s, SOCKEYE__CONF_A_WAIT,
		": write 'wait = no', or yes for a program that accepts clients itself");
	require(r, s, SOCKEYE__CONF_A_SOCKET_TYPE, "");
	if (!internal)
		require(r, s, SOCKEYE__CONF_A_USER, "");
	if (!internal && !SOCKEYE__CONF_HAS(s, REDIRECT))
		require(r, s, SOCKEYE__CONF_A_SERVER, ", and its type is not INTERNAL");
	if (rpc || sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_UNLISTED))
		require(r, s, SOCKEYE__CONF_A_PROTOCOL, "");
	if (sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_UNLISTED) && !rpc &&
	    !sockeye__conf_is_mux_client(s))
		require(r, s, SOCKEYE__CONF_A_PORT, ", and its type is UNLISTED");
	if (rpc)
		require(r, s, SOCKEYE__CONF_A_RPC_VERSION, ", and its type is RPC");
	if (rpc && sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_UNLISTED))
		require(r, s, SOCKEYE__CONF_A_RPC_NUMBER, ", and its type is RPC UNLISTED");
}

static bool is_number(const char *text)
{
	return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static bool is_address(const char *text)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* Reports a program that cannot be run, addresses to bind, and users and groups that do not exist.
 * Numbers need no entry in passwd(5) or group(5). */
static void names_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	const struct sockeye__conf_world *world = r->world;

	if (SOCKEYE__CONF_HAS(s, SERVER) && !SOCKEYE__CONF_HAS(s, REDIRECT) &&
	    world->is_program != NULL && !world->is_program(world->context, s->server))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, SERVER),
				   "server = %.200s: is not a program that can be run", s->server);
	if (SOCKEYE__CONF_HAS(s, BIND) && world->name_known != NULL && !is_address(s->bind) &&
	    !world->name_known(world->context, s->bind))
		SOCKEYE__CONF_DROP(
		    r, s, SOCKEYE__CONF_PLACE(s, BIND),
		    "bind = %.64s: is not an address and not the name of a known host", s->bind);
	if (SOCKEYE__CONF_HAS(s, USER) && world->is_user != NULL && !is_number(s->user) &&
	    !world->is_user(world->context, s->user))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, USER),
				   "user = %.64s: there is no such user", s->user);
	if (SOCKEYE__CONF_HAS(s, GROUP) && world->is_group != NULL && !is_number(s->group) &&
	    !world->is_group(world->context, s->group))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, GROUP),
				   "group = %.64s: there is no such group", s->group);
}

static void builtin_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	bool known = sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_SENSOR),
	     tftp = sockeye__conf_text_is(s->name, "tftp");

	for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
		known = known || sockeye__conf_text_is(s->name, builtins[i].name);
	if (!known)
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, TYPE),
				   "there is no built-in service '%.64s'", s->name);
	if (sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_NAMEINARGS))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, FLAGS),
				   "NAMEINARGS cannot be combined with 'type = INTERNAL'");
	if (sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_INTERCEPT))
		SOCKEYE__CONF_PROBLEM(r, SOCKEYE__CONF_PLACE(s, FLAGS),
				      "INTERCEPT has no effect on a built-in service: remove it");
	if (tftp && !SOCKEYE__CONF_HAS(s, ROOT))
		SOCKEYE__CONF_DROP(r, s, s->place, "service 'tftp' has no 'root'");
	if (!tftp && (SOCKEYE__CONF_HAS(s, ROOT) || SOCKEYE__CONF_HAS(s, UPLOAD)))
		SOCKEYE__CONF_PROBLEM(
		    r,
		    SOCKEYE__CONF_HAS(s, ROOT) ? SOCKEYE__CONF_PLACE(s, ROOT)
					       : SOCKEYE__CONF_PLACE(s, UPLOAD),
		    "'root' and 'upload' have an effect only on the built-in tftp");
}

static void program_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	if (sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_NAMEINARGS) &&
	    !SOCKEYE__CONF_HAS(s, SERVER_ARGS) && !SOCKEYE__CONF_HAS(s, REDIRECT))
		SOCKEYE__CONF_DROP(
		    r, s, SOCKEYE__CONF_PLACE(s, FLAGS),
		    "NAMEINARGS needs the name of the program as first word of 'server_args'");
	if (sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_INTERCEPT) && !s->wait)
		SOCKEYE__CONF_PROBLEM(r, SOCKEYE__CONF_PLACE(s, FLAGS),
				      "INTERCEPT has no effect without 'wait = yes': remove it");
	for (unsigned i = 0; i < SOCKEYE__CONF_ATTRIBUTES; i++) {
		const struct sockeye__conf_info *info = &sockeye__conf_infos[i];

		if ((info->flags & SOCKEYE__CONF_OF_BUILTIN) &&
		    s->given[i].by == SOCKEYE__CONF_BY_ENTRY)
			SOCKEYE__CONF_PROBLEM(r, s->given[i].place,
					      "'%s' has an effect only on built-in services",
					      info->name);
	}
}

static void redirect_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	if (!SOCKEYE__CONF_HAS(s, REDIRECT)) {
		if (s->log_on_success & SOCKEYE__CONF_LOG_TRAFFIC)
			SOCKEYE__CONF_DROP(
			    r, s, SOCKEYE__CONF_PLACE(s, LOG_ON_SUCCESS),
			    "service '%.64s': TRAFFIC in log_on_success needs 'redirect'", s->name);
		return;
	}
	if (SOCKEYE__CONF_HAS(s, SOCKET_TYPE) && s->socket_type != SOCKEYE__CONF_STREAM &&
	    (r->compat || s->socket_type != SOCKEYE__CONF_DGRAM))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, REDIRECT),
				   "'redirect' needs 'socket_type = stream'");
	if (s->wait)
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, REDIRECT),
				   "'redirect' needs 'wait = no'");
	if (sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_NAMEINARGS))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, FLAGS),
				   "NAMEINARGS cannot be combined with 'redirect'");
	if (SOCKEYE__CONF_HAS(s, SERVER))
		sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_WARNING,
				   SOCKEYE__CONF_PLACE(s, SERVER),
				   "'server' has no effect with 'redirect'");
}

/* Access rules that are not applied, or deny every client. */
static void access_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	bool rules = s->only_from.given || s->no_access.count > 0;

	if (rules && s->wait && SOCKEYE__CONF_HAS(s, SOCKET_TYPE) &&
	    s->socket_type == SOCKEYE__CONF_STREAM)
		SOCKEYE__CONF_PROBLEM(
		    r,
		    s->only_from.given ? SOCKEYE__CONF_PLACE(s, ONLY_FROM)
				       : SOCKEYE__CONF_PLACE(s, NO_ACCESS),
		    "service '%.64s': with 'wait = yes' the program accepts TCP connections "
		    "itself, so xinetd cannot check their addresses and serves no client: write "
		    "'wait = no', or check addresses in the program",
		    s->name);
	if (s->only_from.given && s->only_from.count == 0)
		sockeye__conf_note(
		    &r->conf->notes, SOCKEYE__CONF_WARNING, SOCKEYE__CONF_PLACE(s, ONLY_FROM),
		    "service '%.64s': an empty only_from denies every client", s->name);
	if (SOCKEYE__CONF_HAS(s, DENY_TIME) &&
	    !sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_SENSOR))
		SOCKEYE__CONF_PROBLEM(r, SOCKEYE__CONF_PLACE(s, DENY_TIME),
				      "'deny_time' needs 'flags = SENSOR'");
	if (s->per_source_prefix[0] > 32)
		SOCKEYE__CONF_PROBLEM(r, SOCKEYE__CONF_PLACE(s, PER_SOURCE_PREFIX),
				      "per_source_prefix: an IPv4 address has 32 bits");
}

static void socket_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	bool both = SOCKEYE__CONF_HAS(s, SOCKET_TYPE) && SOCKEYE__CONF_HAS(s, PROTOCOL);

	if (sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_IPV4) &&
	    sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_IPV6))
		SOCKEYE__CONF_PROBLEM(r, SOCKEYE__CONF_PLACE(s, FLAGS),
				      "flags IPv4 and IPv6 cannot be combined; "
				      "xinetd uses IPv6");
	if (sockeye__conf_has_flag(s, SOCKEYE__CONF_FLAG_LABELED))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, FLAGS),
				   "the flag LABELED is not supported");
	if (both && ((s->protocol == SOCKEYE__CONF_TCP && s->socket_type != SOCKEYE__CONF_STREAM) ||
		     (s->protocol == SOCKEYE__CONF_UDP && s->socket_type != SOCKEYE__CONF_DGRAM)))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, PROTOCOL),
				   "'protocol = %s' needs 'socket_type = %s'",
				   s->protocol == SOCKEYE__CONF_TCP ? "tcp" : "udp",
				   s->protocol == SOCKEYE__CONF_TCP ? "stream" : "dgram");
	if (!sockeye__conf_is_mux_client(s))
		return;
	if (!sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_UNLISTED))
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, TYPE),
				   "type TCPMUX needs UNLISTED as well");
	if (SOCKEYE__CONF_HAS(s, PROTOCOL) && s->protocol != SOCKEYE__CONF_TCP)
		SOCKEYE__CONF_DROP(r, s, SOCKEYE__CONF_PLACE(s, PROTOCOL),
				   "type TCPMUX needs 'protocol = tcp'");
}

/* xinetd copies only_from and other values when it begins to read a service, so that a
 * service before defaults is open to every client. */
static void order_check(struct sockeye__conf_reading *r, const struct sockeye__conf_service *s)
{
	const struct sockeye__conf_place *defaults = &r->conf->defaults.place;

	if (s->defaults_before < r->defaults)
		SOCKEYE__CONF_PROBLEM(
		    r, s->place,
		    "service '%.64s' is before defaults (%.100s:%u) and does not get only_from, "
		    "no_access, log_on_success and others from it: move defaults to the start",
		    s->name, defaults->file, defaults->line);
}

/* The strict reader drops a service with a line that it could not read. */
static void wrong_check(const struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	for (unsigned i = 0; i < SOCKEYE__CONF_ATTRIBUTES; i++)
		if (s->given[i].by == SOCKEYE__CONF_WRONG && !r->compat)
			s->state = SOCKEYE__CONF_DROPPED;
}

void sockeye__conf_service_check(struct sockeye__conf_reading *r, struct sockeye__conf_service *s)
{
	wrong_check(r, s);
	order_check(r, s);
	required_check(r, s);
	socket_check(r, s);
	port_find(r, s);
	if (sockeye__conf_is_type(s, SOCKEYE__CONF_TYPE_INTERNAL))
		builtin_check(r, s);
	else
		program_check(r, s);
	names_check(r, s);
	redirect_check(r, s);
	access_check(r, s);
}
