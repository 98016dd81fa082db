/* conf.c: reads a configuration with the files that it includes (conf.h). */
#include "superserver/conf_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory that is freed at once. */
struct sockeye__conf_block {
	struct sockeye__conf_block *next;
	max_align_t bytes[];
};

void *sockeye__conf_alloc(struct sockeye__conf_reading *r, size_t size)
{
	struct sockeye__conf_block *block = calloc(1, sizeof *block + size);

	if (block == NULL) {
		r->failed = true;
		return NULL;
	}
	block->next = r->conf->memory;
	r->conf->memory = block;
	return block->bytes;
}

const char *sockeye__conf_text(struct sockeye__conf_reading *r, struct sockeye__slice text)
{
	char *copy = sockeye__conf_alloc(r, text.len + 1);

	if (copy != NULL)
		memcpy(copy, text.at, text.len);
	return copy;
}

void sockeye__conf_free(struct sockeye__conf *conf)
{
	if (conf == NULL)
		return;
	while (conf->memory != NULL) {
		struct sockeye__conf_block *next = conf->memory->next;

		free(conf->memory);
		conf->memory = next;
	}
	free(conf->services);
	free(conf);
}

bool sockeye__conf_has(const struct sockeye__conf_service *service,
		       enum sockeye__conf_attribute attribute)
{
	enum sockeye__conf_origin by = service->given[attribute].by;

	return by != SOCKEYE__CONF_BUILTIN && by != SOCKEYE__CONF_WRONG;
}

static void file_read(struct sockeye__conf_reading *r, const char *path,
		      struct sockeye__conf_place from);

/* Whether a directory's file is read: xinetd skips names with a dot or with ~ at the
 * end. */
static bool is_included(const char *name)
{
	return *name != '\0' && strchr(name, '.') == NULL && name[strlen(name) - 1] != '~';
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Reads the files of a directory in the order of their bytes. */
static void names_read(struct sockeye__conf_reading *r, const char *dir, const char *names,
		       struct sockeye__conf_place place)
{
	size_t count = 0, dir_len = strlen(dir);
	const char **list;

	for (const char *name = names; *name != '\0'; name += strlen(name) + 1)
		count += is_included(name);
	list = sockeye__conf_alloc(r, (count + 1) * sizeof *list);
	if (list == NULL)
		return;
	count = 0;
	for (const char *name = names; *name != '\0'; name += strlen(name) + 1)
		if (is_included(name))
			list[count++] = name;
	qsort(list, count, sizeof *list, compare_names);
	for (size_t i = 0; i < count && !r->failed; i++) {
		size_t len = strlen(list[i]);
		char *path = sockeye__conf_alloc(r, dir_len + len + 2);

		if (path == NULL)
			return;
		snprintf(path, dir_len + len + 2, "%s/%s", dir, list[i]);
		file_read(r, path, place);
	}
}

static void include_read(struct sockeye__conf_reading *r, const struct sockeye__conf_item *item,
			 const char *file)
{
	struct sockeye__conf_place place = {file, item->line};
	const char *path = sockeye__conf_text(r, item->values);
	char *names = NULL;
	int err;

	if (path == NULL)
		return;
	if (item->kind == SOCKEYE__CONF_INCLUDE) {
		file_read(r, path, place);
		return;
	}
	err = r->world->list != NULL ? r->world->list(r->world->context, path, &names) : -ENOSYS;
	if (err < 0) {
		SOCKEYE__CONF_PROBLEM(r, place, "includedir: cannot read '%.200s': %s", path,
				      strerrordesc_np(-err));
		return;
	}
	names_read(r, path, names, place);
	free(names);
}

static void text_read(struct sockeye__conf_reading *r, const char *file, const char *text,
		      size_t len)
{
	struct sockeye__conf_words words;
	struct sockeye__conf_item item;
	bool defaults_found = false;

	sockeye__conf_words_begin(&words, text, len, file, r->compat, &r->conf->notes);
	do {
		item = sockeye__conf_words_next(&words);
		if (item.kind == SOCKEYE__CONF_SERVICE)
			sockeye__conf_service_read(r, &words, &item);
		else if (item.kind == SOCKEYE__CONF_DEFAULTS)
			sockeye__conf_defaults_read(r, &words, &item, &defaults_found);
		else if (item.kind != SOCKEYE__CONF_END)
			include_read(r, &item, file);
	} while (item.kind != SOCKEYE__CONF_END && !r->failed);
}

/* Whether the file may be read, which is included at `from`. */
static bool may_include(struct sockeye__conf_reading *r, const char *path,
			struct sockeye__conf_place from)
{
	const char *why = NULL;

	for (unsigned i = 0; i < r->depth; i++)
		if (strcmp(r->stack[i], path) == 0)
			why = "includes itself";
	if (why == NULL && r->depth == SOCKEYE__CONF_DEPTH_MAX)
		why = "is included too deeply: 16 files include each other";
	if (why == NULL && r->files == SOCKEYE__CONF_FILES_MAX)
		why = "is the 1025th file: a configuration has at most 1024";
	if (why != NULL)
		sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_BROKEN, from, "'%.200s' %s", path,
				   why);
	return why == NULL;
}

static void file_read(struct sockeye__conf_reading *r, const char *path,
		      struct sockeye__conf_place from)
{
	char *text = NULL;
	size_t len = 0;
	int err;

	if (!may_include(r, path, from))
		return;
	err = r->world->read(r->world->context, path, &text, &len);
	if (err < 0) {
		SOCKEYE__CONF_PROBLEM(r, from, "include: cannot read '%.200s': %s", path,
				      strerrordesc_np(-err));
		return;
	}
	r->stack[r->depth++] = path;
	r->files++;
	text_read(r, path, text, len);
	r->depth--;
	free(text);
}

/* Reports a text in the language of inetd.conf(5), once and not for each line. Returns false if
 * it is not. */
static bool is_inetd(struct sockeye__conf_reading *r, const char *name, const char *text,
		     size_t len)
{
	struct sockeye__conf_place place = {name, sockeye__conf_inetd_detect(text, len)};

	if (place.line == 0)
		return false;
	sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_BROKEN, place,
			   "this is a line of inetd.conf: to check such a file, write inetd:FILE");
	return true;
}

/* Reads the first file. Returns 0 or -errno. */
static int root_read(struct sockeye__conf_reading *r, const char *path,
		     enum sockeye__conf_language language)
{
	const char *name = sockeye__conf_text(r, (struct sockeye__slice){path, strlen(path)});
	char *text = NULL;
	size_t len = 0;
	int err = name != NULL ? r->world->read(r->world->context, path, &text, &len) : -ENOMEM;

	if (err < 0)
		return err;
	r->stack[r->depth++] = name;
	r->files++;
	if (language == SOCKEYE__CONF_INETD)
		sockeye__conf_inetd_read(r, name, text, len);
	else if (!is_inetd(r, name, text, len))
		text_read(r, name, text, len);
	free(text);
	if (!r->failed)
		sockeye__conf_finish(r);
	return r->failed ? -ENOMEM : 0;
}

int sockeye__conf_read(const char *path, enum sockeye__conf_language language, bool compat,
		       const struct sockeye__conf_world *world, struct sockeye__conf **out)
{
	struct sockeye__conf_reading r = {
	    .conf = calloc(1, sizeof *r.conf), .world = world, .compat = compat};
	int err;

	if (r.conf == NULL)
		return -ENOMEM;
	r.conf->defaults.name = "defaults";
	err = root_read(&r, path, language);
	if (err < 0) {
		sockeye__conf_free(r.conf);
		return err;
	}
	*out = r.conf;
	return 0;
}
