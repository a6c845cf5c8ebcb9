/* Laying out the live lines; see live_frame.h.
 *
 * A task's line is its id and a row of fields of fixed width, so that numbers stand still while
 * they change. In a narrow terminal the fields that say least go first. Nothing here knows a
 * descriptor.
 */
#include "supervisor/report/live_frame.h"

#include "common/units.h"
#include "supervisor/report/text.h"

#include <string.h>

enum { GAP_COLUMNS = 2, BAR_COLUMNS = 10, MIN_ID_COLUMNS = 24, RESERVED_COLUMNS = 11 };

enum { FIELD_BYTES = 2 * UNITS_TEXT_BYTES };

enum field { FIELD_STAGE, FIELD_TRY, FIELD_BAR, FIELD_PERCENT, FIELD_MEMORY, FIELD_TIME, N_FIELDS };

static const size_t field_columns[N_FIELDS] = {
    [FIELD_STAGE] = 11,  [FIELD_TRY] = 6,    [FIELD_BAR] = BAR_COLUMNS + 2,
    [FIELD_PERCENT] = 5, [FIELD_MEMORY] = 8, [FIELD_TIME] = 11,
};

/* Which fields go first when columns are short. */
static const enum field dispensable[] = {FIELD_BAR,   FIELD_TRY,  FIELD_MEMORY,
                                         FIELD_STAGE, FIELD_TIME, FIELD_PERCENT};

struct layout {
    bool shown[N_FIELDS];
    size_t columns[N_FIELDS];
    size_t id_columns;
};

static size_t fields_width(const struct layout *layout) {
    size_t columns = 0;
    for (size_t f = 0; f < N_FIELDS; f++)
        columns += layout->shown[f] ? GAP_COLUMNS + layout->columns[f] : 0;
    return columns;
}

static struct layout make_layout(const struct live_view_task *tasks, size_t n_tasks, size_t width) {
    struct layout layout = {0};
    size_t longest = 0;
    memcpy(layout.columns, field_columns, sizeof(field_columns));
    for (size_t i = 0; i < n_tasks; i++) {
        size_t columns = text_width(tasks[i].id);
        longest = columns > longest ? columns : longest;
        layout.shown[FIELD_TRY] = layout.shown[FIELD_TRY] || tasks[i].attempt > 1;
        if (tasks[i].reserved_bytes > 0)
            layout.columns[FIELD_MEMORY] = RESERVED_COLUMNS;
    }
    for (size_t f = 0; f < N_FIELDS; f++)
        layout.shown[f] = layout.shown[f] || f != FIELD_TRY;
    size_t wanted = longest < MIN_ID_COLUMNS ? longest : MIN_ID_COLUMNS;
    for (size_t i = 0; i < ARRAY_LEN(dispensable) && fields_width(&layout) + wanted > width; i++)
        layout.shown[dispensable[i]] = false;
    size_t taken = fields_width(&layout);
    size_t room = taken < width ? width - taken : 0;
    layout.id_columns = longest < room ? longest : room;
    return layout;
}

/* How many of `parts` are done, rounded down: the last only at the end. */
static int parts_done(double fraction, int parts) {
    return fraction >= 1 ? parts : fraction > 0 ? (int)(fraction * parts) : 0;
}

static void format_bar(double fraction, char text[BAR_COLUMNS + 3]) {
    size_t filled = (size_t)parts_done(fraction, BAR_COLUMNS);
    text[0] = '[';
    for (size_t i = 0; i < BAR_COLUMNS; i++)
        text[1 + i] = i < filled ? '#' : fraction < 0 ? ' ' : '-';
    text[1 + BAR_COLUMNS] = ']';
    text[2 + BAR_COLUMNS] = '\0';
}

/* "401/480 MiB": what is in use of what is reserved, in one unit; "401 MiB" where nothing is. */
static void format_share(uint64_t used, uint64_t reserved, char text[FIELD_BYTES]) {
    char whole[UNITS_TEXT_BYTES];
    double unit = 1;
    if (reserved == 0) {
        (void)snprintf(text, FIELD_BYTES, "%s", used ? units_format_size(used, whole) : "-");
        return;
    }
    (void)units_format_size(reserved, whole);
    while ((double)reserved / unit >= 999.5) /* as it was chosen for the whole */
        unit *= 1024;
    if (used == 0)
        (void)snprintf(text, FIELD_BYTES, "-/%s", whole);
    else
        (void)snprintf(text, FIELD_BYTES, "%.*f/%s", strchr(whole, '.') ? 1 : 0,
                       (double)used / unit, whole);
}

