/*
 * test_caller.c: a server in a process that has its own handlers and limits. They do not
 * disturb the server, and they are restored when it returns.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <sockeye/serve.h>
#include <sockeye/stream.h>

#include "../rows.h"

#define WAIT_MS 20000
#define FILES   300

/* The reading end of stop_fd's pipe, which workers must not have. */
static struct stat stop_pipe;
static int stop_number;

static bool has_stop_fd(void)
{
	struct stat st;

	return fstat(stop_number, &st) == 0 && st.st_dev == stop_pipe.st_dev &&
	       st.st_ino == stop_pipe.st_ino;
}

static void pid_turn(void *state, const void *config, struct sockeye_turn *t)
{
	const pid_t pid = has_stop_fd() ? -1 : getpid();

	(void)state, (void)config;
	memcpy(t->room, &pid, sizeof pid);
	t->in_taken = t->in_len;
	t->out = t->room;
	t->out_len = sizeof pid;
	t->close = true;
}

static const struct sockeye_service pid_service = {.name = "pid", .turn = pid_turn};

static volatile sig_atomic_t reaped;

static void reap_all(int sig)
{
	int saved = errno;

	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		reaped = reaped + 1;
	errno = saved;
}

static void stray(int sig)
{
	(void)sig;
	_exit(99);
}

static const struct {
	const char *text;
	void (*handler)(int sig);
	int flags;
	bool block;
} callers[] = {
    {"a handler that reaps every child", reap_all, SA_RESTART, false},
    {"the same without SA_RESTART", reap_all, 0, false},
    {"ignored", SIG_IGN, 0, false},
    {"no zombies", SIG_DFL, SA_NOCLDWAIT, false},
    {"blocked", SIG_DFL, 0, true},
};

struct control {
	int stop[2];   /* stop_fd of the server */
	int result[2]; /* the client writes 1 if all was well */
	const char *model;
};

/* The process that serves, or -1. */
static pid_t ask(const struct sockeye_addr *addr)
{
	int fd = sockeye_connect(addr, NULL, NULL);
	pid_t pid = -1;

	if (fd < 0)
		return -1;
	if (sockeye_writen(fd, "?", 1, sockeye_deadline_ms(WAIT_MS), NULL) < 0 ||
	    sockeye_readn(fd, &pid, sizeof pid, sockeye_deadline_ms(WAIT_MS), NULL) < 0)
		pid = -1;
	close(fd);
	return pid;
}

/* Kills two workers one after the other, and waits for their replacements. */
static bool replaced(const struct sockeye_addr *addr, const char *model)
{
	const uint64_t deadline_ns = sockeye_deadline_ms(WAIT_MS);
	const bool forks = strcmp(model, "fork") == 0;

	for (int i = 0; i < 2; i++) {
		pid_t first = ask(addr), next;

		if (first <= 0 || (!forks && kill(first, SIGKILL) < 0))
			return false;
		do
			next = ask(addr);
		while ((next == first || next < 0) && sockeye_now().mono_ns < deadline_ns);
		if (next == first || next < 0)
			return false;
	}
	return true;
}

static int on_ready(void *arg, const struct sockeye_ready *ready)
{
	const struct control *c = arg;
	char text[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;
	pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : 0;
	signal(SIGCHLD, SIG_DFL);
	sockeye_sockaddr_print_url(&ready->sites[0].name, SOCKEYE_TCP, text, sizeof text);
	if (sockeye_addr_parse(text, &addr, NULL) == 0 && replaced(&addr, c->model))
		(void)!write(c->result[1], "1", 1);
	close(c->result[1]);
	(void)!write(c->stop[1], "x", 1);
	_exit(0);
}

static void serve(const char *model)
{
	struct control c = {.model = model};
	struct sockeye_site site = {.service = &pid_service};
	struct sockeye_serve_opts opts = {
	    .model = model,
	    .workers = 1,
	    .no_signals = true,
	    .on_ready = on_ready,
	    .arg = &c,
	};
	char result;

	assert_int_equal(pipe(c.stop), 0);
	assert_int_equal(pipe(c.result), 0);
	opts.stop_fd = stop_number = c.stop[0];
	assert_int_equal(fstat(stop_number, &stop_pipe), 0);
	assert_int_equal(sockeye_addr_parse("tcp://127.0.0.1:0", &site.addr, NULL), 0);
	assert_int_equal(sockeye_serve(&site, 1, &opts, NULL), 0);
	close(c.result[1]);
	assert_int_equal(read(c.result[0], &result, 1), 1);
	close(c.result[0]);
	close(c.stop[0]);
	close(c.stop[1]);
}

static void caller_is_as_before(void **state)
{
	struct rlimit files;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = FILES;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_true(signal(SIGALRM, stray) != SIG_ERR);
	FOR_ROWS(i, callers, "%s", callers[i].text) {
		struct sigaction action = {.sa_handler = callers[i].handler,
					   .sa_flags = callers[i].flags};
		struct sigaction after;
		sigset_t mask, mask_after;

		sigemptyset(&mask);
		if (callers[i].block)
			sigaddset(&mask, SIGCHLD);
		assert_int_equal(sigaction(SIGCHLD, &action, NULL), 0);
		assert_int_equal(sigprocmask(SIG_SETMASK, &mask, NULL), 0);
		for (size_t m = 0; sockeye_models[m] != NULL; m++)
			serve(sockeye_models[m]);
		assert_int_equal(sigaction(SIGCHLD, NULL, &after), 0);
		assert_ptr_equal(after.sa_handler, callers[i].handler);
		assert_int_equal(after.sa_flags & (SA_NOCLDWAIT | SA_RESTART), callers[i].flags);
		assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &mask_after), 0);
		for (int sig = 1; sig < SIGRTMIN; sig++)
			assert_int_equal(sigismember(&mask, sig), sigismember(&mask_after, sig));
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
		assert_int_equal(files.rlim_cur, FILES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(caller_is_as_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
