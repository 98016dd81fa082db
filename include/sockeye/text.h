/*
 * text.h: quantities as people write them, and a peer's bytes made safe to
 * show. All functions are pure and thread-safe.
 */
#ifndef SOCKEYE_TEXT_H
#define SOCKEYE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/visibility.h>

SOCKEYE_BEGIN

/* A size: "65536", "64k" (1000), "64Ki" (1024), "1.5M"; units k M G T and
 * Ki Mi Gi Ti, a "B" behind them allowed. Nothing else: no sign, no blank, no
 * exponent, and digits on both sides of a point. Returns 0, -EINVAL for what is
 * not a size, -ERANGE beyond 2^63-1. A fraction that is no whole byte is
 * -EINVAL. */
SOCKEYE_API int sockeye_size_parse(const char *text, uint64_t *out_bytes);

/* A time: "500ms", "2s", "1.5" (seconds), "3m", "1h", "250us", "10ns".
 * Returns 0, -EINVAL (as above; a fraction that is no whole nanosecond too) or
 * -ERANGE (beyond 2^63-1 ns, 292 years). */
SOCKEYE_API int sockeye_duration_parse(const char *text, uint64_t *out_ns);

/* Writes data[0..len) with every byte that a terminal could act on written
 * as \n, \r, \t, \e, \0, \\ or \xNN; bytes >= 0x80 too unless they are part of
 * valid UTF-8 that is neither a control character nor one that changes the
 * direction of writing or breaks the line (U+202E, U+2028 ...). Always
 * NUL-terminated when cap > 0, never cut inside an escape or a character;
 * returns the length of the whole text (at most 4 * len), as snprintf. */
SOCKEYE_API size_t sockeye_escape(const void *data, size_t len, char *buf, size_t cap);

SOCKEYE_END

#endif
