/*
 * The configuration of the super-server: values, what the strict reader refuses and what the
 * compatible one makes of it. Files are texts of the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_texts.h"

static void test_service(void **state)
{
	struct sockeye__conf *conf = conf_of(BEGIN END, STRICT);
	const struct sockeye__conf_service *s = &conf->services[0];

	(void)state;
	assert_clean(conf);
	assert_int_equal(conf->count, 1);
	assert_int_equal(s->state, SOCKEYE__CONF_ENABLED);
	assert_string_equal(s->name, "ftp");
	assert_string_equal(s->id, "ftp");
	assert_int_equal(s->socket_type, SOCKEYE__CONF_STREAM);
	assert_int_equal(s->protocol, SOCKEYE__CONF_TCP);
	assert_int_equal(s->port, 21);
	assert_string_equal(s->user, "root");
	assert_string_equal(s->server, "/x");
	assert_false(s->wait);
	assert_int_equal(s->instances, SOCKEYE__CONF_UNLIMITED);
	assert_int_equal(s->cps[0], 50);
	assert_int_equal(s->cps[1], 10);
	assert_false(s->only_from.given);
	assert_string_equal(s->stderr_to, "client");
	assert_int_equal(s->place.line, 1);
	assert_int_equal(s->given[SOCKEYE__CONF_A_SERVER].place.line, 6);
	sockeye__conf_free(conf);
}

/* Values of each kind. The field is at an offset, as a number. */
static void test_numbers(void **state)
{
#define FIELD(name) offsetof(struct sockeye__conf_service, name)
	static const struct {
		const char *line;
		size_t field;
		int64_t value;
	} rows[] = {
	    {"port = 21", FIELD(port), 21},
	    {"instances = 12", FIELD(instances), 12},
	    {"INSTANCES = unlimited", FIELD(instances), SOCKEYE__CONF_UNLIMITED},
	    {"per_source = 0", FIELD(per_source), 0},
	    {"cps = 25 30", FIELD(cps[1]), 30},
	    {"nice = -5", FIELD(nice), -5},
	    {"umask = 027", FIELD(umask), 027},
	    {"rlimit_as = 8M", FIELD(rlimit_as), 8 << 20},
	    {"rlimit_stack = 3k", FIELD(rlimit_stack), 3072},
	    {"rlimit_files = UNLIMITED", FIELD(rlimit_files), SOCKEYE__CONF_UNLIMITED},
	    {"rlimit_cpu = 20", FIELD(rlimit_cpu), 20},
	    {"max_load = 2.5", FIELD(max_load), 2500},
	    {"max_load = 10", FIELD(max_load), 10000},
	    {"rpc_number = 100003", FIELD(rpc_number), 100003},
	    {"rpc_version = 2-3", FIELD(rpc_version[1]), 3},
	    {"rpc_version = 4", FIELD(rpc_version[0]), 4},
	    {"idle_timeout = 90s", FIELD(idle_timeout_ns), 90000000000},
	    {"max_time = 2h", FIELD(max_time_ns), 7200000000000},
	    {"max_time = never", FIELD(max_time_ns), 0},
	    {"per_source_prefix = 24 56", FIELD(per_source_prefix[1]), 56},
	    {"rate = 20", FIELD(rate[2]), 20},
	    {"rate = 256/m 40", FIELD(rate[1]), 60},
	    {"rate = 256/m 40", FIELD(rate[2]), 40},
	    {"flags = SENSOR\ndeny_time = FOREVER", FIELD(deny_time), SOCKEYE__CONF_UNLIMITED},
	    {"flags = sensor\ndeny_time = 15", FIELD(deny_time), 15},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].line) {
		char text[300];
		struct sockeye__conf *conf;
		int64_t value;

		snprintf(text, sizeof text, BEGIN "%s" END, rows[i].line);
		conf = conf_of(text, STRICT);
		assert_clean(conf);
		memcpy(&value, (const char *)&conf->services[0] + rows[i].field, sizeof value);
		assert_int_equal(value, rows[i].value);
		sockeye__conf_free(conf);
	}
}

