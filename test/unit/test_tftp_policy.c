/*
 * Rules for clients: the terms of a transfer, the messages about wrong policies,
 * and reading files of rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../rows.h"
#include "tftp/server/policy.h"

static struct sockeye_sockaddr client_of(const char *text)
{
	struct sockeye_sockaddr client = {.len = sizeof client.u.in};

	if (inet_pton(AF_INET, text, &client.u.in.sin_addr) == 1) {
		client.u.in.sin_family = AF_INET;
		return client;
	}
	client.len = sizeof client.u.in6;
	client.u.in6.sin6_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &client.u.in6.sin6_addr), 1);
	return client;
}

static struct sockeye__tftp_rules *rules_of(const char *text)
{
	struct sockeye__rules_error error = {0};
	struct sockeye__tftp_rules *rules = NULL;

	if (sockeye__tftp_policy_parse(text, strlen(text), &rules, &error) < 0)
		fail_msg("line %u: %s", error.line, error.text);
	return rules;
}

static void test_option_names(void **state)
{
	(void)state;
	assert_int_equal(sockeye__tftp_option_named("blksize", 7), SOCKEYE__TFTP_BLKSIZE);
	assert_int_equal(sockeye__tftp_option_named("blksize2", 8), SOCKEYE__TFTP_BLKSIZE2);
	assert_int_equal(sockeye__tftp_option_named("blksize2", 7), SOCKEYE__TFTP_BLKSIZE);
	assert_int_equal(sockeye__tftp_option_named("WindowSize", 10), SOCKEYE__TFTP_WINDOWSIZE);
	assert_int_equal(sockeye__tftp_option_named("multicast", 9), -EINVAL);
	assert_int_equal(sockeye__tftp_option_named("", 0), -EINVAL);
	for (int i = 0; i < SOCKEYE__TFTP_OPTIONS; i++) {
		const char *name = sockeye__tftp_option_name((enum sockeye__tftp_option)i);

		assert_int_equal(sockeye__tftp_option_named(name, strlen(name)), i);
	}
}

/* A rule denies only the clients that it names. */
static void test_clients(void **state)
{
	struct sockeye__tftp_rules *rules = rules_of("192.0.2.0/24 deny\n* window=2");
	struct sockeye_sockaddr inside = client_of("192.0.2.9"), outside = client_of("192.0.3.9");
	struct sockeye__tftp_terms defaults = {0}, terms;

	(void)state;
	assert_int_equal(sockeye__tftp_policy_terms(rules, &inside, "a", &defaults, &terms), 1);
	assert_true(terms.deny_get && terms.deny_put);
	assert_int_equal(sockeye__tftp_policy_terms(rules, &outside, "a", &defaults, &terms), 2);
	assert_false(terms.deny_get || terms.deny_put);
	sockeye__tftp_policy_free(rules);
}

