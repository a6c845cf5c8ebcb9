/* The model: what it takes from a ledger's records, how it stays small, and when it has news. */
#include "supervisor/memory/model.h"

#include "supervisor/memory/forecast.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

#define MIB 1048576.0

static int open_model(void **state) {
    struct failure failure;
    return model_open((struct model **)state, &failure);
}

static int close_model(void **state) {
    model_close(*state);
    return 0;
}

static void observe(struct model *model, size_t kind, double size, double peak, bool is_whole) {
    const struct model_observation seen = {.kind = kind,
                                           .size = size,
                                           .peak_bytes = (uint64_t)peak,
                                           .wall_ms = 100,
                                           .is_whole = is_whole,
                                           .is_first = true};
    assert_int_equal(model_observe(model, &seen), 0);
}

static void replay(struct model *model, const char *text) {
    struct failure failure = {0};
    CLEANUP_JSON json_t *record = json_loads(text, 0, NULL);
    assert_non_null(record);
    assert_int_equal(model_replay(model, record, &failure), 0);
}

static void records_of_a_ledger(void **state) {
    struct model *model = *state;
    replay(model, "{\"event\":\"batch\",\"state\":\"start\"}");
    replay(model, "{\"event\":\"attempt_start\",\"kind\":\"k\",\"size\":5}");
    replay(model, "{\"event\":\"attempt_end\",\"verdict\":\"ok\",\"peak_rss_bytes\":9}"); /* old */
    assert_int_equal(model_count(model), 0);
    replay(model, "{\"event\":\"attempt_end\",\"kind\":\"k\",\"size\":1000,\"verdict\":\"ok\","
                  "\"attempt\":1,\"peak_rss_bytes\":70000,\"predicted_bytes\":77000,"
                  "\"wall_s\":2.5,\"time\":\"2026-11-21T20:00:00.123Z\"}");
    replay(model, "{\"event\":\"attempt_end\",\"kind\":\"k\",\"size\":2000,\"verdict\":"
                  "\"oom-limit\",\"attempt\":1,\"peak_rss_bytes\":90000,\"predicted_bytes\":0,"
                  "\"wall_s\":1,\"time\":\"2026-11-21T21:00:00.123Z\"}");
    replay(model, "{\"event\":\"attempt_end\",\"kind\":\"k\",\"size\":-1,\"verdict\":\"ok\","
                  "\"peak_rss_bytes\":-7}");
    /* of a variant that took results of another one: a whole task needs at least as much */
    replay(model, "{\"event\":\"attempt_end\",\"kind\":\"k\",\"size\":1000,\"verdict\":\"ok\","
                  "\"shared\":true,\"attempt\":1,\"peak_rss_bytes\":3000,\"predicted_bytes\":77000,"
                  "\"wall_s\":0.1,\"time\":\"2026-11-21T21:00:00.123Z\"}");
    assert_true(model_refresh(model));
    assert_false(model_refresh(model));
    struct model_kind_view view;
    model_look(model, 0, &view);
    assert_string_equal(view.name, "k");
    assert_int_equal(view.n_attempts, 3);
    assert_int_equal(view.memory->n_exact, 1);
    assert_int_equal(view.memory->n_at_least, 2);
    assert_int_equal(view.n_judged, 1);
    assert_true(fabs(view.error_worst - 0.1) < 1e-6);
    assert_string_equal(view.first, "2026-11-21T20:00:00.123Z");
    assert_string_equal(view.last, "2026-11-21T21:00:00.123Z");
    assert_true(fabs(model_time(model, 0, 1000).estimate - 2500) < 1);
}

