/* What the model knows of each kind, in words and as JSON. */
#ifndef SUPERVISOR_MEMORY_MODEL_PRINT_H
#define SUPERVISOR_MEMORY_MODEL_PRINT_H

#include "supervisor/memory/model.h"

#include <stdio.h>

/* kind NULL: all that have attempts. */
void model_print(const struct model *model, const char *kind, FILE *stream, size_t width);
/* {"version":1, "kinds":[...]}. Caller owns; NULL when out of memory. */
json_t *model_to_json(const struct model *model, const char *kind);

#endif
