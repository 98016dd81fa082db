/*
 * test_tftp_admit.c: the order in which transfers are dropped under pressure, in virtual
 * time: unconfirmed, stalled, slower than 1 KiB/s in the last minute.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>

#include "serve/internal.h"
#include "tftp/server/internal.h"

#define S         SOCKEYE_NS_PER_S
#define START_NS  (1000 * S)
#define BLKSIZE   512
#define TRANSFERS 3

static struct {
	struct sockeye_serve_opts opts;
	struct sockeye__server general;
	struct sockeye__worker base;
	struct sockeye__counters counters;
	struct sockeye__tftp_server server;
	struct sockeye__tftp_server_counters tftp_counters;
	struct sockeye__tftp_shared shared;
	struct sockeye__tftp_worker *w;
} t;

static struct sockeye_sockaddr client(unsigned host)
{
	struct sockeye_sockaddr name = {.len = sizeof name.u.in};

	name.u.in.sin_family = AF_INET;
	name.u.in.sin_port = htons((uint16_t)(1000 + host));
	name.u.in.sin_addr.s_addr = htonl(0x0a000000 + host);
	return name;
}

static int setup(void **state)
{
	(void)state;
	t.general.opts = &t.opts;
	t.base = (struct sockeye__worker){.server = &t.general, .counters = &t.counters};
	t.server = (struct sockeye__tftp_server){.config = {.transfers_max = TRANSFERS},
						 .shared = &t.shared};
	t.server.sources = sockeye__sources_new(100);
	t.w = calloc(1, sizeof *t.w);
	assert_non_null(t.w);
	t.w->base = &t.base;
	t.w->server = &t.server;
	t.w->counters = &t.tftp_counters;
	t.w->now_ns = START_NS;
	assert_int_equal(sockeye__tftp_peers_open(t.w), 0);
	return 0;
}

static void drop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *x)
{
	sockeye__tftp_transfer_drop(w, x, "the test ends");
}

static int teardown(void **state)
{
	(void)state;
	sockeye__tftp_peers_each(t.w, drop);
	while (t.w->dead != NULL) {
		struct sockeye__tftp_transfer *dead = t.w->dead;

		t.w->dead = dead->next;
		sockeye__tftp_transfer_free(t.w, dead);
	}
	sockeye__sources_free(t.server.sources);
	free(t.w->buckets);
	free(t.w);
	return 0;
}

/* A download of a large file that its client may have confirmed. */
static struct sockeye__tftp_transfer *begin(unsigned host, bool confirmed)
{
	const struct sockeye__tftp_config config = {.server = true, .sends = true};
	struct sockeye__tftp_transfer *x = calloc(1, sizeof *x + 16);

	assert_non_null(x);
	x->wire.fd = -1;
	x->wire.to.peer = client(host);
	assert_int_equal(sockeye__tftp_admit(t.w, &x->wire.to.peer), SOCKEYE__TFTP_LIMIT_NONE);
	sockeye__tftp_init(&x->machine, &config, t.w->now_ns);
	sockeye__tftp_available(&x->machine, UINT64_C(1) << 40, true);
	sockeye__tftp_peers_add(t.w, x);
	sockeye__tftp_row_join(confirmed ? &t.w->moving : &t.w->unconfirmed, x);
	x->phase = confirmed ? SOCKEYE__TFTP_CONFIRMED : SOCKEYE__TFTP_UNCONFIRMED;
	x->machine.confirmed = confirmed;
	x->minute_ns = t.w->now_ns;
	return x;
}

/* The client acknowledges `blocks` more blocks now. */
static void progress(struct sockeye__tftp_transfer *x, unsigned blocks)
{
	x->machine.sender.una += blocks;
	x->machine.progress_ns = t.w->now_ns;
	sockeye__tftp_rank(t.w, x);
}

static bool is_dropped(const struct sockeye__tftp_transfer *x)
{
	return x->phase == SOCKEYE__TFTP_CLOSED;
}

static void test_unconfirmed_first(void **state)
{
	struct sockeye__tftp_transfer *stalled = begin(1, true), *old = begin(2, false),
				      *young = begin(3, false), *third;

	(void)state;
	t.w->now_ns += 20 * S;
	third = begin(4, true);
	assert_true(is_dropped(old) && !is_dropped(young) && !is_dropped(stalled));
	begin(5, true);
	assert_true(is_dropped(young) && !is_dropped(stalled));
	progress(third, 1);
	begin(6, true);
	assert_true(is_dropped(stalled) && !is_dropped(third));
}

static void test_own_source_first(void **state)
{
	struct sockeye__tftp_transfer *other = begin(1, false), *own = begin(2, false);

	(void)state;
	begin(3, true);
	begin(2, true);
	assert_true(is_dropped(own) && !is_dropped(other));
}

static void test_stalled(void **state)
{
	struct sockeye__tftp_transfer *a = begin(1, true), *b = begin(2, true), *c = begin(3, true);
	struct sockeye_sockaddr fourth = client(4);

	(void)state;
	t.w->now_ns += S;
	progress(b, 1);
	assert_int_equal(sockeye__tftp_admit(t.w, &fourth), SOCKEYE__TFTP_LIMIT_TRANSFERS);
	t.w->now_ns += S;
	progress(a, 1);
	progress(b, 1);
	begin(4, true);
	assert_true(is_dropped(c) && !is_dropped(a) && !is_dropped(b));
}

/* A stalled transfer gives way although the source of the request has one that moves. */
static void test_own_source_moves(void **state)
{
	struct sockeye__tftp_transfer *stalled = begin(1, true), *own = begin(2, true),
				      *other = begin(3, true);

	(void)state;
	t.w->now_ns += 3 * S;
	progress(own, 1);
	progress(other, 1);
	begin(2, true);
	assert_true(is_dropped(stalled) && !is_dropped(own) && !is_dropped(other));
}

/* One block of 512 bytes each 1.5 s is too slow, four are not. */
static void test_slow(void **state)
{
	struct sockeye__tftp_transfer *fast = begin(1, true), *slow = begin(2, true),
				      *third = begin(3, true);
	struct sockeye_sockaddr fourth = client(4);

	(void)state;
	for (int i = 0; i < 39; i++) {
		t.w->now_ns += 3 * S / 2;
		progress(fast, 4);
		progress(slow, 1);
		progress(third, 4);
	}
	assert_int_equal(sockeye__tftp_admit(t.w, &fourth), SOCKEYE__TFTP_LIMIT_TRANSFERS);
	for (int i = 0; i < 2; i++) {
		t.w->now_ns += 3 * S / 2;
		progress(fast, 4);
		progress(slow, 1);
		progress(third, 4);
	}
	begin(4, true);
	assert_true(is_dropped(slow) && !is_dropped(fast) && !is_dropped(third));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_unconfirmed_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_own_source_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stalled, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_own_source_moves, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
