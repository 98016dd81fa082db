/*
 * inetd.conf: the forms of inetd, of the BSD systems and of Debian, and wrong lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../rows.h"
#include "superserver/conf.h"

static int text_read(void *context, const char *path, char **out_text, size_t *out_len)
{
	(void)path;
	*out_len = strlen(context);
	*out_text = malloc(*out_len + 1);
	assert_non_null(*out_text);
	memcpy(*out_text, context, *out_len);
	return 0;
}

static int port_of(void *context, const char *service, const char *protocol)
{
	(void)context;
	(void)protocol;
	return strcmp(service, "ftp") == 0 ? 21 : -ENOENT;
}

static struct sockeye__conf *conf_of(const char *text, bool compat)
{
	struct sockeye__conf_world world = {
	    .context = (void *)text, .read = text_read, .port = port_of};
	struct sockeye__conf *conf = NULL;

	assert_int_equal(sockeye__conf_read("i", SOCKEYE__CONF_INETD, compat, &world, &conf), 0);
	return conf;
}

/* A service in words: type, protocol, port, wait, user, group, server and arguments. */
static void describe(const struct sockeye__conf_service *s, char *out, size_t cap)
{
	size_t len = (size_t)snprintf(
	    out, cap, "%s %s %s %lld %s %s:%s %s", s->name,
	    sockeye__conf_infos[SOCKEYE__CONF_A_SOCKET_TYPE].words[s->socket_type],
	    sockeye__conf_infos[SOCKEYE__CONF_A_PROTOCOL].words[s->protocol], (long long)s->port,
	    s->wait ? "wait" : "nowait", s->user, s->group ? s->group : "",
	    s->type & SOCKEYE__CONF_TYPE_INTERNAL ? "internal" : s->server);

	for (size_t i = 0; i < s->server_args.count; i++)
		len += (size_t)snprintf(out + len, cap - len, " [%s]", s->server_args.at[i]);
}

static void test_lines(void **state)
{
	static const struct {
		const char *line, *service;
	} rows[] = {
	    {"echo stream tcp nowait root internal", "echo stream tcp 7 nowait root: internal"},
	    {"time\tdgram\tudp\twait\troot\tinternal\r\n", "time dgram udp 37 wait root: internal"},
	    {"ftp stream tcp nowait nobody /f", "ftp stream tcp 21 nowait nobody: /f"},
	    {"ftp stream tcp nowait nobody /f f -l",
	     "ftp stream tcp 21 nowait nobody: /f [f] [-l]"},
	    {"ftp stream tcp nowait a.b /f f", "ftp stream tcp 21 nowait a:b /f [f]"},
	    {"ftp stream tcp nowait a:b /f f", "ftp stream tcp 21 nowait a:b /f [f]"},
	    {"ftp stream tcp nowait a.x:b /f f", "ftp stream tcp 21 nowait a.x:b /f [f]"},
	    {"ftp stream tcp nowait a:b/daemon /f f", "ftp stream tcp 21 nowait a:b /f [f]"},
	    {"ftp stream tcp nowait r /f f \"a b\" 'c d' e\"f",
	     "ftp stream tcp 21 nowait r: /f [f] [a b] [c d] [e\"f]"},
	    {"8080 stream tcp nowait r /f f", "8080 stream tcp 8080 nowait r: /f [f]"},
	    {"ftp stream tcp nowait r /f f # x", "ftp stream tcp 21 nowait r: /f [f] [#] [x]"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].line) {
		for (int compat = 0; compat < 2; compat++) {
			struct sockeye__conf *conf = conf_of(rows[i].line, compat != 0);
			char text[300];

			if (conf->notes.count > 0)
				fail_msg("%s", conf->notes.list[0].text);
			assert_int_equal(conf->count, 1);
			assert_int_equal(conf->services[0].state, SOCKEYE__CONF_ENABLED);
			assert_true(conf->services[0].groups);
			describe(&conf->services[0], text, sizeof text);
			assert_string_equal(text, rows[i].service);
			sockeye__conf_free(conf);
		}
	}
}

static void test_limits(void **state)
{
	static const struct {
		const char *wait;
		int64_t rate, seconds, instances, per_source;
	} rows[] = {
	    {"nowait", 0, 0, SOCKEYE__CONF_UNLIMITED, SOCKEYE__CONF_UNLIMITED},
	    {"nowait.30", 30, 60, SOCKEYE__CONF_UNLIMITED, SOCKEYE__CONF_UNLIMITED},
	    {"nowait:30", 30, 60, SOCKEYE__CONF_UNLIMITED, SOCKEYE__CONF_UNLIMITED},
	    {"wait.400", 400, 60, SOCKEYE__CONF_UNLIMITED, SOCKEYE__CONF_UNLIMITED},
	    {"nowait/12", 0, 0, 12, SOCKEYE__CONF_UNLIMITED},
	    {"nowait/12/0/3", 0, 0, 12, 3},
	    {"nowait/0/0/3", 0, 0, SOCKEYE__CONF_UNLIMITED, 3},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].wait) {
		char line[80];
		struct sockeye__conf *conf;
		const struct sockeye__conf_service *s;

		snprintf(line, sizeof line, "ftp stream tcp %s r /f f", rows[i].wait);
		conf = conf_of(line, false);
		s = &conf->services[0];
		if (conf->notes.count > 0)
			fail_msg("%s", conf->notes.list[0].text);
		assert_int_equal(s->rate[0], rows[i].rate);
		assert_int_equal(s->rate[1], rows[i].seconds);
		assert_int_equal(s->instances, rows[i].instances);
		assert_int_equal(s->per_source, rows[i].per_source);
		sockeye__conf_free(conf);
	}
}

