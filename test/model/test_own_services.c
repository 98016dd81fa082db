/*
 * test_own_services.c: services that the built-in ones do not cover, under every model:
 * deadlines, and input that a session leaves for later turns.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sockeye/serve.h>
#include <sockeye/stream.h>

#include "own_services.h"

#define LEN(a)   (sizeof(a) / sizeof *(a))
#define WAIT_MS  10000
#define MESSAGES 5
#define REST     30000

/* --- a server in its own process --- */

static bool signals_stop; /* of the servers that start */

struct server {
	pid_t pid;
	int ready_rd, ready_wr, stop_rd, stop_wr;
	int closed_rd, closed_wr; /* a byte for each connection that closed */
	char address[SOCKEYE_ADDR_TEXT_MAX];
};

static int on_ready(void *arg, const struct sockeye_ready *ready)
{
	struct server *s = arg;
	char text[SOCKEYE_ADDR_TEXT_MAX];

	sockeye_sockaddr_print_url(&ready->sites[0].name, SOCKEYE_TCP, text, sizeof text);
	return write(s->ready_wr, text, sizeof text) == (ssize_t)sizeof text ? 0 : -EIO;
}

/* The counters of a server by name; the event has them in this order. */
struct counters {
#define COUNTER_FIELD(name, kind, text) uint64_t name;
	SOCKEYE_COUNTERS(COUNTER_FIELD)
#undef COUNTER_FIELD
};

static void counters_write(int fd, const struct sockeye_event *event)
{
	uint64_t values[sizeof(struct counters) / sizeof(uint64_t)];

	if (event->counter_count != LEN(values))
		abort();
	for (size_t i = 0; i < LEN(values); i++)
		values[i] = event->counters[i].value;
	if (write(fd, values, sizeof values) < 0)
		abort();
}

static void on_event(void *arg, const struct sockeye_event *event)
{
	const struct server *s = arg;

	if (event->kind == SOCKEYE_EVENT_CLOSE && write(s->closed_wr, "", 1) < 0)
		abort();
	if (event->kind == SOCKEYE_EVENT_COUNTERS)
		counters_write(s->ready_wr, event);
}

static void server_start(struct server *s, const char *model, const struct sockeye_service *service,
			 uint64_t idle_ms)
{
	struct sockeye_site site = {.service = service};
	int ready[2], stop[2], closed[2];

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stop), 0);
	assert_int_equal(pipe(closed), 0);
	*s = (struct server){
	    .ready_rd = ready[0],
	    .ready_wr = ready[1],
	    .stop_rd = stop[0],
	    .stop_wr = stop[1],
	    .closed_rd = closed[0],
	    .closed_wr = closed[1],
	};
	assert_int_equal(sockeye_addr_parse("tcp://127.0.0.1:0", &site.addr, NULL), 0);
	s->pid = fork();
	if (s->pid == 0) {
		struct sockeye_serve_opts opts = {
		    .model = model,
		    .model_strict = strcmp(model, "uring") != 0,
		    .workers = 1,
		    .idle_ms = idle_ms,
		    .stop_fd = s->stop_rd,
		    .no_signals = !signals_stop,
		    .verbose = true,
		    .on_ready = on_ready,
		    .on_event = on_event,
		    .arg = s,
		};

		close(s->stop_wr);
		_exit(sockeye_serve(&site, 1, &opts, NULL) == 0 ? 0 : 1);
	}
	assert_true(s->pid > 0);
	assert_int_equal(sockeye_readn(s->ready_rd, s->address, sizeof s->address,
				       sockeye_deadline_ms(WAIT_MS), NULL),
			 0);
}

/* Stops the server and returns its counters. */
static struct counters server_stop(struct server *s)
{
	struct counters counters;
	int status;

	close(s->stop_wr);
	assert_int_equal(sockeye_readn(s->ready_rd, &counters, sizeof counters,
				       sockeye_deadline_ms(WAIT_MS), NULL),
			 0);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_int_equal(status, 0);
	close(s->stop_rd);
	close(s->ready_rd);
	close(s->ready_wr);
	close(s->closed_rd);
	close(s->closed_wr);
	return counters;
}

