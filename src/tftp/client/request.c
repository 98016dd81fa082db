/* request.c: the request of a run (internal.h). */
#include "tftp/client/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <sockeye/time.h>

#include "base/number.h"
#include "net/net.h"

#define BLKSIZE_UNKNOWN 1428                   /* if the path's MTU is unknown */
#define BLKSIZE_MOST    16384                  /* by default; on loopback 65464 would fit */
#define PEER_ROOM       212992                 /* net.core.rmem_default of Linux */
#define MEMORY_MAX      (8 << 20)              /* for blocks ahead of a gap */
#define NEXT_NS         (5 * SOCKEYE_NS_PER_S) /* before the next address is tried */
#define RTO_MAX_NS      (5 * SOCKEYE_NS_PER_S)
#define SILENCE_NS      (30 * SOCKEYE_NS_PER_S)
#define DALLY_NS        (100 * SOCKEYE_NS_PER_MS)

int sockeye__tftp_job_resolve(struct sockeye__tftp_job *job, const struct sockeye__tftp_job *before,
			      struct sockeye_fail *fail)
{
	const struct sockeye_addr *a = job->addr, *b = before ? before->addr : NULL;
	int count, locals;

	if (b && before->name_count > 0 && strcmp(a->host, b->host) == 0 &&
	    strcmp(a->zone, b->zone) == 0 && a->family == b->family && a->port == b->port &&
	    strcmp(a->service, b->service) == 0 && strcmp(a->opts.bind, b->opts.bind) == 0) {
		memcpy(job->names, before->names, sizeof job->names);
		memcpy(job->locals, before->locals, sizeof job->locals);
		job->name_count = before->name_count;
		job->local_count = before->local_count;
		return 0;
	}
	count = sockeye_resolve(a, false, job->names, SOCKEYE__TFTP_NAMES_MAX, fail);
	if (count < 0)
		return count;
	locals = sockeye__locals_find(a, job->locals, SOCKEYE__TFTP_NAMES_MAX, fail);
	if (locals < 0)
		return locals;
	count = sockeye__names_reachable(a, job->names, (size_t)count, job->locals, (size_t)locals,
					 fail);
	if (count < 0)
		return count;
	job->name_count = (size_t)count;
	job->local_count = (size_t)locals;
	return 0;
}

/* Returns the local address to send from: the address that the user gave for this family,
 * or the unspecified address. */
static struct sockeye_sockaddr local_find(const struct sockeye__tftp_run *r,
					  const struct sockeye_sockaddr *name)
{
	const struct sockeye__tftp_job *job = r->job;
	struct sockeye_sockaddr any = {.len = name->len};

	any.u.sa.sa_family = name->u.sa.sa_family;
	for (size_t i = 0; i < job->local_count; i++)
		if (job->locals[i].u.sa.sa_family == name->u.sa.sa_family)
			return job->locals[i];
	return any;
}

/* Sets the options of the address that apply to a socket after bind(2). */
static int options_apply(int fd, const struct sockeye_addr_opts *o, bool v6)
{
	const struct {
		bool wanted;
		int level, option, value;
	} rows[] = {
	    {o->dontroute, SOL_SOCKET, SO_DONTROUTE, 1},
	    {o->rcvbuf > 0, SOL_SOCKET, SO_RCVBUF, (int)o->rcvbuf},
	    {o->sndbuf > 0, SOL_SOCKET, SO_SNDBUF, (int)o->sndbuf},
	    {o->ttl > 0, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_UNICAST_HOPS : IP_TTL, o->ttl},
	};
	int err = 0;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0] && err == 0; i++)
		if (rows[i].wanted)
			err = sockeye__option_set(fd, rows[i].level, rows[i].option, rows[i].value);
	return err;
}

static int wire_open(const struct sockeye__tftp_run *r, struct sockeye_sockaddr local,
		     struct sockeye_fail *fail)
{
	struct sockeye__port_range ports = r->client->ports;
	uint16_t port = sockeye_sockaddr_port(&local);
	int fd;

