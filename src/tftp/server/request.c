/*
 * request.c: turns a request into a transfer or an ERROR.
 *
 * The file is opened before the options are negotiated: PXELINUX hangs if it receives
 * an OACK and then an ERROR.
 */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"

#define REQUEST_MAX 4096         /* bytes; RFC 2347 allows 512 */
#define TEXT_WINDOW (256u << 10) /* bytes of a netascii window */
/* Bytes of netascii rings per worker; above this, windows are limited to one block. */
#define TEXT_MEMORY (64u << 20)
/* The most that is granted if the client's address may be forged even after an answer.
 * The window cannot begin smaller and grow: a receiver acknowledges only whole windows,
 * and atftp acknowledges a single block only after 5 s. sockeye-tftp(7) states how many
 * bytes the server may send. */
#define FORGEABLE_BLKSIZE 1428
#define FORGEABLE_WINDOW  8

struct request {
	struct sockeye__tftp_worker *w;
	struct sockeye__tftp_site *site;
	const struct sockeye_dgram *from;
	const uint8_t *bytes;
	size_t len;
	struct sockeye__tftp_packet packet;
	bool upload;
	char name[SOCKEYE__TFTP_NAME_MAX];
	char note[192]; /* logged instead of the text for the client; "": log the same text */
	enum sockeye__tftp_limit limit; /* the limit that refused it */
	bool token;                     /* it took a token of its source's rate */
	bool once;                      /* its source exceeds the rate: the reply is sent once */
	struct sockeye__tftp_terms terms;
	struct sockeye__tftp_options asked;
};

/* --- refusing --- */

/* The report of a refused request. */
static struct sockeye__tftp_report report_of(const struct request *r)
{
	return (struct sockeye__tftp_report){
	    .peer = &r->from->peer,
	    .upload = r->upload,
	    .netascii = r->packet.mode == SOCKEYE__TFTP_NETASCII,
	    .name = r->name,
	    .asked = r->packet.name,
	    .refused = true,
	    .limit = r->limit,
	    .code = -1,
	};
}

static void refuse(const struct request *r, uint16_t code, const char *text, int err)
{
	const struct sockeye__tftp_server_config *c = &r->w->server->config;
	struct sockeye__tftp_report report = report_of(r);

	report.text = r->note[0] != '\0' ? r->note : text;
	report.code = code;
	report.err = err;
	sockeye__count(&r->w->counters->requests_refused, 1);
	sockeye__tftp_reply_error(r->w, r->site, r->from, r->len, code, text);
	if (c->on_transfer != NULL)
		c->on_transfer(c->arg, &report);
}

/* Reports a request that gets no reply because all ports of the range are in use. Searching
 * the range again to send an ERROR would be expensive, and the client repeats its request. */
static void report_no_port(const struct request *r)
{
	const struct sockeye__tftp_server_config *c = &r->w->server->config;
	struct sockeye__tftp_report report = report_of(r);

	report.text = "no reply: all ports of the range are in use";
	sockeye__count(&r->w->base->counters->refused_resource, 1);
	if (c->on_transfer != NULL)
		c->on_transfer(c->arg, &report);
}

static void refuse_for(const struct request *r, int err)
{
	const char *text;
	uint16_t code = sockeye__tftp_store_error(err, &text);

	/* not an error of the file system: uploads are disabled, or a rule of the server */
	if ((err == -EROFS && !r->w->server->config.store.upload) || err == -EALREADY ||
	    err == -EOVERFLOW)
		err = 0;
	refuse(r, code, text, err);
}

/* --- the name --- */

