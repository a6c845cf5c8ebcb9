/* Contradicting tiles that agree with one another, and those that do not. */
#include "worker/align/verify_second.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

enum { COLUMNS = 10, COUNT = COLUMNS * COLUMNS, SIZE = 128 };

struct fixture {
    struct tiles_cell cells[COUNT];
    struct fit_match matches[COUNT];
    double residuals_px[COUNT];
    enum verify_answer answers[COUNT];
    struct verify_sample sample;
};

/* Tiles that all agree with the identity. */
static void set_up(struct fixture *ret) {
    for (int i = 0; i < COUNT; i++) {
        int column = i % COLUMNS, row = i / COLUMNS;
        ret->cells[i] = (struct tiles_cell){.x = column * SIZE,
                                            .y = row * SIZE,
                                            .sector = row * 3 / COLUMNS * 3 + column * 3 / COLUMNS};
        double x = (column + 0.5) * SIZE, y = (row + 0.5) * SIZE;
        ret->matches[i] = (struct fit_match){x, y, x, y, 1, 0, 1};
        ret->residuals_px[i] = 0;
        ret->answers[i] = VERIFY_AGREES;
    }
    ret->sample =
        (struct verify_sample){.grid = {.size = SIZE, .cells = ret->cells, .count = COUNT},
                               .matches = ret->matches,
                               .residuals_px = ret->residuals_px,
                               .answers = ret->answers};
}

static void move_tile(struct fixture *fixture, int i, double dx, double dy) {
    fixture->matches[i].u += dx;
    fixture->matches[i].v += dy;
    fixture->residuals_px[i] = hypot(dx, dy);
    fixture->answers[i] = VERIFY_CONTRADICTS;
}

static struct verify_second find(const struct fixture *fixture) {
    struct verify_second second;
    struct failure failure;
    assert_int_equal(verify_second_find(&fixture->sample, 1, &second, &failure), 0);
    return second;
}

static void a_part_that_moved_is_found_and_placed(void **state) {
    (void)state;
    static struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < COUNT; i++)
        if (i % COLUMNS >= 7 && i / COLUMNS >= 7)
            move_tile(&fixture, i, 12 + 0.3 * (i % 3), -9);
    struct verify_second second = find(&fixture);
    assert_int_equal(second.contradicting, 9);
    assert_int_equal(second.agreeing, 9);
    assert_true(fabs(second.distance_px - 15) < 1);
    assert_string_equal(verify_second_where(second.sector), "in the lower right");
    assert_false(second.still);
}

static void tiles_that_were_not_recognised_agree_on_nothing(void **state) {
    (void)state;
    static struct fixture fixture;
    for (uint32_t seed = 1; seed <= 50; seed++) {
        set_up(&fixture);
        uint32_t random = seed;
        for (int i = 0; i < COUNT; i += 2) {
            random = random * 1664525U + 1013904223U;
            move_tile(&fixture, i, (int)(random >> 26) - 32.0 + 0.5,
                      (int)(random >> 20 & 63) - 32.0 + 0.5);
        }
        assert_int_equal(find(&fixture).agreeing, 0);
    }
}

/* The map moves the tissue by (20, 10), and some tiles show what stays at its pixels. */
static void what_stays_in_place_is_told_apart(void **state) {
    (void)state;
    static struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < COUNT; i++)
        if (i % 7 == 0) { /* the matches of all others do not matter */
            fixture.residuals_px[i] = hypot(20, 10);
            fixture.answers[i] = VERIFY_CONTRADICTS;
        }
    struct verify_second second = find(&fixture);
    assert_int_equal(second.agreeing, 15);
    assert_true(second.still);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_that_moved_is_found_and_placed),
        cmocka_unit_test(tiles_that_were_not_recognised_agree_on_nothing),
        cmocka_unit_test(what_stays_in_place_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
