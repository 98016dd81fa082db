/*
 * answer.c: datagram services. One recvmmsg(2) receives a batch of datagrams, the
 * service replies to each, and one sendmmsg(2) sends the replies, each from the address
 * to which its request was sent.
 */
#include "serve/internal.h"
#include "net/net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH        32
#define REPLY_BYTES  65536 /* the longest reply */
#define RATE_DEFAULT 20    /* replies per second and source that are longer than their request */

/* Ports of services that reply to any datagram: SSDP, WS-Discovery, mDNS and memcached.
 * After one forged datagram, two such services reply to each other endlessly (CERT
 * CA-1996-01). All ports below 1024 are refused too. */
static const uint16_t small_ports[] = {1900, 3702, 5353, 11211};

struct sockeye__answerer {
	struct sockeye__worker *worker;
	uint32_t rate;
	unsigned used; /* slots that the last batch used; they are reset before the next batch */
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_iov[BATCH], out_iov[BATCH];
	struct sockeye_sockaddr peers[BATCH];
	_Alignas(struct cmsghdr) uint8_t control[BATCH][SOCKEYE__CONTROL_MAX];
	/* The distance of the buffers is not a power of two: otherwise their starts would
	 * share a few cache sets. */
	uint8_t data[BATCH][SOCKEYE__RECORD_BYTES + 4160];
	uint8_t room[BATCH][REPLY_BYTES + 4160];
};

struct sockeye__answerer *sockeye__answerer_new(struct sockeye__worker *w)
{
	struct sockeye__answerer *a = calloc(1, sizeof *a); /* unused pages take no memory */

	if (a == NULL)
		return NULL;
	a->worker = w;
	a->rate = w->server->opts->answers_per_s;
	if (a->rate == 0)
		a->rate = RATE_DEFAULT;
	a->used = BATCH;
	for (unsigned i = 0; i < BATCH; i++) {
		a->in_iov[i] = (struct iovec){a->data[i], sizeof a->data[i]};
		a->in[i].msg_hdr.msg_iov = &a->in_iov[i];
		a->in[i].msg_hdr.msg_iovlen = 1;
		a->in[i].msg_hdr.msg_name = &a->peers[i].u;
		a->in[i].msg_hdr.msg_control = a->control[i];
		a->out[i].msg_hdr.msg_iov = &a->out_iov[i];
		a->out[i].msg_hdr.msg_iovlen = 1;
	}
	return a;
}

void sockeye__answerer_free(struct sockeye__answerer *a)
{
	free(a);
}

static bool multicast_or_broadcast(const struct sockeye_sockaddr *name)
{
	switch (name->u.sa.sa_family) {
	case AF_INET:
		return IN_MULTICAST(ntohl(name->u.in.sin_addr.s_addr)) ||
		       name->u.in.sin_addr.s_addr == htonl(INADDR_BROADCAST) ||
		       name->u.in.sin_addr.s_addr == htonl(INADDR_ANY);
	case AF_INET6:
		return IN6_IS_ADDR_MULTICAST(&name->u.in6.sin6_addr) ||
		       IN6_IS_ADDR_UNSPECIFIED(&name->u.in6.sin6_addr);
	default:
		return false;
	}
}

/* Whether a datagram site of this server is bound to the port. */
static bool is_served(const struct sockeye__server *server, uint16_t port)
{
	for (size_t c = 0; c < server->crew_count; c++) {
		const struct sockeye__crew *crew = &server->crews[c];

		for (size_t i = 0; i < crew->site_count; i++)
			if (!crew->sites[i].stream &&
			    sockeye_sockaddr_port(&crew->sites[i].listener.name) == port)
				return true;
	}
	return false;
}

/* Whether the source could be another server that would reply to our reply: its port is
 * privileged, belongs to a small service, or is served by this server. */
static bool could_loop(const struct sockeye__answerer *a, const struct sockeye_sockaddr *peer)
{
	uint16_t port = sockeye_sockaddr_port(peer);

	if (peer->u.sa.sa_family != AF_INET && peer->u.sa.sa_family != AF_INET6)
		return false;
	if (port < 1024 || multicast_or_broadcast(peer))
		return true;
	for (size_t i = 0; i < sizeof small_ports / sizeof *small_ports; i++)
		if (port == small_ports[i])
			return true;
	return is_served(a->worker->server, port);
}

/* Makes the address to which the request was sent the source of the reply. Returns false
 * if the request was sent to a broadcast or multicast address: if its source is forged,
 * the replies of all members would be an attack on that source. */
