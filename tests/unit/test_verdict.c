/* verdict: every row of the contract's table, and every cell that it leaves open. */
#include "supervisor/engine/verdict.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

#define GIB (1ULL << 30)
#define EXITED(n) .code = CLD_EXITED, .status = (n)
#define SIGNALLED(n) .code = CLD_KILLED, .status = (n)
#define PLENTY                                                                                     \
    .oom_counter_known = true, .memory_total_bytes = 16 * GIB, .memory_available_bytes = 8 * GIB
/* the control group's counters: how often at the limit, how many killed */
#define GROUP(limit, hits, victims)                                                                \
    .cgroup = {.level = "v2",                                                                      \
               .limit_bytes = (limit),                                                             \
               .oom_before = 3,                                                                    \
               .oom_after = 3 + (hits),                                                            \
               .oom_kill_before = 1,                                                               \
               .oom_kill_after = 1 + (victims),                                                    \
               .peak_bytes = GIB}
#define TIMED_OUT .stop = VERDICT_STOP_TIMEOUT, .limit_ms = 90000, .sent_term = true
#define STALLED .stop = VERDICT_STOP_STALL, .limit_ms = 600000, .sent_term = true
#define CANCELLED .stop = VERDICT_STOP_USER, .user = "ada (Ctrl-C)", .sent_term = true
#define PRESSED .stop = VERDICT_STOP_MEMORY, .shortage = "87 MiB left of 2.0 GiB", .sent_term = true
#define BREACH .stop = VERDICT_STOP_BREACH, .breach = "sent 'x'", .sent_kill = true

struct row {
    struct verdict_facts facts;
    enum verdict verdict;
    const char *cause;
    const char *reason;   /* exact */
    const char *evidence; /* a part of its text */
};

