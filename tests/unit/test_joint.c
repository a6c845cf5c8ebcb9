/* When the map of all pixels takes the place of the tiles'. */
#include "worker/align/joint.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static bool serves(double bar_px, double more_common, double spread_px) {
    const struct joint_map joint = {.bar = {.tiles = 100, .tissue_px = bar_px},
                                    .more_common = more_common};
    return joint_serves_better(&joint, spread_px);
}

static void the_better_known_map_is_taken(void **state) {
    (void)state;
    assert_true(serves(0.3, 1, 0.4));
    assert_false(serves(0.35, 1, 0.4));    /* about as well: tiles have a tone of their own each */
    assert_true(serves(0.3, 1, HUGE_VAL)); /* tiles know nothing */
    const struct joint_map nothing = {.more_common = 2};
    assert_false(joint_serves_better(&nothing, HUGE_VAL));
}

static void what_the_images_have_in_common_speaks_too(void **state) {
    (void)state;
    assert_false(serves(0.3, 0.96, 0.4));
    assert_true(serves(0.5, 1.02, 0.4));
    assert_false(serves(0.61, 1.02, 0.4));
    assert_false(serves(2.1, 1.02, 1.9));
    assert_true(serves(1.9, 1.2, 0.4));
    assert_false(serves(2.1, 1.2, 0.4)); /* strangers know it as well */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_better_known_map_is_taken),
        cmocka_unit_test(what_the_images_have_in_common_speaks_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
