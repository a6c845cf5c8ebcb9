/* enforce: what an attempt is held to. */
#include "supervisor/engine/enforce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

static void every_row(void **state) {
    (void)state;
    static const struct {
        struct enforce_facts facts;
        uint64_t limit;
    } rows[] = {
        /* declared: that and nothing else */
        {{.declared_bytes = 2 * GIB, .reserved_bytes = 2 * GIB}, 2 * GIB},
        {{.declared_bytes = 2 * GIB, .reserved_bytes = GIB, .results_in_ram_bytes = GIB}, 2 * GIB},
        {{.declared_bytes = 2 * GIB, .reserved_bytes = 4 * GIB}, 4 * GIB}, /* it needed more */
        {{.declared_bytes = 1}, 16 * MIB},
        {{.declared_bytes = UINT64_MAX}, 0},
        /* forecast: with room */
        {{.reserved_bytes = 400 * MIB}, 500 * MIB},
        {{.reserved_bytes = 100 * MIB}, 164 * MIB},
        {{.reserved_bytes = 400 * MIB, .is_uncertain = true}, 800 * MIB},
        {{.reserved_bytes = 1}, 64 * MIB + 1},
        {{.reserved_bytes = 400 * MIB, .results_in_ram_bytes = GIB}, 500 * MIB + GIB},
        {{.reserved_bytes = 400 * MIB, .file_bytes = 30 * MIB}, 530 * MIB},
        {{.reserved_bytes = 400 * MIB, .file_bytes = GIB}, 884 * MIB},
        {{.reserved_bytes = 100 * MIB, .file_bytes = UINT64_MAX}, 548 * MIB},
        {{.declared_bytes = 2 * GIB, .reserved_bytes = GIB, .file_bytes = GIB}, 2 * GIB},
        {{.reserved_bytes = UINT64_MAX}, 0},
        {{.reserved_bytes = UINT64_MAX / 2, .results_in_ram_bytes = UINT64_MAX}, 0},
        /* nothing known */
        {{.reserved_bytes = 256 * MIB, .is_assumed = true}, 0},
        {{.results_in_ram_bytes = GIB}, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(enforce_limit(&rows[i].facts), rows[i].limit);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
