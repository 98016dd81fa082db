/* test_cpus.c: counts the CPUs of machines that are larger than cpu_set_t. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../rows.h"
#include "serve/cpus.h"

static struct {
	size_t bytes; /* of the kernel's mask */
	int cpus[3];
	int err;
} machine;

/* Replaces the function of the GNU library. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	(void)pid;
	if (machine.err != 0 || size < machine.bytes) {
		errno = machine.err != 0 ? machine.err : EINVAL;
		return -1;
	}
	memset(set, 0, size);
	for (size_t i = 0; i < 3 && machine.cpus[i] >= 0; i++)
		((uint8_t *)set)[machine.cpus[i] / 8] |= (uint8_t)(1 << machine.cpus[i] % 8);
	return 0;
}

static void cpus_are_counted(void **state)
{
	static const struct {
		size_t bytes;
		int cpus[3];
		int err;
		unsigned count;
	} rows[] = {
	    {8, {0, 1, -1}, 0, 2},        {128, {5, 1023, -1}, 0, 2},
	    {136, {0, 1024, 1087}, 0, 3}, {640, {2, 3000, 5119}, 0, 3},
	    {1 << 20, {0, -1, -1}, 0, 1}, {8, {0, 1, -1}, EPERM, 1},
	};

	(void)state;
	FOR_ROWS(i, rows, "%zu bytes", rows[i].bytes) {
		machine.bytes = rows[i].bytes;
		machine.err = rows[i].err;
		memcpy(machine.cpus, rows[i].cpus, sizeof machine.cpus);
		assert_int_equal(sockeye__cpus_count(), rows[i].count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cpus_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