static const struct row rows[] = {
    /* ok, doubtful, failed: the worker's own word */
    {{EXITED(0), .result = VERDICT_RESULT_ALIGNED}, VERDICT_OK, "", "", "\"result\": \"aligned\""},
    {{EXITED(0), .result = VERDICT_RESULT_DOUBTFUL, .result_reason = "few tiles"},
     VERDICT_DOUBTFUL,
     "",
     "few tiles",
     "\"exit_status\": 0"},
    {{EXITED(0), .result = VERDICT_RESULT_FAILED, .result_reason = "nothing to align"},
     VERDICT_FAILED,
     "input",
     "nothing to align",
     "\"result\": \"failed\""},
    {{EXITED(0), .result = VERDICT_RESULT_FAILED},
     VERDICT_FAILED,
     "input",
     "the worker gave no reason; see its log",
     ""},
    {{EXITED(1), .error_cause = "input", .error_reason = "float pixels"},
     VERDICT_FAILED,
     "input",
     "float pixels",
     "\"error_cause\": \"input\""},
    {{EXITED(1), .error_cause = "environment", .error_reason = "disk full"},
     VERDICT_FAILED,
     "environment",
     "disk full",
     ""},
    {{EXITED(0), .error_cause = "input", .error_reason = "palette"},
     VERDICT_FAILED,
     "input",
     "palette",
     ""},
    {{EXITED(1), .error_cause = "environment"},
     VERDICT_FAILED,
     "environment",
     "the worker gave no reason",
     ""},
    /* a worker that contradicts itself */
    {{EXITED(0)}, VERDICT_FAILED, "environment", "the worker exited with 0 without a result", ""},
    {{EXITED(3)},
     VERDICT_FAILED,
     "environment",
     "the worker exited with 3 without a result",
     "\"exit_status\": 3"},
    {{EXITED(2)},
     VERDICT_FAILED,
     "environment",
     "the worker could not read its task: do registrar and registrar-worker belong together?",
     ""},
    {{EXITED(3), .result = VERDICT_RESULT_ALIGNED},
     VERDICT_FAILED,
     "environment",
     "the worker reported a result and then exited with 3: not trusted",
     ""},
    {{EXITED(0), .result = VERDICT_RESULT_ALIGNED, .breach = "ended in half a line: 'x'"},
     VERDICT_FAILED,
     "environment",
     "the worker ended in half a line: 'x', then exited with 0",
     "half a line"},
    {{SIGNALLED(SIGKILL), BREACH},
     VERDICT_FAILED,
     "environment",
     "ended because the worker sent 'x'",
     "\"stopped_for\": \"breach\""},
    {{EXITED(0), .result = VERDICT_RESULT_ALIGNED, BREACH},
     VERDICT_FAILED,
     "environment",
     "ended because the worker sent 'x'",
     ""},
    {{.start_error = "cannot start x: no such program"},
     VERDICT_FAILED,
     "environment",
     "cannot start x: no such program",
     "\"start_error\""},
    /* timeout, stalled, cancelled: registrar's own doing, whatever the exit looks like */
    {{SIGNALLED(SIGTERM), TIMED_OUT, .stage = "warp"},
     VERDICT_TIMEOUT,
     "",
     "over its time limit of 1 min 30 s, in stage warp",
     "\"limit_s\": 90.0"},
    {{SIGNALLED(SIGKILL), TIMED_OUT, .sent_kill = true},
     VERDICT_TIMEOUT,
     "",
     "over its time limit of 1 min 30 s; it ignored SIGTERM and got SIGKILL",
     "\"sent\": \"SIGTERM, SIGKILL\""},
    {{EXITED(75), TIMED_OUT}, VERDICT_TIMEOUT, "", "over its time limit of 1 min 30 s", ""},
    {{EXITED(0), TIMED_OUT, .is_command = true},
     VERDICT_TIMEOUT,
     "",
     "over its time limit of 1 min 30 s",
     ""},
    {{EXITED(0), TIMED_OUT, .result = VERDICT_RESULT_ALIGNED}, VERDICT_OK, "", "", ""},
    {{SIGNALLED(SIGSEGV), TIMED_OUT},
     VERDICT_TIMEOUT,
     "",
     "over its time limit of 1 min 30 s; it crashed while stopping",
     "SIGSEGV"},
    {{EXITED(1), TIMED_OUT, .error_cause = "input", .error_reason = "x"},
     VERDICT_TIMEOUT,
     "",
     "over its time limit of 1 min 30 s",
     ""},
    {{SIGNALLED(SIGTERM), STALLED},
     VERDICT_STALLED,
     "",
     "no progress for 10 min 00 s",
     "\"stopped_for\": \"stall\""},
    {{EXITED(75), STALLED, .stage = "refine"},
     VERDICT_STALLED,
     "",
     "no progress for 10 min 00 s, in stage refine",
     ""},
    {{EXITED(75), CANCELLED},
     VERDICT_CANCELLED,
     "",
     "stopped by ada (Ctrl-C)",
     "\"user\": \"ada (Ctrl-C)\""},
    {{SIGNALLED(SIGKILL), .stop = VERDICT_STOP_USER, .sent_kill = true},
     VERDICT_CANCELLED,
     "",
     "stopped by a user",
     "\"sent\": \"SIGKILL\""},
    {{EXITED(0), CANCELLED, .is_command = true},
     VERDICT_CANCELLED,
     "",
     "stopped by ada (Ctrl-C)",
     ""},
    {{EXITED(0), CANCELLED, .result = VERDICT_RESULT_DOUBTFUL, .result_reason = "few tiles"},
     VERDICT_DOUBTFUL,
     "",
     "few tiles",
     ""},
    /* gave way */
    {{EXITED(75), PRESSED, .stage = "refine"},
     VERDICT_CANCELLED,
     "",
     "stopped at a checkpoint because memory ran short: 87 MiB left of 2.0 GiB, in stage refine; "
     "it "
     "continues when there is room",
     "\"stopped_for\": \"memory-pressure\""},
    {{SIGNALLED(SIGTERM), PRESSED, .is_command = true},
     VERDICT_CANCELLED,
     "",
     "stopped because memory ran short: 87 MiB left of 2.0 GiB; it starts anew when there is room",
     "\"shortage\": \"87 MiB left of 2.0 GiB\""},
    {{SIGNALLED(SIGTERM), .stop = VERDICT_STOP_MEMORY},
     VERDICT_CANCELLED,
     "",
     "stopped at a checkpoint because memory ran short; it continues when there is room",
     ""},
    /* killed: from elsewhere */
    {{SIGNALLED(SIGKILL), PLENTY},
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere, not likely for lack of memory",
     "\"likely_oom\": false, \"why\": \"the kernel's out-of-memory counter did not move and 8.0 "
     "GiB were available\""},
    {{SIGNALLED(SIGKILL), PLENTY, .oom_kills_after = 1, .peak_rss_bytes = 6 * GIB, .stage = "warp"},
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere in stage warp, likely for lack of memory",
     "\"why\": \"the kernel's out-of-memory killer struck 1 time(s) while it ran, and it had 6.0 "
     "GiB\""},
    {{SIGNALLED(SIGKILL), PLENTY, .peak_rss_bytes = 7 * GIB},
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere, likely for lack of memory",
     "\"likely_oom\": true, \"why\": \"memory was short (8.0 GiB available afterwards, it had 7.0 "
     "GiB): perhaps earlyoom or systemd-oomd\""},
    {{SIGNALLED(SIGKILL), .memory_total_bytes = 16 * GIB, .memory_available_bytes = 8 * GIB},
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere, not likely for lack of memory",
     "\"why\": \"8.0 GiB were available; this kernel does not count its out-of-memory kills\""},
    {{SIGNALLED(SIGTERM), PLENTY},
     VERDICT_KILLED,
     "",
     "SIGTERM from elsewhere, not likely for lack of memory",
     "\"signal\": \"SIGTERM\""},
    {{EXITED(75), PLENTY},
     VERDICT_KILLED,
     "",
     "stopped at a checkpoint by SIGTERM from elsewhere, not likely for lack of memory",
     "\"exit_status\": 75"},
    {{SIGNALLED(SIGINT), PLENTY},
     VERDICT_KILLED,
     "",
     "ended by SIGINT, which registrar did not send",
     "\"signal\": \"SIGINT\""},
    {{SIGNALLED(SIGXCPU), .is_command = true, PLENTY},
     VERDICT_KILLED,
     "",
     "ended by SIGXCPU, which registrar did not send",
     ""},
    {{SIGNALLED(40), PLENTY},
     VERDICT_KILLED,
     "",
     "ended by signal 40, which registrar did not send",
     ""},
    {{SIGNALLED(SIGKILL), PLENTY, .result = VERDICT_RESULT_ALIGNED},
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere, not likely for lack of memory",
     "\"result\": \"aligned\""},
    /* out of memory: the control group's own counters, and nothing less */
    {{SIGNALLED(SIGKILL), PLENTY, GROUP(GIB, 1, 1), .stage = "warp"},
     VERDICT_OOM_LIMIT,
     "",
     "the kernel killed it at its memory limit of 1.0 GiB, in stage warp",
     "\"cgroup\": {\"level\": \"v2\", \"limit_bytes\": 1073741824, \"oom_before\": 3, "
     "\"oom_after\": 4, \"oom_kill_before\": 1, \"oom_kill_after\": 2, \"peak_bytes\": "
     "1073741824}, \"machine\": {\"oom_kill_before\": 0, \"oom_kill_after\": 0, "
     "\"memory_available_bytes\": 8589934592, \"memory_total_bytes\": 17179869184}"},
    {{SIGNALLED(SIGKILL), PLENTY, GROUP(GIB, 0, 1), .peak_rss_bytes = GIB / 2},
     VERDICT_OOM_MACHINE,
     "",
     "the kernel killed it because the machine, or a control group above, ran out of memory; it "
     "had 512 MiB",
     "\"oom_kill_after\": 2"},
    {{SIGNALLED(SIGKILL), PLENTY, GROUP(0, 0, 1)},
     VERDICT_OOM_MACHINE,
     "",
     "the kernel killed it because the machine, or a control group above, ran out of memory; it "
     "had 0 B",
     "{\"level\": \"v2\", \"oom_before\""},
    {{SIGNALLED(SIGKILL), PLENTY, GROUP(GIB, 9, 0)}, /* page cache at the limit, then a person */
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere, not likely for lack of memory",
     "\"why\": \"the kernel counts no out-of-memory kill in its control group and 8.0 GiB were "
     "available\""},
    {{SIGNALLED(SIGKILL), PLENTY, GROUP(GIB, 0, 0), .oom_kills_after = 1}, /* somebody else's */
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere, not likely for lack of memory",
     "\"likely_oom\": false"},
    {{SIGNALLED(SIGKILL), PLENTY, GROUP(GIB, 0, 0), .peak_rss_bytes = 7 * GIB},
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere, likely for lack of memory",
     "perhaps earlyoom or systemd-oomd"},
    {{SIGNALLED(SIGKILL), PLENTY, .cgroup_error = "no control group x: Permission denied"},
     VERDICT_KILLED,
     "",
     "SIGKILL from elsewhere, not likely for lack of memory",
     "\"cgroup_error\": \"no control group x: Permission denied\""},
    {{EXITED(137), .is_command = true, GROUP(GIB, 2, 1)}, /* v1 kills one, and its parent says so */
     VERDICT_OOM_LIMIT,
     "",
     "the kernel killed a process of it at its memory limit of 1.0 GiB; it then exited with status "
     "137",
     "\"exit_status\": 137"},
    {{EXITED(1), .is_command = true, GROUP(GIB, 0, 2)},
     VERDICT_OOM_MACHINE,
     "",
     "the kernel killed a process of it because the machine, or a control group above, ran out of "
     "memory; it then exited with status 1",
     ""},
    {{EXITED(0), .is_command = true, GROUP(GIB, 2, 1)},
     VERDICT_OK,
     "",
     "",
     "\"oom_kill_after\": 2"},
    {{EXITED(0), .result = VERDICT_RESULT_ALIGNED, GROUP(GIB, 1, 1)}, VERDICT_OK, "", "", ""},
    {{SIGNALLED(SIGSEGV), GROUP(GIB, 1, 1)}, VERDICT_CRASHED, "", "crashed with SIGSEGV", ""},
    {{SIGNALLED(SIGTERM), PLENTY, GROUP(GIB, 1, 1)},
     VERDICT_KILLED,
     "",
     "SIGTERM from elsewhere, likely for lack of memory",
     "\"why\": \"the kernel killed a process of it at its memory limit of 1.0 GiB\""},
    {{SIGNALLED(SIGKILL), STALLED, .sent_kill = true, .is_command = true, GROUP(GIB, 1, 1)},
     VERDICT_STALLED,
     "",
     "no progress for 10 min 00 s; it ignored SIGTERM and got SIGKILL; besides, the kernel "
     "killed a process of it at its memory limit of 1.0 GiB",
     "\"stopped_for\": \"stall\""},
    /* crashed */
    {{SIGNALLED(SIGSYS), .stage = "warp", .blocked = "connect", .blocked_number = 42},
     VERDICT_CRASHED,
     "",
     "crashed with SIGSYS in stage warp: the sandbox stopped the system call connect, by which a "
     "program would reach the network; that is no part of the work, so do not trust the images",
     "\"blocked\": {\"call\": \"connect\", \"number\": 42}"},
    {{SIGNALLED(SIGSYS), .blocked = "bpf"},
     VERDICT_CRASHED,
     "",
     "crashed with SIGSYS: the sandbox stopped the system call bpf, by which a program would do "
     "what only a taken-over program wants; that is no part of the work, so do not trust the "
     "images",
     ""},
    /* the worker's word counts with the signal only, and a command has no sandbox */
    {{SIGNALLED(SIGSYS)}, VERDICT_CRASHED, "", "crashed with SIGSYS", ""},
    {{SIGNALLED(SIGSEGV), .blocked = "connect"}, VERDICT_CRASHED, "", "crashed with SIGSEGV", ""},
    {{SIGNALLED(SIGSYS), .is_command = true, .blocked = "connect"},
     VERDICT_CRASHED,
     "",
     "crashed with SIGSYS",
     ""},
    {{EXITED(0), .result = VERDICT_RESULT_ALIGNED, .blocked = "connect"}, VERDICT_OK, "", "", ""},
    {{SIGNALLED(SIGSEGV), .stage = "survey"},
     VERDICT_CRASHED,
     "",
     "crashed with SIGSEGV in stage survey",
     "\"core_dumped\": false"},
    {{.code = CLD_DUMPED, .status = SIGBUS},
     VERDICT_CRASHED,
     "",
     "crashed with SIGBUS",
     "\"core_dumped\": true"},
    {{SIGNALLED(SIGABRT)}, VERDICT_CRASHED, "", "crashed with SIGABRT", ""},
    {{SIGNALLED(SIGFPE)}, VERDICT_CRASHED, "", "crashed with SIGFPE", ""},
    {{SIGNALLED(SIGILL)}, VERDICT_CRASHED, "", "crashed with SIGILL", ""},
    {{SIGNALLED(SIGSYS)}, VERDICT_CRASHED, "", "crashed with SIGSYS", ""},
    {{SIGNALLED(SIGTRAP), PLENTY},
     VERDICT_KILLED,
     "",
     "ended by SIGTRAP, which registrar did not send",
     ""},
    {{SIGNALLED(SIGSEGV), .breach = "ended in half a line: 'x'"},
     VERDICT_CRASHED,
     "",
     "crashed with SIGSEGV after it ended in half a line: 'x'",
     ""},
    {{SIGNALLED(SIGSEGV), .result = VERDICT_RESULT_ALIGNED},
     VERDICT_CRASHED,
     "",
     "crashed with SIGSEGV",
     ""},
    /* commands */
    {{EXITED(0), .is_command = true}, VERDICT_OK, "", "", ""},
    {{EXITED(0), .is_command = true, .breach = "sent 'x'"}, VERDICT_OK, "", "", "sent 'x'"},
    {{EXITED(0), .is_command = true, .result = VERDICT_RESULT_FAILED}, VERDICT_OK, "", "", ""},
    {{EXITED(7), .is_command = true}, VERDICT_FAILED, "environment", "exit status 7", ""},
    {{EXITED(75), .is_command = true}, VERDICT_FAILED, "environment", "exit status 75", ""},
    {{EXITED(137), .is_command = true},
     VERDICT_FAILED,
     "environment",
     "exit status 137: a program in it was perhaps ended by SIGKILL",
     ""},
    {{EXITED(255), .is_command = true}, VERDICT_FAILED, "environment", "exit status 255", ""},
    {{EXITED(4), .is_command = true, .error_cause = "input", .error_reason = "no such plate"},
     VERDICT_FAILED,
     "environment",
     "exit status 4: no such plate",
     ""},
    /* lost */
    {{.lost = true}, VERDICT_LOST, "", "registrar or the machine ended while it ran", "{}"},
    /* what could not be ended is told whatever the verdict */
    {{EXITED(0), .is_command = true, .left_behind = "pid 77 (D)"},
     VERDICT_OK,
     "",
     "",
     "pid 77 (D)"},
};