/* Applies the rules to the name. Returns false after refusing the request. */
static bool name_find(struct request *r)
{
	struct sockeye__tftp_server *server = r->w->server;
	const enum sockeye__tftp_unique_root unique = server->config.unique_root;
	struct sockeye__tftp_mapped mapped = {0};
	char folder[SOCKEYE__TFTP_FOLDER_MAX];
	const struct sockeye__tftp_lookup lookup = {
	    .map = server->map,
	    .store = &server->store,
	    .names = server->config.names,
	    .fold_case = server->config.fold_case,
	    .folder = unique != SOCKEYE__TFTP_UNIQUE_NONE ? folder : NULL,
	};
	struct sockeye__tftp_budget *budget = &r->w->budget;
	int err;

	sockeye__tftp_client_folder(unique, r->w->neighbors, &r->from->peer, folder);
	err = sockeye__tftp_lookup(&lookup, &r->from->peer, r->upload, r->packet.name,
				   server->map != NULL ? sockeye__tftp_budget_begin(budget) : NULL,
				   &mapped);
	if (server->map != NULL)
		sockeye__tftp_budget_end(budget);
	snprintf(r->name, sizeof r->name, "%s", mapped.name);
	if (err == -ENAMETOOLONG || err == -EINVAL) {
		r->name[0] = '\0';
		refuse(r, err == -EINVAL ? SOCKEYE__TFTP_ILLEGAL : SOCKEYE__TFTP_NOT_FOUND,
		       err == -EINVAL ? "empty name" : "name too long", err);
		return false;
	}
	if (err == -EADDRNOTAVAIL) { /* the client has no directory */
		refuse_for(r, err);
		return false;
	}
	if (err == -EACCES) { /* the name leads outside the root */
		refuse_for(r, -EXDEV);
		return false;
	}
	if (err < 0) { /* the rules are too expensive for this name: details only in the log */
		snprintf(r->note, sizeof r->note, "--map, line %u: %s", mapped.rule, mapped.text);
		refuse(r, SOCKEYE__TFTP_ACCESS, "refused by a rule", err);
		return false;
	}
	if (mapped.denied) {
		refuse(r, SOCKEYE__TFTP_ACCESS,
		       mapped.text[0] != '\0' ? mapped.text : "refused by a rule", 0);
		return false;
	}
	return true;
}

/* --- the options --- */

static void window_limit(struct request *r, uint64_t most)
{
	struct sockeye__tftp_policy *policy = &r->terms.policy;
	uint16_t max = policy->window_max != 0 ? policy->window_max : SOCKEYE__TFTP_WINDOW_CEILING;

	if (most < 1)
		most = 1;
	policy->window_max = most < max ? (uint16_t)most : max;
}

static void blksize_limit(struct request *r, uint16_t most)
{
	uint16_t *max = &r->terms.policy.blksize_max;

	if (*max == 0 || most < *max)
		*max = most;
}

/* Whether the client's answers may be forged like its request. In single-port mode, an
 * attacker knows the port to which the client sends them. */
static bool is_forgeable(const struct request *r)
{
	return r->w->server->config.single_port && !r->terms.trusted;
}

static void terms_find(struct request *r)
{
	const struct sockeye__tftp_server *server = r->w->server;

	sockeye__tftp_policy_terms(server->policy, &r->from->peer, r->name, &server->config.terms,
				   &r->terms);
	if (r->terms.blksize_mtu) {
		uint16_t fits = sockeye__tftp_wire_blksize(&r->from->peer);

		if (fits != 0)
			blksize_limit(r, fits);
	}
	if (is_forgeable(r)) {
		blksize_limit(r, FORGEABLE_BLKSIZE);
		window_limit(r, FORGEABLE_WINDOW);
	}
}

static uint16_t asked_blksize(const struct request *r)
{
	uint16_t max = r->terms.policy.blksize_max, asked = sockeye__tftp_blksize(&r->asked);

	return max != 0 && max < asked ? max : asked;
}

/* Enlarges the socket's buffers for the window. Limits an upload's window to the receive
 * buffer, and that of a netascii download to its ring. */
static void window_fit(struct request *r, int fd)
{
	uint16_t window = sockeye__tftp_windowsize(&r->asked), blksize = asked_blksize(r);
	uint32_t room;

	if (window <= 1)
		return;
	window_limit(r, window);
	room = sockeye__tftp_wire_room(fd, blksize, r->terms.policy.window_max);
	if (r->upload)
		window_limit(r, room);
	else if (r->packet.mode == SOCKEYE__TFTP_NETASCII)
		window_limit(r, (r->w->text_bytes < TEXT_MEMORY ? TEXT_WINDOW : 0) / blksize);
}

/* --- serving --- */

static struct sockeye__tftp_transfer *transfer_new(const struct request *r)
{
	size_t name_len = strlen(r->name) + 1;
	struct sockeye__tftp_transfer *t = calloc(1, sizeof *t + r->len + name_len);

	if (t == NULL)
		return NULL;
	t->wire.fd = -1;
	t->site = r->site;
	t->netascii = r->packet.mode == SOCKEYE__TFTP_NETASCII;
	t->request_len = t->name_at = (uint16_t)r->len;
	memcpy(t->bytes, r->bytes, r->len);
	memcpy(t->bytes + r->len, r->name, name_len);
	return t;
}

static ssize_t file_read(void *arg, uint64_t offset, const struct iovec *iov, int count)
{
	struct sockeye__tftp_transfer *t = arg;

	return sockeye__tftp_open_file_readv(t->files, t->file, offset, iov, count);
}