static void test_names(void **state)
{
	static const struct {
		const char *word, *name;
		bool is;
	} rows[] = {
	    {"name=*.efi", "grub.efi", true},
	    {"name=*.efi", "boot/grub.efi", true}, /* a star matches slashes */
	    {"name=*.efi", "grub.efi2", false},
	    {"name=boot/*", "boot/a/b", true},
	    {"name=boot/*", "Boot/a", false},
	    {"name=[bB]oot/?", "Boot/a", true},
	    {"name=*", ".hidden", true},
	    {"\"name=a b*\"", "a bc", true},
	    {"name=a\\ b*", "a bc", true},
	    {"name=\\*", "a", false},
	    {"name=\\*", "*", true},
	    {"name=x", "a\n", false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, %s", rows[i].word, rows[i].name) {
		struct sockeye_sockaddr client = client_of("::1");
		struct sockeye__tftp_terms defaults = {0}, terms;

		for (int last = 0; last < 2; last++) {
			struct sockeye__tftp_rules *rules;
			char text[80];

			snprintf(text, sizeof text,
				 last ? "# %%\n* deny %s" : "# %%\n* %s deny # no", rows[i].word);
			rules = rules_of(text);
			sockeye__tftp_policy_terms(rules, &client, rows[i].name, &defaults, &terms);
			assert_int_equal(terms.deny_get, rows[i].is);
			sockeye__tftp_policy_free(rules);
		}
	}
}

#define BIT(option) SOCKEYE__TFTP_BIT(SOCKEYE__TFTP_##option)

static void test_terms(void **state)
{
	static const struct sockeye__tftp_terms defaults = {.policy = {1024, 16, BIT(TSIZE)},
							    .blksize_mtu = true};
	static const struct {
		const char *line;
		struct sockeye__tftp_terms terms;
	} rows[] = {
	    {"", {{1024, 16, BIT(TSIZE)}, true, false, false, false}},
	    {"* default", {{1024, 16, BIT(TSIZE)}, true, false, false, false}},
	    {"* blksize=512", {{512, 16, BIT(TSIZE)}, false, false, false, false}},
	    {"* blksize=8", {{8, 16, BIT(TSIZE)}, false, false, false, false}},
	    {"* blksize=65464", {{65464, 16, BIT(TSIZE)}, false, false, false, false}},
	    {"* blksize=mtu", {{0, 16, BIT(TSIZE)}, true, false, false, false}},
	    {"* window=1", {{1024, 1, BIT(TSIZE)}, true, false, false, false}},
	    {"* window=65535", {{1024, 65535, BIT(TSIZE)}, true, false, false, false}},
	    {"* refuse=none", {{1024, 16, 0}, true, false, false, false}},
	    {"* refuse=blksize,BLKSIZE2",
	     {{1024, 16, BIT(BLKSIZE) | BIT(BLKSIZE2)}, true, false, false, false}},
	    {"* refuse=timeout,utimeout,rollover,windowsize,tsize",
	     {{1024, 16,
	       BIT(TIMEOUT) | BIT(UTIMEOUT) | BIT(ROLLOVER) | BIT(WINDOWSIZE) | BIT(TSIZE)},
	      true,
	      false,
	      false,
	      false}},
	    {"* deny", {{1024, 16, BIT(TSIZE)}, true, true, true, false}},
	    {"* window=2 blksize=1468 refuse=none", {{1468, 2, 0}, false, false, false, false}},
	    {"* deny=get", {{1024, 16, BIT(TSIZE)}, true, true, false, false}},
	    {"* deny=put", {{1024, 16, BIT(TSIZE)}, true, false, true, false}},
	    {"* deny=put window=2 name=a", {{1024, 2, BIT(TSIZE)}, true, false, true, false}},
	    {"* trusted", {{1024, 16, BIT(TSIZE)}, true, false, false, true}},
	    {"* blksize=8192 trusted", {{8192, 16, BIT(TSIZE)}, false, false, false, true}},
	    {"10.0.0.0/8 trusted\n* default", {{1024, 16, BIT(TSIZE)}, true, false, false, false}},
	    {"10.0.0.0/8 deny\n* window=2", {{1024, 2, BIT(TSIZE)}, true, false, false, false}},
	    {"* name=b* window=2\n* window=3\n* window=4",
	     {{1024, 3, BIT(TSIZE)}, true, false, false, false}},
	};
	struct sockeye_sockaddr client = client_of("192.0.2.1");
	struct sockeye__tftp_terms terms;

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].line) {
		struct sockeye__tftp_rules *rules = rules_of(rows[i].line);

		sockeye__tftp_policy_terms(rules, &client, "a", &defaults, &terms);
		assert_int_equal(terms.policy.blksize_max, rows[i].terms.policy.blksize_max);
		assert_int_equal(terms.policy.window_max, rows[i].terms.policy.window_max);
		assert_int_equal(terms.policy.refused, rows[i].terms.policy.refused);
		assert_int_equal(terms.blksize_mtu, rows[i].terms.blksize_mtu);
		assert_int_equal(terms.deny_get, rows[i].terms.deny_get);
		assert_int_equal(terms.deny_put, rows[i].terms.deny_put);
		assert_int_equal(terms.trusted, rows[i].terms.trusted);
		sockeye__tftp_policy_free(rules);
	}
	assert_int_equal(sockeye__tftp_policy_terms(NULL, &client, "a", &defaults, &terms), 0);
	assert_int_equal(terms.policy.blksize_max, 1024);
	sockeye__tftp_policy_free(NULL);
}

