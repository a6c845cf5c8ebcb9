/* Tables as text, record by record, in memory that does not grow with the file.
 *
 * Fields are apart by commas, semicolons or tabs (what the first record has most of) and may stand
 * in quotes, with separators, line ends and doubled quotes inside (RFC 4180). Lines end in LF, CR
 * LF or CR. A byte order mark is passed over. Records are handed out as they stand in the file, so
 * that they can be written again byte for byte.
 */
#ifndef WORKER_APPLY_CSV_H
#define WORKER_APPLY_CSV_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CSV_MOST_RECORD_BYTES = 1 << 20,
    CSV_MOST_FIELDS = 4096, /* of a record; those behind are not split */
    CSV_NUMBER_BYTES = 64,
};

/* A field's bytes within its record, with quotes when it has them. */
struct csv_field {
    size_t start, length;
};

/* Borrowed from the reader until the next call. */
struct csv_record {
    const char *text;
    size_t length, end_length; /* the line end is the last end_length bytes of the length */
    uint64_t line;             /* of the file, from 1: its first one */
    const struct csv_field *fields;
    size_t n_fields; /* 0: an empty line */
};

struct csv_reader;

/* Borrows name, which complaints begin with, and fd. */
MUST_USE int csv_open(int fd, const char *name, struct csv_reader **ret, struct failure *failure);
void csv_close(struct csv_reader *reader); /* NULL is fine */
/* -ENODATA at the end, without a sentence. */
MUST_USE int csv_next(struct csv_reader *reader, struct csv_record *ret, struct failure *failure);
/* Bytes of what stands before the first record: a byte order mark or nothing. */
size_t csv_mark(const struct csv_reader *reader, const char **ret_bytes);
char csv_separator(const struct csv_reader *reader);
uint64_t csv_read_bytes(const struct csv_reader *reader); /* so far */

/* The field without quotes and blanks around it; doubled quotes stay doubled. */
struct csv_field csv_bare(const struct csv_record *record, struct csv_field field);
/* A number as programs write it: 12, -1.5e3 and, where commas separate nothing, 12,5. */
bool csv_parse_number(const char *text, size_t length, bool comma_allowed, double *ret);

#endif