static bool reply_from_asked(struct msghdr *in, struct msghdr *out)
{
	struct sockeye_dgram asked = {0};

	out->msg_controllen = 0;
	if (in->msg_controllen == 0)
		return true;
	sockeye__dgram_local(in, &asked);
	if (asked.group)
		return false;
	sockeye__dgram_source(out, in->msg_control, &asked);
	return true;
}

static void refuse(struct sockeye__answerer *a, const struct sockeye__site *site, uint64_t *counter,
		   const struct sockeye_sockaddr *peer, const char *why)
{
	sockeye__count(counter, 1);
	if (!sockeye__rarely(a->worker))
		return;
	sockeye__event(a->worker->server->opts,
		       &(struct sockeye_event){.kind = SOCKEYE_EVENT_REFUSE,
					       .service = site->service->name,
					       .scheme = site->scheme,
					       .peer = peer,
					       .text = why});
}

/* Whether a reply longer than its request may be sent. Loopback addresses are exempt,
 * because other hosts cannot forge them. */
static bool within_rate(struct sockeye__answerer *a, const struct sockeye_sockaddr *peer)
{
	struct sockeye__source source;

	if (sockeye__is_loopback(&peer->u.sa) ||
	    !sockeye__worker_source(a->worker, &peer->u.sa, &source))
		return true;
	return sockeye__rates_take(a->worker->server->shared->rates, &source, a->rate,
				   sockeye_now().mono_ns);
}

/* Whether the server may send another reply to the peer. False if the peer may be a server
 * and has exceeded the limit of replies per second. */
static bool within_repeats(struct sockeye__answerer *a, const struct sockeye_sockaddr *peer)
{
	struct sockeye__repeats *repeats = a->worker->server->shared->repeats;

	return repeats == NULL || !sockeye__repeats_concern(repeats, peer) ||
	       sockeye__repeats_take(repeats, peer, sockeye_now().mono_ns);
}

/* Returns why the reply must not be sent, with the counter of that reason, or NULL if it may be
 * sent. Sets the source address of the reply. */
static const char *refusal(struct sockeye__answerer *a, const struct sockeye_sockaddr *peer,
			   struct msghdr *in, struct msghdr *out, const struct sockeye_answer *ans,
			   uint64_t **out_counter)
{
	*out_counter = &a->worker->counters->dropped_loop;
	if (could_loop(a, peer))
		return "the source could be a server";
	if (!reply_from_asked(in, out))
		return "sent to a broadcast or multicast address";
	*out_counter = &a->worker->counters->dropped_repeat;
	if (!within_repeats(a, peer))
		return "the source may be a server and exceeded its rate; it receives no replies "
		       "for 10 s (--repeat-rate)";
	*out_counter = &a->worker->counters->dropped_rate;
	if (ans->out_len > ans->in_len && !within_rate(a, peer))
		return "the source exceeded its rate";
	return NULL;
}

/* Writes the reply to datagram `i` to out[n]. Returns false if there is no reply. */
static bool answer_one(struct sockeye__answerer *a, const struct sockeye__site *site, unsigned i,
		       unsigned n, struct sockeye_now now)
{
	struct sockeye_sockaddr *peer = &a->peers[i];
	struct msghdr *in = &a->in[i].msg_hdr, *out = &a->out[n].msg_hdr;
	struct sockeye_answer ans = {
	    .in = a->data[i],
	    .in_len = a->in[i].msg_len,
	    .room = a->room[i],
	    .room_len = sizeof a->room[i],
	    .now = now,
	};
	uint64_t *counter;
	const char *why;

	peer->len = in->msg_namelen;
	if (peer->len == 0) /* an unnamed UNIX socket; the slot holds an earlier name */
		peer->u.sa.sa_family = AF_UNSPEC;
	if (a->worker->server->opts->show_messages)
		sockeye__show(a->worker, site, peer, ans.in, ans.in_len);
	if (in->msg_flags & MSG_TRUNC) { /* no reply to part of a datagram */
		refuse(a, site, &a->worker->counters->dropped_send, peer,
		       "the datagram is too long");
		return false;
	}
	site->service->datagram(site->config, &ans);
	if (!ans.send)
		return false;
	why = refusal(a, peer, in, out, &ans, &counter);
	if (why != NULL) {
		refuse(a, site, counter, peer, why);
		return false;
	}
	if (peer->len <= sizeof(sa_family_t)) { /* an unnamed socket cannot receive a reply */
		sockeye__count(&a->worker->counters->dropped_send, 1);
		return false;
	}
	out->msg_name = &peer->u;
	out->msg_namelen = peer->len;
	a->out_iov[n] = (struct iovec){(void *)(uintptr_t)ans.out, ans.out_len};
	return true;
}

