/*
 * Fuzz the configuration of the super-server. Every text gives a configuration and notes
 * with a place in it. A service with a wrong value is never enabled. What is printed reads
 * as the same configuration.
 *
 * Input: bits (1: compatible, 2: inetd.conf), the first file up to a NUL byte, and a file
 * that it may include as /a or list as /d/a.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "superserver/conf.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct files {
	struct sockeye__span first, second;
};

static int file_read(void *context, const char *path, char **out_text, size_t *out_len)
{
	const struct files *files = context;
	const struct sockeye__span *file = strcmp(path, "f") == 0 ? &files->first : &files->second;
	bool known = file == &files->first || strcmp(path, "/a") == 0 || strcmp(path, "/d/a") == 0;

	if (!known)
		return -ENOENT;
	/* Of the exact length, so that the sanitizer finds reads beyond it. */
	*out_text = malloc(file->len ? file->len : 1);
	require(*out_text != NULL, "memory");
	memcpy(*out_text, file->at, file->len);
	*out_len = file->len;
	return 0;
}

static int files_list(void *context, const char *path, char **out_names)
{
	static const char names[] = "a\0b.conf\0c~\0";

	(void)context;
	if (strcmp(path, "/d") != 0)
		return -ENOENT;
	*out_names = malloc(sizeof names);
	require(*out_names != NULL, "memory");
	memcpy(*out_names, names, sizeof names);
	return 0;
}

static struct sockeye__conf *read_files(struct files *files, bool inetd, bool compat)
{
	struct sockeye__conf_world world = {
	    .context = files, .read = file_read, .list = files_list};
	struct sockeye__conf *conf = NULL;

	require(sockeye__conf_read("f", inetd ? SOCKEYE__CONF_INETD : SOCKEYE__CONF_XINETD, compat,
				   &world, &conf) == 0,
		"a configuration");
	return conf;
}

static unsigned lines_of(const struct sockeye__span *file)
{
	unsigned lines = 1;

	for (size_t i = 0; i < file->len; i++)
		lines += file->at[i] == '\n';
	return lines;
}

static void check_notes(const struct sockeye__conf *conf, const struct files *files)
{
	const struct sockeye__conf_notes *notes = &conf->notes;
	size_t counted = notes->errors + notes->broken + notes->warnings;

	require(counted == notes->count + notes->left_out, "the counts of notes");
	for (size_t i = 0; i < notes->count; i++) {
		const struct sockeye__conf_note *note = &notes->list[i];
		bool first = strcmp(note->place.file, "f") == 0;

		require(note->place.line >= 1, "no line");
		require(note->place.line <= lines_of(first ? &files->first : &files->second),
			"a line beyond the file");
		require(note->text[0] != '\0', "no reason");
		for (const char *p = note->text; *p != '\0'; p++)
			require((unsigned char)*p >= 0x20 && *p != 0x7f, "not printable");
	}
}

/* A value that cannot be read must not start its service, nor widen its access. */
static void check_services(const struct sockeye__conf *conf, bool compat)
{
	for (size_t i = 0; i < conf->count; i++) {
		const struct sockeye__conf_service *s = &conf->services[i];

		require(s->name != NULL && s->id != NULL, "no name");
		if (s->state != SOCKEYE__CONF_ENABLED)
			continue;
		require(!s->disable, "disabled and enabled");
		require(s->port >= 0 && s->port <= 65535, "port");
		if (compat || sockeye__conf_notes_fatal(&conf->notes))
			continue;
		for (unsigned j = 0; j < SOCKEYE__CONF_ATTRIBUTES; j++)
			require(s->given[j].by != SOCKEYE__CONF_WRONG, "wrong, without an error");
	}
}

/* What is printed must read as the same configuration. The compatible reader would stop at
 * "disable = yes". */
static void check_printed(const struct sockeye__conf *conf)
{
	char *text = sockeye__conf_print(conf), *again;
	struct files files = {{(const uint8_t *)text, 0}, {(const uint8_t *)"", 0}};
	struct sockeye__conf *second;

	require(text != NULL, "a text");
	files.first.len = strlen(text);
	second = read_files(&files, false, false);
	again = sockeye__conf_print(second);
	if (strcmp(text, again) != 0)
		fprintf(stderr, "--- printed\n%s--- again\n%s", text, again);
	require(strcmp(text, again) == 0, "printed otherwise");
	sockeye__conf_free(second);
	free(again);
	free(text);
}

static bool has_quotes(const struct sockeye__span *file)
{
	return memchr(file->at, '"', file->len) != NULL ||
	       memchr(file->at, '\'', file->len) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size > 1 ? memchr(data + 1, '\0', size - 1) : NULL;
	bool compat, inetd;
	struct files files;
	struct sockeye__conf *conf;

	if (size < 1)
		return 0;
	compat = (data[0] & 1) != 0;
	inetd = (data[0] & 2) != 0;
	files.first = (struct sockeye__span){data + 1, nul ? (size_t)(nul - data - 1) : size - 1};
	files.second = (struct sockeye__span){(const uint8_t *)"", 0};
	if (nul != NULL)
		files.second = (struct sockeye__span){nul + 1, (size_t)(data + size - nul - 1)};
	conf = read_files(&files, inetd, compat);
	check_notes(conf, &files);
	check_services(conf, compat);
	/* xinetd's language cannot express arguments with blanks. */
	if (!compat && !(inetd && has_quotes(&files.first)))
		check_printed(conf);
	sockeye__conf_free(conf);
	return 0;
}