static void test_words(void **state)
{
	struct sockeye__conf *conf =
	    conf_of("service x\n{\ntype = unlisted\nsocket_type = stream\nport = 9000\n"
		    "protocol = tcp\nwait = no\nuser = nobody\ngroup = mail\ngroups = YES\n"
		    "server = /bin/cat\nserver_args = -u \"a b\"\nflags = nodelay KEEPALIVE\n"
		    "env = A=1 B=x=y\nenv += C=\npassenv = PATH\npassenv += TZ LANG\n"
		    "passenv -= TZ\nlog_type = FILE /l 2000\nlog_on_success = PID HOST\n"
		    "log_on_success += exit\nlog_on_success -= PID\nbind = 127.0.0.1\n"
		    "access_times = 8:00-12:00 13:00-17:59\nstderr = /e\nover_limit = refuse\n"
		    "model = prefork\n}\n",
		    COMPAT);
	const struct sockeye__conf_service *s = &conf->services[0];

	(void)state;
	assert_int_equal(s->state, SOCKEYE__CONF_ENABLED);
	assert_int_equal(s->type, SOCKEYE__CONF_TYPE_UNLISTED);
	assert_int_equal(s->port, 9000);
	assert_string_equal(s->group, "mail");
	assert_true(s->groups);
	assert_int_equal(s->server_args.count, 3);
	assert_string_equal(s->server_args.at[1], "\"a");
	assert_null(s->server_args.at[3]);
	assert_int_equal(s->flags, SOCKEYE__CONF_FLAG_NODELAY | SOCKEYE__CONF_FLAG_KEEPALIVE);
	assert_int_equal(s->env.count, 3);
	assert_string_equal(s->env.at[2], "C=");
	assert_int_equal(s->passenv.count, 2);
	assert_string_equal(s->passenv.at[1], "LANG");
	assert_int_equal(s->log_type.kind, SOCKEYE__CONF_LOG_FILE);
	assert_int_equal(s->log_type.soft, 2000);
	assert_int_equal(s->log_type.hard, 2000 + 5120);
	assert_int_equal(s->log_on_success, SOCKEYE__CONF_LOG_HOST | SOCKEYE__CONF_LOG_EXIT);
	assert_string_equal(s->bind, "127.0.0.1");
	assert_int_equal(s->access_times.count, 2);
	assert_int_equal(s->access_times.at[1].from, 780);
	assert_string_equal(s->stderr_to, "/e");
	assert_int_equal(s->over_limit, SOCKEYE__CONF_REFUSE);
	sockeye__conf_free(conf);
}

static const struct {
	const char *line, *why;
} wrong[] = {
    {"access_times =", "'access_times' needs 1 value and has 0"},
    {"server_args =", "'server_args' needs 1 value and has 0"},
    {"type =", "'type' needs 1 value and has 0"},
    {"disable = maybe", "disable = maybe: must be yes or no"},
    {"port = 65536", "port = 65536: must be 0 to 65535"},
    {"port = http", "port = http: must be 0 to 65535"},
    {"instances = -1", "instances = -1: must be a whole number or UNLIMITED"},
    {"cps = fast 10", "cps = fast 10: must be 0 to 2147483647, twice"},
    {"umask = 0778", "umask = 0778: must be octal, 0 to 0777"},
    {"umask = 1000", "umask = 1000: must be octal, 0 to 0777"},
    {"nice = low", "nice = low: must be -20 to 19"},
    {"rlimit_as = 9999999999999M",
     "rlimit_as = 9999999999999M: must be a whole number, K (1024) or M (1048576) may "
     "follow, or UNLIMITED"},
    {"max_load = 0", "max_load = 0: must be a number above 0, such as 2.5"},
    {"max_load = 2.", "max_load = 2.: must be a number above 0, such as 2.5"},
    {"idle_timeout = soon", "idle_timeout = soon: must be a time such as 30s, 5m or 1h, "
			    "or never"},
    {"rate = 20/d", "rate = 20/d: must be a rate, such as 20/s, 256/m or 1000/h, and a "
		    "burst"},
    {"over_limit = wait", "over_limit = wait: must be delay or refuse"},
    {"flags = NODELAY NOPE",
     "flags: 'NOPE': must be REUSE, INTERCEPT, NORETRY, IDONLY, NAMEINARGS, NODELAY, "
     "KEEPALIVE, NOLIBWRAP, SENSOR, IPv4, IPv6 or LABELED"},
    {"log_on_failure = HOST # x",
     "log_on_failure: '#': # begins a comment only at the start of a line: put the "
     "comment on its own line"},
    {"env = PATH", "env: 'PATH': must be NAME=VALUE without blanks"},
    {"access_times = 12:00-24:00",
     "access_times: '12:00-24:00' is not a span from 0:00 to 23:59, such as 8:00-17:59"},
    {"log_type = SYSLOG here", "log_type: 'here': is not a facility, such as daemon or local0"},
    {"log_type = FILE /l 10 5", "log_type: 'FILE /l 10 5': the second limit is below the first"},
    {"rpc_version = 3-2", "rpc_version = 3-2: must be a version N, or versions N-M"},
    {"deny_time = soon", "deny_time = soon: must be a number of minutes, FOREVER or NEVER"},
    {"only_from = 10.0.0.1,10.0.0.2",
     "only_from: '10.0.0.1,10.0.0.2': separate addresses with blanks, not with commas"},
};