/* A client without an Internet address matches only `*`. */
static void test_no_address(void **state)
{
	struct sockeye__tftp_rules *rules = rules_of("::/0 deny\n0.0.0.0/0 deny\n* window=7");
	struct sockeye__tftp_terms defaults = {0}, terms;
	struct sockeye_sockaddr none = {0};

	(void)state;
	assert_int_equal(sockeye__tftp_policy_terms(rules, &none, "a", &defaults, &terms), 3);
	assert_int_equal(terms.policy.window_max, 7);
	sockeye__tftp_policy_free(rules);
}

#define NO_SETTING "no setting: add blksize=, window=, refuse=, trusted, deny or default"

static void test_wrong_policies(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *why;
	} rows[] = {
	    {"*", 1, NO_SETTING},
	    {"\n* name=x # deny", 2, NO_SETTING},
	    {"deny", 1, "'deny' is not an address, a prefix or *"},
	    {"# x\n1.2.3 deny", 2, "'1.2.3' is not an address, a prefix or *"},
	    {"\"\" deny", 1, "'' is not an address, a prefix or *"},
	    {"* blksize=7", 1, "blksize=7: must be 8 to 65464 or mtu"},
	    {"* blksize=65465", 1, "blksize=65465: must be 8 to 65464 or mtu"},
	    {"* blksize=", 1, "blksize=: must be 8 to 65464 or mtu"},
	    {"* blksize=mtu2", 1, "blksize=mtu2: must be 8 to 65464 or mtu"},
	    {"* blksize=4294967808", 1, "blksize=4294967808: must be 8 to 65464 or mtu"},
	    {"* window=0", 1, "window=0: must be 1 to 65535"},
	    {"* window=65536", 1, "window=65536: must be 1 to 65535"},
	    {"* refuse=multicast", 1,
	     "refuse: unknown option 'multicast'; the options are blksize blksize2 timeout "
	     "utimeout "
	     "tsize windowsize rollover none"},
	    {"* refuse=", 1,
	     "refuse: unknown option ''; the options are blksize blksize2 timeout utimeout "
	     "tsize windowsize rollover none"},
	    {"* refuse=tsize,", 1,
	     "refuse: unknown option ''; the options are blksize blksize2 timeout utimeout "
	     "tsize windowsize rollover none"},
	    {"* refuse=none,tsize", 1,
	     "refuse: unknown option 'none'; the options are blksize blksize2 timeout utimeout "
	     "tsize windowsize rollover none"},
	    {"* name= deny", 1, "name= needs a pattern"},
	    {"* name=a[b deny", 1, "name=a[b: missing ], or \\ at the end"},
	    {"* name=[]a deny", 1, "name=[]a: missing ], or \\ at the end"},
	    {"* name=[!] deny", 1, "name=[!]: missing ], or \\ at the end"},
	    {"* name=[a\\] deny", 1, "name=[a\\\\]: missing ], or \\ at the end"},
	    {"* \"name=a\\", 1, "missing closing quote"},
	    {"* deny name=a\\", 1, "name=a\\\\: missing ], or \\ at the end"},
	    {"* name=a name=b deny", 1, "name= is given twice"},
	    {"* window=1 window=1", 1, "window= is given twice"},
	    {"* deny deny", 1, "deny is given twice"},
	    {"* deny window=1", 1, "deny excludes other settings"},
	    {"* deny=", 1, "deny=: must be get or put"},
	    {"* deny=all", 1, "deny=all: must be get or put"},
	    {"* deny deny=get", 1, "deny excludes other settings"},
	    {"* deny trusted", 1, "deny excludes other settings"},
	    {"* trusted trusted", 1, "trusted is given twice"},
	    {"* trusted=yes", 1,
	     "unknown setting 'trusted=yes'; the settings are name= blksize= window= refuse= "
	     "trusted deny deny= default"},
	    {"* default window=1", 1, "default excludes other settings"},
	    {"* deny default", 1, "deny excludes other settings"},
	    {"* denyall", 1,
	     "unknown setting 'denyall'; the settings are name= blksize= window= refuse= "
	     "trusted deny deny= default"},
	    {"* *.efi deny", 1,
	     "unknown setting '*.efi'; the settings are name= blksize= window= refuse= "
	     "trusted deny deny= default"},
	    {"* Window=1", 1,
	     "unknown setting 'Window=1'; the settings are name= blksize= window= refuse= "
	     "trusted deny deny= default"},
	    {"* 1 2 3 4 5 6 7 8", 1, "more than 8 words (put a word with blanks in quotes)"},
	    {"* \"name=x", 1, "missing closing quote"},
	    {"* \"name=x\"deny", 1, "missing blank after a closing quote"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		struct sockeye__tftp_rules *rules = (struct sockeye__tftp_rules *)&rows;
		struct sockeye__rules_error error = {0};

		assert_int_equal(
		    sockeye__tftp_policy_parse(rows[i].text, strlen(rows[i].text), &rules, &error),
		    -EINVAL);
		assert_ptr_equal(rules, &rows);
		assert_string_equal(error.text, rows[i].why);
		assert_int_equal(error.line, rows[i].line);
	}
}

