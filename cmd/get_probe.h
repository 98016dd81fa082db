/* get_probe.h: sockeye get --probe. */
#ifndef SOCKEYE_CMD_GET_PROBE_H
#define SOCKEYE_CMD_GET_PROBE_H

#include "get_put.h"

/* Requests each file and prints the options that the server grants. Returns the exit
 * code. */
int probe_run(struct transfers *t);

#endif
