/*
 * own_services.h: services of the tests that the built-in ones do not cover: they have deadlines,
 * or leave input for later turns.
 */
#ifndef TEST_MODEL_OWN_SERVICES_H
#define TEST_MODEL_OWN_SERVICES_H

#include <sockeye/serve.h>

#define TICK_NS (20 * SOCKEYE_NS_PER_MS)
#define TICKS   5
#define MESSAGE 50000 /* bytes; a model holds at most 64 KiB of input that a session leaves */

extern const struct sockeye_service ticker;
extern const struct sockeye_service flood;
extern const struct sockeye_service alarm_clock;
extern const struct sockeye_service sink;
extern const struct sockeye_service gather;
extern const struct sockeye_service sip;

#endif
