/* netcat.c: translates command lines of nc and ncat (translate.h). */
#include "cli/translate.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/addr.h>

#include "cli/words.h"

#define OPERANDS_MAX 9

/* A parsed command line of nc. The fields of options that are not on it are NULL. */
struct netcat {
	bool listen, udp, sctp, unix_socket, keep, zero, crlf, broadcast;
	bool recv_only, send_only, no_shutdown;
	bool ipv4, ipv6, cannot; /* cannot: sockeye has no such feature */
	unsigned verbose;
	const char *port, *source, *wait_s, *quit_s, *interval, *idle, *count, *program, *rcvbuf,
	    *sndbuf, *ttl;
	const char *host; /* of --host, which users type although ncat does not have it */
	const char *operands[OPERANDS_MAX];
	int operand_count;
	char ports[64]; /* of -z, which takes several ports and ranges */
	bool debug;     /* -D */
	const char *tos;
	bool named, ncat; /* the line has the name of the program */
	bool long_names;  /* the line has a long option of ncat */
	char letters[16]; /* the options on the line that have another meaning in sockeye */
};

/* The options of OpenBSD's nc, and -e and -c of ncat and traditional nc. -m, -x and -o
 * are left out: they are options of sockeye, and rare with nc. */
#define LETTERS "-:46bCDde:c:I:i:klM:NnO:P:p:q:rs:T:tUuvW:w:X:z"

/* Values for the long options of ncat that have no letter of nc. */
enum { CANNOT = 256, HOST, SCTP, RECV_ONLY, SEND_ONLY, NO_SHUTDOWN, IDLE };

static const struct option longs[] = {
    {"listen", no_argument, NULL, 'l'},
    {"udp", no_argument, NULL, 'u'},
    {"tcp", no_argument, NULL, 't'},
    {"sctp", no_argument, NULL, SCTP},
    {"unixsock", no_argument, NULL, 'U'},
    {"exec", required_argument, NULL, 'e'},
    {"sh-exec", required_argument, NULL, 'c'},
    {"lua-exec", required_argument, NULL, 'c'},
    {"keep-open", no_argument, NULL, 'k'},
    {"source", required_argument, NULL, 's'},
    {"source-port", required_argument, NULL, 'p'},
    {"port", required_argument, NULL, 'p'},
    {"host", required_argument, NULL, HOST},
    {"nodns", no_argument, NULL, 'n'},
    {"wait", required_argument, NULL, 'w'},
    {"idle-timeout", required_argument, NULL, IDLE},
    {"no-shutdown", no_argument, NULL, NO_SHUTDOWN},
    {"verbose", no_argument, NULL, 'v'},
    {"crlf", no_argument, NULL, 'C'},
    {"telnet", no_argument, NULL, 't'},
    {"recv-only", no_argument, NULL, RECV_ONLY},
    {"send-only", no_argument, NULL, SEND_ONLY},
    {"ssl", no_argument, NULL, CANNOT},
    {"proxy", required_argument, NULL, CANNOT},
    {"broker", no_argument, NULL, CANNOT},
    {"chat", no_argument, NULL, CANNOT},
    {NULL},
};

static void letter_note(struct netcat *nc, int c)
{
	size_t len = strlen(nc->letters);

	/* -k has the same meaning in listen, and nc accepts it only with -l. */
	if (strchr("46vCk", c) || c > 127 || len + 1 >= sizeof nc->letters)
		return;
	if (!strchr(nc->letters, c))
		nc->letters[len] = (char)c;
}

