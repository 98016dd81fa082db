/*
 * tftp_peers.c: transfers with peers that pause, lose packets, or have room for few
 * blocks (peers.h). Prints each transfer that sends too much again or takes too long.
 *
 *   tftp_peers [-v]     -v prints all
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "peers.h"

#define MIB      (UINT64_C(1) << 20)
#define TRIP_NS  (200 * US)
#define ARRAY(a) (sizeof(a) / sizeof((a)[0]))

static bool verbose;
static unsigned failures, runs;

static void result(const char *what, const struct habit *h, const struct outcome *o, bool ok)
{
	runs++;
	failures += !ok;
	if (ok && !verbose)
		return;
	printf("%s %s: blksize %u window %u trip %.1f ms lost %u pause %" PRIu64
	       " ms every %u%s%s%s room %u%s seed %" PRIu64 ": %s in %.1f ms, %" PRIu64
	       " blocks, %" PRIu64 " again, %" PRIu64 " timeouts, %u same ACKs\n",
	       ok ? "ok" : "WRONG", what, h->blksize, h->window, (double)h->trip_ns / 1e6, h->lost,
	       h->pause_ns / MS, h->pause_every, h->irregular ? " irregular" : "",
	       h->pause_first ? " first" : "", h->server_pauses ? " server" : "", h->room,
	       h->repeats ? " repeats" : "", h->seed, o->done ? "done" : "failed",
	       (double)o->ns / 1e6, o->blocks, o->resent, o->timeouts, o->same_acks);
}

/* --- pauses --- */

/* At most 2 % is sent again, and one window in the first pause. The time is that of a
 * server that never sends anything again. */
static void pause_check(struct habit h)
{
	struct habit patient = h;
	struct outcome o = peers_run(&h), ideal;

	patient.rto_min_ns = 7 * SOCKEYE_NS_PER_S;
	ideal = peers_run(&patient);
	result("pause", &h, &o,
	       o.done && o.loses_ns == 0 && o.resent <= o.blocks / 50 + h.window &&
		   o.ns <= ideal.ns + ideal.ns / 10 + 100 * MS &&
		   (!h.server_pauses || o.same_acks <= 4));
}

static void pauses_of(struct habit h)
{
	static const uint64_t pauses_ms[] = {10, 13, 20, 37, 50, 100, 170, 300, 1000};
	static const unsigned every[] = {1, 8, 40, 150};

	for (size_t i = 0; i < ARRAY(pauses_ms); i++)
		for (size_t k = 0; k < ARRAY(every); k++)
			for (unsigned way = 0; way < 8; way++) {
				h.pause_ns = pauses_ms[i] * MS;
				h.pause_every = every[k];
				h.irregular = way & 1;
				h.pause_first = way & 2;
				h.server_pauses = way & 4;
				h.seed = i * 1000 + k * 10 + way;
				pause_check(h);
			}
}

static void pauses(void)
{
	static const uint16_t options[][2] = {
	    {512, 1}, {512, 8}, {1428, 1}, {1428, 4}, {1428, 16}, {1428, 64}, {8192, 1}, {8192, 8},
	};

	for (size_t i = 0; i < ARRAY(options); i++)
		pauses_of((struct habit){
		    .blksize = options[i][0],
		    .window = options[i][1],
		    .bytes = 4 * MIB,
		    .trip_ns = TRIP_NS,
		});
}

/* --- losses --- */

/* With 1 % loss a transfer takes at most twice the time. The files are so large that the loss
 * of the first packet, which costs a second, is a small part. */
static void loss_check(uint16_t blksize, uint16_t window, uint64_t trip_ns)
{
	struct habit h = {.blksize = blksize,
			  .window = window,
			  .bytes = (trip_ns < MS ? 64 : 8) * MIB,
			  .trip_ns = trip_ns};
	struct outcome o = peers_run(&h), sum = {.done = o.done};
	uint64_t ideal_ns = o.ns;

	h.lost = 10;
	for (h.seed = 1; h.seed <= 10; h.seed++) {
		o = peers_run(&h);
		sum.done = sum.done && o.done && o.loses_ns == 0;
		sum.ns += o.ns;
		sum.blocks += o.blocks;
		sum.resent += o.resent;
		sum.timeouts += o.timeouts;
	}
	result("loss", &h, &sum, sum.done && sum.ns <= 2 * 10 * ideal_ns);
}

