/* See window.h. What the clock on the wall shows is asked of localtime_r, minute by minute where it
 * matters: it alone knows every zone's rules. mktime only guesses where to look. */
#include "supervisor/service/window.h"

#include "common/names.h"
#include "common/units.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    DAY_MINUTES = 24 * 60,
    MINUTE_MS = 60 * 1000,
    LEAP_HOURS = 3, /* no zone's clock leaps further, but for a few that lost a whole day */
    DAYS_AHEAD = 8,
    MOST_DAYS_AHEAD = 366,
};

static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* ---- the clock on the wall ---- */

static struct tm wall_at(int64_t ms) {
    const time_t seconds = (time_t)(ms / 1000);
    struct tm wall = {0};
    (void)localtime_r(&seconds, &wall); /* fails only beyond the year 2^31 */
    return wall;
}

/* A day and a minute on the wall, as one number that grows with them. */
static int64_t wall_number(const struct tm *wall) {
    return ((((int64_t)wall->tm_year * 13 + wall->tm_mon) * 32 + wall->tm_mday) * DAY_MINUTES) +
           wall->tm_hour * 60 + wall->tm_min;
}

/* The first moment at which the clock shows that minute of that day or a later one: over a leap it
 * is the leap, and of two it is the first. day: midnight's tm, days may lie beyond the month. */
static int64_t first_moment(struct tm day, int minute) {
    day.tm_hour = minute / 60;
    day.tm_min = minute % 60;
    day.tm_sec = 0;
    day.tm_isdst = -1;
    struct tm noon = day;
    noon.tm_hour = 12;
    (void)mktime(&noon); /* the day as the calendar has it; noon is never leapt over */
    struct tm wanted = noon;
    wanted.tm_hour = minute / 60;
    wanted.tm_min = minute % 60;
    int64_t number = wall_number(&wanted);
    if (minute == DAY_MINUTES) {
        noon.tm_mday++;
        noon.tm_hour = 12;
        noon.tm_isdst = -1;
        (void)mktime(&noon);
        wanted = noon;
        wanted.tm_hour = wanted.tm_min = 0;
        number = wall_number(&wanted);
    }
    wanted.tm_isdst = -1;
    const int64_t guess = (int64_t)mktime(&wanted) / 60 * MINUTE_MS;
    const int64_t first = guess - (int64_t)LEAP_HOURS * 60 * MINUTE_MS;
    const int64_t last = guess + (int64_t)LEAP_HOURS * 60 * MINUTE_MS;
    if (wall_at(first).tm_gmtoff == wall_at(last).tm_gmtoff)
        return guess; /* nothing leaps here */
    for (int64_t at = first; at < last; at += MINUTE_MS) {
        const struct tm wall = wall_at(at);
        if (wall_number(&wall) >= number)
            return at;
    }
    return last;
}

/* ---- words ---- */

