/* See apply_line.h. What is over within a second is not worth a line. */
#include "supervisor/apply/apply_line.h"

#include "common/cleanup.h"
#include "common/units.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"

#include <stdbool.h>

enum {
    FIRST_MS = 700,
    EVERY_MS = 200,
    BAR_CELLS = 10,
    LEAST_LABEL = 8,
    REST_COLUMNS = 58, /* at most, of what stands behind the label */
};

/* Before that an estimate is a guess. */
static const double LEAST_SHARE = 0.05;

struct apply_line {
    const char *label;
    bool is_shown, is_drawn;
    double fraction;
    int64_t start_ms, next_ms;
};

struct apply_line *apply_line_open(const char *label, int64_t now_ms) {
    struct apply_line *line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    *line = (struct apply_line){.label = label,
                                .is_shown = label && terminal_can_redraw(STDERR_FILENO),
                                .start_ms = now_ms,
                                .next_ms = now_ms + FIRST_MS};
    return line;
}

void apply_line_close(struct apply_line *line) { free(line); }

void apply_line_show(struct apply_line *line, double fraction, int64_t now_ms) {
    line->fraction = fraction;
    apply_line_tick(line, now_ms);
}

static void draw(const struct apply_line *line, int64_t now_ms) {
    char bar[BAR_CELLS + 1] = "", taken[UNITS_TEXT_BYTES], left[UNITS_TEXT_BYTES];
    const size_t columns = terminal_size(STDERR_FILENO).columns;
    const size_t room = columns > LEAST_LABEL + REST_COLUMNS ? columns - REST_COLUMNS : LEAST_LABEL;
    const int64_t ms = now_ms - line->start_ms;
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = i < (int)(line->fraction * BAR_CELLS) ? '#' : '-';
    (void)fputs("\r\033[K", stderr); /* a line that cannot be shown is no loss */
    (void)text_print(stderr, line->label, room, TEXT_CUT_MIDDLE);
    (void)fprintf(stderr, "  [%s]  %3.0f %%  %s", bar, 100 * line->fraction,
                  units_format_duration(ms, taken));
    if (line->fraction > LEAST_SHARE)
        (void)fprintf(
            stderr, ", about %s left",
            units_format_duration((int64_t)((double)ms * (1 / line->fraction - 1)), left));
    (void)fflush(stderr);
}

void apply_line_tick(struct apply_line *line, int64_t now_ms) {
    if (!line->is_shown || now_ms < line->next_ms)
        return;
    draw(line, now_ms);
    line->is_drawn = true;
    line->next_ms = now_ms + EVERY_MS;
}

int64_t apply_line_wait_ms(const struct apply_line *line, int64_t now_ms) {
    if (!line->is_shown)
        return -1;
    return line->next_ms > now_ms ? line->next_ms - now_ms : 0;
}

void apply_line_clear(struct apply_line *line) {
    if (line->is_drawn)
        (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    line->is_drawn = false;
}
