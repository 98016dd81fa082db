/* cpus.h: the CPUs that this process may use. */
#ifndef SOCKEYE_SERVE_CPUS_H
#define SOCKEYE_SERVE_CPUS_H

/* Returns the number of CPUs in the affinity mask, or 1 if it cannot be read. */
unsigned sockeye__cpus_count(void);

#endif