/* What to do with an option. */
static const struct action {
	int option;
	enum { FLAG, NUMBER, TEXT, PORT, HOSTS, IGNORE } kind;
	size_t offset; /* in struct netcat */
} actions[] = {
    {'l', FLAG, offsetof(struct netcat, listen)},
    {'u', FLAG, offsetof(struct netcat, udp)},
    {'U', FLAG, offsetof(struct netcat, unix_socket)},
    {'k', FLAG, offsetof(struct netcat, keep)},
    {'z', FLAG, offsetof(struct netcat, zero)},
    {'d', FLAG, offsetof(struct netcat, recv_only)},
    {'C', FLAG, offsetof(struct netcat, crlf)},
    {'b', FLAG, offsetof(struct netcat, broadcast)},
    {SCTP, FLAG, offsetof(struct netcat, sctp)},
    {RECV_ONLY, FLAG, offsetof(struct netcat, recv_only)},
    {SEND_ONLY, FLAG, offsetof(struct netcat, send_only)},
    {NO_SHUTDOWN, FLAG, offsetof(struct netcat, no_shutdown)},
    {'4', FLAG, offsetof(struct netcat, ipv4)},
    {'6', FLAG, offsetof(struct netcat, ipv6)},
    {'P', FLAG, offsetof(struct netcat, cannot)},
    {'X', FLAG, offsetof(struct netcat, cannot)},
    {CANNOT, FLAG, offsetof(struct netcat, cannot)},
    {'w', NUMBER, offsetof(struct netcat, wait_s)},
    {'i', NUMBER, offsetof(struct netcat, interval)},
    {IDLE, NUMBER, offsetof(struct netcat, idle)},
    {'W', NUMBER, offsetof(struct netcat, count)},
    {'I', NUMBER, offsetof(struct netcat, rcvbuf)},
    {'O', NUMBER, offsetof(struct netcat, sndbuf)},
    {'M', NUMBER, offsetof(struct netcat, ttl)},
    {'q', NUMBER, offsetof(struct netcat, quit_s)},
    {'e', TEXT, offsetof(struct netcat, program)},
    {'c', TEXT, offsetof(struct netcat, program)},
    {'p', PORT, offsetof(struct netcat, port)},
    {'s', HOSTS, offsetof(struct netcat, source)},
    {HOST, HOSTS, offsetof(struct netcat, host)},
    {'n', IGNORE, 0}, /* sockeye never looks up numeric addresses */
    {'N', IGNORE, 0}, /* sockeye always shuts down its side at the end of the input */
    {'r', IGNORE, 0},
    {'t', IGNORE, 0},
    {'D', FLAG, offsetof(struct netcat, debug)},
    {'T', TEXT, offsetof(struct netcat, tos)},
};

static bool value_fits(const struct action *a, const char *value)
{
	switch (a->kind) {
	case NUMBER: /* -q -1: never */
		return cli_is_number(value) || (a->option == 'q' && strcmp(value, "-1") == 0);
	case PORT:
		return cli_is_port(value);
	case HOSTS:
		return cli_is_host(value);
	default:
		return true;
	}
}

/* Stores one option. Returns false if nc does not accept it. */
static bool option_store(struct netcat *nc, int c)
{
	letter_note(nc, c);
	if (c == 'v') {
		nc->verbose++;
		return true;
	}
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		const struct action *a = &actions[i];
		void *field = (char *)nc + a->offset;

		if (a->option != c)
			continue;
		if (a->kind == FLAG)
			*(bool *)field = true;
		else if (a->kind != IGNORE)
			*(const char **)field = optarg;
		return value_fits(a, optarg);
	}
	return false;
}

/* Whether a word is a port or a range such as 20-25. */
static bool is_range(const char *word)
{
	char *end;
	unsigned long first = strtoul(word, &end, 10), last = first;

	if (*end == '-' && cli_is_number(end + 1))
		last = strtoul(end + 1, &end, 10);
	return cli_is_number((char[]){*word, '\0'}) && *end == '\0' && first >= 1 &&
	       first <= last && last <= UINT16_MAX;
}

/* Makes one operand, a list for --check, from the ports of -z. Returns false if --check does
 * not take them. */
static bool ports_join(struct netcat *nc)
{
	size_t len = 0;

	for (int i = 1; i < nc->operand_count && len < sizeof nc->ports; i++) {
		if (!is_range(nc->operands[i]))
			return nc->operand_count == 2 && cli_is_port(nc->operands[1]); /* a name */
		len += (size_t)snprintf(nc->ports + len, sizeof nc->ports - len, "%s%s",
					i > 1 ? "," : "", nc->operands[i]);
	}
	nc->operands[1] = nc->ports;
	nc->operand_count = 2;
	return len < sizeof nc->ports;
}

/* Whether nc accepts the operands: HOST PORT, with -l [HOST] PORT, with -U PATH. -p PORT
 * may replace the port. */
