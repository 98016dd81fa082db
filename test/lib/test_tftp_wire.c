/* Each block is sent as one datagram, cut by the kernel or not; ports of a range; ICMP
 * errors. */
#include "help.h"

#include "net/net.h"
#include "tftp/wire.h"

#define FILE_BYTES 100000u

static uint8_t file[FILE_BYTES];

static ssize_t file_read(void *arg, uint64_t offset, const struct iovec *iov, int count)
{
	ssize_t done = 0;

	(void)arg;
	for (int i = 0; i < count; i++) {
		memcpy(iov[i].iov_base, file + offset + done, iov[i].iov_len);
		done += (ssize_t)iov[i].iov_len;
	}
	return done;
}

struct ends {
	struct sockeye__tftp_wire wire;
	int peer;
};

static struct ends ends_open(const char *host)
{
	struct sockeye_sockaddr local = name_of(host, 0);
	struct sockeye__port_range any = {0, 0};
	struct ends e = {.wire = {.fd = sockeye__tftp_wire_open(&local, &any)},
			 .peer = sockeye__tftp_wire_open(&local, &any)};

	assert_true(e.wire.fd >= 0 && e.peer >= 0);
	assert_int_equal(sockeye_local_name(e.peer, &e.wire.to.peer), 0);
	sockeye__tftp_wire_allow_fragments(e.wire.fd, &local);
	return e;
}

static void ends_close(struct ends *e)
{
	close(e->wire.fd);
	close(e->peer);
}

/* Sends the file and checks each datagram. */
static void check_window(const char *host, uint16_t blksize, uint16_t window, bool no_segments,
			 bool join)
{
	struct ends e = ends_open(host);
	struct sockeye__tftp_source source = {
	    .read = file_read, .has_size = true, .size = FILE_BYTES};
	struct sockeye__tftp_config config = {.server = true, .sends = true};
	struct sockeye__tftp x;
	static uint8_t scratch[SOCKEYE__TFTP_WIRE_BYTES], in[SOCKEYE__TFTP_WIRE_BYTES];
	uint32_t block = 0, last = FILE_BYTES / blksize + 1, end;
	uint8_t ack[4];
	bool from_source;

	if (join)
		sockeye__dgram_join(e.peer);
	e.wire.no_segments = no_segments;
	assert_true(sockeye__tftp_wire_room(e.peer, blksize, window) > 0);
	sockeye__tftp_set(&config.options, SOCKEYE__TFTP_BLKSIZE, blksize);
	sockeye__tftp_set(&config.options, SOCKEYE__TFTP_WINDOWSIZE, window);
	sockeye__tftp_init(&x, &config, 1);
	assert_int_equal(sockeye__tftp_source_fill(&source, &x), 0);
	assert_int_equal(sockeye__tftp_wire_flush(&e.wire, &x, &source, 1, scratch, &from_source),
			 0);
	sockeye__tftp_ack_encode(ack, 0);
	sockeye__tftp_datagram(&x, 1, ack, 4, &(struct sockeye__tftp_got){0});
	assert_int_equal(sockeye__tftp_wire_flush(&e.wire, &x, &source, 1, scratch, &from_source),
			 0);
	end = window < last ? window : last;
	while (block < end) {
		struct sockeye_dgram d;
		size_t segment;
		ssize_t n = sockeye__tftp_wire_recv(e.peer, in, &d, &segment);

		assert_true(n > 0);
		for (size_t at = 0; at < (size_t)n; at += segment) {
			size_t len = (size_t)n - at < segment ? (size_t)n - at : segment;

			if (sockeye__tftp_get16(in + at) == SOCKEYE__TFTP_OACK)
				continue;
			assert_int_equal(sockeye__tftp_get16(in + at), SOCKEYE__TFTP_DATA);
			assert_int_equal(sockeye__tftp_get16(in + at + 2), ++block);
			assert_int_equal(len - 4, block == last ? FILE_BYTES % blksize : blksize);
			assert_memory_equal(in + at + 4, file + (block - 1) * blksize, len - 4);
		}
	}
	assert_int_equal(e.wire.no_segments, no_segments); /* loopback supports UDP_SEGMENT */
	assert_int_equal(e.wire.sent, 1 + end);
	ends_close(&e);
}

