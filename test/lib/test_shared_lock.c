/*
 * test_shared_lock.c: a worker that is stopped while it holds a shared lock does not block the
 * supervisor, which must continue it, and a worker that dies then does not block the others.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve/shared_lock.h"
#include "serve/sources.h"
#include "tftp/server/claims.h"

#define DEAD   3
#define WAIT_S 30
#define NOW_NS 1000000

/* A worker that was stopped while it held the lock, which is the first member of `memory`. */
static pid_t stopped_holder(void *memory)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		sockeye__shared_lock(memory);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

static void killed(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void test_sources(void **state)
{
	const struct sockeye__source source = {0};
	struct sockeye__sources *s = sockeye__sources_new(1);
	pid_t holder;

	(void)state;
	assert_non_null(s);
	assert_int_equal(sockeye__sources_take(s, &source, DEAD), 0);
	holder = stopped_holder(s);
	sockeye__sources_forget(s, DEAD);
	killed(holder);
	assert_int_equal(sockeye__sources_take(s, &source, 1), 0);
	assert_int_equal(sockeye__sources_take(s, &source, 2), -EDQUOT);
	sockeye__sources_free(s);
}

static int take(struct sockeye__tftp_claims *c, uint16_t port, unsigned worker)
{
	struct sockeye_sockaddr client = {.len = sizeof client.u.in};
	const struct sockeye__tftp_claimed wanted = {
	    .name = "config", .client = &client, .worker = worker};
	struct sockeye__tftp_claim claim;

	client.u.in.sin_family = AF_INET;
	client.u.in.sin_port = port;
	return sockeye__tftp_claims_take(c, &wanted, NOW_NS, &claim);
}

static void test_claims(void **state)
{
	struct sockeye__tftp_claims *c = sockeye__tftp_claims_new();
	pid_t holder;

	(void)state;
	assert_non_null(c);
	assert_int_equal(take(c, 1, DEAD), 0);
	assert_int_equal(take(c, 2, 1), -EALREADY);
	holder = stopped_holder(c);
	sockeye__tftp_claims_forget(c, DEAD);
	killed(holder);
	assert_int_equal(take(c, 2, 1), 0);
	assert_int_equal(take(c, 3, 2), -EALREADY);
	sockeye__tftp_claims_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sources),
	    cmocka_unit_test(test_claims),
	};

	alarm(WAIT_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
