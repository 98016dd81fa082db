/*
 * Groups of sites that a server refuses before it starts: unknown models and users, and crews
 * that cannot share its limits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sockeye/stream.h>

#include "../rows.h"
#include "serve/crew.h"

static void never_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state;
	(void)config;
	(void)t;
}

static void never_answer(const void *config, struct sockeye_answer *a)
{
	(void)config;
	(void)a;
}

static const struct sockeye_service who = {
    .name = "who", .turn = never_turn, .datagram = never_answer};

static void unknown_model_and_user_are_errors(void **state)
{
	static const struct {
		const char *model, *user;
		int err;
	} rows[] = {
	    {"event", "no such user", SOCKEYE_E_NONAME},
	    {"no such model", NULL, SOCKEYE_E_MODEL},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].model) {
		struct sockeye__site_request requests[2] = {
		    {.site.service = &who, .model = "event"},
		    {.site.service = &who, .model = rows[i].model, .user = rows[i].user},
		};

		for (size_t k = 0; k < 2; k++)
			assert_int_equal(
			    sockeye_addr_parse("tcp://127.0.0.1:0", &requests[k].site.addr, NULL),
			    0);
		assert_int_equal(sockeye__serve_crews(requests, 2, NULL, NULL), rows[i].err);
	}
}

static void never_run(struct sockeye__worker *w)
{
	(void)w;
}

/* One process is the least for a crew, and the state of a spec is for one crew. */
static void crews_that_cannot_share_are_refused(void **state)
{
	const struct sockeye__crew_spec spec = {.run = never_run};
	const struct {
		const char *text;
		struct sockeye__site_request second;
		const char *address, *detail;
		uint32_t connections_max;
	} rows[] = {
	    {"workers", {.spec = &spec, .workers = 3}, "udp://127.0.0.1:0", "number of workers", 0},
	    {"user",
	     {.spec = &spec, .user = "nobody"},
	     "udp://127.0.0.1:0",
	     "number of workers",
	     0},
	    {"connections", {.model = "prefork"}, "tcp://127.0.0.1:0", "too few for 2 groups", 1},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		const struct sockeye_serve_opts opts = {.connections_max = rows[i].connections_max};
		struct sockeye__site_request requests[2] = {
		    {.spec = rows[i].second.spec, .workers = 2},
		    rows[i].second,
		};
		struct sockeye_fail fail;

		for (size_t k = 0; k < 2; k++) {
			requests[k].site.service = &who;
			assert_int_equal(
			    sockeye_addr_parse(rows[i].address, &requests[k].site.addr, NULL), 0);
		}
		assert_int_equal(sockeye__serve_crews(requests, 2, &opts, &fail), -EINVAL);
		assert_non_null(strstr(fail.detail, rows[i].detail));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unknown_model_and_user_are_errors),
	    cmocka_unit_test(crews_that_cannot_share_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
