/* See apply_points.h. A row goes through in one pass: read, two numbers replaced, written. */
#include "worker/apply/apply_points.h"

#include "common/names.h"
#include "common/whole_write.h"
#include "worker/align/transform_inverse.h"
#include "worker/apply/csv.h"
#include "worker/memory/tracked.h"
#include "worker/stage/progress.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

enum {
    OUT_BYTES = 256 << 10,
    ROWS_PER_LOOK = 4096, /* between two looks at the progress */
    SHOWN_BYTES = 60,     /* of a bad value */
    DECIMALS = 4,         /* 0.0001 px */
};

struct mover {
    const struct apply_task *task;
    const struct apply_map *map;
    struct transform_inverse inverse;
    struct csv_reader *reader;
    size_t columns[2]; /* of x and y */
    int in, out;
    char *pending; /* to be written; tracked */
    size_t n_pending;
    struct apply_points_counts counts;
};

/* --- writing --- */

static int flush(struct mover *mover, struct failure *failure) {
    int r = whole_write(mover->out, mover->pending, mover->n_pending);
    mover->n_pending = 0;
    return r < 0 ? failure_set_errno(failure, r, "cannot write the moved points") : 0;
}

static int put(struct mover *mover, const char *bytes, size_t length, struct failure *failure) {
    while (length > 0) {
        size_t room = OUT_BYTES - mover->n_pending, n = length < room ? length : room;
        memcpy(mover->pending + mover->n_pending, bytes, n);
        mover->n_pending += n;
        bytes += n;
        length -= n;
        int r = mover->n_pending == OUT_BYTES ? flush(mover, failure) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- the columns --- */

static bool is_named(const struct csv_record *record, size_t column, const char *name,
                     size_t length) {
    struct csv_field field = csv_bare(record, record->fields[column]);
    return field.length == length && memcmp(record->text + field.start, name, length) == 0;
}

/* -ENOENT when there is none, -EEXIST when there are two; no sentence. */
static int find_column(const struct csv_record *record, const char *name, size_t *ret) {
    const size_t length = strlen(name);
    int r = -ENOENT;
    for (size_t i = 0; i < record->n_fields; i++)
        if (is_named(record, i, name, length)) {
            if (r == 0)
                return -EEXIST;
            *ret = i;
            r = 0;
        }
    return r;
}

static bool is_number(const struct mover *mover, const struct csv_record *record, size_t column) {
    double value;
    if (column >= record->n_fields)
        return false;
    struct csv_field field = csv_bare(record, record->fields[column]);
    return csv_parse_number(record->text + field.start, field.length,
                            csv_separator(mover->reader) != ',', &value);
}

/* The first line as it may be quoted: cut, and fit to be shown. Caller owns. */
static char *show(const char *text, size_t length) {
    char cut[SHOWN_BYTES + 1];
    size_t n = length < SHOWN_BYTES ? length : SHOWN_BYTES;
    memcpy(cut, text, n);
    cut[n] = '\0';
    if (n < length)
        names_drop_half(cut);
    return names_escape(cut);
}

static int no_column(const struct mover *mover, const struct csv_record *record, int error,
                     const char *name, struct failure *failure) {
    CLEANUP_FREE char *shown = show(record->text, record->length - record->end_length);
    const char *file = mover->task->points;
    if (error == -EEXIST)
        return failure_set(failure, -EINVAL,
                           "%s: two columns are named \"%.100s\"; choose by their numbers, as in "
                           "--columns 3,4",
                           file, name);
    return failure_set(
        failure, -EINVAL,
        "%s: no column is named \"%.100s\" in its first line (%s); name the columns of "
        "x and y, as in --columns \"Centroid X,Centroid Y\", or number them, as in "
        "--columns 1,2",
        file, name, shown ? shown : "?");
}

/* A name, or the number of a column where none has that name. */
static int choose_column(const struct mover *mover, const struct csv_record *record,
                         const char *name, size_t *ret, bool *ret_numbered,
                         struct failure *failure) {
    const size_t length = strlen(name);
    int r = find_column(record, name, ret);
    if (r == 0)
        return 0;
    *ret_numbered =
        r == -ENOENT && length > 0 && length < 6 && strspn(name, "0123456789") == length;
    if (!*ret_numbered)
        return no_column(mover, record, r, name, failure);
    size_t number = strtoul(name, NULL, 10);
    if (number < 1 || number > record->n_fields)
        return failure_set(failure, -EINVAL, "%s: there is no column %zu; its first line has %zu",
                           mover->task->points, number, record->n_fields);
    *ret = number - 1;
    return 0;
}

static int choose_given(struct mover *mover, const struct csv_record *record, bool *ret_has_header,
                        struct failure *failure) {
    bool numbered[2] = {false, false};
    int r = 0;
    for (int axis = 0; axis < 2 && r == 0; axis++)
        r = choose_column(mover, record, mover->task->columns[axis], &mover->columns[axis],
                          &numbered[axis], failure);
    if (r == 0 && mover->columns[0] == mover->columns[1])
        r = failure_set(failure, -EINVAL, "--columns: \"%s\" and \"%s\" are the same column",
                        mover->task->columns[0], mover->task->columns[1]);
    /* numbers may be used where there are no names */
    *ret_has_header = !(numbered[0] && numbered[1] && is_number(mover, record, mover->columns[0]) &&
                        is_number(mover, record, mover->columns[1]));
    return r;
}

static int choose_usual(struct mover *mover, const struct csv_record *record,
                        struct failure *failure) {
    static const char *const names[][2] = {{"x", "y"}, {"X", "Y"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int x = find_column(record, names[i][0], &mover->columns[0]);
        int y = find_column(record, names[i][1], &mover->columns[1]);
        if (x == 0 && y == 0)
            return 0;
        if (x == -EEXIST || y == -EEXIST)
            return no_column(mover, record, -EEXIST, names[i][x != -EEXIST], failure);
        if (x == 0 || y == 0)
            return no_column(mover, record, -ENOENT, names[i][x == 0], failure);
    }
    return no_column(mover, record, -ENOENT, "x", failure);
}

/* --- a row --- */

static bool is_on(double x, double y, uint32_t width, uint32_t height) {
    return x >= -0.5 && x < width - 0.5 && y >= -0.5 && y < height - 0.5;
}

/* False: it has no place there. */
static bool move(struct mover *mover, const double from[2], uint64_t line, double ret[2]) {
    const struct apply_map *map = mover->map;
    struct apply_points_counts *counts = &mover->counts;
    const bool back = mover->task->is_inverse;
    const bool inside = back ? is_on(from[0], from[1], map->post_width, map->post_height)
                             : is_on(from[0], from[1], map->pre_width, map->pre_height);
    struct map_point to;
    bool known = true;
    if (back)
        to = transform_apply(&map->post_to_pre, from[0], from[1]);
    else
        known = transform_inverse_at(&mover->inverse, from[0], from[1], &to);
    known = known && fabs(to.x) < 1e9 && fabs(to.y) < 1e9; /* false for NaN too */
    counts->points++;
    if (!inside && counts->outside++ == 0)
        counts->outside_line = line;
    if (!known && counts->unmapped++ == 0)
        counts->unmapped_line = line;
    if (!known)
        return false;
    ret[0] = to.x;
    ret[1] = to.y;
    counts->beyond += inside && !(back ? is_on(to.x, to.y, map->pre_width, map->pre_height)
                                       : is_on(to.x, to.y, map->post_width, map->post_height));
    return true;
}

static int bad_value(const struct mover *mover, const struct csv_record *record, int axis,
                     struct csv_field field, struct failure *failure) {
    CLEANUP_FREE char *shown = show(record->text + field.start, field.length);
    return failure_set(failure, -EINVAL, "%s, line %llu: %c is \"%s\", which is no number",
                       mover->task->points, (unsigned long long)record->line, "xy"[axis],
                       shown ? shown : "?");
}

static int read_row(const struct mover *mover, const struct csv_record *record,
                    struct csv_field ret_fields[2], double ret[2], struct failure *failure) {
    for (int axis = 0; axis < 2; axis++) {
        const size_t column = mover->columns[axis];
        if (column >= record->n_fields)
            return failure_set(
                failure, -EINVAL, "%s, line %llu: it has %zu field%s, and %c is the %zu%s",
                mover->task->points, (unsigned long long)record->line, record->n_fields,
                record->n_fields == 1 ? "" : "s", "xy"[axis], column + 1,
                column == 1   ? "nd"
                : column == 2 ? "rd"
                              : "th");
        struct csv_field field = csv_bare(record, record->fields[column]);
        if (!csv_parse_number(record->text + field.start, field.length,
                              csv_separator(mover->reader) != ',', &ret[axis]))
            return bad_value(mover, record, axis, field, failure);
        ret_fields[axis] = field;
    }
    return 0;
}

/* With the decimal sign that the field has. Returns the length. */
static size_t print_number(const struct csv_record *record, struct csv_field field, double value,
                           char text[CSV_NUMBER_BYTES]) {
    int length = snprintf(text, CSV_NUMBER_BYTES, "%.*f", (int)DECIMALS, value);
    char *point = strchr(text, '.');
    if (point && memchr(record->text + field.start, ',', field.length))
        *point = ',';
    return (size_t)length;
}

static int move_row(struct mover *mover, const struct csv_record *record, struct failure *failure) {
    struct csv_field fields[2];
    double from[2], to[2];
    int r = read_row(mover, record, fields, from, failure);
    if (r < 0)
        return r;
    const bool known = move(mover, from, record->line, to);
    const int first = fields[0].start > fields[1].start; /* y may stand before x */
    size_t done = 0;
    for (int i = 0; i < 2 && r == 0; i++) {
        const int axis = i ^ first;
        char text[CSV_NUMBER_BYTES];
        size_t length = known ? print_number(record, fields[axis], to[axis], text) : 0;
        r = put(mover, record->text + done, fields[axis].start - done, failure);
        if (r == 0)
            r = put(mover, text, length, failure);
        done = fields[axis].start + fields[axis].length;
    }
    return r < 0 ? r : put(mover, record->text + done, record->length - done, failure);
}

/* Nothing but blanks and separators: spreadsheets leave such lines. */
static bool is_empty(const struct mover *mover, const struct csv_record *record) {
    for (size_t i = 0; i < record->length - record->end_length; i++)
        if (record->text[i] != ' ' && record->text[i] != '\t' &&
            record->text[i] != csv_separator(mover->reader))
            return false;
    return true;
}

/* --- the table --- */

static int begin(struct mover *mover, struct failure *failure) {
    struct csv_record record;
    bool has_header = true;
    const char *mark;
    int r = csv_next(mover->reader, &record, failure);
    if (r == -ENODATA)
        return failure_set(failure, -EINVAL, "%s is empty; its first line must name the columns",
                           mover->task->points);
    if (r == 0)
        r = mover->task->columns[0] ? choose_given(mover, &record, &has_header, failure)
                                    : choose_usual(mover, &record, failure);
    if (r < 0)
        return r;
    const size_t length = csv_mark(mover->reader, &mark);
    r = put(mover, mark, length, failure);
    if (r < 0)
        return r;
    return has_header ? put(mover, record.text, record.length, failure)
                      : move_row(mover, &record, failure);
}

/* Of the input, 0 where its size is not known. */
static double fraction(const struct mover *mover) {
    struct stat status;
    if (fstat(mover->in, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size <= 0)
        return 0;
    return fmin((double)csv_read_bytes(mover->reader) / (double)status.st_size, 1);
}

static int move_all(struct mover *mover, struct progress *progress, struct failure *failure) {
    struct csv_record record;
    progress_begin(progress, "points", 0, 1);
    int r = begin(mover, failure);
    for (uint64_t n = 0; r == 0; n++) {
        if (n % ROWS_PER_LOOK == 0)
            r = progress_set(progress, fraction(mover));
        if (r == 0)
            r = csv_next(mover->reader, &record, failure);
        if (r == 0)
            r = is_empty(mover, &record) ? put(mover, record.text, record.length, failure)
                                         : move_row(mover, &record, failure);
    }
    return r == -ENODATA ? flush(mover, failure) : r;
}

int apply_points_run(const struct apply_task *task, const struct apply_map *map, int in, int out,
                     struct progress *progress, struct apply_points_counts *ret,
                     struct failure *failure) {
    struct mover mover = {.task = task, .map = map, .in = in, .out = out};
    if (!task->is_inverse && !transform_inverse_make(&map->post_to_pre, map->post_width,
                                                     map->post_height, &mover.inverse))
        return failure_set(failure, -EINVAL,
                           "%s: its map cannot be inverted (it folds, or is flat somewhere); only "
                           "--inverse can be done with it",
                           task->transform);
    mover.pending = tracked_alloc(OUT_BYTES, 1, "table to be written");
    int r = mover.pending ? csv_open(in, task->points, &mover.reader, failure)
                          : failure_set(failure, -ENOMEM, "no memory to move the points");
    if (r == 0)
        r = move_all(&mover, progress, failure);
    csv_close(mover.reader);
    tracked_free(mover.pending);
    if (r == 0)
        *ret = mover.counts;
    return r;
}
