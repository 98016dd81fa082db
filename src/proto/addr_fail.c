/*
 * addr_fail.c: reports why a text is not an address.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>

#include "proto/addr_internal.h"

int sockeye__addr_fail(const struct sockeye__reader *r, int err, const char *detail, ...)
{
	va_list args;

	if (r->why == NULL)
		return err;
	*r->why = (struct sockeye_fail){.op = "parse address", .err = err};
	sockeye_escape(r->text, strlen(r->text), r->why->address, sizeof r->why->address);
	va_start(args, detail);
	vsnprintf(r->why->detail, sizeof r->why->detail, detail, args);
	va_end(args);
	return err;
}