static int client_of(const struct server *s)
{
	struct sockeye_addr addr;
	int fd;

	assert_int_equal(sockeye_addr_parse(s->address, &addr, NULL), 0);
	fd = sockeye_connect(&addr, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static void read_exactly(int fd, void *buf, size_t len)
{
	assert_int_equal(sockeye_readn(fd, buf, len, sockeye_deadline_ms(WAIT_MS), NULL), 0);
}

static void read_end(int fd)
{
	char byte;

	assert_int_equal(sockeye_read_some(fd, &byte, 1, sockeye_deadline_ms(WAIT_MS)), 0);
}

/* --- the tests, each under the model that *state names --- */

static void deadlines_without_input(void **state)
{
	struct server s;
	char reply[TICKS * 5];
	uint64_t started;
	int fd;

	server_start(&s, *state, &ticker, 0);
	fd = client_of(&s);
	started = sockeye_now().mono_ns;
	read_exactly(fd, reply, sizeof reply);
	assert_true(sockeye_now().mono_ns - started > (TICKS - 2) * TICK_NS);
	assert_memory_equal(reply, "tick\ntick\ntick\ntick\ntick\n", sizeof reply);
	read_end(fd);
	close(fd);
	assert_int_equal(server_stop(&s).closed_end, 1);
}

/* Deadlines pass although the client has half-closed, or sends. */
static void deadlines_with_input_and_after_its_end(void **state)
{
	struct server s;
	char reply[TICKS * 5];
	int ended, talking;

	server_start(&s, *state, &ticker, 0);
	ended = client_of(&s);
	assert_int_equal(sockeye_half_close(ended), 0);
	read_exactly(ended, reply, sizeof reply);
	read_end(ended);
	close(ended);
	talking = client_of(&s);
	for (int i = 0; i < TICKS * 5; i++) {
		(void)sockeye_writen(talking, "x", 1, 0, NULL); /* the server may have closed */
		read_exactly(talking, reply + i, 1);
	}
	assert_memory_equal(reply, "tick\ntick\ntick\ntick\ntick\n", sizeof reply);
	read_end(talking);
	close(talking);
	assert_int_equal(server_stop(&s).closed_end, 2);
}

/* The session asks for a deadline when a timer for the idle limit is set already. */
static void deadlines_before_later_limits(void **state)
{
	struct server s;
	char reply[4];
	int fd;

	server_start(&s, *state, &alarm_clock, 5000);
	fd = client_of(&s);
	assert_int_equal(sockeye_writen(fd, "x", 1, 0, NULL), 0);
	read_exactly(fd, reply, sizeof reply);
	assert_memory_equal(reply, "ding", sizeof reply);
	read_end(fd);
	close(fd);
	assert_int_equal(server_stop(&s).closed_end, 1);
}

/* After the end of the input, a session without a deadline has no more turns, so the
 * model closes the connection. */
static void connections_end_although_the_session_does_not(void **state)
{
	struct server s;
	int fd;

	server_start(&s, *state, &sink, 0);
	fd = client_of(&s);
	assert_int_equal(sockeye_writen(fd, "12345", 5, 0, NULL), 0);
	assert_int_equal(sockeye_half_close(fd), 0);
	read_end(fd);
	close(fd);
	assert_int_equal(server_stop(&s).closed_end, 1);
}

/* The idle timeout also closes a session with deadlines, if the client does not read its
 * output. The client then does not see the end, either. */
static void limits_apply_beside_deadlines(void **state)
{
	struct server s;
	char closed;
	int fd;

	server_start(&s, *state, &flood, 200);
	fd = client_of(&s);
	read_exactly(s.closed_rd, &closed, 1);
	close(fd);
	assert_int_equal(server_stop(&s).closed_idle, 1);
}

static void input_that_is_left_is_offered_again(void **state)
{
	static const size_t pieces[] = {1, MESSAGE, 7, MESSAGE - 8, 70000};
	static uint8_t data[MESSAGES * MESSAGE + REST];
	struct server s;
	uint8_t reply[2];
	size_t at = 0;
	int fd;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7 / 1000);
	server_start(&s, *state, &gather, 0);
	fd = client_of(&s);
	for (size_t i = 0; at < sizeof data; i++) {
		size_t n = i < LEN(pieces) ? pieces[i] : sizeof data;

		if (n > sizeof data - at)
			n = sizeof data - at;
		assert_int_equal(sockeye_writen(fd, data + at, n, 0, NULL), 0);
		at += n;
	}
	assert_int_equal(sockeye_half_close(fd), 0);
	for (size_t i = 0; i < MESSAGES; i++) {
		read_exactly(fd, reply, 2);
		assert_int_equal(reply[0], data[i * MESSAGE]);
		assert_int_equal(reply[1], data[(i + 1) * MESSAGE - 1]);
	}
	read_exactly(fd, reply, 1);
	assert_int_equal(reply[0], 'R');
	read_exactly(fd, reply, 2);
	assert_int_equal(reply[0], data[MESSAGES * MESSAGE]);
	assert_int_equal(reply[1], data[sizeof data - 1]);
	read_end(fd);
	close(fd);
	assert_int_equal(server_stop(&s).closed_end, 1);
}

static void input_is_taken_by_the_byte(void **state)
{
	static uint8_t data[20000], back[sizeof data];
	struct server s;
	int fd;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i ^ i >> 8);
	server_start(&s, *state, &sip, 0);
	fd = client_of(&s);
	assert_int_equal(sockeye_writen(fd, data, sizeof data, 0, NULL), 0);
	assert_int_equal(sockeye_half_close(fd), 0);
	read_exactly(fd, back, sizeof back);
	assert_memory_equal(back, data, sizeof data);
	read_end(fd);
	close(fd);
	assert_int_equal(server_stop(&s).bytes_out, sizeof data);
}

