/* An attempt's figures and evidence as sentences. Pure; each yields text that the caller owns, NULL
 * when there is nothing to say (or no memory to say it).
 */
#ifndef SUPERVISOR_EXPLAIN_WORDS_H
#define SUPERVISOR_EXPLAIN_WORDS_H

#include "supervisor/explain/story.h"

#include <stdint.h>

/* "oom-limit: the kernel killed it at its memory limit of 512 MiB, in stage warp" */
char *words_verdict(const json_t *end);
/* "410 MiB, from the headers of its images"; record: attempt_start or attempt_end. */
char *words_predicted(const json_t *record);
/* "451 MiB; the kernel's limit was 564 MiB". end may be NULL: it runs; batch: the start of its run,
 * which tells whether there were limits; NULL: unknown. */
char *words_reserved(const json_t *record, const json_t *end, const json_t *batch);
/* "peak 563 MiB, 37 % above the forecast; least 80 MiB; 2 min of CPU time" */
char *words_measured(const json_t *end, uint64_t predicted_bytes);
/* How a process ended that was killed, and what registrar had sent it. */
char *words_exit(const json_t *end);
/* The counters of its own control group, before and after; or why it had none. */
char *words_group(const json_t *end);
/* The machine's counter, and the memory that was left. */
char *words_machine(const json_t *end);
/* Whether it died for want of memory of a control group above its own, and not of the machine's. */
bool words_is_group_above(const json_t *end);
/* What registrar decided to do next, while the run went on. */
char *words_then(const json_t *end);

/* Seconds in milliseconds, or 0 where they are none that a process could have lived. */
int64_t words_ms(const json_t *object, const char *key);
/* Bytes, or 0. */
uint64_t words_bytes(const json_t *object, const char *key);

#endif
