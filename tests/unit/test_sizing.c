/* How many workers at once: the choice as tables. Commands stand in for pairs, because what they
 * need is given and does not depend on the footprint's figures. */
#include "supervisor/memory/sizing.h"

#include "tests/unit/folder_fixture.h"

#include <math.h>

#define MIB(n) ((uint64_t)(n) << 20)

enum { N_TASKS = 10 };

static struct sizing equal_tasks(struct forecast_task tasks[N_TASKS], size_t n, uint64_t bytes) {
    for (size_t i = 0; i < N_TASKS; i++)
        tasks[i] = (struct forecast_task){.declared_bytes = bytes};
    return (struct sizing){.tasks = tasks, .n_tasks = n, .cores = 4, .limit_bytes = MIB(10000)};
}

static void jobs_and_threads(void **state) {
    (void)state;
    static const struct {
        size_t n_tasks;
        int cores, jobs, threads;
        uint64_t each, limit, results;
        int chosen_jobs, chosen_threads;
    } cases[] = {
        {10, 4, 0, 0, MIB(100), MIB(10000), 0, 4, 1}, /* the cores bound */
        {2, 4, 0, 0, MIB(100), MIB(10000), 0, 2, 2},  /* the tasks bound: cores are shared */
        {10, 4, 0, 0, MIB(100), MIB(375), 0, 3, 1},   /* 300 of 375 is 80 % */
        {10, 4, 0, 0, MIB(100), MIB(374), 0, 2, 2},   /* just not any more */
        {10, 4, 0, 0, MIB(100), MIB(50), 0, 1, 4},    /* nothing fits: one, and refused later */
        {10, 4, 0, 0, MIB(100), MIB(500), MIB(100), 3, 1}, /* results in RAM take their part */
        {10, 4, 0, 0, MIB(100), 0, 0, 1, 4},
        {10, 4, 8, 0, MIB(100), MIB(10), 0, 8, 1}, /* what is asked for is taken */
        {3, 4, 8, 0, MIB(100), MIB(10), 0, 3, 1},  /* but no more than there are tasks */
        {10, 4, 0, 3, MIB(100), MIB(10000), 0, 4, 3},
        {0, 4, 0, 0, MIB(100), MIB(10000), 0, 1, 4},
        {10, 1, 0, 0, MIB(100), MIB(10000), 0, 1, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forecast_task tasks[N_TASKS];
        struct sizing sizing = equal_tasks(tasks, cases[i].n_tasks, cases[i].each);
        sizing.cores = cases[i].cores;
        sizing.jobs = cases[i].jobs;
        sizing.threads = cases[i].threads;
        sizing.limit_bytes = cases[i].limit;
        sizing.results_bytes = cases[i].results;
        print_message("case %zu\n", i);
        const int jobs = sizing_jobs(&sizing);
        assert_int_equal(jobs, cases[i].chosen_jobs);
        assert_int_equal(sizing_threads(&sizing, jobs), cases[i].chosen_threads);
    }
}

/* Variants of one pair, and of two. */
static void who_waits_for_a_map_needs_no_cores(void **state) {
    (void)state;
    struct forecast_task tasks[N_TASKS];
    struct sizing sizing = equal_tasks(tasks, 6, MIB(10));
    for (size_t i = 0; i < 6; i++) {
        tasks[i].is_pair = true;
        tasks[i].pair.has_map = i > 0;
    }
    assert_int_equal(sizing_threads(&sizing, 4), 4);
    tasks[3].pair.has_map = false;
    assert_int_equal(sizing_threads(&sizing, 4), 2);
    assert_int_equal(sizing_threads(&sizing, 1), 4);
    tasks[1].is_pair = tasks[2].is_pair = false; /* commands */
    assert_int_equal(sizing_threads(&sizing, 4), 1);
}

static void the_largest_count(void **state) {
    (void)state;
    struct forecast_task tasks[N_TASKS];
    struct sizing sizing = equal_tasks(tasks, 4, MIB(10));
    tasks[2].declared_bytes = MIB(2000);
    tasks[3].declared_bytes = 0; /* not declared */
    assert_int_equal(sizing_needed(&sizing, 1, 1), MIB(2000));
    /* of which nothing is known: assumed, or an equal share of what is comfortable */
    assert_int_equal(sizing_needed(&sizing, 2, 1), MIB(2000) + FORECAST_COMMAND_BYTES);
    assert_int_equal(sizing_needed(&sizing, 4, 1), MIB(2020) + FORECAST_COMMAND_BYTES);
    assert_int_equal(sizing_needed(&sizing, 400, 1), MIB(2020) + FORECAST_COMMAND_BYTES);
    sizing.limit_bytes = MIB(100);
    assert_int_equal(sizing_needed(&sizing, 4, 1), MIB(2020) + MIB(20));
    sizing.results_bytes = MIB(7);
    assert_int_equal(sizing_needed(&sizing, 1, 1), MIB(2007));
    tasks[0].declared_bytes = tasks[1].declared_bytes = UINT64_MAX;
    assert_int_equal(sizing_needed(&sizing, 2, 1), UINT64_MAX);
}

static void jobs_within(void **state) {
    (void)state;
    struct forecast_task tasks[N_TASKS];
    const struct sizing sizing = equal_tasks(tasks, 10, MIB(100));
    assert_int_equal(sizing_jobs_within(&sizing, 5, MIB(400)), 4);
    assert_int_equal(sizing_jobs_within(&sizing, 5, MIB(400) - 1), 3);
    assert_int_equal(sizing_jobs_within(&sizing, 5, MIB(99)), 0);
    assert_int_equal(sizing_jobs_within(&sizing, 1, MIB(9999)), 0); /* there is no fewer than 1 */
}

/* Pairs of images: their need follows the cap, down to the least that align accepts. */
static void cap_within(void **state) {
    (void)state;
    const struct footprint_image image = {
        .width = 200000, .height = 25000, .samples = 3, .bits = 16};
    struct params params = {.scale_percentile = NAN, .manual_scale = NAN, .has_difference = true};
    struct forecast_task tasks[3];
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        tasks[i] = forecast_pair(&image, &image, &params);
    const struct sizing sizing = {
        .tasks = tasks, .n_tasks = 3, .cores = 4, .threads = 4, .cap_bytes = MIB(4096)};
    /* between what the least cap allows and what the pair would take by itself */
    const uint64_t each = forecast_make(&tasks[0], NULL, 4, sizing.cap_bytes).reserved_bytes;
    assert_true(each > FOOTPRINT_LEAST_CAP_BYTES + MIB(20));
    const uint64_t room = 3 * ((FOOTPRINT_LEAST_CAP_BYTES + each) / 2);
    const uint64_t cap = sizing_cap_within(&sizing, 3, room);
    assert_true(cap >= FOOTPRINT_LEAST_CAP_BYTES);
    assert_int_equal(cap % MIB(10), 0);
    struct sizing changed = sizing;
    changed.cap_bytes = cap;
    assert_true(sizing_needed(&changed, 3, 4) <= room);
    changed.cap_bytes = cap + MIB(10); /* the largest that does */
    assert_true(sizing_needed(&changed, 3, 4) > room);
    assert_int_equal(sizing_cap_within(&sizing, 3, MIB(10)), 0);
    changed.cap_bytes = FOOTPRINT_LEAST_CAP_BYTES; /* there is none below */
    assert_int_equal(sizing_cap_within(&changed, 3, MIB(100000)), 0);
}

static void difference_images(void **state) {
    (void)state;
    /* deep enough that the warp needs more than the search */
    const struct footprint_image image = {.width = 1000, .height = 1000, .samples = 3, .bits = 16};
    struct params params = {.scale_percentile = NAN, .manual_scale = NAN, .has_difference = true};
    struct forecast_task task = forecast_pair(&image, &image, &params);
    assert_int_equal(task.pair.n_differences, 1);
    params.scale_percentile = 50;
    params.manual_scale = 1.5;
    params.pad = 100;
    const struct forecast_task more = forecast_pair(&image, &image, &params);
    assert_int_equal(more.pair.n_differences, 3);
    assert_true(forecast_disk(&more) > forecast_disk(&task));
    params.compression = PARAMS_COMPRESSION_DEFLATE; /* may shrink nothing, and needs a buffer */
    const struct forecast_task small = forecast_pair(&image, &image, &params);
    assert_int_equal(forecast_disk(&small), forecast_disk(&more));
    assert_true(forecast_make(&small, NULL, 8, MIB(512)).prior_bytes >
                forecast_make(&more, NULL, 8, MIB(512)).prior_bytes);
}

static void formats(void **state) {
    (void)state;
    const struct footprint_image image = {.width = 4000, .height = 3000, .samples = 3, .bits = 16};
    struct params params = {.scale_percentile = NAN, .manual_scale = NAN, .has_difference = true};
    const struct forecast_task tiff = forecast_pair(&image, &image, &params);
    params.has_difference = false;
    const struct forecast_task alone = forecast_pair(&image, &image, &params);
    params.format = PARAMS_FORMAT_OME_TIFF;
    const struct forecast_task ome = forecast_pair(&image, &image, &params);
    assert_true(forecast_disk(&alone) < forecast_disk(&tiff));
    /* both images and a third more for the pyramids, where tiff has one */
    const uint64_t pixels = 4000 * 3000 * 6;
    assert_true(forecast_disk(&ome) > forecast_disk(&alone) + pixels + 2 * pixels / 4);
    assert_true(forecast_disk(&ome) < forecast_disk(&alone) + pixels + pixels);
    params.has_difference = true; /* all tiles at once */
    const struct forecast_task all = forecast_pair(&image, &image, &params);
    assert_true(forecast_make(&all, NULL, 8, MIB(4096)).prior_bytes >
                forecast_make(&tiff, NULL, 8, MIB(4096)).prior_bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_and_threads),  cmocka_unit_test(who_waits_for_a_map_needs_no_cores),
        cmocka_unit_test(the_largest_count), cmocka_unit_test(jobs_within),
        cmocka_unit_test(cap_within),        cmocka_unit_test(difference_images),
        cmocka_unit_test(formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
