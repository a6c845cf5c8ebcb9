/* explain: what a ledger tells of one task, in words: attempts, figures, counters, what is next. */
#include "supervisor/explain/explain_print.h"

#include "supervisor/explain/words.h"
#include "supervisor/report/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

static json_t *parse(const char *text) {
    json_error_t error;
    json_t *value = json_loads(text, 0, &error);
    if (!value)
        fail_msg("%s: %s", error.text, text);
    return value;
}

static void tell(struct story *story, const char *text) {
    struct failure failure = {0};
    CLEANUP_JSON json_t *record = parse(text);
    assert_int_equal(story_record(story, record, &failure), 0);
}

#define BATCH                                                                                      \
    "{\"event\":\"batch\",\"state\":\"start\",\"id\":\"b\",\"out\":\"/o\",\"cwd\":\"/"             \
    "w\",\"tasks\":2,"                                                                             \
    "\"command\":\"registrar run raw -o out --jobs 4\"}"
#define BATCH_END "{\"event\":\"batch\",\"state\":\"end\",\"interrupted\":true}"
#define START                                                                                      \
    "{\"event\":\"attempt_start\",\"time\":\"2026-11-21T20:00:00.000Z\",\"task\":\"S/A\","         \
    "\"attempt\":1,\"pid\":7,\"predicted_bytes\":104857600,\"basis\":\"headers\","                 \
    "\"basis_attempts\":0,\"reserved_bytes\":115343360,\"kind\":\"align\"}"
#define END(verdict, reason, evidence)                                                             \
    "{\"event\":\"attempt_end\",\"task\":\"S/A\",\"attempt\":1,\"verdict\":\"" verdict             \
    "\",\"reason\":\"" reason "\",\"started\":\"2026-11-21T20:00:00.000Z\",\"wall_s\":60.0,"       \
    "\"cpu_s\":90.0,\"peak_rss_bytes\":209715200,\"largest_rss_bytes\":209715200,"                 \
    "\"min_rss_bytes\":1048576,\"kind\":\"align\",\"stage\":\"warp\",\"evidence\":" evidence       \
    ",\"peak\":{\"bytes\":157286400,\"stage\":\"warp\",\"buffers\":[{\"label\":\"tile cache\","    \
    "\"bytes\":104857600}]}}"
#define OVER(verdict, cause)                                                                       \
    "{\"event\":\"task_end\",\"task\":\"S/A\",\"verdict\":\"" verdict "\",\"reason\":\"\","        \
    "\"cause\":\"" cause "\"}"
#define GROUP(oom, kill)                                                                           \
    "\"cgroup\":{\"level\":\"v2\",\"limit_bytes\":209715200,\"oom_before\":0,\"oom_after\":" oom   \
    ",\"oom_kill_before\":0,\"oom_kill_after\":" kill "}"

/* Prints the story; the caller frees. */
static char *print(const struct story *story, bool is_locked, const char *cwd) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    CLEANUP(next_free) struct next next = {0};
    const struct next_facts facts = {.state = story_state(story, is_locked),
                                     .out = "out",
                                     .cwd = cwd,
                                     .holder = is_locked ? 4711 : 0};
    assert_int_equal(next_make(story, &facts, &next), 0);
    const struct explain_print what = {
        .story = story, .state = facts.state, .next = &next, .width = TEXT_UNLIMITED};
    assert_int_equal(explain_print(&what, stream), 0);
    assert_int_equal(fclose(stream), 0);
    CLEANUP_JSON json_t *json = explain_print_json(&what);
    assert_string_equal(story_text(json, "state"), story_state_name(facts.state));
    assert_string_equal(story_text(json_object_get(json, "next"), "words"), next.words);
    return text;
}

