/* A small table for people: a heading, rows, columns as wide as they need and no wider than the
 * terminal.
 *
 *     static const struct table_column columns[] = {
 *         {.title = "TASK", .shrinks = true, .cut = TEXT_CUT_MIDDLE},
 *         {.title = "TIME", .right = true},
 *     };
 *     struct table *table = table_open(columns, ARRAY_LEN(columns));
 *     table_cell(table, "%s", task->id);
 *     table_cell(table, "%s", units_format_duration(ms, text));
 *     r = table_print(table, stdout, terminal_size(STDOUT_FILENO).columns, colour);
 *     table_close(table);
 *
 * Cells fill the rows from left to right. Running out of memory is remembered and reported once, by
 * table_print. Text is cleaned as text.h says, so cells may hold whatever a file name can.
 */
#ifndef SUPERVISOR_REPORT_TABLE_H
#define SUPERVISOR_REPORT_TABLE_H

#include "supervisor/report/text.h"

struct table_column {
    const char *title;
    bool right;        /* numbers: aligned to the right */
    bool shrinks;      /* gives way when the table is too wide; prose, cut at its end, first */
    enum text_cut cut; /* where, when it shrinks */
};

struct table;

/* columns is borrowed until table_close. NULL when out of memory; all below accept NULL. */
struct table *table_open(const struct table_column *columns, size_t n_columns);
__attribute__((format(printf, 2, 3))) void table_cell(struct table *table, const char *format, ...);
/* The style of the cell that was filled last. */
void table_style(struct table *table, enum text_style style);
/* Prints heading and rows in at most width columns (TEXT_UNLIMITED: nothing is cut). A table
 * without rows prints nothing. -ENOMEM when a cell was lost. */
MUST_USE int table_print(const struct table *table, FILE *stream, size_t width, bool colour);
void table_close(struct table *table);

#endif