static void input_that_is_never_taken_ends_it(void **state)
{
	struct server s;
	int fd;

	server_start(&s, *state, &gather, 300);
	fd = client_of(&s);
	assert_int_equal(sockeye_writen(fd, "12345", 5, 0, NULL), 0);
	read_end(fd);
	close(fd);
	assert_int_equal(server_stop(&s).closed_idle, 1);
}

/* SIGTERM and stop_fd that arrive together ask for one stop, not for a second one,
 * which ends sessions at once. */
static void two_ways_to_stop_are_one_request(void **state)
{
	struct server s;
	char reply;
	int fd;

	signals_stop = true;
	server_start(&s, *state, sockeye_builtin_find("echo"), 0);
	signals_stop = false;
	fd = client_of(&s);
	assert_int_equal(sockeye_writen(fd, "x", 1, 0, NULL), 0);
	read_exactly(fd, &reply, 1);
	assert_int_equal(kill(s.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(s.pid, NULL, WUNTRACED), s.pid);
	assert_int_equal(kill(s.pid, SIGTERM), 0);
	close(s.stop_wr);
	s.stop_wr = -1;
	assert_int_equal(kill(s.pid, SIGCONT), 0);
	usleep(100000);
	assert_int_equal(sockeye_writen(fd, "y", 1, 0, NULL), 0);
	read_exactly(fd, &reply, 1);
	assert_int_equal(reply, 'y');
	close(fd);
	assert_int_equal(server_stop(&s).closed_stop, 0);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(void **state);
	} tests[] = {
	    {"deadlines without input", deadlines_without_input},
	    {"deadlines with input and after its end", deadlines_with_input_and_after_its_end},
	    {"deadlines before later limits", deadlines_before_later_limits},
	    {"connections end although the session does not",
	     connections_end_although_the_session_does_not},
	    {"limits apply beside deadlines", limits_apply_beside_deadlines},
	    {"input that is left is offered again", input_that_is_left_is_offered_again},
	    {"input is taken by the byte", input_is_taken_by_the_byte},
	    {"input that is never taken ends it", input_that_is_never_taken_ends_it},
	    {"two ways to stop are one request", two_ways_to_stop_are_one_request},
	};
	static char names[8 * LEN(tests)][80];
	struct CMUnitTest all[8 * LEN(tests)];
	size_t count = 0;

	signal(SIGPIPE, SIG_IGN);
	alarm(50); /* a hang is a failure */
	for (size_t m = 0; sockeye_models[m] != NULL; m++)
		for (size_t i = 0; i < LEN(tests); i++, count++) {
			snprintf(names[count], sizeof names[count], "%s: %s", sockeye_models[m],
				 tests[i].name);
			all[count] = (struct CMUnitTest){
			    .name = names[count],
			    .test_func = tests[i].run,
			    .initial_state = (void *)(uintptr_t)sockeye_models[m],
			};
		}
	return _cmocka_run_group_tests("own services", all, count, NULL, NULL);
}
