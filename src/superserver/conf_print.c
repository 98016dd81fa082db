/* conf_print.c: prints a configuration in xinetd's language (conf.h). */
#include "superserver/conf_internal.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/time.h>

#define WORDS_IN_LINE 8

static void number_print(FILE *out, int64_t n)
{
	if (n == SOCKEYE__CONF_UNLIMITED)
		fputs(" UNLIMITED", out);
	else
		fprintf(out, " %" PRId64, n);
}

static void numbers_print(FILE *out, const int64_t *n, size_t count)
{
	for (size_t i = 0; i < count; i++)
		number_print(out, n[i]);
}

/* Begins another line of a long set, so that no line is too long for the reader. */
static void line_break(FILE *out, const struct sockeye__conf_info *info, size_t i)
{
	if (i > 0 && i % WORDS_IN_LINE == 0 && (info->flags & SOCKEYE__CONF_IS_SET))
		fprintf(out, "\n\t%s +=", info->name);
}

static void words_print(FILE *out, const struct sockeye__conf_info *info,
			const struct sockeye__conf_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		line_break(out, info, i);
		fprintf(out, " %s", list->at[i]);
	}
}

static void bits_print(FILE *out, const char *const *words, unsigned bits)
{
	for (unsigned i = 0; words[i] != NULL; i++)
		if (bits & (1u << i))
			fprintf(out, " %s", words[i]);
}

/* Prints a network so that it does not depend on zeros at its end: 10.0.0.0/32. */
static void net_print(FILE *out, const struct sockeye__rules_clients *net)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(net->net.len == 4 ? AF_INET : AF_INET6, net->net.bytes, text, sizeof text);
	fprintf(out, " %s/%u", text, net->bits);
}

static void addresses_print(FILE *out, const struct sockeye__conf_info *info,
			    const struct sockeye__access_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct sockeye__access_rule *rule = &list->rules[i];

		line_break(out, info, i);
		if (rule->kind == SOCKEYE__ACCESS_NET)
			net_print(out, &rule->net);
		else
			fprintf(out, " %s", rule->name);
	}
}

static void spans_print(FILE *out, const struct sockeye__conf_spans *spans)
{
	for (size_t i = 0; i < spans->count; i++) {
		const struct sockeye__access_span *s = &spans->at[i];

		fprintf(out, " %d:%02d-%d:%02d", s->from / 60, s->from % 60, s->to / 60,
			s->to % 60);
	}
}

static void log_print(FILE *out, const struct sockeye__conf_log *log)
{
	if (log->kind == SOCKEYE__CONF_LOG_SYSLOG) {
		fprintf(out, " SYSLOG %s %s", sockeye__conf_facilities[log->facility],
			sockeye__conf_levels[log->level]);
		return;
	}
	fprintf(out, " FILE %s", log->path);
	if (log->hard > 0)
		numbers_print(out, (int64_t[]){log->soft, log->hard}, 2);
}

static void time_print(FILE *out, int64_t ns)
{
	int64_t second = SOCKEYE_NS_PER_S;

	if (ns == 0)
		fputs(" never", out);
	else if (ns % second == 0)
		fprintf(out, " %" PRId64 "s", ns / second);
	else
		fprintf(out, " %" PRId64 "ns", ns);
}

static void rate_print(FILE *out, const int64_t *rate)
{
	fprintf(out, " %" PRId64 "/%c %" PRId64, rate[0],
		rate[1] == 1    ? 's'
		: rate[1] == 60 ? 'm'
				: 'h',
		rate[2]);
}

static void minutes_print(FILE *out, int64_t minutes)
{
	if (minutes == SOCKEYE__CONF_UNLIMITED)
		fputs(" FOREVER", out);
	else
		fprintf(out, " %" PRId64, minutes);
}

static void range_print(FILE *out, const int64_t *range)
{
	fprintf(out, " %" PRId64 "-%" PRId64, range[0], range[1]);
}

