/* builtins.c: the table of built-in services. */
#include <string.h>

#include "service/service.h"

const struct sockeye_service *const sockeye_builtins[] = {
#define BUILTIN_ROW(name) &sockeye__##name,
    SOCKEYE__BUILTINS(BUILTIN_ROW)
#undef BUILTIN_ROW
	NULL,
};

const struct sockeye_service *sockeye_builtin_find(const char *name)
{
	for (const struct sockeye_service *const *s = sockeye_builtins; *s; s++)
		if (strcmp((*s)->name, name) == 0)
			return *s;
	return NULL;
}
