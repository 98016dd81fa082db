/* models.c: the table of server models. */
#include "serve/models.h"

#include <string.h>

static const struct sockeye__model *const table[] = {
#define MODEL_ROW(name) &sockeye__model_##name,
    SOCKEYE__MODELS(MODEL_ROW)
#undef MODEL_ROW
};

const char *const sockeye_models[] = {
#define MODEL_NAME(name) #name,
    SOCKEYE__MODELS(MODEL_NAME)
#undef MODEL_NAME
	NULL,
};

const struct sockeye__model *sockeye__model_find(const char *name)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(table[i]->facts.name, name) == 0)
			return table[i];
	return NULL;
}

const struct sockeye_model *sockeye_model_find(const char *name)
{
	const struct sockeye__model *model = sockeye__model_find(name);

	return model != NULL ? &model->facts : NULL;
}
