/*
 * models.h: the list of server models, one file each. models.c makes its tables from it.
 */
#ifndef SOCKEYE_SERVE_MODELS_H
#define SOCKEYE_SERVE_MODELS_H

#include "serve/internal.h"

/* X(name): defined in name.c as sockeye__model_name. */
#define SOCKEYE__MODELS(X) \
	X(iterative) \
	X(fork) \
	X(prefork) \
	X(thread) \
	X(event) \
	X(uring)

#define SOCKEYE__MODEL_DECLARE(name) extern const struct sockeye__model sockeye__model_##name;
SOCKEYE__MODELS(SOCKEYE__MODEL_DECLARE)
#undef SOCKEYE__MODEL_DECLARE

/* Returns the model of that name, or NULL. */
const struct sockeye__model *sockeye__model_find(const char *name);

#endif
