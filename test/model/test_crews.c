/*
 * test_crews.c: one server that runs several crews: three sites with a model, a
 * number of workers and a user each.
 */
#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sockeye/stream.h>

#include "../rows.h"
#include "serve/crew.h"

#define WAIT_MS 20000
#define TRIES   2000
#define DIED    3

/* The reply of a session: the process that serves it. */
struct worker_id {
	int pid;
	int uid;
};

/* Replies to each byte with the worker's ids. Real services must not read them. */
static void who_turn(void *state, const void *config, struct sockeye_turn *t)
{
	const struct worker_id id = {.pid = getpid(), .uid = (int)getuid()};

	(void)state, (void)config;
	t->close = t->in_end;
	if (t->in_len == 0)
		return;
	memcpy(t->room, &id, sizeof id);
	t->in_taken = 1;
	t->more = t->in_len > 1;
	t->out = t->room;
	t->out_len = sizeof id;
}

static void who_datagram(const void *config, struct sockeye_answer *a)
{
	const struct worker_id id = {.pid = getpid(), .uid = (int)getuid()};

	(void)config;
	memcpy(a->room, &id, sizeof id);
	a->send = true;
	a->out = a->room;
	a->out_len = sizeof id;
}

static const struct sockeye_service who = {
    .name = "who", .turn = who_turn, .datagram = who_datagram};

/* The last site has datagrams, which a separate process serves in this model. */
static const struct {
	const char *address, *model, *user;
	unsigned workers, processes;
} crews[] = {
    {"tcp://127.0.0.1:0", "iterative", NULL, 0, 1},
    {"tcp://127.0.0.1:0", "prefork", "nobody", 2, 2},
    {"tcp://127.0.0.1:0", "event", NULL, 3, 3},
    {"udp://127.0.0.1:0", "prefork", "nobody", 2, 1},
};

struct counters {
#define COUNTER_FIELD(name, kind, text) uint64_t name;
	SOCKEYE_COUNTERS(COUNTER_FIELD)
#undef COUNTER_FIELD
};

struct ready {
	char model[COUNT(crews)][16];
	char address[COUNT(crews)][SOCKEYE_ADDR_TEXT_MAX];
};

struct server {
	pid_t pid;
	int words[2]; /* a struct ready, then a struct counters after each SIGUSR1 */
	struct ready ready;
	uint32_t connections_max;
};

static int on_ready(void *arg, const struct sockeye_ready *ready)
{
	const struct server *s = arg;
	struct ready words = {0};

	for (size_t i = 0; i < COUNT(crews); i++) {
		const struct sockeye_ready_site *site = &ready->sites[i];

		snprintf(words.model[i], sizeof words.model[i], "%s", site->model);
		sockeye_sockaddr_print_url(&site->name, site->scheme, words.address[i],
					   sizeof words.address[i]);
	}
	if (ready->count != COUNT(crews) ||
	    write(s->words[1], &words, sizeof words) != (ssize_t)sizeof words)
		return -EIO;
	return 0;
}

static void on_event(void *arg, const struct sockeye_event *event)
{
	const struct server *s = arg;
	uint64_t values[sizeof(struct counters) / sizeof(uint64_t)];

	if (event->kind != SOCKEYE_EVENT_COUNTERS)
		return;
	for (size_t i = 0; i < COUNT(values) && i < event->counter_count; i++)
		values[i] = event->counters[i].value;
	if (write(s->words[1], values, sizeof values) < 0)
		abort();
}

static bool as_root(void)
{
	return geteuid() == 0 && getpwnam("nobody") != NULL;
}

static int serve(struct server *s)
{
	struct sockeye__site_request requests[COUNT(crews)] = {0};
	const struct sockeye_serve_opts opts = {
	    .workers = 7, /* for crews without a number */
	    .connections_max = s->connections_max,
	    .on_ready = on_ready,
	    .on_event = on_event,
	    .arg = s,
	};

	for (size_t i = 0; i < COUNT(crews); i++) {
		requests[i].site.service = &who;
		requests[i].model = crews[i].model;
		requests[i].workers = crews[i].workers;
		requests[i].user = as_root() ? crews[i].user : NULL;
		if (sockeye_addr_parse(crews[i].address, &requests[i].site.addr, NULL) < 0)
			return -EINVAL;
	}
	return sockeye__serve_crews(requests, COUNT(crews), &opts, NULL);
}

static void server_start(struct server *s)
{
	assert_int_equal(pipe(s->words), 0);
	s->pid = fork();
	if (s->pid == 0)
		_exit(serve(s) == 0 ? 0 : 1);
	assert_true(s->pid > 0);
	assert_int_equal(sockeye_readn(s->words[0], &s->ready, sizeof s->ready,
				       sockeye_deadline_ms(WAIT_MS), NULL),
			 0);
}

static struct counters server_counters(const struct server *s)
{
	struct counters counters;

