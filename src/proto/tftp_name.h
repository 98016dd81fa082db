/*
 * tftp_name.h: what the name of a request becomes before it is looked for.
 */
#ifndef SOCKEYE_PROTO_TFTP_NAME_H
#define SOCKEYE_PROTO_TFTP_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proto/tftp_packet.h"

/* What clients need that do not write names as others do; zero is none of it. */
struct sockeye__tftp_name_rules {
	bool backslash;  /* \ is / (Windows boot loaders) */
	bool fold_case;  /* A to Z are a to z */
	bool strip_high; /* bytes >= 0x80 at the end are dropped (PXE ROMs send 0xff there) */
};

/* Writes the name with a single slash between its components and none around
 * them, without those that are "." and without ".." and the one before it: what
 * rules then see is what is opened, and "pub/../secret" is no way around them.
 * Returns the length without the NUL, -EINVAL for a name with nothing in it or
 * with a NUL, -EACCES for one that leads above its beginning, -ENAMETOOLONG. out[]
 * is undefined on failure and may not overlap the name. */
ssize_t sockeye__tftp_name_clean(struct sockeye__span name,
				 const struct sockeye__tftp_name_rules *rules, char *out,
				 size_t cap);

#endif
