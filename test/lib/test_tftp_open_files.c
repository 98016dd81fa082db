/* The files that are being sent, and the cache of their bytes. */
#include "tree.h"

#include <sys/stat.h>

#include "tftp/server/open_files.h"

#define CHUNK SOCKEYE__TFTP_CHUNK_BYTES

static struct tree tree;
static struct sockeye__tftp_open_files files;

static int setup(void **state)
{
	(void)state;
	tree_make(&tree);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sockeye__tftp_open_files_fini(&files);
	tree_remove(&tree);
	return 0;
}

static uint32_t chance(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

/* Returns the byte at `offset` of file `number`. */
static uint8_t byte(unsigned number, uint64_t offset)
{
	uint64_t x = (offset + 1) * 0x9e3779b97f4a7c15 + number;

	return (uint8_t)(x >> 56 ^ x >> 13);
}

static void bytes_write(int fd, unsigned number, uint64_t offset, size_t len)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	for (size_t i = 0; i < len; i++)
		buf[i] = byte(number, offset + i);
	assert_int_equal(pwrite(fd, buf, len, (off_t)offset), len);
	free(buf);
}

static bool bytes_are(unsigned number, uint64_t offset, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != byte(number, offset + i))
			return false;
	return true;
}

static struct sockeye__tftp_open_file *file_of(unsigned number, size_t len)
{
	char name[16];
	struct sockeye__tftp_open_file *file;
	struct stat st;
	int fd;

	snprintf(name, sizeof name, "f%u", number);
	fd = openat(tree.fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	assert_return_code(fd, errno);
	if (len > 0)
		bytes_write(fd, number, 0, len);
	assert_return_code(fstat(fd, &st), errno);
	file = sockeye__tftp_open_files_adopt(&files, fd, &st);
	assert_non_null(file);
	assert_int_equal(sockeye__tftp_open_file_size(file), len);
	return file;
}

static void test_any_place(void **state)
{
	static uint8_t buf[8 * CHUNK + 1];
	const size_t sizes[] = {0, 1, 511, 512, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 77};
	uint32_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < COUNT(sizes); i++) {
		struct sockeye__tftp_open_file *file = file_of(i, sizes[i]);

		for (int round = 0; round < 3000; round++) {
			uint64_t at = chance(&seed, (uint32_t)sizes[i] + 600);
			size_t len = chance(&seed, chance(&seed, 8) ? 5000 : COUNT(buf) - 1);
			size_t left = at < sizes[i] ? sizes[i] - (size_t)at : 0;
			size_t want = len < left ? len : left;

			buf[want] = 0x55;
			assert_int_equal(sockeye__tftp_open_file_read(&files, file, at, buf, len),
					 want);
			assert_true(bytes_are(i, at, buf, want));
			assert_int_equal(buf[want], 0x55);
		}
		assert_int_equal(
		    sockeye__tftp_open_file_read(&files, file, UINT64_MAX - 10, buf, 512), 0);
		sockeye__tftp_open_files_release(&files, file);
	}
}

/* Reads a window into blocks with room for headers between them. */
static void test_windows(void **state)
{
	const size_t size = 100000;
	struct sockeye__tftp_open_file *file = file_of(0, size);
	static uint8_t buf[64 * 1500];
	struct iovec iov[64];
	uint32_t seed = 2;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		int count = 1 + (int)chance(&seed, COUNT(iov));
		size_t block = 1 + chance(&seed, 1400), room = block * (size_t)count;
		size_t at = chance(&seed, (uint32_t)size);
		ssize_t want = (ssize_t)(room < size - at ? room : size - at), done = 0;

		for (int i = 0; i < count; i++)
			iov[i] = (struct iovec){buf + (size_t)i * 1500 + 4, block};
		assert_int_equal(sockeye__tftp_open_file_readv(&files, file, at, iov, count), want);
		for (int i = 0; i < count && done < want; i++) {
			size_t part = want - done < (ssize_t)block ? (size_t)(want - done) : block;

			assert_true(
			    bytes_are(0, at + (size_t)done, buf + (size_t)i * 1500 + 4, part));
			done += (ssize_t)part;
		}
	}
	sockeye__tftp_open_files_release(&files, file);
}

static void test_lockstep_reads_in_chunks(void **state)
{
	const size_t size = 4 * SOCKEYE__TFTP_CHUNKS * CHUNK;
	struct sockeye__tftp_open_file *file = file_of(0, size);
	uint64_t before = files.preads;
	uint8_t buf[1428];

	(void)state;
	for (size_t at = 0; at <= size; at += 512)
		sockeye__tftp_open_file_read(&files, file, at, buf, 512);
	assert_in_range(files.preads - before, size / CHUNK, size / CHUNK + 1);
	before = files.preads;
	for (size_t at = 0; at <= size; at += sizeof buf)
		sockeye__tftp_open_file_read(&files, file, at, buf, sizeof buf);
	assert_in_range(files.preads - before, size / CHUNK, size / CHUNK + 1);
	sockeye__tftp_open_files_release(&files, file);
}

