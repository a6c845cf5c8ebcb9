/* The table formatter; see table.h. Widths are found in one pass over the cells, then the columns
 * that may shrink give way, one terminal column at a time, until the line fits. */
#include "supervisor/report/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>

enum { GAP_COLUMNS = 2, MIN_SHRUNK_COLUMNS = 6 };

struct cell {
    char *text;
    enum text_style style;
};

struct table {
    const struct table_column *columns; /* borrowed */
    size_t n_columns;
    struct cell *cells; /* row by row; owns */
    size_t n_cells, capacity;
    bool lost; /* a cell did not fit in memory */
};

struct table *table_open(const struct table_column *columns, size_t n_columns) {
    struct table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->columns = columns;
    table->n_columns = n_columns;
    return table;
}

void table_close(struct table *table) {
    if (!table)
        return;
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}

static bool grow(struct table *table) {
    if (table->n_cells < table->capacity)
        return true;
    size_t capacity = table->capacity ? 2 * table->capacity : 64;
    struct cell *cells = reallocarray(table->cells, capacity, sizeof(*cells));
    if (!cells)
        return false;
    table->cells = cells;
    table->capacity = capacity;
    return true;
}

void table_cell(struct table *table, const char *format, ...) {
    if (!table || table->lost)
        return;
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0 || !grow(table)) {
        if (length >= 0)
            free(text);
        table->lost = true;
        return;
    }
    table->cells[table->n_cells++] = (struct cell){.text = text, .style = TEXT_PLAIN};
}

void table_style(struct table *table, enum text_style style) {
    if (table && table->n_cells > 0)
        table->cells[table->n_cells - 1].style = style;
}

/* The widest column that may still shrink, or n_columns. prose: only those cut at the end. */
static size_t widest_shrinking(const struct table *table, const size_t *widths, bool prose) {
    size_t widest = table->n_columns;
    for (size_t c = 0; c < table->n_columns; c++) {
        const struct table_column *column = &table->columns[c];
        if (!column->shrinks || widths[c] <= MIN_SHRUNK_COLUMNS ||
            (prose && column->cut != TEXT_CUT_END))
            continue;
        if (widest == table->n_columns || widths[c] >= widths[widest])
            widest = c;
    }
    return widest;
}

/* Sentences give way before ids: by an id a row is known. */
static size_t next_to_shrink(const struct table *table, const size_t *widths) {
    size_t c = widest_shrinking(table, widths, true);
    return c < table->n_columns ? c : widest_shrinking(table, widths, false);
}

static void fit_widths(const struct table *table, size_t width, size_t *widths) {
    size_t total = GAP_COLUMNS * (table->n_columns - 1);
    for (size_t c = 0; c < table->n_columns; c++) {
        widths[c] = text_width(table->columns[c].title);
        for (size_t i = c; i < table->n_cells; i += table->n_columns) {
            size_t needed = text_width(table->cells[i].text);
            widths[c] = needed > widths[c] ? needed : widths[c];
        }
        total += widths[c];
    }
    while (total > width) {
        size_t c = next_to_shrink(table, widths);
        if (c == table->n_columns)
            return;
        widths[c]--;
        total--;
    }
}

/* Prints one cell after `owed` spaces and returns the spaces owed before the next one: they are
 * written only when something follows, so that no line ends in spaces. */
static size_t print_cell(const struct table_column *column, size_t width, size_t owed,
                         const struct cell *cell, FILE *stream, bool colour) {
    size_t columns = text_width(cell->text);
    if (columns == 0)
        return owed + width + GAP_COLUMNS;
    if (column->right && columns < width)
        owed += width - columns;
    bool styled = colour && cell->style != TEXT_PLAIN;
    (void)fprintf(stream, "%*s%s", (int)owed, "", styled ? text_style(cell->style, true) : "");
    columns = text_print(stream, cell->text, width, column->cut);
    (void)fputs(styled ? text_style(TEXT_PLAIN, true) : "", stream);
    return (column->right ? 0 : width - columns) + GAP_COLUMNS;
}

int table_print(const struct table *table, FILE *stream, size_t width, bool colour) {
    if (!table || table->lost)
        return -ENOMEM;
    if (table->n_cells == 0)
        return 0;
    CLEANUP_FREE size_t *widths = calloc(table->n_columns, sizeof(*widths));
    if (!widths)
        return -ENOMEM;
    fit_widths(table, width, widths);
    for (size_t c = 0, owed = 0; c < table->n_columns; c++) {
        struct cell title = {.text = (char *)table->columns[c].title, .style = TEXT_FAINT};
        owed = print_cell(&table->columns[c], widths[c], owed, &title, stream, colour);
    }
    for (size_t i = 0, owed = 0; i < table->n_cells; i++) {
        size_t c = i % table->n_columns;
        if (c == 0) {
            (void)fputc('\n', stream);
            owed = 0;
        }
        owed = print_cell(&table->columns[c], widths[c], owed, &table->cells[i], stream, colour);
    }
    (void)fputc('\n', stream);
    return 0;
}