/* Wrong values, which disable the service in the compatible reader too. */
static void test_wrong_values(void **state)
{
	(void)state;
	FOR_ROWS(i, wrong, "%s", wrong[i].line) {
		for (int compat = 0; compat < 2; compat++) {
			char text[300];
			struct sockeye__conf *conf;

			snprintf(text, sizeof text, BEGIN "%s" END, wrong[i].line);
			conf = conf_of(text, compat != 0);
			assert_string_equal(conf->notes.list[0].text, wrong[i].why);
			assert_int_equal(conf->notes.list[0].place.line, 7);
			assert_int_equal(conf->notes.list[0].severity,
					 compat ? SOCKEYE__CONF_WARNING : SOCKEYE__CONF_ERROR);
			assert_int_equal(conf->services[0].state, SOCKEYE__CONF_DROPPED);
			assert_int_equal(sockeye__conf_notes_fatal(&conf->notes), !compat);
			sockeye__conf_free(conf);
		}
	}
}

#define OPEN SOCKEYE__CONF_ENABLED
#define OFF  SOCKEYE__CONF_DISABLED
#define LOST SOCKEYE__CONF_DROPPED
#define COMMENT \
	"# begins a comment only at the start of a line, and xinetd ignores this line: put the " \
	"comment on its own line"