static void pairs_are_held_against_their_headers(void **state) {
    struct model *model = *state;
    const size_t command = model_kind(model, "align", NULL, false);
    const size_t pair = model_kind(model, "align", NULL, true);
    assert_int_not_equal(command, pair);
    assert_int_equal(model_kind(model, "align", NULL, true), pair);
    for (int i = 0; i < 6; i++) {
        const struct model_observation seen = {.kind = pair,
                                               .size = 1e8 * (i + 1),
                                               .peak_bytes = 98000000U * (unsigned)(i + 1),
                                               .prior_bytes = 100000000U * (unsigned)(i + 1),
                                               .wall_ms = 3000 * (i + 1),
                                               .prior_ms = 2000 * (i + 1),
                                               .is_whole = true,
                                               .is_first = i != 5};
        assert_int_equal(model_observe(model, &seen), 0);
    }
    observe(model, pair, 1, 1, true); /* without a prior it says nothing */
    assert_true(model_refresh(model));
    const struct footprint_image image = {
        .width = 20000, .height = 20000, .samples = 1, .bits = 16, .block_bytes = 1 << 17};
    const struct params params = {.scale_percentile = NAN, .manual_scale = NAN};
    struct forecast_task task = forecast_pair(&image, &image, &params);
    task.kind = pair;
    const struct forecast before = forecast_make(&task, NULL, 2, 1ULL << 30);
    const struct forecast after = forecast_make(&task, model, 2, 1ULL << 30);
    assert_int_equal(before.basis, FORECAST_HEADERS);
    assert_int_equal(before.predicted_bytes, before.prior_bytes);
    assert_true(fabs((double)after.predicted_bytes / (double)before.predicted_bytes - 0.98) < 1e-3);
    assert_true(fabs((double)after.time_ms / (double)before.time_ms - 1.5) < 0.01);
    assert_true(before.reserved_bytes >= before.predicted_bytes / 100 * 110);
    const struct forecast capped = forecast_make(&task, NULL, 64, 300 << 20);
    assert_int_equal(capped.reserved_bytes, 300 << 20); /* a worker obeys its cap */
    assert_int_equal(capped.margin_bytes, 0);
}

/* A million attempts: the sample stays small, new ones replace old ones, the ends are kept. */
static void a_long_ledger(void **state) {
    struct model *model = *state;
    const size_t kind = model_kind(model, "k", NULL, false);
    for (int i = 0; i < 1000000; i++) {
        const double size = i == 10 ? 1 : i == 20 ? 1000 : 100 + i % 100;
        const double slope =
            i < 900000 && i != 10 && i != 20 ? 9 : 2; /* a new version needs less */
        observe(model, kind, size * MIB, (50 + slope * size) * MIB, true);
    }
    assert_true(model_refresh(model));
    struct model_kind_view view;
    model_look(model, kind, &view);
    assert_int_equal(view.n_attempts, 1000000);
    assert_int_equal(view.memory->n_exact, REGRESSION_MAX_POINTS);
    assert_true(view.memory->size_min <= MIB && view.memory->size_max >= 1000 * MIB);
    const double estimate = model_memory(model, kind, 150 * MIB).estimate;
    assert_true(fabs(estimate / (350 * MIB) - 1) < 0.01);
}

/* Whatever another calls his tasks, and however much they need. */
static void each_user_has_kinds_of_his_own(void **state) {
    struct model *model = *state;
    const size_t own = model_kind(model, "k", "anna", false);
    assert_int_equal(model_kind(model, "k", "anna", false), own);
    assert_int_not_equal(model_kind(model, "k", "bert", false), own);
    observe(model, own, MIB, 10 * MIB, true);
    for (int i = 0; i < 20; i++)
        replay(model, "{\"event\":\"attempt_end\",\"kind\":\"k\",\"user\":\"bert\",\"size\":"
                      "1048576,\"verdict\":\"ok\",\"attempt\":1,\"peak_rss_bytes\":9000000000,"
                      "\"wall_s\":1}");
    (void)model_refresh(model);
    assert_true(model_memory(model, own, MIB).estimate < 11 * MIB);
    assert_true(model_memory(model, model_find_kind(model, "k", "bert", false), MIB).estimate >
                8e9);
    assert_int_equal(model_find_kind(model, "k", NULL, false), SIZE_MAX);
    struct model_kind_view view;
    model_look(model, 1, &view);
    assert_string_equal(view.user, "bert");
}

