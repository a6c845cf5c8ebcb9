/* Whose turn it is, and who may do what: two tables. */
#include "supervisor/service/fair_share.h"
#include "supervisor/service/rights_policy.h"
#include "tests/unit/folder_fixture.h"

static const int64_t hour = 3600 * 1000;

static void use_fades(void **state) {
    (void)state;
    struct fair_share share = {0};
    fair_share_add(&share, 1000, 0, 24 * hour);
    static const struct {
        int64_t hours;
        double expected;
    } rows[] = {{0, 1000}, {24, 500}, {48, 250}, {12, 707.1}, {-5, 1000}, {240, 0.9766}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const double used = fair_share_at(&share, rows[i].hours * hour, 24 * hour);
        assert_true(used > rows[i].expected * 0.999 && used < rows[i].expected * 1.001);
    }
    fair_share_add(&share, 500, 24 * hour, 24 * hour);
    assert_true(share.used > 999 && share.used < 1001);
    fair_share_add(&share, 100, 12 * hour, 24 * hour); /* the clock was set back: nothing grows */
    assert_true(share.used > 1099 && share.used < 1101);
    assert_int_equal(share.at_ms, 24 * hour);
    fair_share_add(&share, -1e30, 24 * hour, 0); /* what a damaged record could say */
    assert_true(share.used > 1099 && share.used < 1101);
}

static void next_is_who_used_least(void **state) {
    (void)state;
    enum { A, B };
    static const struct {
        struct fair_share_rank first, second;
    } rows[] = {
        {{.user = A, .used = 1, .order = 9}, {.user = B, .used = 2, .order = 1}},
        {{.user = A, .used = 1, .order = 9, .priority = -5},
         {.user = B, .used = 2, .order = 1, .priority = 100}}, /* priority is within a user */
        {{.user = B, .user_order = 1, .order = 5}, {.user = A, .user_order = 2, .order = 2}},
        {{.user = A, .priority = 1, .order = 9}, {.user = A, .priority = 0, .order = 1}},
        {{.user = A, .order = 1}, {.user = A, .order = 2}},
        {{.user = A, .user_order = 3, .order = 1}, {.user = B, .user_order = 3, .order = 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(fair_share_compare(&rows[i].first, &rows[i].second) < 0);
        assert_true(fair_share_compare(&rows[i].second, &rows[i].first) > 0);
        assert_int_equal(fair_share_compare(&rows[i].first, &rows[i].first), 0);
    }
}

static void rights_are_a_table(void **state) {
    (void)state;
    enum { OWNER = 1000 };
    static const struct rights_caller owner = {.uid = OWNER, .user = "anna"},
                                      other = {.uid = 1001, .user = "bert"},
                                      admin = {.uid = 1002, .user = "chief", .is_admin = true},
                                      root = {.uid = 0, .user = "root"};
    static const struct {
        bool owner, other;
    } rows[RIGHTS_ACTION_COUNT] = {
        [RIGHTS_SEE] = {true, true},      [RIGHTS_SUBMIT] = {true, true},
        [RIGHTS_CANCEL] = {true, false},  [RIGHTS_PAUSE] = {true, false},
        [RIGHTS_RETRY] = {true, false},   [RIGHTS_LOWER] = {true, false},
        [RIGHTS_RAISE] = {false, false},  [RIGHTS_READ_LOG] = {true, false},
        [RIGHTS_EXPLAIN] = {true, false}, [RIGHTS_WHOLE_QUEUE] = {false, false},
    };
    for (enum rights_action i = 0; i < RIGHTS_ACTION_COUNT; i++) {
        assert_int_equal(rights_policy_allows(i, &owner, OWNER), rows[i].owner);
        assert_int_equal(rights_policy_allows(i, &other, OWNER), rows[i].other);
        assert_true(rights_policy_allows(i, &admin, OWNER));
        assert_true(rights_policy_allows(i, &root, OWNER));
    }
    struct failure failure = {0};
    assert_int_equal(
        rights_policy_check(RIGHTS_CANCEL, &other, OWNER, "anna", "the batch N", &failure), -EPERM);
    assert_in("bert may not cancel the batch N: it belongs to anna", failure.text);
    assert_int_equal(
        rights_policy_check(RIGHTS_RAISE, &owner, OWNER, "anna", "the batch N", &failure), -EPERM);
    assert_in("anna may not raise the priority above 0 of the batch N: only administrators may",
              failure.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(use_fades),
        cmocka_unit_test(next_is_who_used_least),
        cmocka_unit_test(rights_are_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
