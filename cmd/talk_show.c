/* talk_show.c: data and events as bytes, text, hex dump or JSON (talk_show.h). */
#include "talk_show.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include <sockeye/sockaddr.h>
#include <sockeye/text.h>
#include <sockeye/time.h>

#include "cli/report.h"

#define NAME_MAX_BYTES 512
#define SAMPLE_BYTES   64 /* of data quoted in a message */

/* Writes the document as one line to room and drops the reference. Returns the length of
 * the line, or 0 if memory was short. */
static size_t put_json(json_t *event, uint8_t *room, size_t cap)
{
	size_t len =
	    event ? json_dumpb(event, (char *)room, cap - 1, JSON_COMPACT | JSON_ENSURE_ASCII) : 0;

	json_decref(event);
	if (len == 0 || len > cap - 1)
		return 0;
	room[len] = '\n';
	return len + 1;
}

static json_t *event_new(const char *name)
{
	char text[40], stamp[64];
	int64_t now = sockeye_now().real_ns;
	time_t seconds = (time_t)(now / (int64_t)SOCKEYE_NS_PER_S);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp, sizeof stamp, "%s.%06dZ", text,
		 (int)(now % (int64_t)SOCKEYE_NS_PER_S / 1000));
	return json_pack("{ss ss}", "event", name, "time", stamp);
}

static void set_name(json_t *event, const char *key, const struct sockeye_sockaddr *name)
{
	char text[NAME_MAX_BYTES];

	if (name->len == 0)
		return;
	sockeye_sockaddr_print(name, text, sizeof text);
	json_object_set_new(event, key, report_string(text));
}

static void set_number(json_t *event, const char *key, uint64_t value)
{
	json_object_set_new(event, key, json_integer((json_int_t)value));
}

static size_t json_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room)
{
	struct talk_show *show = arg;
	json_t *event = event_new("data");

	set_number(event, "offset", show->offset);
	set_number(event, "length", len);
	report_set_bytes(event, in, len);
	show->offset += len;
	return put_json(event, room, SOCKEYE__MESSAGES_FACTOR * len + SOCKEYE__FILTER_SLACK);
}

void talk_show_init(struct talk_show *show, const struct talk_opts *o, const char *address)
{
	*show = (struct talk_show){
	    .o = o,
	    .address = address,
	    .safe = !o->raw && !o->common.json && isatty(STDOUT_FILENO),
	    .color = report_color(&o->common, STDERR_FILENO),
	};
}

const struct sockeye__filter *talk_show_filter(struct talk_show *show)
{
	if (show->o->common.json)
		show->filter =
		    (struct sockeye__filter){SOCKEYE__MESSAGES_FACTOR, json_encode, NULL, show};
	else if (show->safe)
		show->filter = (struct sockeye__filter){SOCKEYE__FILTER_SAFE_FACTOR,
							sockeye__filter_safe_encode,
							sockeye__filter_safe_end, &show->text};
	else
		return NULL;
	return &show->filter;
}

/* Writes the local time as "12:34:56.123456". */
static void clock_text(char *buf, size_t cap)
{
	int64_t now = sockeye_now().real_ns;
	time_t seconds = (time_t)(now / (int64_t)SOCKEYE_NS_PER_S);
	struct tm tm;
	size_t n;

	localtime_r(&seconds, &tm);
	n = strftime(buf, cap, "%H:%M:%S", &tm);
	snprintf(buf + n, cap - n, ".%06d", (int)(now % (int64_t)SOCKEYE_NS_PER_S / 1000));
}

void talk_show_dump(void *arg, enum sockeye__talk_direction side, const uint8_t *data, size_t len)
{
	static const char *const marks[2] = {">", "<"};
	static const char *const colored[2] = {"\033[32m>\033[0m", "\033[36m<\033[0m"};
	struct talk_show *show = arg;
	char when[32], line[SOCKEYE__HEX_LINE_MAX];
	size_t done = 0;

	if (!show->o->hex)
		return;
	clock_text(when, sizeof when);
	do {
		size_t n =
		    len - done < SOCKEYE__HEX_LINE_BYTES ? len - done : SOCKEYE__HEX_LINE_BYTES;
		size_t width = sockeye__hex_line_print(line, show->offsets[side], data + done, n);

		fprintf(stderr, "%s %s %.*s", when, (show->color ? colored : marks)[side],
			(int)width, line);
		show->offsets[side] += n;
		done += n;
	} while (done < len);
}

