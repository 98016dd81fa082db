/*
 * chance.h: how likely something is, in whole billionths, so that no rounding
 * and no locale decides about a packet.
 */
#ifndef SOCKEYE_BASE_CHANCE_H
#define SOCKEYE_BASE_CHANCE_H

#include <stdint.h>

#define SOCKEYE__CHANCE_ALWAYS UINT32_C(1000000000)

/* "1%", "0.5%", "0.01", "0", "1" (always). 0; -EINVAL for what is no number or
 * finer than a billionth; -ERANGE above 1. */
int sockeye__chance_parse(const char *text, uint32_t *out_chance);

#endif
