/* serve_effects.c: warns about options of sockeye serve that have no effect. */
#include "commands.h"
#include "cli/report.h"
#include "serve.h"

#include <stdio.h>
#include <string.h>

/* What the command line serves, for serve_effect.needs. */
enum {
	BUILTIN = 1 << 0,  /* a built-in service */
	STREAM = 1 << 1,   /* a built-in service on streams */
	DATAGRAM = 1 << 2, /* a built-in service on datagrams */
	FEATURE = 1 << 3,  /* a service with its own event loop (tftp) */
};

/* Options of serve_options without a row always have an effect. */
static const struct serve_effect effects[] = {
    {"model", BUILTIN, "no built-in service is served"},
    {"max-connections", STREAM, "no service here accepts connections"},
    {"max-per-source", STREAM | FEATURE, "no service here accepts connections"},
    {"idle-timeout", STREAM, "no service here accepts connections"},
    {"max-time", STREAM, "no service here accepts connections"},
    {"backlog", STREAM, "no service here accepts connections"},
    {"rate", DATAGRAM, "no service here replies to datagrams"},
    {"repeat-rate", DATAGRAM, "no service here replies to datagrams"},
    {"show-messages", BUILTIN, "no built-in service is served"},
    {NULL},
};

static bool is_stream(const struct sockeye_site *site)
{
	return site->addr.scheme == SOCKEYE_FD || sockeye_scheme_is_stream(site->addr.scheme);
}

static bool is_datagram(const struct sockeye_site *site)
{
	return site->addr.scheme == SOCKEYE_FD || !sockeye_scheme_is_stream(site->addr.scheme);
}

static unsigned served(const struct serve *s)
{
	unsigned has = 0;

	for (size_t i = 0; i < s->site_count; i++) {
		const struct sockeye_site *site = &s->sites[i].site;

		if (serve_feature_of(site->service) != NULL)
			has |= FEATURE;
		else
			has |= BUILTIN | (is_stream(site) ? STREAM : 0) |
			       (is_datagram(site) ? DATAGRAM : 0);
	}
	return has;
}

static bool is_empty(const struct serve *s, const struct cli_option *o)
{
	const char *const *field = (const void *)((const char *)s + o->offset);

	return o->kind == CLI_TEXT && **field == '\0';
}

/* Reports an option that can only be a mistake. Returns 2. */
static int mistake(const struct serve *s, const struct cli_option *o, const char *why)
{
	return cli_usage(&s->common, &serve_command, "--%s has no effect: %s", o->name, why);
}

static void warning(const struct serve *s, const struct cli_option *o, const char *why)
{
	report_info(&s->common, "warning: --%s has no effect: %s", o->name, why);
}

/* Checks an option on the command line against a table of effects. */
static int effect_check(const struct serve *s, const struct cli_option *o,
			const struct serve_effect *e, unsigned has)
{
	if (is_empty(s, o))
		return cli_usage_value(&s->common, &serve_command, o->name, o->value, "");
	while (e->option != NULL && strcmp(e->option, o->name) != 0)
		e++;
	if (e->option != NULL && e->needs == 0)
		return mistake(s, o, e->why);
	if (e->option != NULL && !(has & e->needs))
		warning(s, o, e->why);
	return CLI_GO;
}

/* Checks an option of a built-in service. */
static void service_option_check(const struct serve *s, const struct cli_option *o,
				 const struct sockeye_service *service,
				 const struct sockeye_option *option)
{
	char why[80];

	for (size_t i = 0; i < s->site_count; i++) {
		const struct sockeye_site *site = &s->sites[i].site;

		if (site->service == service && (!option->streams_only || is_stream(site)) &&
		    (!option->datagrams_only || is_datagram(site)))
			return;
	}
	snprintf(why, sizeof why, "it applies only to %s%s", service->name,
		 option->streams_only     ? " on streams"
		 : option->datagrams_only ? " on datagrams"
					  : "");
	warning(s, o, why);
}

/* Checks an option of a service with its own event loop. Without operands only built-in
 * services are served, so the option can only be a mistake. */
static int feature_option_check(const struct serve *s, const struct cli_option *o,
				const struct serve_feature *feature)
{
	char why[80];

	if (serve_has(s, feature->service))
		return effect_check(s, o, feature->effects, feature->has(s));
	if (is_empty(s, o))
		return cli_usage_value(&s->common, &serve_command, o->name, o->value, "");
	snprintf(why, sizeof why, "%s is not served; add it to the command line",
		 feature->service->name);
	for (const struct serve_effect *e = feature->effects; e->option != NULL; e++)
		if (strcmp(e->option, o->name) == 0 && e->needs == 0)
			return mistake(s, o, why);
	if (!s->has_operands)
		return mistake(s, o, why);
	warning(s, o, why);
	return CLI_GO;
}

static bool has_row(const struct cli_option *table, const struct cli_option *row)
{
	for (; table->name != NULL || table->help != NULL; table++)
		if (table == row)
			return true;
	return false;
}

int serve_effects_check(const struct serve *s)
{
	const unsigned has = served(s);
	int code = CLI_GO;

	for (size_t i = 0; i < s->common.present_count && code == CLI_GO; i++) {
		const struct cli_option *o = s->common.present[i];
		const struct sockeye_option *option;
		const struct sockeye_service *service = serve_option_service(o, &option);

		if (service != NULL)
			service_option_check(s, o, service, option);
		else if (has_row(serve_options, o))
			code = effect_check(s, o, effects, has);
		for (size_t f = 0; serve_features[f] != NULL && service == NULL; f++)
			if (has_row(serve_features[f]->options, o))
				code = feature_option_check(s, o, serve_features[f]);
	}
	return code;
}
