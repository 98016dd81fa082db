/*
 * sim_scene.c: derives the file, the options and the network from the seed.
 */
#include <assert.h>
#include <string.h>

#include "sim.h"

static uint64_t pick(struct sim *s, uint64_t n)
{
	return random_below(&s->random, n);
}

static bool chance(struct sim *s, unsigned per_mille)
{
	return random_chance(&s->random, per_mille);
}

static void options_pick(struct sim *s)
{
	struct sockeye__tftp_options *o = &s->asked;

	sockeye__tftp_set(o, SOCKEYE__TFTP_BLKSIZE, chance(s, 800) ? 8 : 8 + pick(s, 56));
	if (chance(s, 700))
		sockeye__tftp_set(o, SOCKEYE__TFTP_WINDOWSIZE, 1 + pick(s, WINDOW_MAX));
	if (chance(s, 400))
		sockeye__tftp_set(o, SOCKEYE__TFTP_ROLLOVER, pick(s, 2));
	if (chance(s, 300))
		sockeye__tftp_set(o, SOCKEYE__TFTP_TSIZE, s->sender == CLIENT ? s->size : 0);
	if (chance(s, 100))
		sockeye__tftp_set(o, SOCKEYE__TFTP_UTIMEOUT, 30000 + pick(s, 40000));
	s->policy.window_max = WINDOW_MAX;
	if (chance(s, 200)) /* some options are unknown to the server */
		s->policy.refused = (unsigned)pick(s, 1u << SOCKEYE__TFTP_OPTIONS) &
				    ~SOCKEYE__TFTP_BIT(SOCKEYE__TFTP_BLKSIZE);
	if (s->size < 100000 && chance(s, 50)) { /* all options, so blocks have 512 bytes */
		s->policy.refused = ~0u;
	}
}

/* Mostly few blocks, sometimes enough for the numbers to wrap twice, and often full
 * blocks only. */
static uint64_t size_pick(struct sim *s)
{
	uint64_t size = pick(s, chance(s, 100) ? 5000 : chance(s, 500) ? 400 : 40);

	return chance(s, 300) ? size / 8 * 8 : size;
}

static void request_make(struct sim *s)
{
	static const uint8_t name[] = "file";
	ssize_t len, more;

	len = sockeye__tftp_request_encode(
	    s->request, sizeof s->request,
	    s->sender == CLIENT ? SOCKEYE__TFTP_WRQ : SOCKEYE__TFTP_RRQ,
	    (struct sockeye__span){name, sizeof name - 1}, SOCKEYE__TFTP_OCTET);
	assert(len > 0);
	more = sockeye__tftp_options_encode(s->request + len, sizeof s->request - (size_t)len,
					    &s->asked);
	assert(more >= 0);
	s->request_len = (size_t)(len + more);
}

/* One kind of fault, or several. */
static void faults_pick(struct sim *s)
{
	struct network *n = &s->net;
	uint64_t kind = pick(s, 10);

	n->heal_ns = START_NS + pick(s, 2000) * MS;
	n->late_ns = 8 * n->delay_ns;
	if (kind == 0)
		return; /* no faults */
	if (kind == 1 || kind >= 5)
		n->doubled = (unsigned)(kind == 1 ? 300 : pick(s, 200));
	if (kind == 2 || kind >= 5)
		n->lost = (unsigned)pick(s, kind == 2 ? 50 : 400);
	if (kind == 3 || kind >= 5)
		n->late = (unsigned)pick(s, 300);
	if (kind == 4 || kind >= 5)
		n->spoiled = (unsigned)pick(s, 200);
	if (kind >= 3)
		n->jitter_ns = n->delay_ns / 2;
	if (kind >= 8) {
		n->cut_from_ns = START_NS + pick(s, 200) * MS;
		n->cut_to_ns = n->cut_from_ns + pick(s, 1000) * MS;
	}
}

void sim_scene(struct sim *s, uint64_t seed)
{
	bool trace = s->trace;

	memset(s, 0, offsetof(struct sim, net));
	network_init(&s->net, seed);
	memset((char *)s + offsetof(struct sim, random), 0,
	       sizeof *s - offsetof(struct sim, random));
	s->trace = trace;
	s->seed = seed;
	s->random.state = seed * 7;
	s->now_ns = START_NS;
	s->sender = chance(s, 500) ? CLIENT : SERVER;
	s->size = size_pick(s);
	s->numbers = NUMBERS;
	if (pick(s, 5000) == 0) { /* with the numbers of the protocol */
		s->numbers = 0;
		s->size = (65520 + pick(s, 40)) * 8;
	}
	options_pick(s);
	request_make(s);
	s->net.delay_ns = MS / 5 + pick(s, 2 * MS);
	faults_pick(s);
	if (chance(s, 100))
		s->dribble_ns = s->now_ns + pick(s, 2 * MS);
	s->forgeable = chance(s, 300);
	if (chance(s, 50)) {
		s->abort_ns = s->now_ns + pick(s, 100) * MS;
		s->aborter = (enum end)pick(s, 2);
	}
}
