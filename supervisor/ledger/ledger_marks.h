/* Where a ledger's records stand: the offset of every 64th, so that one can be read by its seq
 * without reading the whole file. An eighth of a byte a record.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_MARKS_H
#define SUPERVISOR_LEDGER_LEDGER_MARKS_H

#include "common/failure.h"

#include <stdint.h>

enum { LEDGER_MARKS_EVERY = 64 };

struct ledger_marks {
    uint64_t *offsets; /* of the records 1, 65, 129, ...; owned */
    size_t count, capacity;
};

/* Told of every record in turn; one may be told again (it moved). -ENOMEM. */
MUST_USE int ledger_marks_set(struct ledger_marks *marks, uint64_t seq, uint64_t offset);
/* The record seq, which is in the file. Caller owns *ret. */
MUST_USE int ledger_marks_read(const struct ledger_marks *marks, int fd, const char *path,
                               uint64_t seq, json_t **ret, struct failure *failure);
void ledger_marks_free(struct ledger_marks *marks);

#endif
