/* test_io.c: reads and writes sockets, pipes and files. */
#include "help.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

/* Opens two connected ends of a kind, [0] to read and [1] to write. */
static void ends_open(int kind, int fds[static 2])
{
	if (kind == 0) {
		pair_open(SOCK_STREAM, fds);
	} else if (kind == 1) {
		assert_return_code(pipe2(fds, O_CLOEXEC), errno);
	} else {
		struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");

		fds[1] = connected_to(&l);
		fds[0] = accepted_from(&l);
		sockeye_listener_close(&l);
	}
}

static void ends_close(const int fds[static 2])
{
	close(fds[0]);
	close(fds[1]);
}

#define KINDS 3

static void test_readn(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		char buf[8] = "";
		size_t done = 99;
		int fds[2];

		ends_open(kind, fds);
		assert_int_equal(sockeye_readn(fds[0], buf, 0, 0, &done), 0);
		assert_int_equal(done, 0);
		assert_int_equal(write(fds[1], "abcdef", 6), 6);
		assert_int_equal(sockeye_readn(fds[0], buf, 4, 0, &done), 0);
		assert_int_equal(done, 4);
		assert_memory_equal(buf, "abcd", 4);
		/* the deadline passes after two of eight bytes */
		assert_int_equal(sockeye_readn(fds[0], buf, 8, MS(20), &done), -ETIMEDOUT);
		assert_int_equal(done, 2);
		assert_memory_equal(buf, "ef", 2);
		/* the peer closes after one of eight bytes */
		assert_int_equal(write(fds[1], "g", 1), 1);
		close(fds[1]);
		assert_int_equal(sockeye_readn(fds[0], buf, 8, MS(LONG_MS), &done), SOCKEYE_E_EOF);
		assert_int_equal(done, 1);
		assert_int_equal(sockeye_readn(fds[0], buf, 8, 0, NULL), SOCKEYE_E_EOF);
		close(fds[0]);
		assert_int_equal(sockeye_readn(fds[0], buf, 8, 0, &done), -EBADF);
		assert_int_equal(done, 0);
	}
}

static void test_read_some(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++)
		for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
			char buf[8];
			int fds[2];

			ends_open(kind, fds);
			fcntl(fds[0], F_SETFL, nonblocking ? O_NONBLOCK : 0);
			assert_int_equal(sockeye_read_some(fds[0], buf, 8, 1), -ETIMEDOUT);
			assert_int_equal(sockeye_read_some(fds[0], buf, 8, MS(10)), -ETIMEDOUT);
			assert_int_equal(write(fds[1], "abc", 3), 3);
			assert_int_equal(sockeye_read_some(fds[0], buf, 2, 0), 2);
			assert_int_equal(sockeye_read_some(fds[0], buf, 8, MS(LONG_MS)), 1);
			close(fds[1]);
			assert_int_equal(sockeye_read_some(fds[0], buf, 8, 0), 0);
			close(fds[0]);
		}
}

static void test_regular_file(void **state)
{
	FILE *file = tmpfile();
	char buf[16];
	size_t done;

	(void)state;
	assert_int_equal(sockeye_writen(fileno(file), "0123456789", 10, MS(LONG_MS), &done), 0);
	assert_int_equal(done, 10);
	rewind(file);
	assert_int_equal(sockeye_readn(fileno(file), buf, 16, MS(LONG_MS), &done), SOCKEYE_E_EOF);
	assert_int_equal(done, 10);
	fclose(file);
}

/* A deadline ends a write to a peer that does not read. The count is that of the bytes
 * written. */
static void test_writen_deadline(void **state)
{
	static char big[1 << 23];

	(void)state;
	for (int kind = 0; kind < KINDS; kind++)
		for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
			uint64_t began = now_ms();
			size_t done = 0;
			int fds[2], err;

			ends_open(kind, fds);
			fcntl(fds[1], F_SETFL, nonblocking ? O_NONBLOCK : 0);
			assert_int_equal(sockeye_writen(fds[1], big, sizeof big, MS(30), &done),
					 -ETIMEDOUT);
			assert_in_range(done, 4096, sizeof big - 1);
			assert_in_range(now_ms() - began, 30, LONG_MS);
			/* A busy kernel moves bytes of TCP on after the deadline. */
			do
				err = sockeye_writen(fds[1], big, 1, 1, &done);
			while (err == 0);
			assert_int_equal(err, -ETIMEDOUT);
			assert_int_equal(done, 0);
			ends_close(fds);
		}
}