	if (port != 0)
		ports = (struct sockeye__port_range){port, port};
	fd = sockeye__tftp_wire_open(&local, &ports);
	if (fd >= 0)
		return fd;
	sockeye__fail_local(fail, r->job->addr, &local, fd);
	if (port == 0 && ports.first != 0 && fd != -EADDRNOTAVAIL)
		sockeye__fail_detail(fail, "ports %u-%u%s", ports.first, ports.last,
				     fd == -EACCES ? "; ports below 1024 need CAP_NET_BIND_SERVICE"
						   : "");
	return fd;
}

static int socket_open(struct sockeye__tftp_run *r, const struct sockeye_sockaddr *name,
		       struct sockeye_fail *fail)
{
	struct sockeye_sockaddr local = local_find(r, name);
	int fd = wire_open(r, local, fail), err;

	if (fd < 0)
		return fd;
	sockeye__tftp_wire_allow_fragments(fd, &local);
	err = options_apply(fd, &r->job->addr->opts, name->u.sa.sa_family == AF_INET6);
	if (err < 0) {
		close(fd);
		return sockeye__fail_addr(fail, "setsockopt", r->job->addr, err);
	}
	sockeye__dgram_join(fd);
	r->wire = (struct sockeye__tftp_wire){.fd = fd, .to = {.peer = *name}};
	return 0;
}

static uint16_t blksize_choose(const struct sockeye__tftp_client *c,
			       const struct sockeye_sockaddr *name)
{
	uint16_t fits;

	if (c->blksize > 0)
		return c->blksize;
	fits = sockeye__tftp_wire_blksize(name);
	if (fits == 0)
		return BLKSIZE_UNKNOWN;
	return c->blksize_mtu || fits < BLKSIZE_MOST ? fits : BLKSIZE_MOST;
}

static uint32_t least32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Returns the window to request. The receiver's buffer limits the window. A sender does
 * not know the size of its peer's buffer and, unless the user gave a window, assumes the
 * default. */
static uint16_t window_choose(const struct sockeye__tftp_run *r, uint16_t blksize)
{
	uint16_t want = r->client->window ? r->client->window : SOCKEYE__TFTP_CLIENT_WINDOW;
	uint32_t room = sockeye__tftp_wire_room(r->wire.fd, blksize, want);

	if (r->job->way == SOCKEYE__TFTP_PUT)
		room = r->client->window ? want : PEER_ROOM / sockeye__tftp_wire_cost(blksize);
	return (uint16_t)(room < 1 ? 1 : least32(room, want));
}

/* Requests a timeout: with the option timeout if it is a whole number of seconds (RFC
 * 2349), otherwise with tftp-hpa's utimeout. Requests none if neither can express it. */
static void timeout_ask(struct sockeye__tftp_options *o, uint64_t ns)
{
	uint64_t s = ns / SOCKEYE_NS_PER_S;

	if (ns % SOCKEYE_NS_PER_S == 0 && s >= 1 && s <= 255)
		sockeye__tftp_set(o, SOCKEYE__TFTP_TIMEOUT, s);
	else if (ns >= 10 * SOCKEYE_NS_PER_MS && s < 255)
		sockeye__tftp_set(o, SOCKEYE__TFTP_UTIMEOUT, ns / 1000);
}

static struct sockeye__tftp_options options_choose(const struct sockeye__tftp_run *r)
{
	const struct sockeye__tftp_client *c = r->client;
	bool put = r->job->way == SOCKEYE__TFTP_PUT;
	struct sockeye__tftp_options o = {0};
	uint16_t blksize, window;

	if (r->job->way == SOCKEYE__TFTP_PROBE)
		return r->job->ask;
	if (c->no_options || r->without_options)
		return o;
	blksize = r->lost_blksize > 0 ? SOCKEYE__TFTP_BLKSIZE_DEFAULT
				      : blksize_choose(c, &r->wire.to.peer);
	window = window_choose(r, blksize);
	if (blksize != SOCKEYE__TFTP_BLKSIZE_DEFAULT)
		sockeye__tftp_set(&o, SOCKEYE__TFTP_BLKSIZE, blksize);
	if (window > 1)
		sockeye__tftp_set(&o, SOCKEYE__TFTP_WINDOWSIZE, window);
	/* The size of a netascii transfer is not known in advance. */
	if (!r->job->addr->netascii && (!put || r->source.has_size))
		sockeye__tftp_set(&o, SOCKEYE__TFTP_TSIZE, put ? r->source.size : 0);
	if (c->timeout_ns > 0)
		timeout_ask(&o, c->timeout_ns);
	return o;
}

