/*
 * How the services, defaults and included files of a super-server's configuration combine.
 * Files are texts of the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_texts.h"

/* The states of two services for one socket. */
static void test_one_socket(void **state)
{
	static const struct {
		const char *a, *b;
		bool clash;
	} rows[] = {
	    {"", "", true},
	    {"bind = 127.0.0.1", "", true},
	    {"bind = 127.0.0.1", "bind = 127.0.0.2", false},
	    {"bind = 127.0.0.1", "bind = 127.0.0.1", true},
	    {"flags = IPv4", "flags = IPv6", false},
	    {"flags = IPv4", "", true},
	    {"", "disable = yes", false},
	    {"disable = yes", "", false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, %s", rows[i].a, rows[i].b) {
		char text[400];
		struct sockeye__conf *conf;

		snprintf(text, sizeof text, BEGIN "%s" END BEGIN "id = g\n%s" END, rows[i].a,
			 rows[i].b);
		conf = conf_of(text, STRICT);
		assert_int_equal(sockeye__conf_notes_fatal(&conf->notes), rows[i].clash);
		if (rows[i].clash)
			assert_non_null(
			    strstr(conf->notes.list[0].text,
				   "service 'ftp' (id g) binds the socket of the service "
				   "at f:1, tcp port 21: disable one of them"));
		sockeye__conf_free(conf);
	}
}

/* Debian's package has the UDP services in two files each. */
static void test_debian(void **state)
{
#define UDP(off) \
	"service echo\n{\ndisable = " off "\ntype = INTERNAL\nid = echo-dgram\n" \
	"socket_type = dgram\nprotocol = udp\nuser = root\nwait = yes\n}\n"
#define UDP_UNLISTED(off) \
	"service echo\n{\ntype = INTERNAL UNLISTED\nid = echo-dgram\nsocket_type = dgram\n" \
	"protocol = udp\nuser = root\nwait = yes\ndisable = " off "\nport = 7\n}      "
	static const struct file both[] = {{"f", "includedir /d"},
					   {"/d/echo-udp", UDP_UNLISTED("no")},
					   {"/d/echo", UDP("no")},
					   {NULL, NULL}};
	static const struct file one[] = {{"f", "includedir /d"},
					  {"/d/echo-udp", UDP_UNLISTED("yes")},
					  {"/d/echo", UDP("no")},
					  {NULL, NULL}};
	struct sockeye__conf *conf = files_conf(one, STRICT);

	(void)state;
	assert_clean(conf);
	assert_int_equal(conf->services[0].state, SOCKEYE__CONF_ENABLED);
	assert_int_equal(conf->services[0].port, 7);
	sockeye__conf_free(conf);
	conf = files_conf(both, STRICT);
	assert_notes(conf, "/d/echo-udp:1 e service 'echo' (id echo-dgram) binds the socket of the "
			   "service at /d/echo:1, udp port 7: disable one of them (Debian's "
			   "package has some services in two files)");
	sockeye__conf_free(conf);
	conf = files_conf(both, COMPAT);
	assert_false(sockeye__conf_notes_fatal(&conf->notes));
	assert_int_equal(conf->services[0].state, SOCKEYE__CONF_ENABLED);
	assert_int_equal(conf->services[1].state, SOCKEYE__CONF_DROPPED);
	sockeye__conf_free(conf);
}

/* How the access lists of defaults and of a service combine. */
static void test_defaults(void **state)
{
	static const struct {
		const char *defaults, *service;
		int count; /* of only_from; -1: not given */
	} rows[] = {
	    {"", "", -1},
	    {"only_from = 10.1.1.1", "", 1},
	    {"only_from = 10.1.1.1\nonly_from = 10.1.1.2", "", 2}, /* = adds in defaults */
	    {"only_from = 10.1.1.1", "only_from += 10.1.1.2 10.1.1.3", 3},
	    {"only_from = 10.1.1.1", "only_from = 10.1.1.2", 1},
	    {"only_from = 10.1.1.1", "only_from = 10.1.1.2\nonly_from = 10.1.1.3", 1},
	    {"only_from = 10.1.1.1", "only_from -= 10.1.1.1", 0},
	    {"only_from = 10.1.{2,3}", "only_from -= 10.1.3.0/24", 1},
	    {"only_from = 10.1.1.1", "only_from =", 0},
	    {"", "only_from =", 0},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s / %s", rows[i].defaults, rows[i].service) {
		for (int compat = 0; compat < 2; compat++) {
			char text[300];
			struct sockeye__conf *conf;
			const struct sockeye__conf_service *s;

			snprintf(text, sizeof text, "defaults\n{\n%s\n}\n" BEGIN "%s" END,
				 rows[i].defaults, rows[i].service);
			conf = conf_of(text, compat != 0);
			s = &conf->services[0];
			assert_false(sockeye__conf_notes_fatal(&conf->notes));
			assert_int_equal(s->only_from.given, rows[i].count >= 0);
			if (rows[i].count >= 0)
				assert_int_equal(s->only_from.count, rows[i].count);
			sockeye__conf_free(conf);
		}
	}
}

/* What reaches a service that is before defaults: only what xinetd fills in at the end. */
static void test_late_defaults(void **state)
{
	struct sockeye__conf *conf =
	    conf_of(BEGIN "umask = 077" END
			  "defaults\n{\nonly_from = 10.0.0.0\ninstances = 5\numask = 022\n"
			  "log_on_failure = HOST\nlog_type = SYSLOG auth err\ncps = 3 4\n}\n",
		    COMPAT);
	const struct sockeye__conf_service *s = &conf->services[0];

	(void)state;
	assert_false(s->only_from.given);
	assert_int_equal(s->instances, 5);
	assert_int_equal(s->umask, 077);
	assert_int_equal(s->log_on_failure, SOCKEYE__CONF_LOG_HOST);
	assert_int_equal(s->log_type.kind, SOCKEYE__CONF_LOG_SYSLOG);
	assert_string_equal(sockeye__conf_facilities[s->log_type.facility], "auth");
	assert_string_equal(sockeye__conf_levels[s->log_type.level], "err");
	assert_int_equal(s->cps[1], 4);
	assert_int_equal(s->given[SOCKEYE__CONF_A_CPS].by, SOCKEYE__CONF_BY_DEFAULTS);
	sockeye__conf_free(conf);
}

/* The order of a directory's files, and names that are skipped. */
static void test_includedir(void **state)
{
#define NAMED(name) "service " name "\n{\ndisable = yes\n}\n"
	static const struct file files[] = {{"f", "includedir /d\n" NAMED("last")},
					    {"/d/b", NAMED("b")},
					    {"/d/a.conf", NAMED("dot")},
					    {"/d/Z", NAMED("Z")},
					    {"/d/c~", NAMED("tilde")},
					    {"/d/a", NAMED("a") "include /e"},
					    {"/d/.x", NAMED("hidden")},
					    {"/e", NAMED("e")},
					    {NULL, NULL}};
	static const char *const names[] = {"Z", "a", "e", "b", "last"};
	struct sockeye__conf *conf = files_conf(files, STRICT);

	(void)state;
	assert_int_equal(conf->count, COUNT(names));
	FOR_ROWS(i, names, "%s", names[i]) {
		assert_string_equal(conf->services[i].name, names[i]);
	}
	assert_string_equal(conf->services[2].place.file, "/e");
	assert_string_equal(conf->services[4].place.file, "f");
	assert_int_equal(conf->services[4].place.line, 2);
	sockeye__conf_free(conf);
}

static void test_include_faults(void **state)
{
	static const struct file cycle[] = {
	    {"f", "include /a\n"}, {"/a", "\ninclude f"}, {NULL, NULL}};
	static const struct file missing[] = {{"f", "include /a\nincludedir /b\n"}, {NULL, NULL}};
	static const struct file merged[] = {
	    {"f", "defaults\n{\ninstances = 3\n}\ninclude /a\n" BEGIN END},
	    {"/a", "defaults\n{\numask = 077\n}\n"},
	    {NULL, NULL}};
	struct sockeye__conf *conf = files_conf(cycle, COMPAT);

	(void)state;
	assert_notes(conf, "/a:2 B 'f' includes itself");
	sockeye__conf_free(conf);
	conf = files_conf(missing, STRICT);
	assert_notes(conf, "f:1 e include: cannot read '/a': No such file or directory\n"
			   "f:2 e includedir: cannot read '/b': Permission denied");
	sockeye__conf_free(conf);
	conf = files_conf(missing, COMPAT);
	assert_false(sockeye__conf_notes_fatal(&conf->notes));
	sockeye__conf_free(conf);
	conf = files_conf(merged, STRICT);
	assert_clean(conf);
	assert_int_equal(conf->services[0].instances, 3);
	assert_int_equal(conf->services[0].umask, 077);
	sockeye__conf_free(conf);
}

/* A chain of files that is too long, though no file includes itself. */
static void test_include_depth(void **state)
{
	static char names[SOCKEYE__CONF_DEPTH_MAX + 2][8];
	static char texts[SOCKEYE__CONF_DEPTH_MAX + 2][32];
	struct file files[SOCKEYE__CONF_DEPTH_MAX + 2] = {{NULL, NULL}};
	struct sockeye__conf *conf;

	(void)state;
	for (unsigned i = 0; i <= SOCKEYE__CONF_DEPTH_MAX; i++) {
		snprintf(names[i], sizeof names[i], "/%u", i);
		snprintf(texts[i], sizeof texts[i], "include /%u\n", i + 1);
		files[i] = (struct file){names[i], texts[i]};
	}
	conf = files_conf(files, STRICT);
	assert_notes(conf, "/15:1 B '/16' is included too deeply: 16 files include each other");
	sockeye__conf_free(conf);
}

static void test_first_file(void **state)
{
	static const struct file files[] = {{NULL, NULL}};
	struct sockeye__conf_world world = {
	    .context = (void *)files, .read = file_read, .list = files_list};
	struct sockeye__conf *conf = NULL;

	(void)state;
	assert_int_equal(sockeye__conf_read("x", SOCKEYE__CONF_XINETD, STRICT, &world, &conf),
			 -ENOENT);
	assert_null(conf);
	sockeye__conf_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_socket),    cmocka_unit_test(test_debian),
	    cmocka_unit_test(test_defaults),      cmocka_unit_test(test_late_defaults),
	    cmocka_unit_test(test_includedir),    cmocka_unit_test(test_include_faults),
	    cmocka_unit_test(test_include_depth), cmocka_unit_test(test_first_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