static void test_addresses(void **state)
{
	enum { FOUR = SOCKEYE__CONF_FLAG_IPV4, SIX = SOCKEYE__CONF_FLAG_IPV6 };
	static const struct {
		const char *service, *protocol, *bind;
		unsigned family;
		bool v6only;
	} rows[] = {
	    {"ftp", "tcp", NULL, 0, false},
	    {"ftp", "tcp4", NULL, FOUR, false},
	    {"ftp", "tcp6", NULL, SIX, false},
	    {"ftp", "tcp46", NULL, SIX, false},
	    {"ftp", "tcp6only", NULL, SIX, true},
	    {"127.0.0.1:ftp", "tcp", "127.0.0.1", 0, false},
	    {"[::1]:ftp", "tcp", "::1", 0, false},
	    {"*:ftp", "tcp", NULL, 0, false},
	    {"localhost:21", "tcp", "localhost", 0, false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s %s", rows[i].service, rows[i].protocol) {
		char line[80];
		struct sockeye__conf *conf;
		const struct sockeye__conf_service *s;

		snprintf(line, sizeof line, "%s stream %s nowait r /f f", rows[i].service,
			 rows[i].protocol);
		conf = conf_of(line, false);
		s = &conf->services[0];
		if (conf->notes.count > 0)
			fail_msg("%s", conf->notes.list[0].text);
		assert_int_equal(s->protocol, SOCKEYE__CONF_TCP);
		assert_int_equal(s->port, 21);
		assert_int_equal(s->flags & (FOUR | SIX), rows[i].family);
		assert_int_equal(s->v6only, rows[i].v6only);
		if (rows[i].bind == NULL)
			assert_null(s->bind);
		else
			assert_string_equal(s->bind, rows[i].bind);
		sockeye__conf_free(conf);
	}
}

static void test_rpc(void **state)
{
	struct sockeye__conf *conf = conf_of("rusersd/2-3 dgram rpc/udp wait root /r r", false);
	const struct sockeye__conf_service *s = &conf->services[0];

	(void)state;
	assert_int_equal(conf->notes.count, 0);
	assert_string_equal(s->name, "rusersd");
	assert_int_equal(s->type, SOCKEYE__CONF_TYPE_RPC);
	assert_int_equal(s->rpc_version[0], 2);
	assert_int_equal(s->rpc_version[1], 3);
	assert_int_equal(s->protocol, SOCKEYE__CONF_UDP);
	sockeye__conf_free(conf);
}

/* Wrong lines: the first note, and whether the compatible reader still has a service. */
static void test_wrong(void **state)
{
	static const struct {
		const char *text, *why;
		bool service;
	} rows[] = {
	    {"\n# x\nftp stream tcp",
	     "a line needs at least 6 words and this has 3: SERVICE TYPE PROTOCOL WAIT USER SERVER "
	     "[ARG]...",
	     false},
	    {"\n\nftp stream tcp nowait r /f 'x", "a quote is not closed, or more than 64 words",
	     false},
	    {"\n\nftp steam tcp nowait r /f",
	     "socket_type = steam: must be stream, dgram, raw or seqpacket", false},
	    {"\n\nftp stream tpc nowait r /f",
	     "protocol = tpc: must be tcp, udp, sctp, dccp, udplite or icmp", false},
	    {"\n\nftp stream tcp,rcvbuf=64k nowait r /f",
	     "'rcvbuf=64k' after a protocol is not supported: remove it", false},
	    {"\n\nftp stream tcp never r /f",
	     "'never' must be wait or nowait, optionally followed by .N", false},
	    {"\n\nftp stream tcp nowait.x r /f", "'x' is not a number of starts in a minute",
	     false},
	    {"\n\nftp stream tcp nowait/many r /f", "'many' is not a number of servers", false},
	    {"\n\nftp stream tcp nowait/3/9 r /f",
	     "'nowait/3/9': the limit for a minute and one address is not supported: write 0 for "
	     "it",
	     true},
	    {"\n  # don't\n'' stream tcp nowait r /f", "a service has a name without blanks",
	     false},
	    {"\n\n/2 stream tcp nowait r /f", "a service has a name without blanks", false},
	    {"\n\n'a b' stream tcp nowait r /f", "a service has a name without blanks", false},
	    {"\n\na\x01 stream tcp nowait r /f", "the line has the control character \\x01", false},
	    {"\n\nqotd stream tcp nowait r internal", NULL, false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		struct sockeye__conf *conf = conf_of(rows[i].text, false);

		assert_true(sockeye__conf_notes_fatal(&conf->notes));
		assert_int_equal(conf->notes.list[0].place.line, 3);
		if (rows[i].why != NULL)
			assert_string_equal(conf->notes.list[0].text, rows[i].why);
		sockeye__conf_free(conf);
		conf = conf_of(rows[i].text, true);
		assert_int_equal(conf->notes.errors, 0);
		assert_int_equal(conf->count > 0 &&
				     conf->services[0].state == SOCKEYE__CONF_ENABLED,
				 rows[i].service);
		sockeye__conf_free(conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),     cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_addresses), cmocka_unit_test(test_rpc),
	    cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