/* A pipe with room for a part only: a blocking write(2) would not return. */
static void test_writen_deadline_in_a_nearly_full_pipe(void **state)
{
	static char page[65536];
	size_t done;
	int fds[2];

	(void)state;
	ends_open(1, fds);
	stuff(fds[1]);
	assert_int_equal(read(fds[0], page, 8192), 8192);
	assert_int_equal(sockeye_writen(fds[1], page, sizeof page, MS(30), &done), -ETIMEDOUT);
	assert_int_equal(done, 8192);
	ends_close(fds);
}

/* The other end: transfers a page, waits for a signal, and repeats. */
struct mover {
	int fd;
	bool reads;
	unsigned char *bytes;
};

enum { PAGE = 4096, PAGES = 32 };

static void *mover_run(void *arg)
{
	struct mover *m = arg;

	for (size_t done = 0; done < PAGE * PAGES; poll(NULL, 0, 1)) {
		ssize_t n = m->reads ? read(m->fd, m->bytes + done, PAGE)
				     : write(m->fd, m->bytes + done, PAGE);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(m->fd);
	return NULL;
}

/* Starts a mover, whose thread blocks all signals. Small buffers of pipes and UNIX
 * sockets make a writer wait for each page. With small buffers TCP would wait for its
 * own timers. */
static pthread_t mover_start(struct mover *m, int kind, int own_fd)
{
	const int small = PAGE;
	sigset_t all, before;
	pthread_t thread;

	fcntl(own_fd, F_SETPIPE_SZ, small);
	if (kind == 0)
		setsockopt(own_fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	assert_int_equal(pthread_create(&thread, NULL, mover_run, m), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return thread;
}

/* Signals interrupt every call, on blocking and non-blocking descriptors, with and
 * without deadlines. No byte is lost or repeated. */
static void test_storm(void **state)
{
	static unsigned char sent[PAGE * PAGES], got[PAGE * PAGES];

	(void)state;
	for (size_t i = 0; i < sizeof sent; i++)
		sent[i] = (unsigned char)(i * 2654435761U >> 13);
	for (int kind = 0; kind < KINDS; kind++)
		for (int variant = 0; variant < 8; variant++) {
			bool we_read = variant & 1;
			uint64_t deadline_ns = variant & 2 ? MS(LONG_MS) : 0;
			struct mover m = {.reads = !we_read, .bytes = we_read ? sent : got};
			pthread_t thread;
			size_t done;
			int fds[2], own, err;

			ends_open(kind, fds);
			own = fds[we_read ? 0 : 1];
			m.fd = fds[we_read ? 1 : 0];
			fcntl(own, F_SETFL, variant & 4 ? O_NONBLOCK : 0);
			memset(got, 0, sizeof got);
			thread = mover_start(&m, kind, own);
			storm();
			err = we_read ? sockeye_readn(own, got, sizeof got, deadline_ns, &done)
				      : sockeye_writen(own, sent, sizeof sent, deadline_ns, &done);
			assert_true(calm() > 0 || (kind == 2 && !we_read));
			pthread_join(thread, NULL);
			assert_int_equal(err, 0);
			assert_int_equal(done, sizeof sent);
			assert_memory_equal(got, sent, sizeof sent);
			close(own);
		}
}

/* Signals do not postpone a deadline. */
static void test_storm_keeps_deadline(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		uint64_t began;
		char c;
		int fds[2];

		ends_open(kind, fds);
		stuff(fds[1]);
		storm();
		began = now_ms();
		assert_int_equal(sockeye_writen(fds[1], "x", 1, MS(40), NULL), -ETIMEDOUT);
		assert_in_range(now_ms() - began, 40, LONG_MS);
		ends_close(fds);
		ends_open(kind, fds);
		began = now_ms();
		assert_int_equal(sockeye_readn(fds[0], &c, 1, MS(40), NULL), -ETIMEDOUT);
		assert_in_range(now_ms() - began, 40, LONG_MS);
		assert_true(calm() > 0);
		ends_close(fds);
	}
}

/* SIGPIPE has its default action, so it would end this process. */
static void test_no_sigpipe(void **state)
{
	sigset_t before, after;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	for (int kind = 0; kind < KINDS; kind++) {
		size_t done;
		int fds[2], err;

		ends_open(kind, fds);
		close(fds[0]);
		do
			err = sockeye_writen(fds[1], "x", 1, MS(LONG_MS), &done);
		while (err == 0); /* TCP: the reset arrives after the first write */
		assert_true(err == -EPIPE || err == -ECONNRESET);
		assert_int_equal(done, 0);
		assert_int_equal(sockeye_writen(fds[1], "x", 1, 0, &done), -EPIPE);
		close(fds[1]);
	}
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int signo = 1; signo < SIGRTMIN; signo++)
		assert_int_equal(sigismember(&before, signo), sigismember(&after, signo));
}

/* A pending SIGPIPE with another cause stays pending. Otherwise none is pending after
 * the call. */
static void test_pending_sigpipe_is_kept(void **state)
{
	sigset_t sigpipe, before, pending;

	(void)state;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
	for (int waiting = 0; waiting < 2; waiting++) {
		const struct timespec at_once = {0};
		int fds[2];

		ends_open(1, fds);
		close(fds[0]);
		if (waiting)
			raise(SIGPIPE);
		assert_int_equal(sockeye_writen(fds[1], "x", 1, 0, NULL), -EPIPE);
		sigpending(&pending);
		assert_int_equal(sigismember(&pending, SIGPIPE), waiting);
		sigtimedwait(&sigpipe, NULL, &at_once);
		close(fds[1]);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void test_half_close(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind += 2) {
		char buf[4];
		int fds[2];

		ends_open(kind, fds);
		assert_int_equal(write(fds[1], "q", 1), 1);
		assert_int_equal(sockeye_half_close(fds[1]), 0);
		assert_int_equal(sockeye_readn(fds[0], buf, 2, MS(LONG_MS), NULL), SOCKEYE_E_EOF);
		assert_int_equal(sockeye_writen(fds[0], "ans", 3, 0, NULL), 0);
		assert_int_equal(sockeye_readn(fds[1], buf, 3, MS(LONG_MS), NULL), 0);
		assert_int_equal(sockeye_writen(fds[1], "x", 1, 0, NULL), -EPIPE);
		ends_close(fds);
	}
	assert_int_equal(sockeye_half_close(-1), -EBADF);
}

static void test_reset(void **state)
{
	char c;
	int fds[2];

	(void)state;
	ends_open(2, fds);
	sockeye_reset(fds[1]);
	assert_int_equal(sockeye_read_some(fds[0], &c, 1, MS(LONG_MS)), -ECONNRESET);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	close(fds[0]);
}

/* Descriptors above 1023, which select(2) cannot handle. */
static void test_high_descriptors(void **state)
{
	(void)state;
	low_fds_occupy(1100);
	for (int kind = 0; kind < KINDS; kind++) {
		char buf[4];
		int fds[2];

		ends_open(kind, fds);
		assert_true(fds[0] >= 1100 && fds[1] >= 1100);
		assert_int_equal(sockeye_readn(fds[0], buf, 1, MS(5), NULL), -ETIMEDOUT);
		assert_int_equal(sockeye_writen(fds[1], "abc", 3, MS(LONG_MS), NULL), 0);
		assert_int_equal(sockeye_readn(fds[0], buf, 3, MS(LONG_MS), NULL), 0);
		ends_close(fds);
	}
	low_fds_release();
}

static void test_deadlines(void **state)
{
	uint64_t now_ns = sockeye_now().mono_ns;

	(void)state;
	assert_int_equal(sockeye_deadline_ms(0), 0);
	assert_in_range(sockeye_deadline_ms(1000), now_ns + SOCKEYE_NS_PER_S,
			now_ns + 100 * SOCKEYE_NS_PER_S);
	assert_true(sockeye_deadline_ms(UINT64_MAX) == UINT64_MAX);
	assert_true(sockeye_deadline_ms(UINT64_MAX / SOCKEYE_NS_PER_MS) == UINT64_MAX);
	/* after 2020, in nanoseconds */
	assert_true(sockeye_now().real_ns > INT64_C(1577836800) * (int64_t)SOCKEYE_NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_readn),
	    cmocka_unit_test(test_read_some),
	    cmocka_unit_test(test_regular_file),
	    cmocka_unit_test(test_writen_deadline),
	    cmocka_unit_test(test_writen_deadline_in_a_nearly_full_pipe),
	    cmocka_unit_test(test_storm),
	    cmocka_unit_test(test_storm_keeps_deadline),
	    cmocka_unit_test(test_no_sigpipe),
	    cmocka_unit_test(test_pending_sigpipe_is_kept),
	    cmocka_unit_test(test_half_close),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_high_descriptors),
	    cmocka_unit_test(test_deadlines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