static void test_too_many_lines(void **state)
{
	struct sockeye__rules_error error = {0};
	struct sockeye__tftp_rules *rules;
	size_t lines = SOCKEYE__RULES_MAX + 1;
	char *text = malloc(7 * lines + 1);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < lines; i++)
		strcpy(text + 7 * i, "* deny\n");
	assert_int_equal(sockeye__tftp_policy_parse(text, 7 * lines, &rules, &error), -EINVAL);
	assert_string_equal(error.text, "more than 4096 rules");
	assert_int_equal(error.line, 4097);
	assert_int_equal(sockeye__tftp_policy_parse(text, 7 * (lines - 1), &rules, &error), 0);
	sockeye__tftp_policy_free(rules);
	free(text);
}

static void file_write(int dir, const char *name, const char *data, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void test_files(void **state)
{
	char folder[] = "/tmp/test_tftp_policy.XXXXXX", *big, *text;
	size_t len;
	int dir;

	(void)state;
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	big = calloc(1, SOCKEYE__RULES_FILE_MAX + 1);
	assert_non_null(big);

	file_write(dir, "f", "* deny\n", 7);
	assert_int_equal(sockeye__rules_file_read("f", dir, &text, &len), 0);
	assert_int_equal(len, 7);
	assert_string_equal(text, "* deny\n");
	free(text);
	file_write(dir, "f", "", 0);
	assert_int_equal(sockeye__rules_file_read("f", dir, &text, &len), 0);
	assert_int_equal(len, 0);
	free(text);
	file_write(dir, "f", big, SOCKEYE__RULES_FILE_MAX);
	assert_int_equal(sockeye__rules_file_read("f", dir, &text, &len), 0);
	assert_int_equal(len, SOCKEYE__RULES_FILE_MAX);
	free(text);
	file_write(dir, "f", big, SOCKEYE__RULES_FILE_MAX + 1);
	assert_int_equal(sockeye__rules_file_read("f", dir, &text, &len), -EFBIG);
	assert_int_equal(sockeye__rules_file_read("none", dir, &text, &len), -ENOENT);
	assert_int_equal(sockeye__rules_file_read(".", dir, &text, &len), -EISDIR);
	assert_int_equal(sockeye__rules_file_read(folder, AT_FDCWD, &text, &len), -EISDIR);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0); /* reading must not wait for a writer */
	assert_int_equal(sockeye__rules_file_read("fifo", dir, &text, &len), -EINVAL);
	assert_int_equal(sockeye__rules_file_read("/dev/null", dir, &text, &len), -EINVAL);

	free(big);
	unlinkat(dir, "f", 0);
	unlinkat(dir, "fifo", 0);
	close(dir);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_option_names),   cmocka_unit_test(test_clients),
	    cmocka_unit_test(test_names),          cmocka_unit_test(test_terms),
	    cmocka_unit_test(test_no_address),     cmocka_unit_test(test_wrong_policies),
	    cmocka_unit_test(test_too_many_lines), cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