static void format_field(const struct live_view_task *task, enum field field,
                         char text[FIELD_BYTES]) {
    text[0] = '\0';
    switch (field) {
    case FIELD_STAGE:
        (void)snprintf(text, FIELD_BYTES, "%s", *task->stage ? task->stage : "starting");
        return;
    case FIELD_TRY:
        if (task->attempt > 1)
            (void)snprintf(text, FIELD_BYTES, "try %d", task->attempt);
        return;
    case FIELD_BAR:
        format_bar(task->fraction, text);
        return;
    case FIELD_PERCENT:
        if (task->fraction < 0)
            (void)snprintf(text, FIELD_BYTES, "-");
        else
            (void)snprintf(text, FIELD_BYTES, "%d %%", parts_done(task->fraction, 100));
        return;
    case FIELD_MEMORY:
        format_share(task->memory_bytes, task->reserved_bytes, text);
        return;
    case FIELD_TIME:
        (void)units_format_duration(task->elapsed_ms, text);
        return;
    case N_FIELDS:
        return;
    }
}

/* Ends a line, erasing what stood behind it, and below it after the last. The last line leaves the
 * cursor at its start, where a "^C" that the terminal echoes cannot make the line wrap. */
static void end_line(FILE *stream, struct live_frame *frame, size_t columns, bool last) {
    (void)fputs(last ? "\033[J\r" : "\033[K\r\n", stream);
    frame->columns[frame->n_lines++] = columns;
}

static void print_task(FILE *stream, const struct live_view_task *task, const struct layout *layout,
                       struct live_frame *frame) {
    size_t columns = text_print(stream, task->id, layout->id_columns, TEXT_CUT_MIDDLE);
    (void)fprintf(stream, "%*s", (int)(layout->id_columns - columns), "");
    columns = layout->id_columns;
    for (size_t f = 0; f < N_FIELDS; f++) {
        if (!layout->shown[f])
            continue;
        char text[FIELD_BYTES];
        format_field(task, (enum field)f, text);
        bool left = f == FIELD_STAGE || f == FIELD_TRY || f == FIELD_BAR;
        size_t needed = text_width(text);
        size_t spare = needed < layout->columns[f] ? layout->columns[f] - needed : 0;
        (void)fprintf(stream, "%*s", GAP_COLUMNS + (left ? 0 : (int)spare), "");
        size_t printed = text_print(stream, text, layout->columns[f], TEXT_CUT_END);
        (void)fprintf(stream, "%*s", left ? (int)(layout->columns[f] - printed) : 0, "");
        columns += GAP_COLUMNS + field_columns[f];
    }
    end_line(stream, frame, columns, false);
}

/* A line of one style, cut to the width. */
static void print_text(FILE *stream, const char *text, size_t width, enum text_style style,
                       bool colour, bool last, struct live_frame *frame) {
    (void)fputs(text_style(style, colour), stream);
    size_t columns = text_print(stream, text, width, TEXT_CUT_END);
    (void)fputs(text_style(TEXT_PLAIN, colour), stream);
    end_line(stream, frame, columns, last);
}

const char *live_frame_eta(int64_t eta_ms, char text[LIVE_FRAME_ETA_BYTES]) {
    int64_t minutes = (eta_ms + 30000) / 60000;
    if (eta_ms < 0)
        (void)snprintf(text, LIVE_FRAME_ETA_BYTES, "time left: -");
    else if (eta_ms < 45000)
        (void)snprintf(text, LIVE_FRAME_ETA_BYTES, "less than a minute left");
    else if (minutes < 60)
        (void)snprintf(text, LIVE_FRAME_ETA_BYTES, "about %lld min left", (long long)minutes);
    else if (minutes < 600) /* nobody knows it to the minute: in steps of five */
        (void)snprintf(text, LIVE_FRAME_ETA_BYTES, "about %lld h %02lld min left",
                       (long long)((minutes + 2) / 5 * 5 / 60),
                       (long long)((minutes + 2) / 5 * 5 % 60));
    else
        (void)snprintf(text, LIVE_FRAME_ETA_BYTES, "about %lld h left",
                       (long long)((minutes + 30) / 60));
    return text;
}

/* The whole batch in one line; the narrower, the less is told. Level 0 tells all. */
enum { TOTAL_LEVELS = 5, TOTAL_BYTES = 256 };