static void every_row(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct verdict_judgement got;
        verdict_judge(&rows[i].facts, &got);
        CLEANUP_JSON json_t *evidence = got.evidence;
        CLEANUP_FREE char *text = json_dumps(evidence, 0);
        if (got.verdict != rows[i].verdict || strcmp(got.reason, rows[i].reason) != 0)
            print_message("row %zu: %s: %s\n", i, verdict_name(got.verdict), got.reason);
        assert_int_equal(got.verdict, rows[i].verdict);
        assert_string_equal(got.cause, rows[i].cause);
        assert_string_equal(got.reason, rows[i].reason);
        assert_non_null(strstr(text, rows[i].evidence));
    }
}

/* Whatever the facts, there is a verdict with a reason, and only a clean end is ok. */
static void every_combination(void **state) {
    (void)state;
    static const int codes[] = {CLD_EXITED, CLD_KILLED, CLD_DUMPED};
    for (size_t code = 0; code < ARRAY_LEN(codes); code++)
        for (int status = 0; status < 256; status++)
            for (int flags = 0; flags < 4; flags++)
                for (int stop = 0; stop < VERDICT_STOP_COUNT; stop++)
                    for (int result = 0; result < VERDICT_RESULT_COUNT; result++) {
                        struct verdict_facts facts = {
                            .code = codes[code],
                            .status = status,
                            .is_command = flags & 1,
                            .breach = flags & 2 ? "sent 'x'" : NULL,
                            .stop = (enum verdict_stop)stop,
                            .result = (enum verdict_result)result,
                        };
                        struct verdict_judgement got;
                        verdict_judge(&facts, &got);
                        CLEANUP_JSON json_t *evidence = got.evidence;
                        assert_non_null(evidence);
                        assert_true((got.verdict == VERDICT_OK) == (got.reason[0] == '\0'));
                        assert_true((got.verdict == VERDICT_FAILED) == (got.cause[0] != '\0'));
                        if (got.verdict == VERDICT_OK || got.verdict == VERDICT_DOUBTFUL)
                            assert_true(facts.code == CLD_EXITED && status == 0);
                        assert_int_not_equal(got.verdict, VERDICT_LOST);
                    }
}

