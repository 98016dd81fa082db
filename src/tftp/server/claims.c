/*
 * claims.c: the names of the files that clients are uploading (claims.h).
 *
 * A hash table with open addressing in shared memory. The hash is keyed, so that no peer can
 * choose names that share cells.
 */
#include "tftp/server/claims.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <sockeye/time.h>

#include "base/siphash.h"
#include "serve/shared_lock.h"
#include "serve/source.h"

#define CELLS      (1u << 15)       /* pages take memory only when used */
#define PROBES     64u              /* cells in which a given name may be */
#define ACTIVE_NS  SOCKEYE_NS_PER_S /* how long a client counts as active after its first data */
#define NAME_BYTES 256u

struct cell {
	uint64_t tag;        /* hash of directory and name */
	uint64_t host, peer; /* hashes of the client's address, without and with its port */
	uint64_t serial;     /* of the claim; 0: the cell is free */
	uint64_t until_ns;   /* the client is active until then */
	uint32_t worker;
	bool forgeable; /* an attacker may have sent the data */
};

struct sockeye__tftp_claims {
	pthread_mutex_t lock;
	struct sockeye__hash_key key;
	uint64_t serial; /* of the latest claim */
	struct cell cells[CELLS];
};

struct sockeye__tftp_claims *sockeye__tftp_claims_new(void)
{
	struct sockeye__tftp_claims *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (c == MAP_FAILED)
		return NULL;
	if (getrandom(&c->key, sizeof c->key, 0) != (ssize_t)sizeof c->key) {
		munmap(c, sizeof *c);
		return NULL;
	}
	sockeye__shared_lock_init(&c->lock);
	return c;
}

void sockeye__tftp_claims_free(struct sockeye__tftp_claims *c)
{
	if (c != NULL)
		munmap(c, sizeof *c);
}

/* Returns the hash of the directory and the name, which has at most NAME_MAX bytes. */
static uint64_t tag_of(const struct sockeye__tftp_claims *c,
		       const struct sockeye__tftp_claimed *wanted)
{
	struct {
		uint64_t dev, ino;
		char name[NAME_BYTES];
	} file = {.dev = wanted->dev, .ino = wanted->ino};

	memcpy(file.name, wanted->name, strnlen(wanted->name, sizeof file.name));
	return sockeye__siphash(&c->key, &file, sizeof file);
}

/* Fills in the hashes of the client. An IPv4 address and the IPv6 address that it is mapped to
 * are one host. */
static void client_hash(const struct sockeye__tftp_claims *c, const struct sockeye_sockaddr *client,
			struct cell *out)
{
	static const struct sockeye__prefixes whole_address = {.ipv4 = 32, .ipv6 = 128};
	struct {
		struct sockeye__source host;
		uint16_t port;
	} name = {0};

	(void)sockeye__source_of(&whole_address, &client->u.sa, &name.host);
	out->host = sockeye__siphash(&c->key, &name, sizeof name);
	name.port = sockeye_sockaddr_port(client);
	out->peer = sockeye__siphash(&c->key, &name, sizeof name);
}

/* Whether the claim yields to another request. */
static bool yields(const struct cell *held, const struct cell *to, uint64_t now_ns)
{
	if (held->peer == to->peer)
		return true;
	return now_ns >= held->until_ns && (held->forgeable || held->host == to->host);
}

/* Returns the cell that has the tag, otherwise a free one, otherwise NULL. */
static struct cell *find(struct sockeye__tftp_claims *c, uint64_t tag)
{
	struct cell *vacant = NULL;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct cell *cell = &c->cells[(tag + i) % CELLS];

		if (cell->serial != 0 && cell->tag == tag)
			return cell;
		if (cell->serial == 0 && vacant == NULL)
			vacant = cell;
	}
	return vacant;
}

static struct cell cell_of(const struct sockeye__tftp_claims *c,
			   const struct sockeye__tftp_claimed *wanted, uint64_t now_ns)
{
	struct cell cell = {.tag = tag_of(c, wanted),
			    .worker = wanted->worker,
			    .forgeable = wanted->forgeable,
			    .until_ns = now_ns + ACTIVE_NS};

	client_hash(c, wanted->client, &cell);
	return cell;
}

int sockeye__tftp_claims_check(struct sockeye__tftp_claims *c,
			       const struct sockeye__tftp_claimed *wanted, uint64_t now_ns,
			       bool *out_shared)
{
	const struct cell new = cell_of(c, wanted, now_ns), *held;
	bool refused;

	sockeye__shared_lock(&c->lock);
	held = find(c, new.tag);
	*out_shared = held != NULL && held->serial != 0;
	refused = *out_shared && !yields(held, &new, now_ns);
	sockeye__shared_unlock(&c->lock);
	return refused ? -EALREADY : 0;
}

/* Writes the owner before the serial number, which makes the cell valid: if this worker dies in
 * between, the supervisor sees either a free cell or one that has an owner. */
static void cell_set(struct cell *cell, const struct cell *new)
{
	__atomic_store_n(&cell->serial, 0, __ATOMIC_SEQ_CST);
	cell->tag = new->tag;
	cell->host = new->host;
	cell->peer = new->peer;
	cell->until_ns = new->until_ns;
	cell->worker = new->worker;
	cell->forgeable = new->forgeable;
	__atomic_store_n(&cell->serial, new->serial, __ATOMIC_RELEASE);
}

int sockeye__tftp_claims_take(struct sockeye__tftp_claims *c,
			      const struct sockeye__tftp_claimed *wanted, uint64_t now_ns,
			      struct sockeye__tftp_claim *out)
{
	struct cell new = cell_of(c, wanted, now_ns), *cell;
	int err = 0;

	*out = (struct sockeye__tftp_claim){0};
	sockeye__shared_lock(&c->lock);
	cell = find(c, new.tag);
	if (cell != NULL && cell->serial != 0 && !yields(cell, &new, now_ns)) {
		err = -EALREADY;
	} else if (cell != NULL) {
		new.serial = ++c->serial;
		*out = (struct sockeye__tftp_claim){
		    .cell = (uint32_t)(cell - c->cells),
		    .taken_over = cell->serial != 0,
		    .serial = new.serial,
		};
		cell_set(cell, &new);
	}
	sockeye__shared_unlock(&c->lock);
	return err;
}

void sockeye__tftp_claims_renew(struct sockeye__tftp_claims *c,
				const struct sockeye__tftp_claim *claim, uint64_t until_ns)
{
	struct cell *cell = &c->cells[claim->cell];

	if (claim->serial == 0)
		return;
	sockeye__shared_lock(&c->lock);
	if (cell->serial == claim->serial)
		cell->until_ns = until_ns;
	sockeye__shared_unlock(&c->lock);
}

void sockeye__tftp_claims_give(struct sockeye__tftp_claims *c, struct sockeye__tftp_claim *claim)
{
	struct cell *cell = &c->cells[claim->cell];

	if (claim->serial == 0)
		return;
	sockeye__shared_lock(&c->lock);
	if (cell->serial == claim->serial)
		cell->serial = 0;
	sockeye__shared_unlock(&c->lock);
	claim->serial = 0;
}

void sockeye__tftp_claims_forget(struct sockeye__tftp_claims *c, unsigned worker)
{
	const bool locked = sockeye__shared_lock_briefly(&c->lock);

	for (struct cell *cell = c->cells; cell < c->cells + CELLS; cell++)
		if (cell->serial != 0 && cell->worker == worker)
			cell->serial = 0;
	if (locked)
		sockeye__shared_unlock(&c->lock);
}
