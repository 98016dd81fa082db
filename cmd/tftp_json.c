/* tftp_json.c: JSON members and text about a TFTP transfer (tftp_json.h). */
#include "tftp_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>

double tftp_bytes_per_s(uint64_t bytes, uint64_t ns)
{
	return ns > 0 ? (double)bytes / ((double)ns / 1e9) : 0;
}

uint64_t tftp_wasted_bytes(const struct sockeye__tftp_counters *count, uint16_t blksize)
{
	return count->resent * blksize;
}

const char *tftp_options_text(const struct sockeye__tftp_options *options,
			      char buf[TFTP_OPTIONS_TEXT_MAX])
{
	size_t len = 0;

	buf[0] = '\0';
	for (enum sockeye__tftp_option i = 0; i < SOCKEYE__TFTP_OPTIONS; i++)
		if (sockeye__tftp_has(options, i) && len < TFTP_OPTIONS_TEXT_MAX)
			len +=
			    (size_t)snprintf(buf + len, TFTP_OPTIONS_TEXT_MAX - len, " %s=%" PRIu64,
					     sockeye__tftp_option_name(i), options->value[i]);
	return buf;
}

static json_t *options_json(const struct sockeye__tftp_options *options)
{
	json_t *object = json_object();

	for (enum sockeye__tftp_option i = 0; object && i < SOCKEYE__TFTP_OPTIONS; i++)
		if (sockeye__tftp_has(options, i))
			json_object_set_new(object, sockeye__tftp_option_name(i),
					    json_integer((json_int_t)options->value[i]));
	return object;
}

static void transfer_json(json_t *object, const struct tftp_facts *f)
{
	const struct sockeye__tftp_counters *c = f->count;
	json_t *more = json_pack(
	    "{sI sf sf so si si sI sI sI sI sI sI}", "bytes", (json_int_t)f->bytes, "seconds",
	    (double)f->ns / 1e9, "bytes_per_s", tftp_bytes_per_s(f->bytes, f->ns), "options",
	    options_json(f->options), "blksize", f->blksize, "windowsize", f->window, "blocks",
	    (json_int_t)c->blocks, "resent", (json_int_t)c->resent, "wasted_bytes",
	    (json_int_t)tftp_wasted_bytes(c, f->blksize), "timeouts", (json_int_t)c->timeouts,
	    "gaps", (json_int_t)c->gaps, "ignored", (json_int_t)c->ignored);

	json_object_update(object, more);
	json_decref(more);
}

void tftp_trouble_json(json_t *object, const struct sockeye__tftp_trouble *trouble)
{
	char by[80], *host = by;

	json_object_set_new(object, "step", json_string(sockeye__tftp_trouble_step(trouble)));
	if (trouble->len > 0)
		json_object_set_new(object, "packet_bytes", json_integer((json_int_t)trouble->len));
	if (trouble->reporter.len == 0)
		return;
	sockeye_sockaddr_print(&trouble->reporter, by, sizeof by);
	by[strcspn(by, "]") < strlen(by) ? strcspn(by, "]") : strcspn(by, ":")] = '\0';
	host += *host == '[';
	json_object_set_new(object, "reported_by", json_string(host));
}

void tftp_json(json_t *object, const struct tftp_facts *f)
{
	char shown[1024];

	json_object_set_new(object, "mode", json_string(f->netascii ? "netascii" : "octet"));
	if (f->code >= 0)
		json_object_set_new(object, "code", json_integer(f->code));
	if (f->peer_text.len > 0) {
		sockeye_escape(f->peer_text.at, f->peer_text.len, shown, sizeof shown);
		json_object_set_new(object, "peer_text", json_string(shown));
	}
	if (f->count)
		transfer_json(object, f);
}
