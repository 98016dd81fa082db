/* models.h: finding a server model by its name. */
#ifndef SOCKEYE_SERVE_MODELS_H
#define SOCKEYE_SERVE_MODELS_H

#include "serve/server.h"

/* NULL when there is none of that name. */
const struct sockeye__model *sockeye__model_find(const char *name);

#endif
