/* get_probe.h: sockeye get --probe. */
#ifndef SOCKEYE_CMD_GET_PROBE_H
#define SOCKEYE_CMD_GET_PROBE_H

#include "get_put.h"

/* Asks for each of the files and reports what the server grants: the exit code. */
int probe_run(struct transfers *t);

#endif