static void losses(void)
{
	static const uint16_t windows[] = {1, 2, 4, 8, 16, 32, 64};
	static const uint64_t trips_us[] = {100, 500, 1000, 10000, 100000};

	for (size_t i = 0; i < ARRAY(windows); i++)
		for (size_t k = 0; k < ARRAY(trips_us); k++)
			loss_check(1428, windows[i], trips_us[k] * US);
}

/* --- boot ROMs --- */

/* A ROM that takes `room` blocks of each window needs at most twice the time of a window
 * of that size. */
static void rom_check(uint32_t room, uint16_t window, uint64_t trip_ns, uint64_t drain_ns,
		      bool repeats)
{
	struct habit h = {
	    .blksize = 512,
	    .window = window,
	    .bytes = MIB,
	    .trip_ns = trip_ns,
	    .room = room,
	    .drain_ns = drain_ns,
	    .repeats = repeats,
	};
	struct habit fitting = h;
	struct outcome o = peers_run(&h), ideal;

	fitting.window = (uint16_t)room;
	ideal = peers_run(&fitting);
	result("ROM", &h, &o, o.done && ideal.done && o.ns <= 2 * ideal.ns);
}

static void roms(void)
{
	static const uint64_t trips_us[] = {500, 1000, 5000}, drains_us[] = {30, 200};

	for (uint32_t room = 1; room <= 4; room++)
		for (uint16_t window = 8; window <= 16; window = (uint16_t)(2 * window))
			for (size_t i = 0; i < ARRAY(trips_us); i++)
				for (size_t k = 0; k < ARRAY(drains_us); k++)
					for (int repeats = 0; repeats < 2; repeats++)
						rom_check(room, window, trips_us[i] * US,
							  drains_us[k] * US, repeats);
}

/* --- a gap --- */

/* A server that pauses when it is asked for a lost block is not asked five times. */
static void gaps(void)
{
	static const uint64_t pauses_ms[] = {20, 200, 500, 1000};

	for (size_t i = 0; i < ARRAY(pauses_ms); i++) {
		struct habit h = {
		    .blksize = 512,
		    .window = 8,
		    .bytes = MIB,
		    .trip_ns = TRIP_NS,
		    .pause_ns = pauses_ms[i] * MS,
		    .pause_every = 1,
		    .pause_first = true,
		    .server_pauses = true,
		    .lost_block = 3,
		};
		struct outcome o = peers_run(&h);

		result("gap", &h, &o, o.done && o.same_acks <= 4);
	}
}

/* --- large packets --- */

/* A client sees within a few seconds that no block arrives, even if the short last block
 * does. */
static void path_check(struct habit h)
{
	struct outcome o;

	h.lost = 10;
	for (h.seed = 1; h.seed <= 4; h.seed++) {
		o = peers_run(&h);
		result("path", &h, &o,
		       !o.done && o.loses_ns >= 3 * SOCKEYE_NS_PER_S &&
			   o.loses_ns <= 8 * SOCKEYE_NS_PER_S && o.same_acks < 60);
	}
}

static void paths(void)
{
	static const uint16_t options[][2] = {{600, 1}, {1428, 8}, {1428, 64}, {8192, 4}};
	static const uint64_t files[] = {700, 5000, MIB}, trips_us[] = {300, 40000};

	for (size_t i = 0; i < ARRAY(options); i++)
		for (size_t k = 0; k < ARRAY(files); k++)
			for (size_t n = 0; n < ARRAY(trips_us); n++)
				path_check((struct habit){
				    .blksize = options[i][0],
				    .window = options[i][1],
				    .bytes = files[k],
				    .trip_ns = trips_us[n] * US,
				    .largest = 590,
				});
}

int main(int argc, char **argv)
{
	verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
	pauses();
	losses();
	roms();
	gaps();
	paths();
	printf("%u transfers, %u wrong\n", runs, failures);
	return failures > 0;
}
