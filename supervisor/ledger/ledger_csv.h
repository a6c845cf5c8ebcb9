/* Memory as CSV (RFC 4180), for spreadsheets and pandas.
 *
 * One line per task, in the columns of dask-memusage, so that what reads its files reads ours:
 *
 *     task_key,min_memory_mb,max_memory_mb
 *     CD070/DAPI,48.2,401.53125
 *
 * A megabyte is 2^20 bytes there and here, and 0 is what was too short to be seen. Of several
 * attempts the least and the most are taken. Wide: one line per attempt, with all that is recorded
 * of it behind the three.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_CSV_H
#define SUPERVISOR_LEDGER_LEDGER_CSV_H

#include "common/failure.h"

#include <stdbool.h>

struct ledger_csv {
    FILE *stream;     /* borrowed */
    const char *task; /* only this one; NULL: all */
    bool wide;
    json_t *tasks; /* owned; [least, most] by task, in order of appearance */
};

void ledger_csv_heading(const struct ledger_csv *csv);
/* A ledger_store_replay_cb; context is the struct ledger_csv *. */
int ledger_csv_record(void *context, const json_t *record, struct failure *failure);
/* Prints what had to wait for the last record, and lets go of it. */
void ledger_csv_finish(struct ledger_csv *csv);

#endif
