/* trace_report: the closing words of --memory-trace. */
#include "supervisor/memory/trace_report.h"
#include "tests/unit/folder_fixture.h"

enum { MIB = 1 << 20 };

static const struct trace_cost cost = {
    .n_turns = 100, .cpu_ns = 4000000, .interval_ms = 10, .longest_ms = 10};

static void add(struct trace_report *report, const char *kind, const char *task, uint64_t peak_mib,
                uint64_t reserved_mib, uint64_t own_mib) {
    trace_report_add(report,
                     &(struct trace_report_attempt){.kind = kind,
                                                    .task = task,
                                                    .peak_bytes = peak_mib * MIB,
                                                    .reserved_bytes = reserved_mib * MIB},
                     own_mib * MIB);
}

static void check(struct trace_report *report, const char *wanted) {
    CLEANUP_FREE char *words = trace_report_words(report, &cost, 1000);
    assert_string_equal(words, wanted);
    trace_report_close(report);
}

static void all_is_well(void **state) {
    (void)state;
    struct trace_report *report = trace_report_open(40);
    for (int i = 0; i < 40; i++)
        add(report, "align", i == 7 ? "S/DAPI" : "S/CFP", i == 7 ? 450 : 400, 480, i < 20 ? 6 : 7);
    check(report,
          "Memory: all is well.\n"
          "registrar itself does not grow: it held 6.0 MiB after 20 attempts and 7.0 MiB after "
          "40.\n"
          "align keeps to its forecast, attempts: 40; closest was S/DAPI: it needed 450 MiB "
          "and 480 MiB were reserved.\n"
          "Sampling took 0.40 % of a core, every 10 ms.\n");
}

static void registrar_grows(void **state) {
    (void)state;
    struct trace_report *report = trace_report_open(1000);
    for (unsigned i = 0; i < 1000; i++)
        add(report, "k", "t", 1, 2, 6 + i / 100);
    check(
        report,
        "Memory: registrar grows.\n"
        "registrar itself grows: it held 6.0 MiB after 100 attempts and 15 MiB after 1000; that is "
        "a fault of registrar, please report it.\n"
        "k keeps to its forecast, attempts: 1000; closest was t: it needed 1.0 MiB and 2.0 MiB "
        "were "
        "reserved.\n"
        "Sampling took 0.40 % of a core, every 10 ms.\n");
}

static void a_kind_overruns(void **state) {
    (void)state;
    struct trace_report *report = trace_report_open(4);
    add(report, "good", "a", 10, 20, 6);
    add(report, "bad", "b", 30, 20, 6);
    add(report, "bad", "c", 70, 35, 6);
    add(report, "bad", "d", 10, 35, 6);
    check(report, "Memory: a forecast is overrun.\n"
                  "registrar itself held 6.0 MiB at the end; whether it grows cannot be told from "
                  "fewer than 20 attempts.\n"
                  "good keeps to its forecast, attempts: 1; closest was a: it needed 10 MiB and "
                  "20 MiB were reserved.\n"
                  "bad overruns its forecast in 2 of 3 attempts; worst was c: it needed 70 MiB and "
                  "35 MiB were reserved.\n"
                  "Sampling took 0.40 % of a core, every 10 ms.\n");
}

static void what_is_not_known_is_said(void **state) {
    (void)state;
    struct trace_report *report = trace_report_open(1);
    add(report, "new", "a", 10, 0, 0);
    const struct trace_cost slow = {.cpu_ns = 4000000, .interval_ms = 12, .longest_ms = 80};
    CLEANUP_FREE char *words = trace_report_words(report, &slow, 0);
    assert_string_equal(words, "Memory: all is well.\n"
                               "What registrar itself holds could not be read.\n"
                               "1 attempt was known too little of to be forecast.\n"
                               "Sampling took 0.00 % of a core, every 12 ms (80 ms at times).\n");
    trace_report_close(report);
}

static void many_kinds_are_not_all_named(void **state) {
    (void)state;
    struct trace_report *report = trace_report_open(30);
    for (int i = 0; i < 30; i++) {
        CLEANUP_FREE char *kind = names_format("kind-%d", i);
        add(report, kind, "t", i == 11 || i == 12 ? 3 : 1, 2, 6);
    }
    CLEANUP_FREE char *words = trace_report_words(report, &cost, 1000);
    assert_in("Memory: forecasts are overrun.\n", words);
    assert_in("kind-11 overruns", words);
    assert_in("kind-12 overruns", words);
    assert_in("28 kinds keep to their forecasts.\n", words);
    assert_null(strstr(words, "kind-13"));
    trace_report_close(report);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(registrar_grows),
        cmocka_unit_test(a_kind_overruns),
        cmocka_unit_test(what_is_not_known_is_said),
        cmocka_unit_test(many_kinds_are_not_all_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
