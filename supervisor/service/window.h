/* When tasks may start: --not-before, and quiet hours while people work at the desk. Pure but for
 * the time zone, which is the process's (TZ, /etc/localtime).
 *
 * Times are of the clock on the wall, so days with a change of it need care. A time that the clock
 * leaps over (02:30 on the last Sunday of March in Berlin) is the moment of the leap: what begins
 * or ends then begins or ends at 03:00. A time that comes twice (02:30 in October) is the first of
 * the two. mktime(3) alone promises neither.
 */
#ifndef SUPERVISOR_SERVICE_WINDOW_H
#define SUPERVISOR_SERVICE_WINDOW_H

#include "common/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WINDOW_TEXT_BYTES = 64, WINDOW_MAX = 32 };

/* "20:00": the next time that the clock shows it (now, if it does in this minute); "tomorrow
 * 06:00"; "Sat 20:00": the next such day; "2026-11-30 06:00", with T too; "+2h": from now. At most
 * a year ahead; a date in the past is at once. -EINVAL with a sentence that names the forms. */
MUST_USE int window_parse_not_before(const char *text, int64_t now_ms, int64_t *ret_ms,
                                     struct failure *failure);

/* Some days of the week, from a minute of the day to another; to <= from: into the next day. */
struct window {
    unsigned days; /* bit 0: Sunday (as tm_wday) */
    int from, to;  /* minutes of the day, 0 to 1440 */
    double share;  /* of the memory budget that may be used in it; 0: nothing starts */
};

struct window_list {
    struct window items[WINDOW_MAX];
    size_t count;
};

/* "Mon-Fri 08:00-18:00", "Sat,Sun 10:00-12:00 30%", "daily 12:00-13:00", several joined by ";". ""
 * is none. -EINVAL with a sentence that names the part. */
MUST_USE int window_parse(const char *text, struct window_list *ret, struct failure *failure);

struct window_now {
    bool is_quiet;
    double share;     /* 1 when it is not quiet; of several windows the least */
    int64_t until_ms; /* when that changes; 0: never (within eight days) */
};
/* list may be NULL: never quiet. */
struct window_now window_look(const struct window_list *list, int64_t now_ms);

/* A time as one says it now: "18:00", "tomorrow 06:00", "Sat 20:00", "2026-12-24 06:00". */
const char *window_format(int64_t at_ms, int64_t now_ms, char text[WINDOW_TEXT_BYTES]);

#endif