static void of_too_many_kinds_the_least_used_goes(void **state) {
    struct model *model = *state;
    model_limit(model, 3);
    const size_t of_bert = model_kind(model, "own", "bert", false);
    const size_t first = model_kind(model, "first", "anna", false);
    const size_t second = model_kind(model, "second", "anna", false);
    observe(model, of_bert, MIB, MIB, true);
    observe(model, first, MIB, MIB, true);
    observe(model, second, MIB, MIB, true);
    for (int i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "k%d", i);
        assert_int_not_equal(model_kind(model, name, "anna", false), SIZE_MAX);
        assert_int_equal(model_kind(model, "second", "anna", false), second);
    }
    (void)model_refresh(model);
    assert_int_equal(model_count(model), 4);
    assert_int_equal(model_memory(model, first, MIB).shape, REGRESSION_NONE);
    assert_int_equal(model_memory(model, SIZE_MAX, MIB).shape, REGRESSION_NONE);
    assert_int_equal(model_memory(model, second, MIB).shape, REGRESSION_ONE_SIZE);
    assert_int_equal(model_memory(model, of_bert, MIB).shape, REGRESSION_ONE_SIZE);
    observe(model, first, MIB, MIB, true); /* of a task that still ran: it is passed over */
}

static void only_news_is_published(void **state) {
    struct model *model = *state;
    const size_t kind = model_kind(model, "k", NULL, false);
    int n_news = 0;
    for (int i = 0; i < 1000; i++) {
        const double size = (i * 37 % 100 + 1) * MIB;
        observe(model, kind, size, 50 * MIB + 3 * size + (i % 7 - 3) * 0.1 * MIB, true);
        n_news += model_refresh(model);
    }
    print_message("%d of 1000 attempts were news\n", n_news);
    assert_in_range(n_news, 2, 40);
    observe(model, kind, 50 * MIB, 800 * MIB, false); /* killed at four times the forecast */
    (void)model_refresh(model);
    assert_true(model_memory(model, kind, 50 * MIB).estimate < 220 * MIB); /* one of a thousand */
}

static void what_nothing_is_known_of(void **state) {
    struct model *model = *state;
    struct forecast_task task = {.kind = model_kind(model, "k", NULL, false), .size = 5 * MIB};
    struct forecast forecast = forecast_make(&task, model, 1, 0);
    assert_int_equal(forecast.basis, FORECAST_UNKNOWN);
    assert_true(forecast.reserved_bytes == UINT64_MAX && forecast.predicted_bytes == 0);
    assert_true(forecast.is_guess && forecast.time_ms == 0);
    task.declared_bytes = 7 << 20;
    forecast = forecast_make(&task, model, 1, 0);
    assert_int_equal(forecast.basis, FORECAST_DECLARED);
    assert_int_equal(forecast.reserved_bytes, 7 << 20);
    assert_false(forecast.is_guess);
    task.floor_bytes = 9 << 20; /* it has died there */
    assert_int_equal(forecast_make(&task, model, 1, 0).reserved_bytes, 9 << 20);
    task = (struct forecast_task){.kind = task.kind, .size = 5 * MIB};
    observe(model, task.kind, 0, 3 * MIB, true); /* of no input, no proportion */
    assert_true(model_refresh(model));
    assert_int_equal(forecast_make(&task, model, 1, 0).basis, FORECAST_UNKNOWN);
    task.size = 0;
    forecast = forecast_make(&task, model, 1, 0);
    assert_int_equal(forecast.basis, FORECAST_ONE_SIZE);
    assert_int_equal(forecast.predicted_bytes, 3 << 20);
    assert_true(forecast.reserved_bytes >= 7 << 20); /* small ones get some MiB more */
}

int main(void) {
#define WITH_MODEL(test) cmocka_unit_test_setup_teardown(test, open_model, close_model)
    const struct CMUnitTest tests[] = {
        WITH_MODEL(records_of_a_ledger),
        WITH_MODEL(pairs_are_held_against_their_headers),
        WITH_MODEL(a_long_ledger),
        WITH_MODEL(each_user_has_kinds_of_his_own),
        WITH_MODEL(of_too_many_kinds_the_least_used_goes),
        WITH_MODEL(only_news_is_published),
        WITH_MODEL(what_nothing_is_known_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