static bool operands_check(struct netcat *nc)
{
	const char **v = nc->operands;
	int n = nc->operand_count;

	if (nc->host && n < 2) {
		v[1] = v[0];
		v[0] = nc->host;
		n++;
	}
	if (nc->unix_socket)
		return n == 1;
	if (nc->port && nc->listen && n < 2) {
		v[n++] = nc->port;
		nc->port = NULL;
	} else if (nc->port && n == 1 && cli_is_host(v[0]) && !cli_is_number(v[0])) {
		v[n++] = nc->port;
		nc->port = NULL;
	}
	nc->operand_count = n;
	if (nc->listen && n == 1)
		return cli_is_port(v[0]);
	if (n < 2 || !cli_is_host(v[0]) || cli_is_number(v[0]))
		return false;
	return nc->zero ? ports_join(nc) : n == 2 && cli_is_port(v[1]);
}

/* Returns the number of words before the options: a command of sockeye, the name of the
 * program, or both. */
static int names_read(struct netcat *nc, int argc, char *const *argv)
{
	int i = 1;

	if (i < argc && (strcmp(argv[i], "connect") == 0 || strcmp(argv[i], "listen") == 0)) {
		nc->listen = strcmp(argv[i], "listen") == 0;
		i++;
	}
	if (i < argc && (strcmp(argv[i], "nc") == 0 || strcmp(argv[i], "ncat") == 0 ||
			 strcmp(argv[i], "netcat") == 0)) {
		nc->named = true;
		nc->ncat = strcmp(argv[i], "ncat") == 0;
		i++;
	}
	return i - 1;
}

/* Parses the command line. Returns false if nc would not accept it. */
static bool netcat_read(struct netcat *nc)
{
	char *const *argv;
	int argc, c, names, index = -1;

	argv = suggest_argv(&argc);
	names = names_read(nc, argc, argv);
	argc -= names;
	argv += names;
	opterr = 0;
	optind = 0; /* restarts getopt_long (GNU) */
	while ((c = getopt_long(argc, argv, LETTERS, longs, &index)) != -1) {
		nc->long_names |= index >= 0 && c != 'v' && c != 'C';
		index = -1;
		if (c == 1 && nc->operand_count < OPERANDS_MAX)
			nc->operands[nc->operand_count++] = optarg;
		else if (c == 1 || !option_store(nc, c))
			return false;
	}
	while (optind < argc && nc->operand_count < OPERANDS_MAX)
		nc->operands[nc->operand_count++] = argv[optind++];
	return optind >= argc && operands_check(nc);
}

/* --- the command line of sockeye --- */

static void address_options(const struct netcat *nc, char *buf, size_t cap)
{
	const struct {
		const char *name, *value;
	} options[] = {
	    {"rcvbuf", nc->rcvbuf},
	    {"sndbuf", nc->sndbuf},
	    {"ttl", nc->ttl},
	};
	size_t len = strlen(buf);
	char mark = '?';

	if (nc->broadcast && nc->udp) { /* TCP ignores it */
		len += (size_t)snprintf(buf + len, cap - len, "?broadcast");
		mark = '&';
	}
	for (size_t i = 0; i < sizeof options / sizeof options[0] && len < cap; i++) {
		if (!options[i].value)
			continue;
		len += (size_t)snprintf(buf + len, cap - len, "%c%s=%s", mark, options[i].name,
					options[i].value);
		mark = '&';
	}
}

static void add_address(struct suggestion *s, const struct netcat *nc)
{
	const char *host = nc->operand_count == 2 ? nc->operands[0] : NULL;
	const char *port = nc->operands[nc->operand_count - 1];
	bool options = (nc->broadcast && nc->udp) || nc->rcvbuf || nc->sndbuf || nc->ttl;
	char buf[SOCKEYE_ADDR_TEXT_MAX];

	if (nc->unix_socket) {
		snprintf(buf, sizeof buf, "%s:%s", nc->udp ? "unix-dgram" : "unix",
			 nc->operands[0]);
		suggest_word(s, buf);
		return;
	}
	if (host && !nc->udp && !nc->sctp && !options) {
		suggest_word(s, host);
		suggest_word(s, port);
		return;
	}
	cli_host_port(nc->udp    ? "udp"
		      : nc->sctp ? "sctp"
				 : "",
		      host ? host : "", port, buf, sizeof buf);
	address_options(nc, buf, sizeof buf);
	suggest_word(s, buf);
}

static void add_option(struct suggestion *s, const char *name, const char *value)
{
	if (!value)
		return;
	suggest_word(s, name);
	suggest_word(s, value);
}

