/* The attempts as CSV (RFC 4180), for spreadsheets and pandas.
 *
 * The three columns are those of dask-memusage, so that what reads its files reads ours:
 *
 *     task_key,min_memory_mb,max_memory_mb
 *     CD070/DAPI,48.2,401.53125
 *
 * A megabyte is 2^20 bytes there and here. What is not known is an empty field.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_CSV_H
#define SUPERVISOR_LEDGER_LEDGER_CSV_H

#include "common/failure.h"

#include <stdbool.h>

struct ledger_csv {
    FILE *stream;     /* borrowed */
    const char *task; /* only this one; NULL: all */
    bool wide;        /* everything that attempt_end holds behind the three */
};

void ledger_csv_heading(const struct ledger_csv *csv);
/* A ledger_store_replay_cb; context is the struct ledger_csv *. */
int ledger_csv_record(void *context, const json_t *record, struct failure *failure);

#endif