static void has(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void verdicts(void **state) {
    (void)state;
    static const struct {
        const char *end, *over;
        const char *says[6];
    } cases[] = {
        {END("ok", "", "{\"exit_status\":0}"),
         OVER("ok", ""),
         {"S/A: ok, 1 attempt\n", "for 1 min 00 s, up to stage warp\n",
          "predicted  100 MiB, from the headers of its images\n",
          "peak 200 MiB, 2.0 times the forecast; least 1.0 MiB; 1 min 30 s of CPU time\n",
          "its results are in out/S/A",
          "    registrar run raw -o out --jobs 4 --samples S --dyes A --redo\n"}},
        {END("doubtful", "only 3 tiles agree", "{\"exit_status\":0}"),
         OVER("doubtful", ""),
         {"doubtful: only 3 tiles agree", "in out/S/A, edges that show twice in qc/overlay.png"}},
        {END("failed", "float pixels", "{\"exit_status\":1}"),
         OVER("failed", "input"),
         {"failed: float pixels", "the same files and parameters would fail again",
          "\n    registrar run raw -o out --jobs 4\n"}},
        {END("failed", "disk full", "{\"exit_status\":1}"),
         OVER("failed", "environment"),
         {"the same command tries it again"}},
        {END("oom-limit", "the kernel killed it", "{\"signal\":\"SIGKILL\"," GROUP("1", "1") "}"),
         OVER("oom-limit", ""),
         {"the kernel's limit was 200 MiB\n", "evidence   ended by SIGKILL\n",
          "its own group's oom 0 -> 1, oom_kill 0 -> 1: so it hit its own limit\n",
          "its buffers held 150 MiB of the 200 MiB at most in stage warp;",
          "tile cache  100 MiB   67 %", "--jobs 4 --worker-memory 512M\n"}},
        {END("oom-machine", "the kernel killed it",
             "{\"signal\":\"SIGKILL\"," GROUP(
                 "0", "1") ",\"machine\":{\"oom_kill_before\":3,"
                           "\"oom_kill_after\":4,\"memory_available_bytes\":1073741824,"
                           "\"memory_total_bytes\":17179869184}}"),
         OVER("oom-machine", ""),
         {"so the machine, or a group above its own, ran out\n",
          "the machine's oom_kill 3 -> 4; 1.0 GiB of its 16 GiB were available just after\n",
          "registrar run raw -o out --jobs 1\n"}},
        {END("oom-machine", "the kernel killed it",
             "{\"signal\":\"SIGKILL\"," GROUP(
                 "0", "1") ",\"machine\":{\"memory_available_bytes\":8589934592,"
                           "\"memory_total_bytes\":17179869184}}"),
         OVER("oom-machine", ""),
         {"so a group above its own ran out; the machine had memory left\n",
          "evidence   ended by SIGKILL\n", "8.0 GiB of its 16 GiB were available just after\n",
          "a control group that registrar runs in"}},
        {END("killed", "SIGKILL from elsewhere",
             "{\"signal\":\"SIGKILL\",\"likely_oom\":false,\"why\":\"8 GiB were available\"," GROUP(
                 "0", "0") "}"),
         OVER("killed", ""),
         {"killed: SIGKILL from elsewhere; 8 GiB were available\n",
          "oom and oom_kill did not move: memory did not end it", "journal may tell who"}},
        {END("crashed", "crashed with SIGSEGV", "{\"signal\":\"SIGSEGV\",\"core_dumped\":true}"),
         OVER("crashed", ""),
         {"verdict    crashed with SIGSEGV\n", "ended by SIGSEGV, core dumped\n"}},
        {END("timeout", "over its time limit",
             "{\"signal\":\"SIGTERM\",\"stopped_for\":\"timeout\",\"limit_s\":60.0,\"sent\":"
             "\"SIGTERM\"}"),
         OVER("timeout", ""),
         {"ended by SIGTERM; registrar had sent SIGTERM\n", "--jobs 4 --timeout 2m\n"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(story_clear) struct story story = {.task = "S/A"};
        tell(&story, BATCH);
        tell(&story, START);
        tell(&story, cases[i].end);
        tell(&story, cases[i].over);
        tell(&story, BATCH_END);
        CLEANUP_FREE char *text = print(&story, false, "/w");
        for (size_t k = 0; k < ARRAY_LEN(cases[i].says) && cases[i].says[k]; k++)
            has(text, cases[i].says[k]);
    }
}

static void states(void **state) {
    (void)state;
    CLEANUP(story_clear) struct story story = {.task = "S/A"};
    assert_int_equal(story_state(&story, true), STORY_UNKNOWN);
    tell(&story, BATCH);
    tell(&story, START);
    CLEANUP_FREE char *running = print(&story, true, "/w");
    has(running, "S/A runs now, 1 attempt\n");
    has(running, "it is at work; the run (process 4711) shows how far it is");
    CLEANUP_FREE char *dead = print(&story, false, "/elsewhere");
    has(dead, "none: its end is not in the ledger");
    has(dead, "\n    cd /w && registrar run raw -o out --jobs 4\n");
    tell(&story, END("crashed", "crashed", "{\"signal\":\"SIGSEGV\"}"));
    CLEANUP_FREE char *waiting = print(&story, true, "/w");
    has(waiting, "it waits for its next try in the run that goes on (process 4711)");
    tell(&story, BATCH_END);
    CLEANUP_FREE char *left = print(&story, false, "/w");
    has(left, "the run ended before it had a verdict");
    tell(&story, BATCH);
    tell(&story, OVER("failed", "input"));
    assert_int_equal(story_state(&story, true), STORY_FINISHED);
    tell(&story, "{\"event\":\"attempt_start\",\"task\":\"S/A\",\"attempt\":2}");
    assert_int_equal(story_state(&story, true), STORY_RUNNING);
    assert_int_equal(story_state(&story, false), STORY_ABANDONED);
}

/* A later run leaves what is final, and tries the rest again. */
static void a_run_after_the_verdict(void **state) {
    (void)state;
    static const struct {
        const char *over, *says;
    } cases[] = {
        {OVER("crashed", ""), "a run goes on (process 4711); it tries this task again"},
        {OVER("failed", "environment"), "a run goes on (process 4711); it tries this task again"},
        {OVER("failed", "input"), "the same files and parameters would fail again"},
        {OVER("ok", ""), "nothing is to be done"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(story_clear) struct story story = {.task = "S/A"};
        tell(&story, BATCH);
        tell(&story, START);
        tell(&story, cases[i].over);
        tell(&story, BATCH_END);
        tell(&story, "{\"event\":\"batch\",\"state\":\"start\",\"cgroup\":{\"level\":\"none\"}}");
        CLEANUP_FREE char *text = print(&story, true, "/w");
        has(text, cases[i].says);
        has(text, "reserved   110 MiB\n");
        CLEANUP_FREE char *later = words_reserved(story.attempts[0].start, NULL, story.batch);
        assert_string_equal(later, "110 MiB; without control groups nothing held it to that");
    }
}

/* "alone" was promised to the next attempt of that run; another run begins anew. */
static void the_last_chance(void **state) {
    (void)state;
    static const char *const says[] = {"it had all that the batch may use, alone",
                                       "--jobs 4 --worker-memory 512M\n"};
    for (int is_new_run = 0; is_new_run < 2; is_new_run++) {
        CLEANUP(story_clear) struct story story = {.task = "S/A"};
        tell(&story, BATCH);
        tell(&story, START);
        tell(&story, END("oom-limit", "", "{\"next\":{\"step\":\"alone\",\"reserved_bytes\":1}}"));
        if (is_new_run) {
            tell(&story, BATCH_END);
            tell(&story, BATCH);
        }
        tell(&story, "{\"event\":\"attempt_start\",\"task\":\"S/A\",\"attempt\":2}");
        tell(&story, "{\"event\":\"attempt_end\",\"task\":\"S/A\",\"attempt\":2,\"kind\":\"align\","
                     "\"verdict\":\"oom-limit\",\"evidence\":{" GROUP("1", "1") "}}");
        tell(&story, OVER("oom-limit", ""));
        tell(&story, BATCH_END);
        CLEANUP_FREE char *text = print(&story, false, "/w");
        has(text, says[is_new_run]);
    }
}

/* The end of a lost attempt stands in the run after it, and finds its start. */
static void only_the_last_attempts_are_kept(void **state) {
    (void)state;
    char text[256];
    CLEANUP(story_clear) struct story story = {.task = "S/A"};
    for (int i = 1; i <= STORY_MAX_ATTEMPTS + 3; i++) {
        tell(&story, BATCH);
        (void)snprintf(
            text, sizeof(text),
            "{\"event\":\"attempt_end\",\"task\":\"S/A\",\"attempt\":%d,\"verdict\":\"lost\"}",
            i - 1);
        if (i > 1)
            tell(&story, text);
        (void)snprintf(text, sizeof(text),
                       "{\"event\":\"attempt_start\",\"task\":\"S/A\",\"attempt\":%d}", i);
        tell(&story, text);
    }
    assert_int_equal(story.n_attempts, STORY_MAX_ATTEMPTS);
    assert_int_equal(story.n_left_out, 3);
    assert_int_equal(json_integer_value(json_object_get(story.attempts[0].start, "attempt")), 4);
    assert_string_equal(story_text(story.attempts[0].end, "verdict"), "lost");
    assert_null(story.attempts[STORY_MAX_ATTEMPTS - 1].end);
}

static void the_nearest_of_the_others(void **state) {
    (void)state;
    CLEANUP(story_clear) struct story story = {.task = "CD70/DAPI"};
    static const char *const ids[] = {"CD071/GFP", "CD070/DAPI", "x/y", "CD070/DAPI", "zz/zz"};
    char text[128];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        (void)snprintf(text, sizeof(text), "{\"event\":\"attempt_start\",\"task\":\"%s\"}", ids[i]);
        tell(&story, text);
    }
    assert_string_equal(story.nearest, "CD070/DAPI");
    assert_string_equal(story.examples[0], "CD071/GFP");
    assert_string_equal(story.examples[2], "x/y");
}

static void forecasts(void **state) {
    (void)state;
    static const struct {
        const char *record, *says;
    } cases[] = {
        {"{\"predicted_bytes\":0,\"kind\":\"sh\"}",
         "nothing: no attempt of its kind (sh) was known yet"},
        {"{\"predicted_bytes\":1048576,\"basis\":\"declared\",\"basis_attempts\":0}",
         "1.0 MiB, as the manifest declares"},
        {"{\"predicted_bytes\":1048576,\"basis\":\"history\",\"basis_attempts\":1,\"kind\":\"k\"}",
         "1.0 MiB, from 1 attempt of its kind (k)"},
        {"{\"predicted_bytes\":1048576,\"basis\":\"one-size\",\"basis_attempts\":5,\"kind\":\"k\"}",
         "1.0 MiB, from 5 attempts of its kind (k), all with inputs of one size"},
        {"{\"predicted_bytes\":1048576}", "1.0 MiB"}, /* an earlier version's */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_JSON json_t *record = parse(cases[i].record);
        CLEANUP_FREE char *text = words_predicted(record);
        assert_string_equal(text, cases[i].says);
    }
}

/* A ledger is a file that anyone may have written. */
static void hostile_records(void **state) {
    (void)state;
    static const char *const records[] = {
        "{\"event\":\"attempt_end\",\"task\":\"S/A\"}",
        "{\"event\":\"attempt_end\",\"task\":\"S/"
        "A\",\"attempt\":\"x\",\"verdict\":7,\"evidence\":[],"
        "\"peak\":{\"buffers\":{}},\"peak_rss_bytes\":1}",
        "{\"event\":\"attempt_end\",\"task\":\"S/A\",\"attempt\":3,\"verdict\":\"\\u001b[2J\","
        "\"started\":\"yesterday\",\"wall_s\":1e300,\"peak_rss_bytes\":-1,\"evidence\":{\"cgroup\":"
        "7}}",
        "{\"event\":\"task_end\",\"task\":\"S/A\",\"verdict\":\"unheard of\"}",
    };
    CLEANUP(story_clear) struct story story = {.task = "S/A"};
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        tell(&story, records[i]);
    CLEANUP_FREE char *text = print(&story, false, "");
    has(text, "this version does not know the verdict unheard of");
    assert_null(strchr(text, '\033'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(states),
        cmocka_unit_test(a_run_after_the_verdict),
        cmocka_unit_test(the_last_chance),
        cmocka_unit_test(only_the_last_attempts_are_kept),
        cmocka_unit_test(the_nearest_of_the_others),
        cmocka_unit_test(forecasts),
        cmocka_unit_test(hostile_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
