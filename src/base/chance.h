/*
 * chance.h: probabilities in whole billionths, so that neither rounding nor the
 * locale changes what happens to a packet.
 */
#ifndef SOCKEYE_BASE_CHANCE_H
#define SOCKEYE_BASE_CHANCE_H

#include <stdint.h>

#define SOCKEYE__CHANCE_ALWAYS UINT32_C(1000000000)

/* Parses "1%", "0.5%", "0.01", "0" or "1" (always). Returns 0, -EINVAL if the text is
 * not a number or finer than a billionth, or -ERANGE above 1. */
int sockeye__chance_parse(const char *text, uint32_t *out_chance);

#endif