	assert_int_equal(kill(s->pid, SIGUSR1), 0);
	assert_int_equal(sockeye_readn(s->words[0], &counters, sizeof counters,
				       sockeye_deadline_ms(WAIT_MS), NULL),
			 0);
	return counters;
}

static void server_stop(struct server *s)
{
	int status;

	assert_int_equal(kill(s->pid, SIGTERM), 0);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_int_equal(status, 0);
	close(s->words[0]);
	close(s->words[1]);
}

static int client_of(const struct server *s, size_t i)
{
	struct sockeye_addr addr;
	int fd;

	assert_int_equal(sockeye_addr_parse(s->ready.address[i], &addr, NULL), 0);
	fd = sockeye_connect(&addr, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

/* Sends a request on an open connection. Returns the reply. */
static struct worker_id ask(int fd)
{
	struct worker_id id;

	assert_int_equal(sockeye_writen(fd, "?", 1, sockeye_deadline_ms(WAIT_MS), NULL), 0);
	assert_int_equal(sockeye_readn(fd, &id, sizeof id, sockeye_deadline_ms(WAIT_MS), NULL), 0);
	return id;
}

static struct worker_id ask_once(const struct server *s, size_t i)
{
	int fd = client_of(s, i);
	struct worker_id id = ask(fd);

	close(fd);
	return id;
}

static bool is_in(const int *pids, unsigned count, int pid)
{
	for (unsigned i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* Sends requests until all processes of the crew have replied. Connections stay open:
 * some workers accept no other connection meanwhile. */
static void pids_find(const struct server *s, size_t crew, int *pids)
{
	int fds[TRIES];
	unsigned found = 0;
	int asked = 0;

	for (; asked < TRIES && found < crews[crew].processes; asked++) {
		fds[asked] = client_of(s, crew);
		int pid = ask(fds[asked]).pid;

		if (!is_in(pids, found, pid))
			pids[found++] = pid;
	}
	for (int i = 0; i < asked; i++)
		close(fds[i]);
	assert_int_equal(found, crews[crew].processes);
}

static void each_site_has_its_model(void **state)
{
	struct server s = {0};

	(void)state;
	server_start(&s);
	FOR_ROWS(i, crews, "%s", crews[i].model) {
		assert_string_equal(s.ready.model[i], crews[i].model);
	}
	server_stop(&s);
}

static void each_crew_has_its_processes_and_user(void **state)
{
	const struct passwd *nobody = as_root() ? getpwnam("nobody") : NULL;
	const int own = (int)getuid(), other = nobody != NULL ? (int)nobody->pw_uid : own;
	int pids[COUNT(crews)][8] = {0};
	struct server s = {0};

	(void)state;
	server_start(&s);
	FOR_ROWS(i, crews, "%s", crews[i].model) {
		pids_find(&s, i, pids[i]);
		assert_int_equal(ask_once(&s, i).uid, crews[i].user != NULL ? other : own);
		for (size_t k = 0; k < i; k++)
			for (unsigned p = 0; p < crews[k].processes; p++)
				assert_false(is_in(pids[i], crews[i].processes, pids[k][p]));
	}
	server_stop(&s);
	for (size_t i = 0; i < COUNT(crews); i++)
		for (unsigned p = 0; p < crews[i].processes; p++)
			assert_int_equal(kill(pids[i][p], 0), -1);
}

static struct counters counters_until_died(const struct server *s, uint64_t died)
{
	struct counters c = server_counters(s);
	const uint64_t deadline_ns = sockeye_deadline_ms(WAIT_MS);

	while (c.workers_died < died && sockeye_now().mono_ns < deadline_ns) {
		usleep(5000);
		c = server_counters(s);
	}
	assert_int_equal(c.workers_died, died);
	return c;
}

/* Each worker that dies has an open connection. */
static void dead_workers_of_all_crews_are_replaced(void **state)
{
	int pids[DIED], fds[DIED];
	struct counters before, after;
	struct server s = {0};

	(void)state;
	server_start(&s);
	for (size_t i = 0; i < DIED; i++) {
		fds[i] = client_of(&s, i);
		pids[i] = ask(fds[i]).pid;
	}
	before = server_counters(&s);
	assert_int_equal(before.accepted, DIED);
	assert_int_equal(before.open, DIED);
	for (size_t i = 0; i < DIED; i++)
		assert_int_equal(kill(pids[i], SIGKILL), 0);
	after = counters_until_died(&s, DIED);
	assert_int_equal(after.closed_stop, DIED);
	assert_int_equal(after.open, 0);
	for (size_t i = 0; i < COUNT(crews); i++) {
		struct worker_id id = ask_once(&s, i);

		assert_false(is_in(pids, DIED, id.pid));
		if (i < DIED)
			close(fds[i]);
	}
	server_stop(&s);
}

static void counters_add_up_over_crews(void **state)
{
	enum { ASKED = 20 };
	struct server s = {0};
	struct counters c;

	(void)state;
	server_start(&s);
	for (size_t i = 0; i < COUNT(crews); i++)
		for (int n = 0; n < ASKED; n++)
			(void)ask_once(&s, i);
	do
		c = server_counters(&s);
	while (c.open > 0);
	assert_int_equal(c.accepted, DIED * ASKED);
	assert_int_equal(c.closed_end, DIED * ASKED);
	assert_int_equal(c.datagrams_in, ASKED);
	assert_int_equal(c.datagrams_out, ASKED);
	assert_int_equal(c.bytes_in, COUNT(crews) * ASKED);
	assert_int_equal(c.bytes_out, COUNT(crews) * ASKED * sizeof(struct worker_id));
	server_stop(&s);
}

/* After a stop. A client would otherwise wait until the other crews have ended. */
static void a_crew_without_workers_refuses(void **state)
{
	const uint64_t deadline_ns = sockeye_deadline_ms(WAIT_MS);
	struct sockeye_addr addr;
	struct server s = {0};
	int own, other, pid, fd;

	(void)state;
	server_start(&s);
	other = client_of(&s, 2); /* its crew does not end */
	(void)ask(other);
	own = client_of(&s, 0);
	pid = ask(own).pid;
	assert_int_equal(kill(s.pid, SIGTERM), 0);
	while (server_counters(&s).closed_stop == 0 && sockeye_now().mono_ns < deadline_ns) {
		(void)kill(pid, SIGKILL); /* before the stop it is replaced */
		usleep(5000);
	}
	assert_int_equal(sockeye_addr_parse(s.ready.address[0], &addr, NULL), 0);
	do {
		fd = sockeye_connect(&addr, NULL, NULL);
		if (fd >= 0)
			close(fd);
	} while (fd >= 0 && sockeye_now().mono_ns < deadline_ns);
	assert_int_equal(fd, -ECONNREFUSED);
	(void)ask(other);
	close(own);
	close(other);
	assert_int_equal(waitpid(s.pid, NULL, 0), s.pid);
	close(s.words[0]);
	close(s.words[1]);
}

/* With one connection for each crew of streams each has one process, and a second client
 * waits until the first one has left. */
static void each_crew_has_a_share_of_the_connections(void **state)
{
	struct server s = {.connections_max = DIED};
	int pid, first, second;
	char byte;

	(void)state;
	server_start(&s);
	for (size_t i = 0; i < DIED; i++) {
		pid = ask_once(&s, i).pid;
		for (int n = 0; n < 10; n++)
			assert_int_equal(ask_once(&s, i).pid, pid);
		first = client_of(&s, i);
		(void)ask(first);
		second = client_of(&s, i);
		assert_int_equal(sockeye_writen(second, "?", 1, 0, NULL), 0);
		assert_int_equal(sockeye_read_some(second, &byte, 1, sockeye_deadline_ms(100)),
				 -ETIMEDOUT);
		close(first);
		assert_int_equal(sockeye_read_some(second, &byte, 1, sockeye_deadline_ms(WAIT_MS)),
				 1);
		close(second);
	}
	server_stop(&s);
}

/* Sites that agree in model, workers and user are served by the same processes. */
static void equal_sites_share_a_crew(void **state)
{
	struct sockeye__site_request requests[COUNT(crews)] = {0};
	struct server s = {0};

	(void)state;
	assert_int_equal(pipe(s.words), 0);
	s.pid = fork();
	if (s.pid == 0) {
		const struct sockeye_serve_opts opts = {
		    .model = "event",
		    .workers = 1,
		    .on_ready = on_ready,
		    .on_event = on_event,
		    .arg = &s,
		};

		for (size_t i = 0; i < COUNT(crews); i++) {
			requests[i].site.service = &who;
			requests[i].model = i % 2 == 0 ? NULL : "event";
			sockeye_addr_parse(crews[i].address, &requests[i].site.addr, NULL);
		}
		_exit(sockeye__serve_crews(requests, COUNT(crews), &opts, NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(
	    sockeye_readn(s.words[0], &s.ready, sizeof s.ready, sockeye_deadline_ms(WAIT_MS), NULL),
	    0);
	for (size_t i = 1; i < COUNT(crews); i++)
		assert_int_equal(ask_once(&s, i).pid, ask_once(&s, 0).pid);
	server_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_site_has_its_model),
	    cmocka_unit_test(each_crew_has_its_processes_and_user),
	    cmocka_unit_test(dead_workers_of_all_crews_are_replaced),
	    cmocka_unit_test(counters_add_up_over_crews),
	    cmocka_unit_test(a_crew_without_workers_refuses),
	    cmocka_unit_test(each_crew_has_a_share_of_the_connections),
	    cmocka_unit_test(equal_sites_share_a_crew),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(50); /* a hang is a failure */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
