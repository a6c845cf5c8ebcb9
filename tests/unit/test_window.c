/* When tasks may start: tables of words and of moments, with both changes of the clock in Berlin
 * (2026-03-29, 02:00 leaps to 03:00; 2026-10-25, 03:00 falls back to 02:00). */
#include "supervisor/service/window.h"

#include "tests/unit/folder_fixture.h"

#include <time.h>

/* "2026-03-29 00:30Z", a moment in UTC. */
static int64_t utc(const char *text) {
    struct tm time = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%MZ", &time));
    return (int64_t)timegm(&time) * 1000;
}

/* As a rule, so that no zone files are needed. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

static void set_zone(const char *zone) {
    (void)setenv("TZ", zone, 1);
    tzset();
}

static void not_before_is_read(void **state) {
    (void)state;
    static const struct {
        const char *zone, *now, *text, *expected;
    } rows[] = {
        {"UTC", "2026-11-22 10:00Z", "20:00", "2026-11-22 20:00Z"},
        {"UTC", "2026-11-22 21:00Z", "20:00", "2026-11-23 20:00Z"},
        {"UTC", "2026-11-22 20:00Z", "20:00", "2026-11-22 20:00Z"},
        {"UTC", "2026-11-22 21:00Z", "8:05", "2026-11-23 08:05Z"},
        {"UTC", "2026-11-22 10:00Z", "tomorrow 06:00", "2026-11-23 06:00Z"},
        {"UTC", "2026-12-31 10:00Z", "Tomorrow 06:00", "2027-01-01 06:00Z"},
        {"UTC", "2026-11-22 10:00Z", "Sat 20:00", "2026-11-28 20:00Z"}, /* a Sunday */
        {"UTC", "2026-11-22 10:00Z", "sunday 20:00", "2026-11-22 20:00Z"},
        {"UTC", "2026-11-22 10:00Z", "Sun 09:00", "2026-11-29 09:00Z"},
        {"UTC", "2026-11-22 10:00Z", "2026-11-30 06:00", "2026-11-30 06:00Z"},
        {"UTC", "2026-11-22 10:00Z", "2026-11-30T06:00", "2026-11-30 06:00Z"},
        {"UTC", "2026-11-22 10:00Z", "2020-01-01 00:00", "2026-11-22 10:00Z"},
        {"UTC", "2026-11-22 10:00Z", "+2h", "2026-11-22 12:00Z"},
        {BERLIN, "2026-03-28 18:00Z", "20:00", "2026-03-28 19:00Z"},
        {BERLIN, "2026-03-28 20:00Z", "20:00", "2026-03-29 18:00Z"}, /* a day of 23 h */
        {BERLIN, "2026-03-28 20:00Z", "02:30", "2026-03-29 01:00Z"}, /* leapt over */
        {BERLIN, "2026-03-28 20:00Z", "02:00", "2026-03-29 01:00Z"},
        {BERLIN, "2026-03-28 20:00Z", "03:00", "2026-03-29 01:00Z"},
        {BERLIN, "2026-03-28 20:00Z", "01:59", "2026-03-29 00:59Z"},
        {BERLIN, "2026-10-24 20:00Z", "02:30", "2026-10-25 00:30Z"}, /* the first */
        {BERLIN, "2026-10-24 20:00Z", "03:00", "2026-10-25 02:00Z"},
        {BERLIN, "2026-10-24 20:00Z", "20:00", "2026-10-25 19:00Z"}, /* a day of 25 h */
        {BERLIN, "2026-10-25 00:40Z", "02:30", "2026-10-26 01:30Z"}, /* was there once */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t at = 0;
        struct failure failure = {0};
        set_zone(rows[i].zone);
        if (window_parse_not_before(rows[i].text, utc(rows[i].now), &at, &failure) < 0)
            fail_msg("row %zu: %s", i, failure.text);
        if (at != utc(rows[i].expected))
            fail_msg("row %zu, \"%s\": %lld s off", i, rows[i].text,
                     (long long)(at - utc(rows[i].expected)) / 1000);
    }
}

static void nonsense_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",         "8",         "25:00", "24:00",           "20:60",
        "20:00x",   "tomorrow",  "Sat",   "Foo 20:00",       "2026-02-30 06:00",
        "2026-1-1", "+",         "+-2h",  "2026-11-30",      "2026-13-01 06:00",
        "-1:00",    "20:00 Sat", "+400d", "2026-00-10 10:00"};
    const int64_t now = utc("2026-11-22 10:00Z");
    set_zone("UTC");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t at = 0;
        struct failure failure = {0};
        if (window_parse_not_before(texts[i], now, &at, &failure) != -EINVAL)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_in("not before \"", failure.text);
    }
    int64_t at = 0;
    struct failure failure = {0};
    assert_int_equal(window_parse_not_before("2028-01-01 00:00", now, &at, &failure), -EINVAL);
    assert_in("more than a year ahead", failure.text);
}