static void add_bind(struct suggestion *s, const struct netcat *nc)
{
	char local[SOCKEYE_ADDR_TEXT_MAX];

	if (nc->port) {
		cli_host_port("", nc->source ? nc->source : "", nc->port, local, sizeof local);
		add_option(s, "--bind", local);
	} else {
		add_option(s, "--bind", nc->source);
	}
}

/* The options of --check. For UDP, one datagram that a closed port refuses. */
static void add_check_options(struct suggestion *s, const struct netcat *nc, bool waits)
{
	if (nc->udp)
		add_option(s, "-m", "X");
	else
		suggest_word(s, "--check");
	if (waits)
		add_option(s, nc->udp ? "--wait-after-eof" : "--connect-timeout", nc->wait_s);
	add_bind(s, nc);
}

/* ncat's -i is a timeout. OpenBSD's -i is a pause between lines, which sockeye does not have.
 * Without a half-close, ncat's timeout ends the session after the input. */
static void add_idle(struct suggestion *s, const struct netcat *nc)
{
	bool ncat = nc->ncat || nc->long_names;
	const char *idle = nc->idle ? nc->idle : ncat ? nc->interval : NULL;

	if (nc->no_shutdown)
		suggest_word(s, "--no-shutdown");
	add_option(s, nc->no_shutdown ? "--wait-after-eof" : "--timeout", idle);
	if (nc->interval && !ncat)
		suggest_lost(s, "nc's -i", strlen("nc's -i"));
	if (nc->debug)
		suggest_lost(s, "nc's -D", strlen("nc's -D"));
	if (nc->tos)
		suggest_lost(s, "nc's -T", strlen("nc's -T"));
}

static void add_options(struct suggestion *s, const struct netcat *nc)
{
	bool waits = nc->wait_s && strtoul(nc->wait_s, NULL, 10) > 0;

	for (unsigned i = 0; i < nc->verbose && i < 2; i++)
		suggest_word(s, "-v");
	if (nc->ipv4 || nc->ipv6)
		suggest_word(s, nc->ipv4 ? "-4" : "-6");
	if (nc->zero) {
		add_check_options(s, nc, waits);
		return;
	}
	if (nc->keep)
		suggest_word(s, "-k");
	if (nc->recv_only)
		suggest_word(s, "--recv-only");
	if (nc->send_only)
		suggest_word(s, "--send-only");
	if (nc->crlf)
		suggest_word(s, "--crlf");
	if (waits && !nc->listen)
		add_option(s, "--connect-timeout", nc->wait_s);
	if (waits)
		add_option(s, "--timeout", nc->wait_s);
	if (nc->quit_s && nc->quit_s[0] != '-')
		add_option(s, "--wait-after-eof", nc->quit_s);
	add_option(s, "--count", nc->count);
	add_idle(s, nc);
	add_bind(s, nc);
}

/* Proposes a service in place of a program: `nc -l -e /bin/cat` is an echo server. */
static void add_service(struct suggestion *s, const struct netcat *nc)
{
	char buf[SOCKEYE_ADDR_TEXT_MAX];

	s->why = "sockeye runs no programs; serve has built-in services";
	suggest_word(s, "serve");
	if (!nc->listen) {
		suggest_word(s, "--list");
		return;
	}
	suggest_word(s, "echo");
	cli_host_port(nc->udp ? "udp" : "tcp", nc->operand_count == 2 ? nc->operands[0] : "",
		      nc->operands[nc->operand_count - 1], buf, sizeof buf);
	suggest_word(s, buf);
}

const char *translate_netcat(struct suggestion *s)
{
	struct netcat nc = {0};

	*s = (struct suggestion){0};
	if (!netcat_read(&nc) || (!nc.letters[0] && !nc.long_names && !nc.named))
		return NULL;
	memcpy(s->letters, nc.letters, sizeof s->letters);
	if (nc.cannot) {
		s->why = "sockeye has no proxies, no TLS and no broker mode";
		return NULL;
	}
	if (nc.program) {
		add_service(s, &nc);
		return suggest_text(s);
	}
	if (nc.zero && nc.udp && nc.operand_count == 2 && !cli_is_port(nc.operands[1])) {
		s->why = "--check is for connections, not for UDP";
		return NULL;
	}
	suggest_word(s, nc.listen ? "listen" : "connect");
	add_options(s, &nc);
	add_address(s, &nc);
	return suggest_text(s);
}