static const struct {
	const char *text, *strict;
	enum sockeye__conf_state compat;
} refusals[] = {
    {BEGIN "no_access = typo" END,
     "f:7 e no_access: 'typo' is not an address and not the name of a known host or "
     "network",
     OPEN},
    {BEGIN "disable = yes # off" END, "f:7 e 'disable = yes # off': " COMMENT, OFF},
    {BEGIN "disable = no # on" END, "f:7 e 'disable = no # on': " COMMENT, OPEN},
    {BEGIN "instances = 3 # few" END, "f:7 e 'instances = 3 # few': " COMMENT, OPEN},
    {BEGIN "redirect = host 80 x" END, "f:7 e redirect = host 80 x: must be a host and a port",
     OPEN},
    {BEGIN "nice = 20" END, "f:7 e nice = 20: must be -20 to 19", OPEN},
    {BEGIN "log_type = SYSLOG auth err # x" END, "f:7 e 'log_type = SYSLOG auth err # x': " COMMENT,
     LOST},
    {BEGIN "cps = 3" END, "f:7 e 'cps' needs 2 values and has 1", OPEN},
    {BEGIN END "defaults\n{\n}\n",
     "f:1 e service 'ftp' is before defaults (f:9) and does not get only_from, no_access, "
     "log_on_success and others from it: move defaults to the start",
     OPEN},
    {BEGIN "nice = much\ndisable = no" END,
     "f:7 e nice = much: must be -20 to 19\n"
     "f:8 e this line makes xinetd start the service in spite of the wrong value above: "
     "correct the value",
     LOST},
    {"service ftp\n{\nsocket_type = stream\nwait = yes\nuser = root\nserver = /x\n"
     "only_from = 10.0.0.0" END,
     "f:7 e service 'ftp': with 'wait = yes' the program accepts TCP connections itself, "
     "so xinetd cannot check their addresses and serves no client: write 'wait = no', or "
     "check addresses in the program",
     OPEN},
    {BEGIN "onlyfrom = 10.0.0.0" END, "f:7 e unknown attribute 'onlyfrom': write 'only_from'",
     OPEN},
    {BEGIN "no_acces = 10.0.0.0" END, "f:7 e unknown attribute 'no_acces': write 'no_access'",
     OPEN},
    {BEGIN "colour = red" END, "f:7 e unknown attribute 'colour'", OPEN},
    {BEGIN "enabled = ftp" END, "f:7 e 'enabled' has no effect in a service: move it to defaults",
     OPEN},
    {BEGIN "user = nobody" END, "f:7 e 'user' is already set at line 5, which takes effect", OPEN},
    {BEGIN "interface = ::1\nbind = ::1" END,
     "f:8 e 'bind' is already set at line 7, which takes effect", OPEN},
    {BEGIN "nice += 3" END, "f:7 e 'nice' has a single value: write 'nice = 3'", OPEN},
    {BEGIN "env -= A=1" END, "f:7 e 'env' cannot be used with -=", LOST},
    {BEGIN "wait" END, "f:7 e 'wait' has no operator: write 'wait = VALUE'", LOST},
    {BEGIN "umask=022" END, "f:7 e 'umask' needs a blank before its operator: write 'umask = 022'",
     LOST},
    {BEGIN "port = 2121" END,
     "f:7 e port = 2121: services(5) has port 21 for 'ftp': add 'type = UNLISTED' for "
     "another port",
     LOST},
    {BEGIN "flags = IPv4 IPv6" END,
     "f:7 e flags IPv4 and IPv6 cannot be combined; xinetd uses IPv6", OPEN},
    {BEGIN "flags = NAMEINARGS" END,
     "f:7 e NAMEINARGS needs the name of the program as first word of 'server_args'", LOST},
    {BEGIN "log_on_success = TRAFFIC" END,
     "f:7 e service 'ftp': TRAFFIC in log_on_success needs 'redirect'", LOST},
    {BEGIN "protocol = udp" END,
     "f:7 e 'protocol = udp' needs 'socket_type = dgram'\n"
     "f:1 e 'ftp' is not in services(5): add 'type = UNLISTED' "
     "and 'port = N'",
     LOST},
    {BEGIN "model = fork" END, "f:7 e 'model' has an effect only on built-in services", OPEN},
    {BEGIN "deny_time = 5" END, "f:7 e 'deny_time' needs 'flags = SENSOR'", OPEN},
    {"service ftp\n{\n}\n",
     "f:1 e service 'ftp' has no 'wait': write 'wait = no', or yes for a program that "
     "accepts clients itself\n"
     "f:1 e service 'ftp' has no 'socket_type'\n"
     "f:1 e service 'ftp' has no 'user'\n"
     "f:1 e service 'ftp' has no 'server', and its type is not INTERNAL",
     LOST},
    {"service servers\n{\ntype = INTERNAL UNLISTED\nsocket_type = stream\nprotocol = tcp\n"
     "wait = no\nport = 9099" END,
     "f:3 e there is no built-in service 'servers'", LOST},
    {"service tftp\n{\ntype = INTERNAL\nsocket_type = dgram\nwait = yes" END,
     "f:1 e service 'tftp' has no 'root'", LOST},
    {"defaults\n{\ninstances = many\n}\n" BEGIN END,
     "f:3 e instances = many: must be a whole number or UNLIMITED", OPEN},
    {"defaults\n{\nport = 3\n}\n" BEGIN END,
     "f:3 e 'port' has no effect in defaults: move it to each service", OPEN},
    {"defaults\n{\n}\ndefaults\n{\nport = 3\n}\n" BEGIN END,
     "f:4 e second defaults in this file, which xinetd ignores: merge it with the first", OPEN},
    {"defaults\n{\ndisabled = fpt\n}\n" BEGIN END, "f:3 e disabled: no service has the id 'fpt'",
     OPEN},
    {"defaults\n{\ndisabled -= ftp\n}\n" BEGIN END,
     "f:3 e xinetd reads -= as += here: write 'disabled ='", OFF},
};

/* What the strict reader refuses, and the state of the first service when the compatible
 * one has read it. */
static void test_refusals(void **state)
{
	(void)state;
	FOR_ROWS(i, refusals, "%s", refusals[i].text) {
		struct sockeye__conf *conf = conf_of(refusals[i].text, STRICT);

		assert_notes(conf, refusals[i].strict);
		assert_true(sockeye__conf_notes_fatal(&conf->notes));
		sockeye__conf_free(conf);
		conf = conf_of(refusals[i].text, COMPAT);
		assert_true(conf->notes.warnings > 0);
		assert_int_equal(conf->services[0].state, refusals[i].compat);
		sockeye__conf_free(conf);
	}
}