static int download_open(struct request *r, struct sockeye__tftp_transfer *t)
{
	int err = sockeye__tftp_store_get(&r->w->server->store, r->name, &t->file);

	if (err < 0)
		return err;
	t->files = &r->w->server->store.files;
	t->source = (struct sockeye__tftp_source){
	    .read = file_read,
	    .arg = t,
	    .has_size = true,
	    .size = sockeye__tftp_open_file_size(t->file),
	    .netascii = t->netascii,
	};
	return 0;
}

static int upload_open(struct request *r, struct sockeye__tftp_transfer *t)
{
	bool has = sockeye__tftp_has(&r->asked, SOCKEYE__TFTP_TSIZE);
	const uint64_t *size = has ? &r->asked.value[SOCKEYE__TFTP_TSIZE] : NULL;

	int err = sockeye__tftp_upload_open(r->w, t, &r->from->peer, r->name, size);

	if (err == -EOVERFLOW)
		r->limit = SOCKEYE__TFTP_LIMIT_TOTAL;
	return err;
}

/* Returns the options that are granted. */
static struct sockeye__tftp_options options_grant(const struct request *r,
						  const struct sockeye__tftp_transfer *t)
{
	bool has_size = !r->upload && !t->netascii;

	return sockeye__tftp_options_negotiate(&r->asked, &r->terms.policy, r->upload,
					       has_size ? &t->source.size : NULL);
}

/* Whether the first reply is no longer than the request. */
static bool reply_is_short(const struct request *r, const struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_options options = options_grant(r, t);
	uint8_t oack[SOCKEYE__TFTP_OACK_MAX];

	if (options.has == 0) /* ACK 0 or DATA 1 */
		return r->upload ||
		       (!t->netascii && SOCKEYE__TFTP_HEADER + t->source.size <= r->len &&
			t->source.size < SOCKEYE__TFTP_BLKSIZE_DEFAULT);
	return 2 + (size_t)sockeye__tftp_options_encode(oack, sizeof oack, &options) <= r->len;
}

/* Whether to serve the request: the source is within its rate, or the reply, which is then
 * sent only once, is no longer than the request. A forged address then receives no more
 * bytes than the attacker sent. */
static bool within_rate(struct request *r, const struct sockeye__tftp_transfer *t)
{
	if (r->terms.trusted)
		return true;
	r->token = sockeye__tftp_rate_take(r->w, &r->from->peer);
	r->once = !r->token;
	return r->token || (!is_forgeable(r) && reply_is_short(r, t));
}

/* If the error means that a resource is short that another transfer may hold, drops one.
 * Returns whether it did. */
static bool make_room(const struct request *r, int err)
{
	const struct sockeye_sockaddr *peer = &r->from->peer;

	if (err == -EMFILE)
		return sockeye__tftp_make_room(r->w, peer, SOCKEYE__TFTP_OF_WORKER);
	return (err == -ENFILE || err == -ENOMEM || err == -ENOBUFS || err == -EADDRINUSE) &&
	       sockeye__tftp_make_room(r->w, peer, SOCKEYE__TFTP_OF_SERVER);
}

/* Opens the file. Drops other transfers if file descriptors or memory are short. Returns 0 or
 * -errno. */
static int file_open(struct request *r, struct sockeye__tftp_transfer *t)
{
	int err;

	do {
		err = r->upload ? upload_open(r, t) : download_open(r, t);
	} while (make_room(r, err));
	return err;
}

/* Opens the socket. Drops other transfers if file descriptors, memory or ports are short.
 * Returns 0 or -errno. */
static int wire_open(struct request *r, struct sockeye__tftp_transfer *t)
{
	int err;

	do {
		err = sockeye__tftp_reply_open(r->w, r->site, r->from, &t->wire, &t->port);
	} while (make_room(r, err));
	return err;
}

/* Opens the file and the socket of a transfer, and takes a slot for it. Returns 0 or -errno;
 * r->limit is then the limit that refused the request, if one did. */
static int open_all(struct request *r, struct sockeye__tftp_transfer *t)
{
	int err = file_open(r, t);

	if (err < 0)
		return err;
	r->limit = within_rate(r, t) ? sockeye__tftp_admit(r->w, &r->from->peer)
				     : SOCKEYE__TFTP_LIMIT_RATE;
	if (r->limit != SOCKEYE__TFTP_LIMIT_NONE)
		return -EUSERS;
	err = wire_open(r, t);
	if (err < 0)
		sockeye__tftp_slot_give(r->w, &r->from->peer);
	if (err == -EADDRINUSE)
		r->limit = SOCKEYE__TFTP_LIMIT_PORTS;
	return err;
}

