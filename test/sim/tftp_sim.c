/*
 * tftp_sim.c: runs hundreds of thousands of TFTP transfers over a bad network, in
 * virtual time.
 *
 *   tftp_sim [--runs N] [--first SEED]     one transfer for each seed
 *   tftp_sim --seed N [--trace]            repeats one and prints its packets
 *
 * Checks (sim_check.c) that every byte is correct, that no end sends more than the
 * faults of the network justify, that an end gives up only after a silence, and that
 * the transfer ends after the network has healed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define RUNS 100000

static struct sim sim; /* large */

struct totals {
	uint64_t runs, packets, blocks, resent, timeouts, results[SOCKEYE__TFTP_ABORTED + 1];
};

static void count(struct totals *t)
{
	t->runs++;
	t->packets += sim.net.sent;
	for (int i = 0; i < 2; i++) {
		const struct sockeye__tftp *x = &sim.peer[i].x;

		t->timeouts += x->count.timeouts;
		if (x->config.sends) {
			t->blocks += x->count.blocks;
			t->resent += x->count.resent;
		}
		if (i == CLIENT)
			t->results[x->result]++;
	}
}

static bool run(uint64_t seed, struct totals *t)
{
	sim_scene(&sim, seed);
	if (sim.trace)
		printf("%s sends %" PRIu64 " bytes\n", sim_ends[sim.sender], sim.size);
	sim_run(&sim);
	count(t);
	if (sim.failure[0] == '\0')
		return true;
	fprintf(stderr, "seed %" PRIu64 ": %s\nreplay: tftp_sim --seed %" PRIu64 " --trace\n", seed,
		sim.failure, seed);
	return false;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t v = strtoull(text, &end, 10);

	if (end == text || *end != '\0') {
		fprintf(stderr, "tftp_sim: %s is not a number\n", text);
		exit(2);
	}
	return v;
}

int main(int argc, char **argv)
{
	uint64_t runs = RUNS, first = 1;
	struct totals t = {0};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0) {
			sim.trace = true;
		} else if (i + 1 < argc && strcmp(argv[i], "--runs") == 0) {
			runs = number(argv[++i]);
		} else if (i + 1 < argc && strcmp(argv[i], "--first") == 0) {
			first = number(argv[++i]);
		} else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
			first = number(argv[++i]);
			runs = 1;
		} else {
			fprintf(stderr,
				"usage: tftp_sim [--runs N] [--first SEED] | --seed N [--trace]\n");
			return 2;
		}
	}
	for (uint64_t i = 0; i < runs; i++)
		if (!run(first + i, &t))
			return 1;
	printf("%" PRIu64 " transfers, %" PRIu64 " packets, %" PRIu64 " blocks, %" PRIu64
	       " sent again, %" PRIu64 " timeouts\n",
	       t.runs, t.packets, t.blocks, t.resent, t.timeouts);
	for (int i = 0; i <= SOCKEYE__TFTP_ABORTED; i++)
		if (t.results[i] > 0)
			printf("  client %s: %" PRIu64 "\n", sim_results[i], t.results[i]);
	return 0;
}