static void value_print(FILE *out, const struct sockeye__conf_info *info, const void *field)
{
	const int64_t *n = field;

	switch (info->kind) {
	case SOCKEYE__CONF_K_YES_NO:
		fputs(*(const bool *)field ? " yes" : " no", out);
		break;
	case SOCKEYE__CONF_K_WORD:
	case SOCKEYE__CONF_K_PATH:
	case SOCKEYE__CONF_K_STDERR:
		fprintf(out, " %s", *(const char *const *)field);
		break;
	case SOCKEYE__CONF_K_WORDS:
	case SOCKEYE__CONF_K_ENV:
	case SOCKEYE__CONF_K_TARGETS:
		words_print(out, info, field);
		break;
	case SOCKEYE__CONF_K_NUMBER:
	case SOCKEYE__CONF_K_LIMIT:
	case SOCKEYE__CONF_K_BYTES:
		number_print(out, *n);
		break;
	case SOCKEYE__CONF_K_OCTAL:
		fprintf(out, " 0%03" PRIo64, (uint64_t)*n);
		break;
	case SOCKEYE__CONF_K_THOUSANDTHS:
		fprintf(out, " %" PRId64 ".%03" PRId64, *n / 1000, *n % 1000);
		break;
	case SOCKEYE__CONF_K_MINUTES:
		minutes_print(out, *n);
		break;
	case SOCKEYE__CONF_K_TIME:
		time_print(out, *n);
		break;
	case SOCKEYE__CONF_K_PAIR:
		numbers_print(out, n, 2);
		break;
	case SOCKEYE__CONF_K_RATE:
		rate_print(out, n);
		break;
	case SOCKEYE__CONF_K_RANGE:
		range_print(out, n);
		break;
	case SOCKEYE__CONF_K_CHOICE:
		fprintf(out, " %s", info->words[*(const unsigned *)field]);
		break;
	case SOCKEYE__CONF_K_BITS:
		bits_print(out, info->words, *(const unsigned *)field);
		break;
	case SOCKEYE__CONF_K_ADDRESSES:
		addresses_print(out, info, field);
		break;
	case SOCKEYE__CONF_K_SPANS:
		spans_print(out, field);
		break;
	case SOCKEYE__CONF_K_LOG:
		log_print(out, field);
		break;
	}
}

/* Whether xinetd's language can express the words: it has no quotes. */
static bool is_writable(const struct sockeye__conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (*list->at[i] == '\0' || strpbrk(list->at[i], " \t\r\n\v\f") != NULL)
			return false;
	return true;
}

static void attribute_print(FILE *out, const struct sockeye__conf_service *service,
			    enum sockeye__conf_attribute attribute)
{
	const struct sockeye__conf_info *info = &sockeye__conf_infos[attribute];
	const void *field = (const char *)service + info->offset;

	if (attribute == SOCKEYE__CONF_A_SERVER_ARGS && !is_writable(&service->server_args)) {
		fputs("\t# server_args has words with blanks, which this language cannot express\n",
		      out);
		return;
	}
	fprintf(out, "\t%s =", info->name);
	value_print(out, info, field);
	fputc('\n', out);
}

static void service_print(FILE *out, const struct sockeye__conf_service *service)
{
	fprintf(out, "service %s\n{\n", service->name);
	if (service->state != SOCKEYE__CONF_ENABLED)
		fputs("\tdisable = yes\n", out);
	for (unsigned i = SOCKEYE__CONF_A_DISABLE + 1; i < SOCKEYE__CONF_ATTRIBUTES; i++)
		if (sockeye__conf_has(service, (enum sockeye__conf_attribute)i) &&
		    (sockeye__conf_infos[i].flags & SOCKEYE__CONF_IN_SERVICE))
			attribute_print(out, service, (enum sockeye__conf_attribute)i);
	fputs("}\n", out);
}

char *sockeye__conf_print(const struct sockeye__conf *conf)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	bool failed;

	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < conf->count; i++) {
		if (i > 0)
			fputc('\n', out);
		service_print(out, &conf->services[i]);
	}
	failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}
