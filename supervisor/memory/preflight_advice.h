/* What would help when the batch needs more than there is, with the user's own numbers. */
#ifndef SUPERVISOR_MEMORY_PREFLIGHT_ADVICE_H
#define SUPERVISOR_MEMORY_PREFLIGHT_ADVICE_H

#include "supervisor/memory/preflight.h"
#include "supervisor/memory/sizing.h"

/* Fills memory_advice and disk_advice where the level is not ok. */
MUST_USE int preflight_advice_fill(const struct options *options, const struct sizing *sizing,
                                   struct preflight *preflight, struct failure *failure);

#endif