/* Encodes the request. The slash after the host is not part of the name (RFC 3617,
 * section 2). */
static ssize_t request_encode(struct sockeye__tftp_run *r)
{
	const struct sockeye_addr *addr = r->job->addr;
	struct sockeye__span name = {(const uint8_t *)addr->file, strlen(addr->file)};
	bool put = r->job->way == SOCKEYE__TFTP_PUT;
	ssize_t len, more;

	len = sockeye__tftp_request_encode(
	    r->request, sizeof r->request, put ? SOCKEYE__TFTP_WRQ : SOCKEYE__TFTP_RRQ, name,
	    addr->netascii ? SOCKEYE__TFTP_NETASCII : SOCKEYE__TFTP_OCTET);
	if (len < 0)
		return len;
	more = sockeye__tftp_options_encode(r->request + len, sizeof r->request - (size_t)len,
					    &r->asked);
	return more < 0 ? more : len + more;
}

/* Returns the sum of `retries` timeouts and half of the next one, which absorbs jitter.
 * Each timeout is twice as long as the previous one, up to max_ns. */
static uint64_t silence_of(uint64_t first_ns, uint64_t max_ns, uint32_t retries)
{
	uint64_t sum = 0, wait = sockeye__least(first_ns, max_ns);

	for (uint32_t i = 0; i < retries; i++) {
		sum += wait;
		wait = sockeye__least(2 * wait, max_ns);
	}
	return sum + wait / 2;
}

static struct sockeye__tftp_config config_make(struct sockeye__tftp_run *r, size_t request_len)
{
	const struct sockeye__tftp_client *c = r->client;
	uint64_t first = c->timeout_ns ? c->timeout_ns : SOCKEYE_NS_PER_S;
	struct sockeye__tftp_config config = {
	    .sends = r->job->way == SOCKEYE__TFTP_PUT,
	    .options = r->asked,
	    .request = {r->request, request_len},
	    .rto_first_ns = first,
	    .rto_max_ns = first > RTO_MAX_NS ? first : RTO_MAX_NS,
	    .dally_ns = DALLY_NS,
	    .check_size = !r->job->addr->netascii,
	};

	config.silence_ns =
	    c->has_retries ? silence_of(first, config.rto_max_ns, c->retries) : SILENCE_NS;
	(void)!getrandom(&config.random, sizeof config.random, 0);
	return config;
}

/* Allocates memory for blocks ahead of a gap. If that fails, the server must send such
 * blocks again. */
static void memory_make(struct sockeye__tftp_run *r, struct sockeye__tftp_config *config)
{
	size_t len = sockeye__tftp_memory(sockeye__tftp_blksize(&r->asked),
					  sockeye__tftp_windowsize(&r->asked));

	free(r->memory);
	r->memory = NULL;
	if (r->job->way != SOCKEYE__TFTP_GET || len == 0)
		return;
	len = len < MEMORY_MAX ? len : MEMORY_MAX;
	r->memory = malloc(len);
	config->memory = r->memory;
	config->memory_len = r->memory ? len : 0;
}

void sockeye__tftp_run_hang_up(struct sockeye__tftp_run *r)
{
	if (r->wire.fd >= 0)
		close(r->wire.fd);
	r->wire.fd = -1;
	r->port_closed = false;
}

int sockeye__tftp_run_ask(struct sockeye__tftp_run *r, uint64_t now_ns, struct sockeye_fail *fail)
{
	struct sockeye__tftp_config config;
	int err = socket_open(r, &r->job->names[r->name], fail);
	ssize_t len;

	if (err < 0)
		return err;
	r->next_ns = r->name + 1 < r->job->name_count ? now_ns + NEXT_NS : UINT64_MAX;
	r->asked = options_choose(r);
	len = request_encode(r);
	if (len < 0)
		return sockeye__fail_addr(fail, "encode", r->job->addr, (int)len);
	config = config_make(r, (size_t)len);
	memory_make(r, &config);
	sockeye__tftp_init(&r->machine, &config, now_ns);
	r->phase = SOCKEYE__RUN_ASKING;
	return 0;
}
