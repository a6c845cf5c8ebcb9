/* The decision: every rule once, from facts that are otherwise those of a good alignment. */
#include "worker/align/verify.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static const struct params params = {.max_residual_px = 2, .min_tiles = 24};

static struct verify_facts good(void) {
    return (struct verify_facts){
        .held_out = 100,
        .confident = 95,
        .agreeing = 93,
        .null_tiles = 100,
        .null_agreeing = 2,
        .chance = 0.03,
        .median_px = 0.2,
        .p95_px = 0.8,
        .sectors = 9,
        .sectors_agreeing = 9,
        .ambiguous = 1,
        .ambiguity_tested = 40,
        .overlap = 0.9,
        .plausible = true,
        .search_mirrored = 0.2,
        .refine = {.votes = 80,
                   .tiles = 88,
                   .runner_up_votes = 5,
                   .runner_up_tiles = 88,
                   .mirrored_votes = 3,
                   .mirrored_tiles = 80,
                   .search_score = 0.7,
                   .search_runner_up = 0.2},
    };
}

static void expect(const struct verify_facts *facts, enum verify_status status, const char *words) {
    char reason[VERIFY_REASON_BYTES];
    enum verify_status got = verify_decide(facts, &params, reason);
    if (got != status || !strstr(reason, words))
        fail_msg("%s: \"%s\" in place of %s with \"%s\"", verify_status_name(got), reason,
                 verify_status_name(status), words);
}

static void a_good_map_is_aligned(void **state) {
    (void)state;
    struct verify_facts facts = good();
    expect(&facts, VERIFY_ALIGNED, "93 of 100 test tiles");
}

/* Half of the tissue is missing in one image: what is left agrees; but a few tiles are not enough,
 * however silent the others are. */
static void silent_tiles_do_not_contradict(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.agreeing = facts.confident = 40;
    facts.silent = 45;
    expect(&facts, VERIFY_ALIGNED, "40 of 100 test tiles");
    facts.silent = 20;
    expect(&facts, VERIFY_DOUBTFUL, "not their content");
    facts.agreeing = facts.confident = 28;
    facts.silent = 72;
    expect(&facts, VERIFY_DOUBTFUL, "not their content");
}

static void failures(void **state) {
    (void)state;
    struct verify_facts facts = good();
    (void)snprintf(facts.refine.reason, sizeof(facts.refine.reason), "the post image is blank");
    expect(&facts, VERIFY_FAILED, "the post image is blank");

    facts = good(); /* nothing agrees, and no hypothesis stood out */
    facts.agreeing = 4;
    facts.refine.votes = 6;
    facts.refine.search_score = 0.21;
    expect(&facts, VERIFY_FAILED, "no common structure");

    facts = good();
    facts.held_out = 0;
    expect(&facts, VERIFY_FAILED, "no textured part");

    facts = good();
    facts.agreeing = 4;
    facts.refine.votes = 6;
    facts.refine.mirrored_votes = 70;
    facts.refine.search_score = 0.2;
    facts.search_mirrored = 0.7;
    expect(&facts, VERIFY_FAILED, "mirror images (70 of 80 tiles agree)");

    facts = good();
    facts.plausible = false;
    expect(&facts, VERIFY_FAILED, "scale_min and scale_max");
}

static void doubts(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.ambiguous = 30;
    facts.repeat_px = 60;
    expect(&facts, VERIFY_DOUBTFUL, "repeats itself every 60 px");

    facts = good();
    facts.refine.runner_up_votes = 60;
    expect(&facts, VERIFY_DOUBTFUL, "another position fits nearly as well");

    facts = good();
    facts.overlap = 0.1;
    expect(&facts, VERIFY_DOUBTFUL, "share only 10 %");

    facts = good(); /* neighbouring sections: only the form agrees */
    facts.agreeing = 4;
    expect(&facts, VERIFY_DOUBTFUL, "the tissue's form matches");

    facts = good();
    facts.held_out = 25;
    facts.confident = 23;
    facts.agreeing = 23;
    expect(&facts, VERIFY_DOUBTFUL, "23 test tiles agree, min_tiles asks for 24");

    facts = good();
    facts.median_px = 3.4;
    expect(&facts, VERIFY_DOUBTFUL, "median of 3.4 px");

    facts = good(); /* the same outline, other content */
    facts.confident = 35;
    facts.agreeing = 27;
    expect(&facts, VERIFY_DOUBTFUL, "only 27 of 100 test tiles agree");

    facts = good();
    facts.sectors_agreeing = 4;
    expect(&facts, VERIFY_DOUBTFUL, "4 of 9 parts");
}

/* As many tiles agree, and vote, as accident brings about on unrelated images. */
static void accidents_are_never_aligned(void **state) {
    (void)state;
    for (int agreeing = 0; agreeing <= 12; agreeing++)
        for (int votes = 0; votes <= 12; votes++) {
            struct verify_facts facts = good();
            facts.agreeing = agreeing;
            facts.confident = agreeing + 5;
            facts.refine.votes = votes;
            facts.refine.runner_up_votes = votes;
            facts.refine.search_score = 0.22;
            char reason[VERIFY_REASON_BYTES];
            assert_true(verify_decide(&facts, &params, reason) != VERIFY_ALIGNED);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_map_is_aligned),
        cmocka_unit_test(silent_tiles_do_not_contradict),
        cmocka_unit_test(failures),
        cmocka_unit_test(doubts),
        cmocka_unit_test(accidents_are_never_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
