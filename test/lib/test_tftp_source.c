/* A source sends its input unchanged, directly and through the ring, in octet and
 * netascii mode and in pieces of any size, and a sink receives what was sent. */
#include "help.h"

#include "tftp/sink.h"
#include "tftp/source.h"

#define INPUT_MAX 70000

/* Input in pieces, sometimes with none available. */
struct input {
	uint8_t bytes[INPUT_MAX];
	size_t len, at;
	size_t piece_max; /* 0: the input is a file */
	uint32_t random;
};

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static ssize_t input_read(void *arg, uint64_t offset, const struct iovec *iov, int count)
{
	struct input *in = arg;
	size_t at = in->piece_max == 0 ? (size_t)offset : in->at, done = 0;
	size_t most = in->piece_max == 0 ? SIZE_MAX : 1 + random_next(&in->random) % in->piece_max;

	if (in->piece_max != 0 && random_next(&in->random) % 4 == 0)
		return -EAGAIN;
	for (int i = 0; i < count; i++)
		for (size_t k = 0; k < iov[i].iov_len && done < most && at < in->len; k++, done++)
			((uint8_t *)iov[i].iov_base)[k] = in->bytes[at++];
	in->at = at;
	return (ssize_t)done;
}

/* Lines, lone CRs and other bytes. */
static void input_fill(struct input *in, size_t len, size_t piece_max, uint32_t seed)
{
	static const char some[] = "\n\r\0ab\xff";

	*in = (struct input){.len = len, .piece_max = piece_max, .random = seed};
	for (size_t i = 0; i < len; i++)
		in->bytes[i] = (uint8_t)some[random_next(&seed) % (sizeof some - 1)];
}

struct output {
	uint8_t bytes[INPUT_MAX];
	uint64_t len;
};