/* Counts a reply that could not be sent, and logs why. The receiver's queue may be full at any
 * time, and its socket may have been closed, so these errors are not logged. */
static void send_failed(struct sockeye__answerer *a, const struct sockeye__site *site,
			const struct msghdr *out, int err)
{
	struct sockeye_sockaddr peer = {.len = out->msg_namelen};
	char text[120];

	if (err == 0 || err == -EAGAIN || err == -ECONNREFUSED || err == -ENOENT) {
		sockeye__count(&a->worker->counters->dropped_send, 1);
		return;
	}
	memcpy(&peer.u, out->msg_name, out->msg_namelen);
	snprintf(text, sizeof text, "the reply could not be sent: %s%s", sockeye_error_text(err),
		 err == -EPERM ? " (a firewall on this machine drops it)" : "");
	refuse(a, site, &a->worker->counters->dropped_send, &peer, text);
}

/* Sends out[0..n). Counts and skips a reply that cannot be sent, for example because the
 * receiver's queue is full, so that it does not delay the others. */
static void transmit(struct sockeye__answerer *a, const struct sockeye__site *site, int fd,
		     unsigned n)
{
	uint64_t bytes = 0, sent = 0;
	bool waited = false;

	for (unsigned done = 0; done < n;) {
		int k = sendmmsg(fd, a->out + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN && !waited) { /* most likely the send buffer is full */
			waited = true;
			(void)poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 10);
			continue;
		}
		if (k <= 0) {
			send_failed(a, site, &a->out[done].msg_hdr, k < 0 ? -errno : 0);
			done++;
			continue;
		}
		for (int i = 0; i < k; i++)
			bytes += a->out[done + (unsigned)i].msg_len;
		sent += (uint64_t)k;
		done += (unsigned)k;
	}
	sockeye__count(&a->worker->counters->datagrams_out, sent);
	sockeye__count(&a->worker->counters->bytes_out, bytes);
}

/* Resets only the slots that the last batch used, because resetting all slots would take
 * longer than receiving a few datagrams. */
static void slots_reset(struct sockeye__answerer *a)
{
	for (unsigned i = 0; i < a->used; i++) {
		a->in[i].msg_hdr.msg_namelen = sizeof a->peers[i].u;
		a->in[i].msg_hdr.msg_controllen = SOCKEYE__CONTROL_MAX;
	}
	a->used = 0;
}

bool sockeye__answer(struct sockeye__answerer *a, size_t i)
{
	const struct sockeye__site *site = &a->worker->crew->sites[i];
	int fd = sockeye__site_fd(a->worker, i), k;
	struct sockeye_now now = {0};
	uint64_t bytes = 0;
	unsigned n = 0;

	slots_reset(a);
	k = recvmmsg(fd, a->in, BATCH, MSG_DONTWAIT, NULL);
	if (k <= 0)
		return false;
	a->used = (unsigned)k;
	if (site->service->uses_time)
		now = sockeye_now();
	for (unsigned j = 0; j < a->used; j++) {
		bytes += a->in[j].msg_len;
		n += answer_one(a, site, j, n, now);
	}
	sockeye__count(&a->worker->counters->datagrams_in, a->used);
	sockeye__count(&a->worker->counters->bytes_in, bytes);
	transmit(a, site, fd, n);
	return true;
}

void sockeye__answer_until_stop(struct sockeye__worker *w)
{
	struct sockeye__answerer *a = sockeye__answerer_new(w);
	struct pollfd p[2] = {{.fd = sockeye__site_fd(w, 0), .events = POLLIN},
			      {.fd = w->stop_fd, .events = POLLIN}};

	if (a == NULL)
		sockeye__cannot_start(w, -ENOMEM);
	while (a != NULL && p[1].revents == 0) {
		if (poll(p, 2, -1) > 0 && p[0].revents != 0)
			(void)sockeye__answer(a, 0);
	}
	for (int n = 0; a != NULL && n < SOCKEYE__LAST_BATCHES && sockeye__answer(a, 0); n++)
		; /* datagrams that arrived before the stop */
	sockeye__answerer_free(a);
}