/* With more transfers than chunks, none reads a whole chunk for each block. */
static void test_many_transfers(void **state)
{
	enum { COUNT_OF = 4 * SOCKEYE__TFTP_CHUNKS, SIZE = 2 * CHUNK + 512, BLOCKS = SIZE / 512 };
	static struct sockeye__tftp_open_file *many[COUNT_OF];
	uint64_t preads = files.preads;
	uint8_t buf[512];

	(void)state;
	for (unsigned i = 0; i < COUNT_OF; i++)
		many[i] = file_of(i, SIZE);
	for (size_t block = 0; block < BLOCKS; block++)
		for (unsigned i = 0; i < COUNT_OF; i++) {
			assert_int_equal(
			    sockeye__tftp_open_file_read(&files, many[i], block * 512, buf, 512),
			    512);
			assert_true(bytes_are(i, block * 512, buf, 512));
		}
	/* transfers without a chunk read once per block, the others less often */
	assert_true(files.preads - preads < (uint64_t)BLOCKS * COUNT_OF * 9 / 10);
	for (unsigned i = 0; i < COUNT_OF; i++)
		sockeye__tftp_open_files_release(&files, many[i]);
	assert_int_equal(files.count, 0);
	for (size_t i = 0; i < SOCKEYE__TFTP_CHUNKS; i++)
		assert_null(files.chunks[i].file);
}

/* Chunks of transfers that have stopped become free. */
static void test_stopped_transfers(void **state)
{
	enum { COUNT_OF = 4 * SOCKEYE__TFTP_CHUNKS };
	static struct sockeye__tftp_open_file *many[COUNT_OF];
	struct sockeye__tftp_open_file *file;
	uint64_t before;
	uint8_t buf[512];

	(void)state;
	for (unsigned i = 0; i < COUNT_OF; i++) {
		many[i] = file_of(i + 1, 1024);
		sockeye__tftp_open_file_read(&files, many[i], 0, buf, 512);
	}
	file = file_of(0, CHUNK);
	for (int round = 0; round < 1000; round++)
		for (size_t at = 0; at < CHUNK; at += 512)
			sockeye__tftp_open_file_read(&files, file, at, buf, 512);
	before = files.preads;
	for (size_t at = 0; at < CHUNK; at += 512)
		sockeye__tftp_open_file_read(&files, file, at, buf, 512);
	assert_int_equal(files.preads, before);
	sockeye__tftp_open_files_release(&files, file);
	for (unsigned i = 0; i < COUNT_OF; i++)
		sockeye__tftp_open_files_release(&files, many[i]);
}

static void test_cut_and_grown(void **state)
{
	static uint8_t buf[16 * 1024];
	struct sockeye__tftp_open_file *file = file_of(0, 3 * CHUNK);
	char path[96];

	(void)state;
	snprintf(path, sizeof path, "%s/f0", tree.path);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, 0, buf, 512), 512);
	assert_return_code(truncate(path, 2 * CHUNK + 100), errno);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, 2 * CHUNK, buf, 512), 100);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, 2 * CHUNK, buf, sizeof buf),
			 100);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, 2 * CHUNK + 512, buf, 512), 0);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, CHUNK, buf, sizeof buf),
			 sizeof buf);
	assert_true(bytes_are(0, CHUNK, buf, sizeof buf));
	assert_return_code(truncate(path, 10 * CHUNK), errno);
	assert_int_equal(sockeye__tftp_open_file_size(file), 3 * CHUNK);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, 3 * CHUNK - 10, buf, 512), 10);
	assert_int_equal(
	    sockeye__tftp_open_file_read(&files, file, 3 * CHUNK - 10, buf, sizeof buf), 10);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, 3 * CHUNK, buf, 512), 0);
	sockeye__tftp_open_files_release(&files, file);
}

static void test_beyond_4_gib(void **state)
{
	const uint64_t at = 5ULL * 1024 * 1024 * 1024 - 100;
	static uint8_t buf[16 * 1024];
	struct sockeye__tftp_open_file *file;
	struct stat st;
	int fd = openat(tree.fd, "big", O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	(void)state;
	assert_return_code(fd, errno);
	bytes_write(fd, 9, at, 5000);
	assert_return_code(fstat(fd, &st), errno);
	file = sockeye__tftp_open_files_adopt(&files, fd, &st);
	assert_non_null(file);
	assert_int_equal(sockeye__tftp_open_file_size(file), at + 5000);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, at, buf, 512), 512);
	assert_true(bytes_are(9, at, buf, 512));
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, at, buf, sizeof buf), 5000);
	assert_true(bytes_are(9, at, buf, 5000));
	sockeye__tftp_open_files_release(&files, file);
}

static void test_read_error(void **state)
{
	int fd = open(tree.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st = {.st_size = 100000};
	struct sockeye__tftp_open_file *file = sockeye__tftp_open_files_adopt(&files, fd, &st);
	static uint8_t buf[16 * 1024];

	(void)state;
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, 0, buf, 512), -EISDIR);
	assert_int_equal(sockeye__tftp_open_file_read(&files, file, 0, buf, sizeof buf), -EISDIR);
	sockeye__tftp_open_files_release(&files, file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any_place),
	    cmocka_unit_test(test_windows),
	    cmocka_unit_test(test_lockstep_reads_in_chunks),
	    cmocka_unit_test(test_many_transfers),
	    cmocka_unit_test(test_stopped_transfers),
	    cmocka_unit_test(test_cut_and_grown),
	    cmocka_unit_test(test_beyond_4_gib),
	    cmocka_unit_test(test_read_error),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