static int output_write(void *arg, uint64_t offset, const struct iovec *iov, int count)
{
	struct output *out = arg;

	for (int i = 0; i < count; i++) {
		assert_true(offset + iov[i].iov_len <= sizeof out->bytes);
		memcpy(out->bytes + offset, iov[i].iov_base, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
	out->len = offset > out->len ? offset : out->len;
	return 0;
}

/* Sends the whole input to a sink, window by window, and some windows twice. */
static void check_transfer(struct input *in, bool netascii, uint16_t blksize, uint16_t window)
{
	struct sockeye__tftp_source source = {
	    .read = input_read,
	    .arg = in,
	    .has_size = in->piece_max == 0,
	    .size = in->len,
	    .netascii = netascii,
	};
	static struct output out;
	struct sockeye__tftp_sink sink = {.write = output_write, .arg = &out, .netascii = netascii};
	struct sockeye__tftp_config config = {.server = true, .sends = true};
	struct sockeye__tftp x;
	struct sockeye__tftp_send send;
	uint8_t *block = malloc(blksize), header[4];
	uint64_t now = 1;

	sockeye__tftp_set(&config.options, SOCKEYE__TFTP_BLKSIZE, blksize);
	sockeye__tftp_set(&config.options, SOCKEYE__TFTP_WINDOWSIZE, window);
	out.len = 0;
	sockeye__tftp_init(&x, &config, now);
	assert_int_equal(sockeye__tftp_source_open(&source, blksize, window), 0);
	assert_true(sockeye__tftp_next(&x, now, 1, &send)); /* the OACK */
	sockeye__tftp_ack_encode(header, 0);
	sockeye__tftp_datagram(&x, now, header, 4, &(struct sockeye__tftp_got){0});
	while (!sockeye__tftp_is_over(&x)) {
		uint64_t last = 0;

		assert_int_equal(sockeye__tftp_source_fill(&source, &x), 0);
		while (sockeye__tftp_next(&x, now, 1, &send)) {
			struct iovec iov = {block, (size_t)send.bytes};
			struct sockeye__tftp_got got = {.data = {{block, (size_t)send.bytes}},
							.count = 1};

			assert_int_equal(sockeye__tftp_source_copy(&source, send.offset, &iov, 1),
					 0);
			assert_int_equal(sockeye__tftp_source_copy(&source, send.offset, &iov, 1),
					 0);
			assert_int_equal(sockeye__tftp_sink_put(&sink, &got), 0);
			assert_int_equal(sockeye__tftp_sink_flush(&sink), 0);
			last = send.block;
		}
		now++;
		if (last != 0) {
			sockeye__tftp_ack_encode(header, sockeye__tftp_number(&x, last));
			sockeye__tftp_datagram(&x, now, header, 4, &(struct sockeye__tftp_got){0});
		} else {
			assert_true(sockeye__tftp_is_over(&x) ||
				    sockeye__tftp_source_wants_input(&source, &x));
		}
	}
	assert_int_equal(x.result, SOCKEYE__TFTP_DONE);
	assert_int_equal(sockeye__tftp_sink_end(&sink), 0);
	assert_int_equal(out.len, in->len);
	assert_memory_equal(out.bytes, in->bytes, in->len);
	sockeye__tftp_source_close(&source);
	free(block);
}

static void test_all_inputs(void **state)
{
	static const size_t sizes[] = {0,   1,    7,    8,    9,     511,  512,
				       513, 4095, 4096, 4097, 65535, 65536};
	static struct input in;

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++)
		for (int text = 0; text < 2; text++)
			for (uint16_t window = 1; window <= 9; window += 4) {
				input_fill(&in, sizes[i], 0, (uint32_t)i);
				check_transfer(&in, text, 512, window);
				input_fill(&in, sizes[i], 700, (uint32_t)i);
				check_transfer(&in, text, 8, window);
				input_fill(&in, sizes[i], 3000, (uint32_t)i);
				check_transfer(&in, text, 1428, window);
			}
}

/* A file that has become shorter is an error. */
static void test_shorter(void **state)
{
	static struct input in;
	struct sockeye__tftp_source source = {
	    .read = input_read, .arg = &in, .has_size = true, .size = 1000};
	uint8_t block[512];
	struct iovec iov = {block, sizeof block};

	(void)state;
	input_fill(&in, 600, 0, 1);
	assert_int_equal(sockeye__tftp_source_open(&source, 512, 1), 0);
	assert_int_equal(sockeye__tftp_source_copy(&source, 0, &iov, 1), 0);
	assert_int_equal(sockeye__tftp_source_copy(&source, 512, &iov, 1), -ENODATA);
}

static void test_sink_writes_a_file(void **state)
{
	char path[] = "/tmp/test_sink.XXXXXX", text[32];
	struct sockeye__tftp_sink sink = {.fd = mkstemp(path)};
	struct sockeye__tftp_got got = {
	    .data = {{(const uint8_t *)"one ", 4}, {(const uint8_t *)"two ", 4}}, .count = 2};

	(void)state;
	assert_true(sink.fd >= 0);
	unlink(path);
	assert_int_equal(sockeye__tftp_sink_put(&sink, &got), 0);
	for (int i = 0; i < 3 * SOCKEYE__TFTP_SINK_PIECES; i++) {
		got.count = 1;
		assert_int_equal(sockeye__tftp_sink_put(&sink, &got), 0);
	}
	assert_int_equal(sockeye__tftp_sink_end(&sink), 0);
	assert_int_equal(sink.bytes, 8 + 12 * SOCKEYE__TFTP_SINK_PIECES);
	assert_int_equal(lseek(sink.fd, 0, SEEK_END), (off_t)sink.bytes);
	assert_int_equal(pread(sink.fd, text, 12, 0), 12);
	assert_memory_equal(text, "one two one ", 12);
	close(sink.fd);
	got.count = 1;
	sink.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(sockeye__tftp_sink_put(&sink, &got), 0);
	assert_int_equal(sockeye__tftp_sink_end(&sink), -ENOSPC);
	close(sink.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_all_inputs),
	    cmocka_unit_test(test_shorter),
	    cmocka_unit_test(test_sink_writes_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