/* A disabled service never stops a start, even if it has mistakes. */
static void test_disabled(void **state)
{
	static const char *const rows[] = {
	    "service servers\n{\ntype = INTERNAL\nnice = x\ndisable = yes\n}\n",
	    "service a\n{\ndisable = yes\nno_access = typo\nport=80\nwhat\n}\n",
	    "defaults\n{\ndisabled = a\n}\nservice a\n{\ncps = 1\numask = 9\n}\n",
	    "defaults\n{\nenabled = b\n}\nservice a\n{\ncps = 1\n}\n"
	    "service ftp\n{\nid = b\nsocket_type = stream\nwait = no\nuser = r\nserver = /x\n}\n",
	    "service a\n{\ndisable = yes\n}\ndefaults\n{\nonly_from = 10.0.0.0\n}\n",
	    BEGIN END "service ftp\n{\ndisable = yes\nsocket_type = stream\nwait = no\n}\n",
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i]) {
		for (int compat = 0; compat < 2; compat++) {
			struct sockeye__conf *conf = conf_of(rows[i], compat != 0);

			assert_false(sockeye__conf_notes_fatal(&conf->notes));
			sockeye__conf_free(conf);
		}
	}
}

/* Every attribute, printed and read again, has the same value. */
static void test_print(void **state)
{
	static const char text[] =
	    "service x\n{\n\tid = y\n\ttype = UNLISTED\n\tflags = NAMEINARGS NODELAY IPv6\n"
	    "\tsocket_type = stream\n\tprotocol = tcp\n\tport = 9000\n\tbind = ::1\n"
	    "\tv6only = yes\n\twait = no\n\tuser = nobody\n\tgroup = mail\n\tgroups = yes\n"
	    "\tserver = /bin/cat\n\tserver_args = cat -u\n\tenv = A=1 B=\n\tpassenv = TZ\n"
	    "\tstderr = null\n\tumask = 0027\n\tnice = -3\n\trlimit_as = 1048576\n"
	    "\trlimit_cpu = UNLIMITED\n\trlimit_files = 64\n\trpc_version = 2-3\n"
	    "\trpc_number = 100003\n\tinstances = UNLIMITED\n\tper_source = 3\n"
	    "\tper_source_prefix = 24 56\n\tcps = 25 30\n\trate = 256/m 40\n"
	    "\tmax_load = 2.500\n\tover_limit = refuse\n\tidle_timeout = 90s\n"
	    "\tmax_time = 1500000000ns\n"
	    "\tonly_from = 10.1.0.0/16 10.0.0.0/32 2001:db8::/32 .example.org h.example.org\n"
	    "\tno_access =\n\taccess_times = 8:05-12:00 13:00-23:59\n"
	    "\tlibwrap = cat\n\tproxy_protocol = accept send-v2\n\tbanner = /b\n"
	    "\tlog_type = FILE /l 1000 6120\n\tlog_on_success = PID HOST\n"
	    "\tlog_on_failure = HOST ATTEMPT\n}\n"
	    "\nservice ftp\n{\n\tdisable = yes\n\tredirect = h 80\n\tdeny_time = FOREVER\n"
	    "\tlog_type = SYSLOG auth err\n}\n";
	struct sockeye__conf *conf = conf_of(text, STRICT);
	char *printed = sockeye__conf_print(conf);

	(void)state;
	assert_string_equal(printed, text);
	free(printed);
	sockeye__conf_free(conf);
}

/* Each attribute has a name, help and a default in words, and belongs somewhere. */
static void test_table(void **state)
{
	(void)state;
	FOR_ROWS(i, sockeye__conf_infos, "%zu", i) {
		const struct sockeye__conf_info *info = &sockeye__conf_infos[i];

		assert_non_null(info->name);
		assert_non_null(info->help);
		assert_non_null(info->by_default);
		assert_true(info->flags & (SOCKEYE__CONF_IN_SERVICE | SOCKEYE__CONF_IN_DEFAULTS));
		assert_true(info->offset > 0);
		assert_int_equal(info->size, sockeye__conf_kind_size(info->kind));
		assert_true((info->words != NULL) == (info->kind == SOCKEYE__CONF_K_CHOICE ||
						      info->kind == SOCKEYE__CONF_K_BITS));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_service),  cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_words),    cmocka_unit_test(test_wrong_values),
	    cmocka_unit_test(test_refusals), cmocka_unit_test(test_disabled),
	    cmocka_unit_test(test_print),    cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