static bool take_word(const char **at, const char *word) {
    const size_t length = strlen(word);
    if (strncasecmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

static void skip_spaces(const char **at) { *at += strspn(*at, " \t"); }

/* "Mon", "monday"; -1: no day. */
static int take_day(const char **at) {
    static const char *const rest[] = {"day", "day", "sday", "nesday", "rsday", "day", "urday"};
    for (int i = 0; i < 7; i++) {
        if (!take_word(at, day_names[i]))
            continue;
        (void)take_word(at, rest[i]); /* or the short form */
        return i;
    }
    return -1;
}

static bool take_digits(const char **at, int digits, int *ret) {
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (**at < '0' || **at > '9')
            return false;
        value = value * 10 + (*(*at)++ - '0');
    }
    *ret = value;
    return true;
}

/* "8:00", "08:00", "24:00" where most is 1440. */
static bool take_time(const char **at, int most, int *ret_minutes) {
    int hour = 0, minute = 0;
    const int digits = (*at)[0] && (*at)[1] == ':' ? 1 : 2;
    if (!take_digits(at, digits, &hour) || !take_word(at, ":") || !take_digits(at, 2, &minute) ||
        hour > 24 || minute > 59 || hour * 60 + minute > most)
        return false;
    *ret_minutes = hour * 60 + minute;
    return true;
}

/* ---- not before ---- */

static int64_t on_day(int64_t now_ms, int days, int minute) {
    struct tm day = wall_at(now_ms);
    day.tm_mday += days;
    return first_moment(day, minute);
}

static int64_t next_time(int64_t now_ms, int minute) {
    const struct tm wall = wall_at(now_ms);
    const int64_t today = on_day(now_ms, 0, minute);
    if (wall.tm_hour * 60 + wall.tm_min == minute)
        return now_ms;
    return today > now_ms ? today : on_day(now_ms, 1, minute);
}

static int64_t next_day(int64_t now_ms, int day, int minute) {
    const struct tm wall = wall_at(now_ms);
    const int days = (day - wall.tm_wday + 7) % 7;
    const int64_t at = on_day(now_ms, days, minute);
    return days > 0 || at > now_ms || wall.tm_hour * 60 + wall.tm_min == minute
               ? at
               : on_day(now_ms, 7, minute);
}

static bool parse_date(const char *at, int64_t now_ms, int64_t *ret_ms) {
    int year = 0, month = 0, day = 0, minute = 0;
    if (!take_digits(&at, 4, &year) || !take_word(&at, "-") || !take_digits(&at, 2, &month) ||
        !take_word(&at, "-") || !take_digits(&at, 2, &day) || month < 1 || month > 12 || day < 1 ||
        day > 31 || year < 1970)
        return false;
    if (*at == 'T')
        at++;
    skip_spaces(&at);
    if (!take_time(&at, DAY_MINUTES - 1, &minute) || *at != '\0')
        return false;
    struct tm date = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    struct tm noon = date;
    noon.tm_hour = 12;
    noon.tm_isdst = -1;
    if (mktime(&noon) == -1 || noon.tm_mday != day) /* 30 February */
        return false;
    *ret_ms = first_moment(date, minute);
    if (*ret_ms < now_ms)
        *ret_ms = now_ms;
    return true;
}

static bool parse_later(const char *text, int64_t now_ms, int64_t *ret_ms) {
    const char *at = text;
    int64_t ms = 0;
    int minute = 0, day = -1;
    if (*at == '+') {
        if (units_parse_duration(at + 1, &ms) < 0 || ms < 0 ||
            ms > (int64_t)MOST_DAYS_AHEAD * DAY_MINUTES * MINUTE_MS)
            return false;
        *ret_ms = now_ms + ms;
        return true;
    }
    const bool is_tomorrow = take_word(&at, "tomorrow");
    if (!is_tomorrow)
        day = take_day(&at);
    skip_spaces(&at);
    if (!take_time(&at, DAY_MINUTES - 1, &minute) || *at != '\0')
        return parse_date(text, now_ms, ret_ms);
    *ret_ms = is_tomorrow ? on_day(now_ms, 1, minute)
              : day >= 0  ? next_day(now_ms, day, minute)
                          : next_time(now_ms, minute);
    return true;
}

int window_parse_not_before(const char *text, int64_t now_ms, int64_t *ret_ms,
                            struct failure *failure) {
    int64_t at_ms = 0;
    if (!parse_later(text, now_ms, &at_ms)) {
        CLEANUP_FREE char *shown = names_escape(text);
        return failure_set(failure, -EINVAL,
                           "not before \"%.60s\": give a time like 20:00, \"tomorrow 06:00\", "
                           "\"Sat 20:00\", \"2026-11-30 06:00\" or +2h",
                           shown ? shown : "?");
    }
    if (at_ms > now_ms + (int64_t)MOST_DAYS_AHEAD * DAY_MINUTES * MINUTE_MS)
        return failure_set(failure, -EINVAL,
                           "not before \"%.60s\" lies more than a year ahead; give a nearer time",
                           text);
    *ret_ms = at_ms;
    return 0;
}

/* ---- quiet hours ---- */

/* "Mon-Fri", "Sat,Sun", "daily" or nothing: all days. */
static bool take_days(const char **at, unsigned *ret) {
    unsigned days = 0;
    if (take_word(at, "daily") || (**at >= '0' && **at <= '9')) {
        *ret = 0x7f;
        return true;
    }
    do {
        const int first = take_day(at);
        int last = first;
        if (first >= 0 && take_word(at, "-"))
            last = take_day(at);
        if (first < 0 || last < 0)
            return false;
        for (int day = first;; day = (day + 1) % 7) {
            days |= 1U << day;
            if (day == last)
                break;
        }
    } while (take_word(at, ","));
    *ret = days;
    return true;
}

static bool parse_one(const char *text, struct window *ret) {
    const char *at = text;
    if (!take_days(&at, &ret->days))
        return false;
    skip_spaces(&at);
    if (!take_time(&at, DAY_MINUTES - 1, &ret->from) || !take_word(&at, "-") ||
        !take_time(&at, DAY_MINUTES, &ret->to))
        return false;
    skip_spaces(&at);
    ret->share = 0;
    return *at == '\0' || strcmp(at, "0%") == 0 || units_parse_percent(at, &ret->share) == 0;
}

int window_parse(const char *text, struct window_list *ret, struct failure *failure) {
    struct window_list list = {0};
    CLEANUP_FREE char *copy = strdup(text);
    if (!copy)
        return failure_set(failure, -ENOMEM, "no memory left to read the quiet hours");
    char *rest = copy;
    for (char *part = strsep(&rest, ";"); part; part = strsep(&rest, ";")) {
        part += strspn(part, " \t");
        for (size_t end = strlen(part); end > 0 && strchr(" \t", part[end - 1]); end--)
            part[end - 1] = '\0';
        if (*part == '\0')
            continue;
        if (list.count == WINDOW_MAX)
            return failure_set(failure, -EINVAL, "more than %d quiet hours; join some of them",
                               WINDOW_MAX);
        if (!parse_one(part, &list.items[list.count++])) {
            CLEANUP_FREE char *shown = names_escape(part);
            return failure_set(
                failure, -EINVAL,
                "quiet hours \"%.60s\": give days, hours and perhaps a share of the "
                "memory, like \"Mon-Fri 08:00-18:00\" or \"Sat,Sun 10:00-12:00 30%%\"",
                shown ? shown : "?");
        }
    }
    *ret = list;
    return 0;
}

/* Begin and end of the window that begins on the day so many days from now; false: none does. */
static bool span_of(const struct window *window, int64_t now_ms, int days, int64_t *ret_from,
                    int64_t *ret_to) {
    struct tm day = wall_at(now_ms);
    day.tm_mday += days;
    struct tm noon = day;
    noon.tm_hour = 12;
    noon.tm_isdst = -1;
    (void)mktime(&noon); /* for its day of the week */
    if (!(window->days & 1U << noon.tm_wday))
        return false;
    *ret_from = first_moment(day, window->from);
    if (window->to <= window->from)
        day.tm_mday++;
    *ret_to = first_moment(day, window->to);
    return *ret_to > *ret_from; /* else the leap of a clock swallowed it */
}

static struct window_now look_at(const struct window_list *list, int64_t now_ms,
                                 int64_t *ret_next) {
    struct window_now now = {.share = 1};
    for (size_t i = 0; i < list->count; i++) {
        for (int days = -1; days < DAYS_AHEAD; days++) {
            int64_t from = 0, to = 0;
            if (!span_of(&list->items[i], now_ms, days, &from, &to))
                continue;
            const int64_t edge = from > now_ms ? from : to;
            if (edge > now_ms && (*ret_next == 0 || edge < *ret_next))
                *ret_next = edge;
            if (from > now_ms)
                break;
            if (to <= now_ms)
                continue;
            now.is_quiet = true;
            if (list->items[i].share < now.share)
                now.share = list->items[i].share;
        }
    }
    return now;
}

struct window_now window_look(const struct window_list *list, int64_t now_ms) {
    struct window_now now = {.share = 1};
    int64_t at_ms = now_ms;
    if (!list || list->count == 0)
        return now;
    int64_t next = 0;
    now = look_at(list, now_ms, &next);
    /* an edge where another window takes over changes nothing */
    for (int i = 0; i < 4 * WINDOW_MAX && next > 0 &&
                    next - now_ms < (int64_t)DAYS_AHEAD * DAY_MINUTES * MINUTE_MS;
         i++) {
        at_ms = next;
        next = 0;
        const struct window_now then = look_at(list, at_ms, &next);
        if (then.is_quiet != now.is_quiet || then.share < now.share || then.share > now.share) {
            now.until_ms = at_ms;
            break;
        }
    }
    return now;
}

/* ---- saying it ---- */

const char *window_format(int64_t at_ms, int64_t now_ms, char text[WINDOW_TEXT_BYTES]) {
    const struct tm at = wall_at(at_ms);
    const char *format = "%Y-%m-%d %H:%M";
    for (int days = 0; days < 7; days++) {
        struct tm day = wall_at(now_ms);
        day.tm_mday += days;
        day.tm_hour = 12;
        day.tm_isdst = -1;
        (void)mktime(&day); /* the calendar's day */
        if (day.tm_year != at.tm_year || day.tm_yday != at.tm_yday)
            continue;
        format = days == 0 ? "%H:%M" : days == 1 ? "tomorrow %H:%M" : "%a %H:%M";
        break;
    }
    if (strftime(text, WINDOW_TEXT_BYTES, format, &at) == 0)
        text[0] = '\0';
    return text;
}
