/*
 * rtt.c: the estimator of RFC 6298 in nanoseconds (rtt.h).
 */
#include "proto/rtt.h"

#define BACKOFF_MAX 16
/* The estimator remembers a pause for this number of samples. If the peer pauses less often,
 * sending a block again in each pause costs less than 1 %. */
#define LONGEST_AGE_MAX 128

static uint64_t clamp(uint64_t v, uint64_t least, uint64_t most)
{
	return v < least ? least : v > most ? most : v;
}

void sockeye__rtt_init(struct sockeye__rtt *r, uint64_t initial_ns, uint64_t floor_ns,
		       uint64_t ceiling_ns)
{
	/* A negotiated timeout may be shorter than our floor, and takes precedence. */
	if (floor_ns > ceiling_ns)
		floor_ns = ceiling_ns;
	*r = (struct sockeye__rtt){
	    .rto_ns = clamp(initial_ns, floor_ns, ceiling_ns),
	    .floor_ns = floor_ns,
	    .ceiling_ns = ceiling_ns,
	    .least_ns = UINT64_MAX,
	    .least_rto_ns = floor_ns,
	};
}

static void rto_set(struct sockeye__rtt *r)
{
	r->rto_ns = clamp(r->smoothed_ns + 4 * r->variance_ns, r->least_rto_ns, r->ceiling_ns);
}

static void longest_set(struct sockeye__rtt *r, uint64_t ns)
{
	r->longest_ns = ns;
	r->longest_age = 0;
	r->least_rto_ns = clamp(ns + ns / 2, r->floor_ns, r->ceiling_ns);
}

static void longest_note(struct sockeye__rtt *r, uint64_t ns)
{
	if (ns > r->longest_ns)
		longest_set(r, ns);
	else if (ns >= r->longest_ns / 2)
		r->longest_age = 0;
	else if (++r->longest_age >= LONGEST_AGE_MAX)
		longest_set(r, r->longest_ns / 2);
}

/* RFC 6298, sections 2.2 and 2.3, with alpha 1/8, beta 1/4 and K 4. */
void sockeye__rtt_sample(struct sockeye__rtt *r, uint64_t ns)
{
	/* A sample above the ceiling has no further effect, but could overflow. */
	ns = clamp(ns, 1, r->ceiling_ns);
	if (r->smoothed_ns == 0) {
		r->smoothed_ns = ns;
		r->variance_ns = ns / 2;
	} else {
		uint64_t off = ns > r->smoothed_ns ? ns - r->smoothed_ns : r->smoothed_ns - ns;

		r->variance_ns = r->variance_ns - r->variance_ns / 4 + off / 4;
		r->smoothed_ns = r->smoothed_ns - r->smoothed_ns / 8 + ns / 8;
	}
	if (ns < r->least_ns)
		r->least_ns = ns;
	longest_note(r, ns);
	rto_set(r);
	r->backoff = 0;
}

bool sockeye__rtt_may_answer(const struct sockeye__rtt *r, uint64_t first_ns, uint64_t last_ns)
{
	if (r->smoothed_ns == 0)
		return true;
	return first_ns >= r->least_ns / 2 && last_ns <= 2 * r->smoothed_ns + 4 * r->variance_ns;
}

void sockeye__rtt_pause(struct sockeye__rtt *r, uint64_t ns)
{
	longest_note(r, clamp(ns, 1, r->ceiling_ns));
	rto_set(r);
	r->backoff = 0;
}

void sockeye__rtt_loss(struct sockeye__rtt *r)
{
	longest_set(r, r->longest_ns / 2);
	if (r->smoothed_ns != 0)
		rto_set(r);
	if (r->backoff > 1)
		r->backoff = 1;
}

void sockeye__rtt_back_off(struct sockeye__rtt *r)
{
	if (r->backoff < BACKOFF_MAX)
		r->backoff++;
}

uint64_t sockeye__rtt_timeout(const struct sockeye__rtt *r, uint64_t random)
{
	uint64_t ns = r->rto_ns;

	if (r->backoff == 0)
		return ns;
	for (unsigned i = 0; i < r->backoff && ns < r->ceiling_ns; i++)
		ns *= 2;
	ns = clamp(ns, r->floor_ns, r->ceiling_ns);
	return ns - ns / 8 * (random % 1024) / 1024;
}

uint64_t sockeye__rtt_patience(const struct sockeye__rtt *r)
{
	uint64_t most = r->smoothed_ns / 4;

	if (r->smoothed_ns == 0)
		return r->rto_ns / 2;
	return r->smoothed_ns - (r->variance_ns < most ? r->variance_ns : most);
}
