/* cpus.c: the CPUs that this process may use (cpus.h). */
#include "serve/cpus.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#define CPUS_MAX (1 << 20)

/* Returns whether the kernel's mask fits in a set of `cpus` CPUs. If so, sets *out. */
static bool count(unsigned cpus, unsigned *out)
{
	const size_t size = CPU_ALLOC_SIZE(cpus);
	cpu_set_t *set = CPU_ALLOC(cpus);
	bool fits;

	*out = 1;
	if (set == NULL)
		return true;
	fits = sched_getaffinity(0, size, set) == 0;
	if (fits)
		*out = (unsigned)CPU_COUNT_S(size, set);
	else if (errno != EINVAL) /* EINVAL: the mask is larger */
		fits = true;
	CPU_FREE(set);
	return fits;
}

unsigned sockeye__cpus_count(void)
{
	unsigned n = 1;

	for (unsigned cpus = CPU_SETSIZE; cpus <= CPUS_MAX && !count(cpus, &n); cpus *= 2)
		;
	return n > 0 ? n : 1;
}