void talk_show_sent(void *arg, const uint8_t *data, size_t len)
{
	talk_show_dump(arg, SOCKEYE__TALK_SENT, data, len);
}

static size_t note_json(const struct sockeye__talk_note *note, uint8_t *room)
{
	static const char *const names[] = {
	    [SOCKEYE__TALK_NOTE_END] = "eof",
	    [SOCKEYE__TALK_NOTE_URGENT] = "urgent",
	    [SOCKEYE__TALK_NOTE_PEEK] = "peek",
	};
	json_t *event = event_new(names[note->kind]);

	set_number(event, "offset", note->position);
	if (note->kind != SOCKEYE__TALK_NOTE_END) {
		set_number(event, "length", note->len);
		report_set_bytes(event, note->data, note->len);
	}
	return put_json(event, room, SOCKEYE__FILTERED_QUEUE_NOTE_ROOM);
}

size_t talk_show_note(void *arg, const struct sockeye__talk_note *note, uint8_t *room)
{
	struct talk_show *show = arg;
	const struct cli_common *common = &show->o->common;
	size_t len = note->len < SAMPLE_BYTES ? note->len : SAMPLE_BYTES;
	char sample[4 * SAMPLE_BYTES + 1];

	if (common->json)
		return note_json(note, room);
	sockeye_escape(note->data, len, sample, sizeof sample);
	if (note->kind == SOCKEYE__TALK_NOTE_URGENT)
		report_info(common, "urgent byte 0x%02x '%s' after %llu bytes", note->data[0],
			    sample, (unsigned long long)note->position);
	else if (note->kind == SOCKEYE__TALK_NOTE_PEEK)
		report_info(common, "peek at %zu bytes: %s%s", note->len, sample,
			    len < note->len ? "..." : "");
	else if (show->input_tty && note->input_open && show->o->keep_open)
		report_info(common, "%s closed its side; press Ctrl-D to end the input and exit",
			    show->address);
	else if (show->input_tty && note->input_open)
		report_info(
		    common,
		    "%s closed its side; --keep-open would go on sending to it until Ctrl-D",
		    show->address);
	else
		report_verbose(common, "%s closed its side", show->address);
	return 0;
}

static size_t message_json(const struct talk_show *show, const struct sockeye_dgram *dgram,
			   const uint8_t *data, uint8_t *room)
{
	json_t *event = event_new(show->records ? "record" : "datagram");

	set_name(event, "peer", &dgram->peer);
	set_name(event, "local", &dgram->local);
	set_number(event, "length", dgram->true_len);
	json_object_set_new(event, "truncated", json_boolean(dgram->truncated));
	report_set_bytes(event, data, dgram->len);
	return put_json(event, room, SOCKEYE__MESSAGES_FACTOR * dgram->len + SOCKEYE__FILTER_SLACK);
}

/* Reports on standard error what standard output cannot show: the sender of a message,
 * and whether the message is empty or truncated. */
static void message_report(const struct talk_show *show, const struct sockeye_dgram *dgram)
{
	const char *what = show->records ? "record" : "datagram";
	char name[NAME_MAX_BYTES], cut[64] = "";

	if (!show->senders && dgram->true_len > 0 && !dgram->truncated && !show->o->common.verbose)
		return;
	if (dgram->peer.len > 0)
		sockeye_sockaddr_print(&dgram->peer, name, sizeof name);
	else
		snprintf(name, sizeof name, "%s", show->address);
	if (dgram->truncated)
		snprintf(cut, sizeof cut, ", truncated to %zu bytes (--buffer)", dgram->len);
	if (dgram->true_len == 0)
		report_info(&show->o->common, "from %s: empty %s", name, what);
	else
		report_info(&show->o->common, "from %s: %zu-byte %s%s", name, dgram->true_len, what,
			    cut);
}

