/* models.c: the table of server models. */
#include "serve/models.h"

#include <string.h>

static const struct sockeye__model *const table[] = {
    &sockeye__model_iterative, &sockeye__model_fork,  &sockeye__model_prefork,
    &sockeye__model_thread,    &sockeye__model_event, &sockeye__model_uring,
};

const char *const sockeye_models[] = {"iterative", "fork",  "prefork", "thread",
				      "event",     "uring", NULL};

const struct sockeye__model *sockeye__model_find(const char *name)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}

const char *sockeye_model_summary(const char *model)
{
	const struct sockeye__model *m = sockeye__model_find(model);

	return m != NULL ? m->summary : NULL;
}
