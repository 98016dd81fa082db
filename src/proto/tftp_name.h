/*
 * tftp_name.h: normalizes the file name of a request before the server looks it up.
 */
#ifndef SOCKEYE_PROTO_TFTP_NAME_H
#define SOCKEYE_PROTO_TFTP_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proto/tftp_packet.h"

/* Workarounds for clients that send unusual names. Zeroed: none. */
struct sockeye__tftp_name_rules {
	bool backslash;  /* replaces \ by / (Windows boot loaders) */
	bool strip_high; /* removes bytes >= 0x80 at the end (PXE ROMs append 0xff) */
};

/* Writes the name with a single slash between its components and none around them.
 * Removes "." components, and ".." with the component before it. So the rules of the
 * server are applied to the name that it opens, and "pub/../secret" does not bypass them.
 * Returns the length without the NUL, -EINVAL if the name is empty or contains a
 * NUL, -EACCES if ".." leads above the root, or -ENAMETOOLONG. out[] is undefined
 * after a failure and must not overlap the name. */
ssize_t sockeye__tftp_name_clean(struct sockeye__span name,
				 const struct sockeye__tftp_name_rules *rules, char *out,
				 size_t cap);

#endif