static void quiet_hours_are_known(void **state) {
    (void)state;
    static const struct {
        const char *zone, *hours, *now;
        double share;      /* 1: not quiet */
        const char *until; /* "": never */
    } rows[] = {
        {"UTC", "", "2026-11-23 10:00Z", 1, ""},
        {"UTC", "Mon-Fri 08:00-18:00", "2026-11-23 07:59Z", 1, "2026-11-23 08:00Z"},
        {"UTC", "Mon-Fri 08:00-18:00", "2026-11-23 08:00Z", 0, "2026-11-23 18:00Z"},
        {"UTC", "Mon-Fri 08:00-18:00", "2026-11-23 18:00Z", 1, "2026-11-24 08:00Z"},
        {"UTC", "Mon-Fri 08:00-18:00", "2026-11-27 18:00Z", 1, "2026-11-30 08:00Z"},
        {"UTC", "Mon-Fri 08:00-18:00 30%", "2026-11-23 12:00Z", 0.3, "2026-11-23 18:00Z"},
        {"UTC", "Sat,Sun 10:00-12:00", "2026-11-22 11:00Z", 0, "2026-11-22 12:00Z"},
        {"UTC", "Fri-Mon 10:00-12:00", "2026-11-23 11:00Z", 0, "2026-11-23 12:00Z"},
        {"UTC", "daily 22:00-06:00", "2026-11-23 05:00Z", 0, "2026-11-23 06:00Z"},
        {"UTC", "22:00-06:00", "2026-11-23 23:00Z", 0, "2026-11-24 06:00Z"},
        {"UTC", "Sun 22:00-06:00", "2026-11-23 23:00Z", 1, "2026-11-29 22:00Z"},
        /* two that meet are one; of two at once the smaller share counts */
        {"UTC", "daily 08:00-12:00; daily 12:00-18:00", "2026-11-23 09:00Z", 0,
         "2026-11-23 18:00Z"},
        {"UTC", "daily 08:00-18:00 50%; daily 12:00-13:00 10%", "2026-11-23 09:00Z", 0.5,
         "2026-11-23 12:00Z"},
        {"UTC", "daily 08:00-18:00 50%; daily 12:00-13:00 10%", "2026-11-23 12:30Z", 0.1,
         "2026-11-23 13:00Z"},
        {"UTC", "daily 00:00-24:00", "2026-11-23 09:00Z", 0, ""},
        /* the clock leaps: hours in it begin or end with the leap */
        {BERLIN, "daily 02:30-05:00", "2026-03-29 00:59Z", 1, "2026-03-29 01:00Z"},
        {BERLIN, "daily 02:30-05:00", "2026-03-29 01:00Z", 0, "2026-03-29 03:00Z"},
        {BERLIN, "daily 01:00-02:30", "2026-03-29 00:30Z", 0, "2026-03-29 01:00Z"},
        {BERLIN, "daily 02:10-02:50", "2026-03-29 00:30Z", 1, "2026-03-30 00:10Z"},
        {BERLIN, "daily 08:00-18:00", "2026-03-29 10:00Z", 0, "2026-03-29 16:00Z"},
        /* and falls back: they begin with the first and end with the first */
        {BERLIN, "daily 02:30-05:00", "2026-10-25 00:29Z", 1, "2026-10-25 00:30Z"},
        {BERLIN, "daily 02:30-05:00", "2026-10-25 01:10Z", 0, "2026-10-25 04:00Z"},
        {BERLIN, "daily 20:00-02:30", "2026-10-24 22:00Z", 0, "2026-10-25 00:30Z"},
        {BERLIN, "daily 08:00-18:00", "2026-10-25 10:00Z", 0, "2026-10-25 17:00Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct window_list list;
        set_zone(rows[i].zone);
        assert_int_equal(window_parse(rows[i].hours, &list, NULL), 0);
        const struct window_now now = window_look(&list, utc(rows[i].now));
        const int64_t until = *rows[i].until ? utc(rows[i].until) : 0;
        if (now.is_quiet != (rows[i].share < 1) || now.share < rows[i].share - 1e-9 ||
            now.share > rows[i].share + 1e-9 || now.until_ms != until)
            fail_msg("row %zu (%s at %s): share %g, until %lld s off", i, rows[i].hours,
                     rows[i].now, now.share, (long long)(now.until_ms - until) / 1000);
    }
    assert_false(window_look(NULL, utc("2026-11-23 10:00Z")).is_quiet);
}

static void wrong_hours_are_named(void **state) {
    (void)state;
    static const char *const texts[] = {"Mon",
                                        "Mon-Fri",
                                        "Mon 8-18",
                                        "Mon 08:00",
                                        "Mon 08:00-25:00",
                                        "Mo 08:00-18:00",
                                        "Mon- 08:00-18:00",
                                        "08:00-18:00 150%",
                                        "08:00-18:00 x",
                                        "Mon 08:00-18:00, Tue 08:00-18:00"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct window_list list = {.count = 7};
        struct failure failure = {0};
        if (window_parse(texts[i], &list, &failure) != -EINVAL)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_in("quiet hours \"", failure.text);
        assert_int_equal(list.count, 7);
    }
    char many[WINDOW_MAX * 14 + 64] = "";
    for (int i = 0; i <= WINDOW_MAX; i++)
        (void)strcat(many, "08:00-09:00;");
    struct window_list list;
    struct failure failure = {0};
    assert_int_equal(window_parse(many, &list, &failure), -EINVAL);
    assert_in("more than 32 quiet hours", failure.text);
}

static void times_are_said_shortly(void **state) {
    (void)state;
    static const struct {
        const char *at, *expected;
    } rows[] = {
        {"2026-11-22 18:00Z", "18:00"},
        {"2026-11-23 06:00Z", "tomorrow 06:00"},
        {"2026-11-28 20:00Z", "Sat 20:00"},
        {"2026-11-29 20:00Z", "2026-11-29 20:00"},
        {"2026-12-24 06:00Z", "2026-12-24 06:00"},
    };
    char text[WINDOW_TEXT_BYTES];
    set_zone("UTC");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(window_format(utc(rows[i].at), utc("2026-11-22 10:00Z"), text),
                            rows[i].expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_before_is_read),     cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(quiet_hours_are_known),  cmocka_unit_test(wrong_hours_are_named),
        cmocka_unit_test(times_are_said_shortly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
