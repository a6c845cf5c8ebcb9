/* Kinds of evidence: their names on disk, what resolution tags mean, the search's checkpoint. */
#include "worker/align/search.h"

#include "common/cleanup.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { UNIT_NONE = 1, UNIT_INCH = 2, UNIT_CM = 3 };

static void names_are_read_back(void **state) {
    (void)state;
    for (unsigned kinds = 0; kinds < 1U << EVIDENCE_COUNT; kinds++) {
        CLEANUP_JSON json_t *names = evidence_write(kinds);
        assert_non_null(names);
        struct failure failure = {0};
        unsigned back = ~0U;
        assert_int_equal(evidence_read(names, "search", &back, &failure), 0);
        assert_int_equal(back, kinds);
    }
}

static void unknown_names_are_refused(void **state) {
    (void)state;
    CLEANUP_JSON json_t *names = json_pack("[s,s]", "features", "hearsay");
    struct failure failure = {0};
    unsigned kinds = 77;
    assert_int_equal(evidence_read(names, "search", &kinds, &failure), -EINVAL);
    assert_string_equal(failure.text, "search: found_by: \"hearsay\" is no kind of evidence");
    assert_int_equal(kinds, 77);
    assert_int_equal(evidence_read(NULL, "refine", &kinds, &failure), -EINVAL);
    assert_string_equal(failure.text, "refine: found_by must be a list of names");
}

static void pixel_size_is_the_ratio_of_densities(void **state) {
    (void)state;
    const struct {
        struct image_info pre, post;
        double ratio;
    } rows[] = {
        {{.x_resolution = 20000, .y_resolution = 20000, .resolution_unit = UNIT_CM},
         {.x_resolution = 40000, .y_resolution = 40000, .resolution_unit = UNIT_CM},
         0.5},
        {{.x_resolution = 25400, .y_resolution = 25400, .resolution_unit = UNIT_INCH},
         {.x_resolution = 10000, .y_resolution = 10000, .resolution_unit = UNIT_CM},
         1},
        {{.x_resolution = 300, .y_resolution = 300, .resolution_unit = UNIT_NONE},
         {.x_resolution = 300, .y_resolution = 300, .resolution_unit = UNIT_INCH},
         0},
        {{.x_resolution = 0, .y_resolution = 0, .resolution_unit = UNIT_INCH},
         {.x_resolution = 300, .y_resolution = 300, .resolution_unit = UNIT_INCH},
         0},
        {{.x_resolution = 300, .y_resolution = 150, .resolution_unit = UNIT_INCH},
         {.x_resolution = 300, .y_resolution = 300, .resolution_unit = UNIT_INCH},
         0},
        {{.x_resolution = INFINITY, .y_resolution = INFINITY, .resolution_unit = UNIT_CM},
         {.x_resolution = 300, .y_resolution = 300, .resolution_unit = UNIT_CM},
         0},
        /* a scanner's pixels beside a default of 72 per inch */
        {{.x_resolution = 40000, .y_resolution = 40000, .resolution_unit = UNIT_CM},
         {.x_resolution = 72, .y_resolution = 72, .resolution_unit = UNIT_INCH},
         0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double ratio = evidence_pixel_size(&rows[i].pre, &rows[i].post);
        if (fabs(ratio - rows[i].ratio) > 1e-9)
            fail_msg("row %zu: %g is not %g", i, ratio, rows[i].ratio);
    }
}

static struct search_hypothesis hypothesis(double score, double angle_deg, unsigned found_by) {
    double angle_rad = angle_deg * 3.14159265358979323846 / 180;
    return (struct search_hypothesis){.score = score,
                                      .angle_rad = angle_rad,
                                      .scale = 1.1,
                                      .map = map_similarity(angle_rad, 1.1, 5, -7),
                                      .found_by = found_by};
}

static void checkpoint_is_read_back(void **state) {
    (void)state;
    const struct search_result result = {
        .hypotheses = {hypothesis(0.5, 90, 3), hypothesis(0.25, -30, 4)},
        .count = 2,
        .mirrored = hypothesis(0.125, 10, 1)};
    CLEANUP_JSON json_t *checkpoint = NULL;
    struct failure failure = {0};
    struct search_result back;
    assert_int_equal(search_write(&result, &checkpoint, &failure), 0);
    assert_int_equal(search_read(checkpoint, &back, &failure), 0);
    assert_int_equal(back.count, 2);
    assert_string_equal(back.reason, "");
    for (int i = 0; i < 2; i++) {
        const struct search_hypothesis *was = &result.hypotheses[i], *is = &back.hypotheses[i];
        assert_true(is->score == was->score);
        assert_true(fabs(is->angle_rad - was->angle_rad) < 1e-12);
        assert_memory_equal(&is->map, &was->map, sizeof(is->map));
        assert_int_equal(is->found_by, was->found_by);
    }
    assert_true(back.mirrored.score == 0.125);
}

static void checkpoint_without_hypotheses_has_a_reason(void **state) {
    (void)state;
    const struct search_result result = {.reason = "the pre image is blank"};
    CLEANUP_JSON json_t *checkpoint = NULL;
    struct failure failure = {0};
    struct search_result back;
    assert_int_equal(search_write(&result, &checkpoint, &failure), 0);
    assert_int_equal(search_read(checkpoint, &back, &failure), 0);
    assert_int_equal(back.count, 0);
    assert_string_equal(back.reason, result.reason);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_back),
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(pixel_size_is_the_ratio_of_densities),
        cmocka_unit_test(checkpoint_is_read_back),
        cmocka_unit_test(checkpoint_without_hypotheses_has_a_reason),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
