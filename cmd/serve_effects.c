/* serve_effects.c: options of sockeye serve that would do nothing are told. */
#include "commands.h"
#include "cli/report.h"
#include "serve.h"

#include <string.h>

#include "tftp/server/server.h"

/* What there is for an option to have an effect on. */
enum {
	BUILTIN = 1 << 0,  /* any service but tftp */
	STREAM = 1 << 1,   /* one of them on streams */
	DATAGRAM = 1 << 2, /* one on datagrams */
	REPLY = 1 << 3,
	REPLY_STREAM = 1 << 4,
	DAYTIME = 1 << 5,
	CHARGEN_DATAGRAM = 1 << 6,
	TFTP = 1 << 7,
	TFTP_UPLOAD = 1 << 8,
	TFTP_PORTS = 1 << 9, /* transfers have their own */
};

/* An option has an effect where there is one of these; else why not. Those of
 * serve_options that have no row always have one, those of TFTP need TFTP. */
static const struct effect {
	const char *option;
	unsigned on;
	const char *why;
} effects[] = {
    {"model", BUILTIN, "tftp has a loop of its own"},
    {"max-connections", STREAM, "nothing here has connections"},
    {"max-per-source", STREAM | TFTP, "nothing here has connections"},
    {"idle-timeout", STREAM, "nothing here has connections"},
    {"max-time", STREAM, "nothing here has connections"},
    {"backlog", STREAM, "nothing here has connections"},
    {"rate", DATAGRAM, "nothing here answers datagrams"},
    {"show-messages", BUILTIN, "tftp logs transfers"},
    {"text", REPLY, "it is for reply"},
    {"once", REPLY_STREAM, "it is for reply on streams"},
    {"format", DAYTIME, "it is for daytime"},
    {"length", CHARGEN_DATAGRAM, "it is for chargen on datagrams"},
    {"max-upload", TFTP_UPLOAD, "it needs --upload, --overwrite or --create"},
    {"umask", TFTP_UPLOAD, "it needs --upload, --overwrite or --create"},
    {"port-range", TFTP_PORTS, "with --single-port transfers have no ports of their own"},
    {"map-client", 0, "it needs --map-test"},
    {"map-put", 0, "it needs --map-test"},
};

static unsigned site_has(const struct sockeye_site *site)
{
	const struct sockeye_service *service = site->service;
	enum sockeye_scheme scheme = site->addr.scheme;
	bool any = scheme == SOCKEYE_FD; /* nobody has looked what it is */
	bool stream = any || sockeye_scheme_is_stream(scheme);
	bool datagram = any || !stream;
	unsigned has = BUILTIN;

	if (service == &sockeye__tftp_service)
		return TFTP;
	has |= stream ? STREAM : 0;
	has |= datagram ? DATAGRAM : 0;
	if (strcmp(service->name, "reply") == 0)
		has |= REPLY | (stream ? REPLY_STREAM : 0);
	if (strcmp(service->name, "daytime") == 0)
		has |= DAYTIME;
	if (strcmp(service->name, "chargen") == 0)
		has |= datagram ? CHARGEN_DATAGRAM : 0;
	return has;
}

static unsigned served(const struct serve *s)
{
	const struct serve_tftp *t = &s->tftp;
	unsigned has = 0;

	for (size_t i = 0; i < s->site_count; i++)
		has |= site_has(&s->sites[i]);
	if ((has & TFTP) && (t->upload || t->overwrite || t->create))
		has |= TFTP_UPLOAD;
	if ((has & TFTP) && !t->single_port)
		has |= TFTP_PORTS;
	return has;
}

/* Nothing that can be given is zero but a choice. */
static bool is_given(const struct serve *s, const struct cli_option *o)
{
	const void *field = (const char *)s + o->offset;

	switch (o->kind) {
	case CLI_FLAG:
		return *(const bool *)field;
	case CLI_TEXT:
		return *(const char *const *)field != NULL;
	case CLI_LIST:
		return ((const struct cli_list *)field)->count > 0;
	case CLI_CHOICE:
		return *(const unsigned *)field != SERVE_NOT_GIVEN;
	case CLI_COUNT:
	case CLI_UINT:
		return *(const uint32_t *)field != 0;
	case CLI_SIZE:
	case CLI_TIME:
		return *(const uint64_t *)field != 0;
	}
	return false;
}

/* Only what reply answers may be nothing. */
static bool is_empty(const struct serve *s, const struct cli_option *o)
{
	const void *field = (const char *)s + o->offset;

	return o->kind == CLI_TEXT && **(const char *const *)field == '\0' &&
	       strcmp(o->name, "text") != 0;
}

static const struct effect *effect_of(const char *option)
{
	for (size_t i = 0; i < sizeof effects / sizeof *effects; i++)
		if (strcmp(effects[i].option, option) == 0)
			return &effects[i];
	return NULL;
}

/* What has no effect is told; that goes on, but for what can only be a mistake. */
static int options_check(const struct serve *s, const struct cli_option *options, unsigned has,
			 const char *why)
{
	for (const struct cli_option *o = options; o->name != NULL || o->help != NULL; o++) {
		const struct effect *e;

		if (o->name == NULL || !is_given(s, o))
			continue;
		if (is_empty(s, o))
			return cli_usage_value(&s->common, &serve_command, o->name, o->value, "");
		e = effect_of(o->name);
		if ((e != NULL && e->on == 0) || (why != NULL && !s->named))
			return cli_usage(&s->common, &serve_command, "--%s has no effect: %s",
					 o->name, why != NULL ? why : e->why);
		if (why != NULL || (e != NULL && !(has & e->on)))
			report_say(&s->common, "warning: --%s has no effect: %s", o->name,
				   why != NULL ? why : e->why);
	}
	return CLI_GO;
}

int serve_effects_check(const struct serve *s)
{
	unsigned has = served(s);
	int code = options_check(s, serve_options, has, NULL);

	if (code != CLI_GO)
		return code;
	return options_check(s, serve_tftp_options, has,
			     has & TFTP ? NULL : "tftp is not served here, only where it is named");
}