static void names(void **state) {
    (void)state;
    static const char *const contract[] = {"ok",      "failed",    "doubtful",    "timeout",
                                           "stalled", "oom-limit", "oom-machine", "killed",
                                           "crashed", "cancelled", "lost"};
    assert_int_equal(ARRAY_LEN(contract), VERDICT_COUNT);
    for (int i = 0; i < VERDICT_COUNT; i++) {
        enum verdict verdict = VERDICT_COUNT;
        assert_string_equal(verdict_name((enum verdict)i), contract[i]);
        assert_int_equal(verdict_parse(contract[i], &verdict), 0);
        assert_int_equal(verdict, i);
    }
    enum verdict untouched = VERDICT_LOST;
    assert_int_equal(verdict_parse("fine", &untouched), -EINVAL);
    assert_int_equal(untouched, VERDICT_LOST);
}

/* Half a character would make the whole record unfit for the ledger. */
static void a_cut_reason_ends_in_a_whole_character(void **state) {
    (void)state;
    char reason[4 * VERDICT_REASON_BYTES] = "";
    for (size_t i = 0; i + 3 < sizeof(reason); i += 3)
        memcpy(reason + i, "\u20ac", 4);
    const struct verdict_facts facts = {EXITED(0), .result = VERDICT_RESULT_DOUBTFUL,
                                        .result_reason = reason};
    struct verdict_judgement got;
    verdict_judge(&facts, &got);
    json_decref(got.evidence);
    assert_int_equal(strlen(got.reason), (VERDICT_REASON_BYTES - 1) / 3 * 3);
    CLEANUP_JSON json_t *value = json_string(got.reason);
    assert_non_null(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(every_combination),
        cmocka_unit_test(a_cut_reason_ends_in_a_whole_character),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
