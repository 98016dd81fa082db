/*
 * test_watchdog.c: an event loop that handles the same events for a long time is reported and
 * then killed, in virtual time. test/model/test_watchdog.py has the stopped workers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve/children.h"

#define STRIDE 16

static struct {
	struct sockeye_serve_opts opts;
	struct sockeye__server server;
	struct sockeye__children children;
	struct sockeye__worker worker;
	uint64_t now_ns;
	unsigned reports;
	char last[160];
} t;

static void on_event(void *arg, const struct sockeye_event *event)
{
	(void)arg;
	t.reports++;
	snprintf(t.last, sizeof t.last, "%s", event->text);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	t.opts.on_event = on_event;
	t.server = (struct sockeye__server){.opts = &t.opts, .seats = 1};
	t.server.shared =
	    calloc(1, sizeof *t.server.shared + STRIDE * sizeof t.server.shared->counters[0]);
	assert_non_null(t.server.shared);
	t.server.shared->stride = STRIDE;
	t.worker.turns = sockeye__turns_of(t.server.shared, 0);
	t.children = (struct sockeye__children){.server = &t.server,
						.list = calloc(1, sizeof *t.children.list)};
	assert_non_null(t.children.list);
	t.children.list[0].state = SOCKEYE__CHILD_RUNS;
	if (sockeye__process_fork(&t.children.list[0].process) == 1)
		for (;;)
			pause();
	t.now_ns = 1000 * SOCKEYE_NS_PER_S;
	sockeye__watchdog_look(&t.children, t.now_ns);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (t.children.list[0].process.pid > 0)
		sockeye__process_kill(&t.children.list[0].process);
	free(t.children.list);
	free(t.server.shared);
	return 0;
}

/* The supervisor looks `count` times, each after `pause_s` seconds. */
static void look(unsigned count, unsigned pause_s)
{
	for (unsigned i = 0; i < count; i++) {
		t.now_ns += pause_s * SOCKEYE_NS_PER_S;
		sockeye__watchdog_look(&t.children, t.now_ns);
	}
}

static void test_hangs(void **state)
{
	char expected[80];
	enum sockeye__process_end end = SOCKEYE__PROCESS_DONE;
	int pid = (int)t.children.list[0].process.pid;

	(void)state;
	sockeye__worker_waits(&t.worker);
	sockeye__worker_works(&t.worker);
	look(1 + 9, 1);
	assert_int_equal(t.reports, 0);
	look(1, 1);
	snprintf(expected, sizeof expected, "worker %d has handled the same events for 10 s; ",
		 pid);
	assert_memory_equal(t.last, expected, strlen(expected));
	look(49, 1);
	assert_int_equal(t.reports, 1);
	look(1, 1);
	assert_int_equal(t.reports, 2);
	assert_non_null(strstr(t.last, "for 60 s; replacing it"));
	while (!sockeye__process_ended(&t.children.list[0].process, &end))
		usleep(1000);
	assert_int_equal(end, SOCKEYE__PROCESS_KILLED);
}

static void test_does_not_hang(void **state)
{
	(void)state;
	look(100, 1); /* it has no loop, or is starting */
	sockeye__worker_waits(&t.worker);
	look(100, 1); /* it waits for events */
	for (int i = 0; i < 20; i++) {
		sockeye__worker_works(&t.worker);
		look(9, 1);
		sockeye__worker_waits(&t.worker);
	}
	sockeye__worker_works(&t.worker);
	look(100, 3); /* the supervisor was stopped as well */
	assert_int_equal(t.reports, 0);
	look(9, 1);
	sockeye__worker_waits(&t.worker);
	sockeye__worker_works(&t.worker);
	look(9, 1);
	assert_int_equal(t.reports, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_hangs, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_does_not_hang, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
