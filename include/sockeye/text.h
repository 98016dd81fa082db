/*
 * text.h: parses sizes and times, and makes untrusted bytes safe to print. All
 * functions are pure and thread-safe.
 */
#ifndef SOCKEYE_TEXT_H
#define SOCKEYE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/visibility.h>

SOCKEYE_BEGIN

/* Parses a size in bytes: "65536", "64k" (64 * 1000), "64Ki" (64 * 1024), "1.5M". The
 * units are k M G T and Ki Mi Gi Ti; a "B" may follow. Accepts no sign, no space and
 * no exponent, and needs digits on both sides of a point. Returns 0, -EINVAL if the
 * text is not a size or not a whole number of bytes, or -ERANGE above 2^63-1. */
SOCKEYE_API int sockeye_size_parse(const char *text, uint64_t *out_bytes);

/* Parses a time: "500ms", "2s", "1.5" (seconds), "3m", "1h", "250us", "10ns". Returns
 * 0, -EINVAL if the text is not a time or not a whole number of nanoseconds, or
 * -ERANGE above 2^63-1 ns (292 years). */
SOCKEYE_API int sockeye_duration_parse(const char *text, uint64_t *out_ns);

/* Writes data[0..len) and escapes every byte that a terminal could interpret, as \n,
 * \r, \t, \e, \0, \\ or \xNN. Also escapes bytes >= 0x80, except in valid UTF-8
 * characters that are neither control characters nor change the writing direction or
 * break the line (U+202E, U+2028 ...). Returns the length of the whole text in bytes,
 * at most 4 * len. Like snprintf(), it truncates text that does not fit, but never
 * within an escape or a character, and writes a NUL if cap > 0. */
SOCKEYE_API size_t sockeye_escape(const void *data, size_t len, char *buf, size_t cap);

SOCKEYE_END

#endif