static int begin(struct request *r, struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_server *server = r->w->server;
	struct sockeye__tftp_config config = {
	    .server = true,
	    .sends = !r->upload,
	    .forgeable = is_forgeable(r),
	    .unconfirmed_packets_max = r->once ? 1 : 0,
	    .rto_first_ns = server->config.rto_first_ns,
	    .silence_ns = server->config.give_up_ns,
	    .silence_fixed = server->config.give_up_ns != 0,
	    .random = r->w->seed + r->w->now_ns,
	    .size_max = r->upload ? server->config.store.upload_max : 0,
	    .check_size = r->upload && !t->netascii,
	};
	int err = 0;

	if (t->port != NULL)
		t->port->user = t;
	t->token = r->token;
	window_fit(r, t->wire.fd);
	config.options = options_grant(r, t);
	if (r->upload)
		sockeye__tftp_upload_memory(r->w, t->upload, &config);
	else
		err = sockeye__tftp_source_open(&t->source, sockeye__tftp_blksize(&config.options),
						sockeye__tftp_windowsize(&config.options));
	r->w->text_bytes += t->source.cap; /* subtracted by transfer_free(), also on failure */
	if (err < 0) {
		sockeye__tftp_slot_give(r->w, &r->from->peer);
		return err;
	}
	if (r->upload && t->port != NULL)
		sockeye__tftp_wire_coalesce(&t->wire);
	sockeye__tftp_transfer_begin(r->w, t, &config);
	return 0;
}

static void serve(struct request *r)
{
	struct sockeye__tftp_transfer *t = transfer_new(r);
	int err;

	if (t == NULL) {
		refuse_for(r, -ENOMEM);
		return;
	}
	err = open_all(r, t);
	if (err == 0)
		err = begin(r, t);
	if (err == 0)
		return;
	sockeye__tftp_transfer_free(r->w, t);
	if (sockeye__tftp_room_hold(r->w, r->site, r->from, r->bytes, r->len)) {
		if (r->token)
			sockeye__tftp_rate_give(r->w, &r->from->peer);
		return;
	}
	switch (r->limit) {
	case SOCKEYE__TFTP_LIMIT_RATE:
		sockeye__tftp_drop(r->w, SOCKEYE__TFTP_DROP_RATE, &r->from->peer);
		return;
	case SOCKEYE__TFTP_LIMIT_PORTS:
		report_no_port(r);
		return;
	case SOCKEYE__TFTP_LIMIT_TRANSFERS:
	case SOCKEYE__TFTP_LIMIT_SOURCE:
		refuse(r, SOCKEYE__TFTP_UNDEFINED, "too many transfers", 0);
		return;
	case SOCKEYE__TFTP_LIMIT_TOTAL:
	case SOCKEYE__TFTP_LIMIT_NONE:
		break;
	}
	refuse_for(r, err);
}

void sockeye__tftp_request(struct sockeye__tftp_worker *w, struct sockeye__tftp_site *site,
			   const struct sockeye_dgram *from, const uint8_t *bytes, size_t len)
{
	struct request r = {.w = w, .site = site, .from = from, .bytes = bytes, .len = len};
	uint16_t opcode = len >= 2 ? sockeye__tftp_get16(bytes) : 0;
	int err;

	w->room.waits = false;
	if (w->room.again == NULL)
		sockeye__count(&w->base->counters->datagrams_in, 1);
	/* An unknown peer may only send requests, and not from port 0. */
	if ((opcode != SOCKEYE__TFTP_RRQ && opcode != SOCKEYE__TFTP_WRQ) || len < 4 ||
	    len > UINT16_MAX || sockeye_sockaddr_port(&from->peer) == 0)
		return;
	if (from->group && !w->server->config.broadcast) {
		sockeye__tftp_drop(w, SOCKEYE__TFTP_DROP_BROADCAST, &from->peer);
		return;
	}
	sockeye__tftp_catch_up(w, &from->peer);
	err = sockeye__tftp_decode(r.bytes, len, &r.packet);
	r.upload = opcode == SOCKEYE__TFTP_WRQ;
	if ((err == 0 && sockeye__tftp_is_duplicate(w, &from->peer, bytes, len)) || w->stopping)
		return;
	if (err < 0 || len > REQUEST_MAX) {
		refuse(&r, SOCKEYE__TFTP_ILLEGAL,
		       err == 0                  ? "request too long"
		       : err == -EPROTONOSUPPORT ? "unknown mode"
						 : "malformed request",
		       err);
		return;
	}
	r.asked = sockeye__tftp_options_parse(r.packet.options);
	if (!name_find(&r))
		return;
	terms_find(&r);
	if (r.upload ? r.terms.deny_put : r.terms.deny_get)
		refuse(&r, SOCKEYE__TFTP_ACCESS, "refused by policy", 0);
	else
		serve(&r);
}