size_t talk_show_message(void *arg, const struct sockeye_dgram *dgram, const uint8_t *data,
			 uint8_t *room)
{
	struct talk_show *show = arg;
	size_t n;

	talk_show_dump(show, SOCKEYE__TALK_RECEIVED, data, dgram->len);
	if (show->o->common.json)
		return message_json(show, dgram, data, room);
	message_report(show, dgram);
	if (!show->safe) {
		memcpy(room, data, dgram->len);
		return dgram->len;
	}
	n = sockeye__filter_safe_encode(&show->text, data, dgram->len, room);
	n += sockeye__filter_safe_end(&show->text, room + n);
	if (n > 0 && room[n - 1] != '\n')
		room[n++] = '\n'; /* start the next message on a new line */
	return n;
}

/* Writes only the host, because the sender of an ICMP message has no port. Writes "" if the
 * host is unknown. */
static void host_text(const struct sockeye_sockaddr *name, char *buf, socklen_t cap)
{
	const void *host = name->u.sa.sa_family == AF_INET ? (const void *)&name->u.in.sin_addr
							   : (const void *)&name->u.in6.sin6_addr;

	if (name->len == 0 || !inet_ntop(name->u.sa.sa_family, host, buf, cap))
		buf[0] = '\0';
}

static size_t error_json(const struct talk_show *show, const struct sockeye_dgram_error *error,
			 uint8_t *room)
{
	json_t *event = event_new("undelivered");
	char offender[INET6_ADDRSTRLEN];

	if (error->peer.len > 0)
		set_name(event, "peer", &error->peer);
	else
		json_object_set_new(event, "peer", report_string(show->address));
	json_object_set_new(event, "error", json_string(sockeye_error_name(error->err)));
	json_object_set_new(event, "text", json_string(sockeye_error_text(error->err)));
	if (error->from_icmp) {
		set_number(event, "icmp_type", error->icmp_type);
		set_number(event, "icmp_code", error->icmp_code);
		host_text(&error->offender, offender, sizeof offender);
		json_object_set_new(event, "offender", json_string(offender));
	}
	return put_json(event, room, SOCKEYE__FILTERED_QUEUE_NOTE_ROOM);
}

enum sockeye_scheme talk_show_scheme(const struct sockeye_sockaddr *name)
{
	return name->u.sa.sa_family == AF_UNIX ? SOCKEYE_UNIX_DGRAM : SOCKEYE_UDP;
}

size_t talk_show_error(void *arg, const struct sockeye_dgram_error *error, uint8_t *room)
{
	struct talk_show *show = arg;
	char name[NAME_MAX_BYTES], offender[INET6_ADDRSTRLEN], icmp[96];

	if (show->o->common.json)
		return error_json(show, error, room);
	host_text(&error->offender, offender, sizeof offender);
	snprintf(icmp, sizeof icmp, "ICMP type %u code %u%s%s", error->icmp_type, error->icmp_code,
		 offender[0] ? " from " : "", offender);
	if (error->peer.len > 0)
		sockeye_sockaddr_print_url(&error->peer, talk_show_scheme(&error->peer), name,
					   sizeof name);
	else
		snprintf(name, sizeof name, "%s", show->address);
	report_error(&show->o->common, "send", name, error->err, error->from_icmp ? icmp : NULL);
	return 0;
}

size_t talk_show_switch(void *arg, const struct sockeye__peer_switch *to, uint8_t *room)
{
	struct talk_show *show = arg;
	char name[NAME_MAX_BYTES] = "none";
	json_t *event;

	if (!to->none)
		sockeye_sockaddr_print(&to->peer, name, sizeof name);
	if (to->none)
		report_verbose(&show->o->common, "the socket is now disconnected");
	else
		report_verbose(&show->o->common, "the socket is now connected to %s", name);
	if (!show->o->common.json)
		return 0;
	event = event_new("reconnected");
	json_object_set_new(event, "peer", report_string(name));
	return put_json(event, room, SOCKEYE__FILTERED_QUEUE_NOTE_ROOM);
}
