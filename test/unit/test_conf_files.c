/*
 * A configuration in real files: what a directory lists, and files that cannot be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../rows.h"
#include "superserver/conf_files.h"

static char folder[] = "/tmp/sockeye-conf-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int teardown(void **state)
{
	static const char *const names[] = {"d/a",    "d/b.conf", "d/link", "d/loose",
					    "d/fifo", "conf",     "cycle"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		unlink(names[i]);
	return rmdir("d/sub") + rmdir("d") + chdir("/") + rmdir(folder);
}

static void file_write(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static struct sockeye__conf *conf_of(const char *path)
{
	struct sockeye__conf *conf = NULL;

	assert_int_equal(
	    sockeye__conf_read(path, SOCKEYE__CONF_XINETD, false, &sockeye__conf_files, &conf), 0);
	return conf;
}

#define SERVICE(name) "service " name "\n{\ndisable = yes\n}\n"

static void test_directory(void **state)
{
	struct sockeye__conf *conf;

	(void)state;
	assert_int_equal(mkdir("d", 0700) + mkdir("d/sub", 0700) + mkfifo("d/fifo", 0600), 0);
	file_write("d/a", SERVICE("a"));
	file_write("d/b.conf", SERVICE("b"));
	assert_int_equal(symlink("a", "d/link") + symlink("nothing", "d/loose"), 0);
	file_write("conf", "includedir d\n");
	conf = conf_of("conf");
	assert_false(sockeye__conf_notes_fatal(&conf->notes));
	assert_int_equal(conf->count, 2); /* d/a, and again as d/link */
	assert_string_equal(conf->services[1].place.file, "d/link");
	sockeye__conf_free(conf);
}

static void test_unreadable(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
	    {"include d\n", "include: cannot read 'd': Is a directory"},
	    {"include d/fifo\n", "include: cannot read 'd/fifo': Invalid argument"},
	    {"include d/none\n", "include: cannot read 'd/none': No such file or directory"},
	    {"includedir d/a\n", "includedir: cannot read 'd/a': Not a directory"},
	    {"include cycle\n", "'cycle' includes itself"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		struct sockeye__conf *conf;

		file_write("cycle", rows[i].text);
		conf = conf_of("cycle");
		assert_string_equal(conf->notes.list[0].text, rows[i].why);
		assert_int_equal(conf->notes.list[0].place.line, 1);
		assert_true(sockeye__conf_notes_fatal(&conf->notes));
		sockeye__conf_free(conf);
	}
}

static void test_names(void **state)
{
	const struct sockeye__conf_world *world = &sockeye__conf_files;

	(void)state;
	assert_true(world->name_known(NULL, "localhost"));
	assert_int_equal(world->port(NULL, "no-such-service", "tcp"), -ENOENT);
	assert_true(world->is_user(NULL, "root") && world->is_group(NULL, "root"));
	assert_false(world->is_user(NULL, "no such") || world->is_group(NULL, "no such"));
	assert_true(world->is_program(NULL, "/bin/sh"));
	assert_false(world->is_program(NULL, "/bin") || world->is_program(NULL, "/etc/passwd"));
}

/* Programs, users and groups that do not exist. */
static void test_wrong_names(void **state)
{
	static const struct {
		const char *user, *group, *server, *why;
	} rows[] = {
	    {"root", "root", "/bin/sh", NULL},
	    {"4711", "4711", "/bin/sh", NULL},
	    {"root", "root", "/bin/no", "server = /bin/no: is not a program that can be run"},
	    {"root", "root", "/etc/passwd",
	     "server = /etc/passwd: is not a program that can be run"},
	    {"r00t", "root", "/bin/sh", "user = r00t: there is no such user"},
	    {"root", "r00t", "/bin/sh", "group = r00t: there is no such group"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s %s %s", rows[i].user, rows[i].group, rows[i].server) {
		char text[300];
		struct sockeye__conf *conf;

		snprintf(text, sizeof text,
			 "service x\n{\ntype = UNLISTED\nprotocol = tcp\nport = 9\nwait = no\n"
			 "user = %s\ngroup = %s\nserver = %s\n}\n",
			 rows[i].user, rows[i].group, rows[i].server);
		file_write("conf", text);
		conf = conf_of("conf");
		assert_int_equal(conf->notes.count, rows[i].why != NULL);
		if (rows[i].why != NULL)
			assert_string_equal(conf->notes.list[0].text, rows[i].why);
		sockeye__conf_free(conf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_directory),
	    cmocka_unit_test(test_unreadable),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_wrong_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