static void test_windows(void **state)
{
	static const uint16_t blksizes[] = {8, 512, 1428, 8192, 65464};

	(void)state;
	for (size_t i = 0; i < sizeof file; i++)
		file[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t i = 0; i < COUNT(blksizes); i++)
		for (uint16_t window = 1; window <= 64; window *= 4)
			for (int way = 0; way < 4; way++) {
				check_window("127.0.0.1", blksizes[i], window, way & 1, way & 2);
				check_window("::1", blksizes[i], window, way & 1, way & 2);
			}
}

static void test_ports_of_a_range(void **state)
{
	struct sockeye_sockaddr local = name_of("127.0.0.1", 0), name;
	struct sockeye__port_range range;
	int fd[3], hold = sockeye__tftp_wire_open(&local, &(struct sockeye__port_range){0, 0});

	(void)state;
	assert_int_equal(sockeye_local_name(hold, &name), 0);
	range.first = range.last = sockeye_sockaddr_port(&name);
	assert_int_equal(sockeye__tftp_wire_open(&local, &range), -EADDRINUSE);
	close(hold);
	fd[0] = sockeye__tftp_wire_open(&local, &range);
	assert_true(fd[0] >= 0);
	assert_int_equal(sockeye_local_name(fd[0], &name), 0);
	assert_int_equal(sockeye_sockaddr_port(&name), range.first);
	close(fd[0]);
	range = (struct sockeye__port_range){40001, 40900};
	for (size_t i = 0; i < COUNT(fd); i++) {
		fd[i] = sockeye__tftp_wire_open(&local, &range);
		assert_true(fd[i] >= 0);
		assert_int_equal(sockeye_local_name(fd[i], &name), 0);
		assert_in_range(sockeye_sockaddr_port(&name), range.first, range.last);
	}
	for (size_t i = 0; i < COUNT(fd); i++)
		close(fd[i]);
}

/* A closed port is reported by the second send at the latest, or by the error queue. */
static void test_closed_port(void **state)
{
	struct ends e = ends_open("127.0.0.1");
	int err;

	(void)state;
	close(e.peer);
	err = sockeye__tftp_wire_packet(&e.wire, "\0\4\0\1", 4);
	if (err == 0)
		err = sockeye__tftp_wire_error(&e.wire, -ECONNREFUSED);
	assert_int_equal(err, -ECONNREFUSED);
	assert_int_equal(e.wire.trouble.err, -ECONNREFUSED);
	assert_int_equal(e.wire.trouble.step, SOCKEYE__TFTP_STEP_ICMP);
	assert_int_equal(e.wire.trouble.reporter.len, sizeof e.wire.trouble.reporter.u.in);
	close(e.wire.fd);
}

/* An error of sending is forgotten when a packet of the same size was sent, an error that ICMP
 * reported is not. */
static void test_error_is_kept(void **state)
{
	struct ends e = ends_open("127.0.0.1");
	uint8_t packet[101] = {0, 3};

	(void)state;
	e.wire.trouble = (struct sockeye__tftp_trouble){.err = -EPERM, .len = 101};
	assert_int_equal(sockeye__tftp_wire_packet(&e.wire, packet, 100), 0);
	assert_int_equal(e.wire.trouble.err, -EPERM);
	assert_int_equal(sockeye__tftp_wire_packet(&e.wire, packet, 101), 0);
	assert_int_equal(e.wire.trouble.err, 0);
	e.wire.trouble =
	    (struct sockeye__tftp_trouble){.err = -EHOSTUNREACH, .step = SOCKEYE__TFTP_STEP_ICMP};
	assert_int_equal(sockeye__tftp_wire_packet(&e.wire, packet, 101), 0);
	assert_int_equal(e.wire.trouble.err, -EHOSTUNREACH);
	ends_close(&e);
}

static void test_largest_block_without_fragments(void **state)
{
	struct sockeye_sockaddr v4 = name_of("127.0.0.1", 69), v6 = name_of("::1", 69);

	(void)state;
	/* loopback's MTU is 65536 bytes, more than a block can have */
	assert_int_equal(sockeye__tftp_wire_blksize(&v4), 65464);
	assert_int_equal(sockeye__tftp_wire_blksize(&v6), 65464);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_windows),
	    cmocka_unit_test(test_ports_of_a_range),
	    cmocka_unit_test(test_closed_port),
	    cmocka_unit_test(test_error_is_kept),
	    cmocka_unit_test(test_largest_block_without_fragments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
