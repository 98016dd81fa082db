/*
 * conf_texts.h: reads configurations of the super-server from texts of the test. Include
 * <cmocka.h> before this header.
 */
#ifndef SOCKEYE_TEST_CONF_TEXTS_H
#define SOCKEYE_TEST_CONF_TEXTS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../rows.h"
#include "superserver/conf_internal.h"

#define STRICT false
#define COMPAT true

/* The files of a test, until a NULL name. */
struct file {
	const char *name, *text;
};

static inline int file_read(void *context, const char *path, char **out_text, size_t *out_len)
{
	for (const struct file *f = context; f->name != NULL; f++) {
		if (strcmp(f->name, path) != 0)
			continue;
		*out_len = strlen(f->text);
		*out_text = malloc(*out_len + 1);
		assert_non_null(*out_text);
		memcpy(*out_text, f->text, *out_len);
		return 0;
	}
	return -ENOENT;
}

/* Lists the names after "/d/". */
static inline int files_list(void *context, const char *path, char **out_names)
{
	char *names = calloc(1, 1024), *at = names;

	assert_non_null(names);
	if (strcmp(path, "/d") != 0) {
		free(names);
		return -EACCES;
	}
	for (const struct file *f = context; f->name != NULL; f++)
		if (strncmp(f->name, "/d/", 3) == 0)
			at = stpcpy(at, f->name + 3) + 1;
	*out_names = names;
	return 0;
}

static inline int port_of(void *context, const char *service, const char *protocol)
{
	(void)context;
	if (strcmp(service, "ftp") == 0 && strcmp(protocol, "tcp") == 0)
		return 21;
	if (strcmp(service, "syslog") == 0 && strcmp(protocol, "udp") == 0)
		return 514;
	return -ENOENT;
}

static inline struct sockeye__conf *files_conf(const struct file *files, bool compat)
{
	struct sockeye__conf_world world = {
	    .context = (void *)files, .read = file_read, .list = files_list, .port = port_of};
	struct sockeye__conf *conf = NULL;

	assert_int_equal(
	    sockeye__conf_read(files[0].name, SOCKEYE__CONF_XINETD, compat, &world, &conf), 0);
	return conf;
}

static inline struct sockeye__conf *conf_of(const char *text, bool compat)
{
	const struct file files[] = {{"f", text}, {NULL, NULL}};

	return files_conf(files, compat);
}

/* Fails with the notes unless there is none. */
static inline void assert_clean(const struct sockeye__conf *conf)
{
	if (conf->notes.count > 0)
		fail_msg("%s:%u: %s", conf->notes.list[0].place.file,
			 conf->notes.list[0].place.line, conf->notes.list[0].text);
}

/* Compares the notes with lines like "f:3 e text". */
static inline void assert_notes(const struct sockeye__conf *conf, const char *expected)
{
	char text[4096] = "";
	size_t len = 0;

	for (size_t i = 0; i < conf->notes.count; i++) {
		const struct sockeye__conf_note *note = &conf->notes.list[i];

		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s:%u %c %s",
					i ? "\n" : "", note->place.file, note->place.line,
					"weB"[note->severity], note -> text);
	}
	assert_string_equal(text, expected);
}

/* A service with what is required, and more lines. */
#define BEGIN "service ftp\n{\nsocket_type = stream\nwait = no\nuser = root\nserver = /x\n"
#define END   "\n}\n"

#endif
