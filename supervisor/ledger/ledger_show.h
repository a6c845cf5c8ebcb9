/* The ledger as a table for people: one row per attempt that ended, per batch, per task that never
 * came to an attempt, per note.
 *
 *     WHEN                     WHAT     TASK        ATTEMPT  VERDICT  WALL  PEAK     REASON
 *     2026-11-21 21:00:12 CET  attempt  CD070/DAPI        1  ok       12 s  401 MiB
 *
 * Memory is bounded: rows are printed in blocks, each with its heading.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_SHOW_H
#define SUPERVISOR_LEDGER_LEDGER_SHOW_H

#include "common/failure.h"

#include <stdbool.h>

struct ledger_show_options {
    const char *task; /* only this one; NULL: all */
    bool all;         /* every record: starts and ends of tasks too */
    size_t width;     /* columns; TEXT_UNLIMITED (report/text.h): nothing is cut */
    bool colour;
};

struct ledger_show;

/* Borrows stream; options are copied, their task is borrowed. NULL when out of memory. */
struct ledger_show *ledger_show_open(FILE *stream, const struct ledger_show_options *options);
/* A ledger_store_replay_cb; context is the struct ledger_show *. */
int ledger_show_record(void *context, const json_t *record, struct failure *failure);
/* Prints what is left, attempts that never ended among it, and frees. Returns 1 when there was
 * nothing to show. */
MUST_USE int ledger_show_finish(struct ledger_show *show);
/* Frees without printing. NULL is fine. */
void ledger_show_close(struct ledger_show *show);

#endif
