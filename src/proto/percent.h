/*
 * percent.h: bytes as %XX in text (RFC 3986, section 2.1).
 */
#ifndef SOCKEYE_PROTO_PERCENT_H
#define SOCKEYE_PROTO_PERCENT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/out.h"
#include "base/slice.h"

/* Decodes %XX. Returns the length of the decoded text, of which at most cap bytes
 * are written to buf, or -EINVAL if a percent sign is not followed by two
 * hexadecimal digits or the text contains a bare control character. */
ssize_t sockeye__percent_decode(struct sockeye__slice text, char *buf, size_t cap);

/* Writes each byte that is a space, a control character, not ASCII, or in
 * `special` as %XX, so that the output is a single word and safe to print. */
void sockeye__percent_encode(const char *text, size_t len, const char *special,
			     struct sockeye__out *out);

#endif
