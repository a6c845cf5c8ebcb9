/* What a worker's sandbox stopped, in words. */
#ifndef SUPERVISOR_ENGINE_VERDICT_BLOCKED_H
#define SUPERVISOR_ENGINE_VERDICT_BLOCKED_H

#include "supervisor/engine/verdict.h"

/* A worker died of a system call that its sandbox denies, and told which. */
bool verdict_blocked_is_so(const struct verdict_facts *facts);
/* What a program that makes that system call wants: "reach the network". A constant. */
const char *verdict_blocked_meaning(const char *call);

#endif
