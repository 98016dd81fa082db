/*
 * service.h: the list of built-in services, one file each. builtins.c makes a table
 * from it.
 */
#ifndef SOCKEYE_SERVICE_SERVICE_H
#define SOCKEYE_SERVICE_SERVICE_H

#include <sockeye/service.h>

/* X(name): defined in name.c as sockeye__name. */
#define SOCKEYE__BUILTINS(X) \
	X(echo) \
	X(discard) \
	X(chargen) \
	X(daytime) \
	X(time) \
	X(upper) \
	X(reply)

#define SOCKEYE__BUILTIN_DECLARE(name) extern const struct sockeye_service sockeye__##name;
SOCKEYE__BUILTINS(SOCKEYE__BUILTIN_DECLARE)
#undef SOCKEYE__BUILTIN_DECLARE

#endif
