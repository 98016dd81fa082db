/* serve_services.c: the services of sockeye serve and their options. */
#include "serve.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const struct serve_feature *const serve_features[] = {
    &serve_tftp,
    NULL,
};

const struct serve_feature *serve_feature_of(const struct sockeye_service *service)
{
	for (size_t i = 0; serve_features[i] != NULL; i++)
		if (serve_features[i]->service == service)
			return serve_features[i];
	return NULL;
}

bool serve_has(const struct serve *s, const struct sockeye_service *service)
{
	for (size_t i = 0; i < s->site_count; i++)
		if (s->sites[i].site.service == service)
			return true;
	return false;
}

const struct sockeye_service *serve_service_find(const char *name)
{
	for (size_t i = 0; serve_features[i] != NULL; i++)
		if (strcmp(serve_features[i]->service->name, name) == 0)
			return serve_features[i]->service;
	return sockeye_builtin_find(name);
}

void serve_services_each(const struct serve *s,
			 void (*call)(const struct serve *s, const struct sockeye_service *service))
{
	for (size_t i = 0; sockeye_builtins[i] != NULL; i++)
		call(s, sockeye_builtins[i]);
	for (size_t i = 0; serve_features[i] != NULL; i++)
		call(s, serve_features[i]->service);
}

/* --- the options of the built-in services --- */

#define ROWS_MAX 64

static struct {
	struct cli_option rows[ROWS_MAX + 1]; /* the last row ends the table */
	const struct sockeye_service *services[ROWS_MAX];
	const struct sockeye_option *options[ROWS_MAX];
	char headings[ROWS_MAX][32];
	size_t count;
} built;

static struct cli_option row_of(const struct sockeye_option *o)
{
	static const enum cli_kind kinds[] = {
	    [SOCKEYE_OPTION_FLAG] = CLI_FLAG, [SOCKEYE_OPTION_NUMBER] = CLI_UINT,
	    [SOCKEYE_OPTION_TEXT] = CLI_TEXT, [SOCKEYE_OPTION_CHOICE] = CLI_CHOICE,
	    [SOCKEYE_OPTION_TIME] = CLI_TIME,
	};

	return (struct cli_option){
	    .name = o->name,
	    .letter = o->letter,
	    .value = o->value,
	    .kind = kinds[o->kind],
	    .offset = offsetof(struct serve, config) + o->offset,
	    .help = o->help,
	    .min = o->min,
	    .max = o->max,
	    .choices = o->choices,
	};
}

static void add_heading(const char *service)
{
	char *text = built.headings[built.count];

	assert(built.count < ROWS_MAX);
	snprintf(text, sizeof built.headings[0], "Service %s:", service);
	built.rows[built.count++] = (struct cli_option){.help = text};
}

static void add_service(const struct sockeye_service *service)
{
	const struct sockeye_option *o = service->options;

	if (o == NULL)
		return;
	add_heading(service->name);
	for (; o->name != NULL; o++) {
		assert(built.count < ROWS_MAX);
		built.services[built.count] = service;
		built.options[built.count] = o;
		built.rows[built.count++] = row_of(o);
	}
}

const struct cli_option *serve_service_table(size_t i)
{
	if (i > 0)
		return serve_features[i - 1] != NULL ? serve_features[i - 1]->options : NULL;
	if (built.count == 0)
		for (size_t k = 0; sockeye_builtins[k] != NULL; k++)
			add_service(sockeye_builtins[k]);
	return built.rows;
}

void serve_service_times(struct serve *s)
{
	for (size_t i = 0; i < built.count; i++) {
		uint64_t *ns = (uint64_t *)((char *)s + built.rows[i].offset);

		if (built.rows[i].name != NULL && built.rows[i].kind == CLI_TIME && *ns == 0 &&
		    cli_is_present(&s->common, &built.rows[i]))
			*ns = UINT64_MAX;
	}
}

const struct sockeye_service *serve_option_service(const struct cli_option *row,
						   const struct sockeye_option **out_option)
{
	for (size_t i = 0; i < built.count; i++)
		if (&built.rows[i] == row) {
			*out_option = built.options[i];
			return built.services[i];
		}
	return NULL;
}
