/* What the counters say about a death: whether the kernel killed for want of memory, and whose
 * memory was short. Pure; the verdict's half that deals with memory. */
#ifndef SUPERVISOR_ENGINE_VERDICT_MEMORY_H
#define SUPERVISOR_ENGINE_VERDICT_MEMORY_H

#include "supervisor/engine/verdict.h"

/* How many of the attempt's processes the kernel killed for want of memory; 0 too when it had no
 * control group to count them. */
uint64_t verdict_memory_victims(const struct verdict_facts *facts);
/* Of such a kill: its own limit was met, not one above it or the machine's. */
bool verdict_memory_at_limit(const struct verdict_facts *facts);
/* "the kernel killed it at its memory limit of 1.0 GiB"; whom is "it", "a process of it". */
void verdict_memory_describe(const struct verdict_facts *facts, const char *whom, char *text,
                             size_t size);
/* Of a death that nobody explained: is want of memory likely? Fills why with a clause. */
bool verdict_memory_is_likely(const struct verdict_facts *facts, char *why, size_t size);

#endif