static void format_total(const struct live_view_snapshot *snapshot, int level,
                         char text[TOTAL_BYTES]) {
    size_t done = snapshot->ok + snapshot->problems;
    char bar[BAR_COLUMNS + 3], eta[LIVE_FRAME_ETA_BYTES], elapsed[UNITS_TEXT_BYTES];
    char problems[48] = "", time[UNITS_TEXT_BYTES + 4] = "";
    char reserved[FIELD_BYTES + 16] = "";
    format_bar(snapshot->total ? (double)done / (double)snapshot->total : 0, bar);
    if (snapshot->problems > 0)
        (void)snprintf(problems, sizeof(problems), ", %zu problem%s", snapshot->problems,
                       snapshot->problems == 1 ? "" : "s");
    if (level == TOTAL_LEVELS - 1) {
        (void)snprintf(text, TOTAL_BYTES, "%zu/%zu done%s", done, snapshot->total, problems);
        return;
    }
    if (level < 1 && snapshot->budget_bytes > 0 && snapshot->n_running > 0) {
        char share[FIELD_BYTES], little[UNITS_TEXT_BYTES];
        const bool is_little = snapshot->reserved_bytes < snapshot->budget_bytes / 100;
        format_share(is_little ? 0 : snapshot->reserved_bytes, snapshot->budget_bytes, share);
        (void)snprintf(reserved, sizeof(reserved), "; RAM %s%s",
                       is_little ? units_format_size(snapshot->reserved_bytes, little) : "",
                       is_little ? share + 1 : share); /* "83 MiB/18 GiB": without the dash */
    }
    if (level < 3)
        (void)snprintf(time, sizeof(time), "%s, ",
                       units_format_duration(snapshot->elapsed_ms, elapsed));
    (void)snprintf(text, TOTAL_BYTES, "%s%s%zu of %zu done%s; %s%s%s", level < 2 ? bar : "",
                   level < 2 ? "  " : "", done, snapshot->total, problems, time,
                   live_frame_eta(snapshot->eta_ms, eta), reserved);
}

static void print_total(FILE *stream, const struct live_view_snapshot *snapshot, size_t width,
                        bool colour, struct live_frame *frame) {
    char text[TOTAL_BYTES];
    for (int level = 0; level < TOTAL_LEVELS; level++) {
        format_total(snapshot, level, text);
        if (text_width(text) <= width)
            break;
    }
    enum text_style style = snapshot->problems > 0 ? TEXT_WARN : TEXT_PLAIN;
    print_text(stream, text, width, style, colour && style != TEXT_PLAIN, true, frame);
}

void live_frame_print(FILE *stream, const struct live_view_snapshot *snapshot,
                      struct terminal_size size, bool colour, struct live_frame *ret) {
    *ret = (struct live_frame){0};
    /* the last column stays free: writing there leaves some terminals about to wrap */
    size_t width = size.columns > 1 ? size.columns - 1 : 1;
    width = width < LIVE_FRAME_MAX_COLUMNS ? width : LIVE_FRAME_MAX_COLUMNS;
    size_t lines = size.rows > 1 ? size.rows - 1 : 1;
    lines = lines < LIVE_FRAME_MAX_LINES ? lines : LIVE_FRAME_MAX_LINES;
    bool notice = snapshot->notice && lines > 1;
    size_t room = lines - 1 - notice; /* for tasks */
    size_t shown = snapshot->n_running;
    if (shown > room)
        shown = room > 0 ? room - 1 : 0;
    struct layout layout = make_layout(snapshot->running, shown, width);
    for (size_t i = 0; i < shown; i++)
        print_task(stream, &snapshot->running[i], &layout, ret);
    if (shown < snapshot->n_running && room > 0) {
        char more[48];
        (void)snprintf(more, sizeof(more), "and %zu more running", snapshot->n_running - shown);
        print_text(stream, more, width, TEXT_FAINT, colour, false, ret);
    }
    if (notice)
        print_text(stream, snapshot->notice, width, TEXT_BAD, colour, false, ret);
    print_total(stream, snapshot, width, colour, ret);
}

size_t live_frame_rows_up(const struct live_frame *frame, struct terminal_size size, bool reflows) {
    size_t rows = 0;
    for (size_t i = 0; i + 1 < frame->n_lines; i++) {
        size_t wrapped = reflows ? (frame->columns[i] + size.columns - 1) / size.columns : 1;
        rows += wrapped > 0 ? wrapped : 1;
    }
    return rows < size.rows ? rows : size.rows - 1; /* what left the screen is out of reach */
}
