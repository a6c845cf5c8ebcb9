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

static const struct verify_content same = {.fine_parts = 200, .fine_correlation = 0.7};

static struct verify_facts good(void) {
    return (struct verify_facts){
        .held_out = 100,
        .confident = 95,
        .agreeing = 93,
        .null = {.tiles = 100, .agreeing = 2, .chance = 0.03},
        .median_px = 0.2,
        .agreeing_median_px = 0.1,
        .p95_px = 0.8,
        .sectors = 9,
        .sectors_agreeing = 9,
        .repeats = {.tested = 40, .ambiguous = 1},
        .planted = {.tiles = 24, .following = 23, .slope_x = 1.001, .slope_y = 0.998},
        .error_bar = {.tiles = 93, .tissue_px = 0.3, .offset_px = 0.1},
        .second = {.contradicting = 5},
        .decoys = {.turned = {4, 80}, .mirrored = {3, 80}},
        .coarse_tiles = 60,
        .coarse_heard = 55,
        .coarse_agreeing = 50,
        .overlap = 0.9,
        .plausible = true,
        .search_mirrored = 0.2,
        .refine = {.fine = true,
                   .votes = 80,
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
    facts.refine.inverted = true;
    expect(&facts, VERIFY_ALIGNED, "bright in one image is dark in the other");
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
    facts.repeats.ambiguous = 30;
    facts.repeats.distance_px = 60;
    expect(&facts, VERIFY_DOUBTFUL, "repeats itself every 60 px");

    facts = good();
    facts.confident = 19;
    expect(&facts, VERIFY_ALIGNED, "93 of 100");
    facts.confident = 18; /* a lattice: of the others, any fits anywhere */
    expect(&facts, VERIFY_DOUBTFUL, "the structure is the same everywhere");
    facts.content = same;
    expect(&facts, VERIFY_ALIGNED, "93 of 100");

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

    facts = good(); /* islands with the same outlines, other content */
    facts.agreeing = 70;
    facts.median_px = 0.3;
    expect(&facts, VERIFY_ALIGNED, "70 of 100 test tiles");
    facts.median_px = 1.4;
    expect(&facts, VERIFY_DOUBTFUL, "not their content");

    facts = good();
    facts.sectors_agreeing = 4;
    expect(&facts, VERIFY_DOUBTFUL, "4 of 9 parts");
}

/* Missing tissue and objects hide half of the tiles; what is inside coincides all the same. */
static void the_same_content_needs_fewer_tiles(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.agreeing = 40;
    facts.sectors_agreeing = 6;
    facts.planted.following = 15;
    facts.content = (struct verify_content){.fine_parts = 12, .fine_correlation = 0.39};
    expect(&facts, VERIFY_DOUBTFUL, "only 40 of 100 test tiles agree");
    facts.content.fine_correlation = 0.41;
    expect(&facts, VERIFY_ALIGNED, "40 of 100 test tiles");
    facts.content.fine_parts = 11;
    expect(&facts, VERIFY_DOUBTFUL, "only 40 of 100 test tiles agree");
    facts.content.fine_correlation = 0.42; /* fewer parts that say more each */
    expect(&facts, VERIFY_ALIGNED, "40 of 100 test tiles");
    facts.content = (struct verify_content){.fine_parts = 5, .fine_correlation = 0.9};
    expect(&facts, VERIFY_DOUBTFUL, "only 40 of 100 test tiles agree");
    facts.content.coarse_deviations = 4.9;
    expect(&facts, VERIFY_DOUBTFUL, "only 40 of 100 test tiles agree");
    facts.content.coarse_deviations = 5.1;
    expect(&facts, VERIFY_ALIGNED, "40 of 100 test tiles");
    facts.agreeing = 24;
    facts.held_out = 155;
    expect(&facts, VERIFY_ALIGNED, "24 of 155 test tiles");
    facts.held_out = 170;
    expect(&facts, VERIFY_DOUBTFUL, "only 24 of 170 test tiles agree");
    facts.held_out = 100;
    facts.agreeing = 40;
    facts.sectors_agreeing = 4;
    expect(&facts, VERIFY_ALIGNED, "40 of 100 test tiles");
    facts.sectors_agreeing = 3;
    expect(&facts, VERIFY_DOUBTFUL, "3 of 9 parts");
    facts.sectors_agreeing = 6;
    facts.repeats.ambiguous = 30;
    facts.repeats.distance_px = 5; /* along a fibre */
    expect(&facts, VERIFY_ALIGNED, "40 of 100 test tiles");
    facts.repeats.distance_px = 13;
    expect(&facts, VERIFY_DOUBTFUL, "repeats itself every 13 px");
}

/* Blobs that each hold still along one direction alone, or not at all. */
static void all_pixels_make_up_for_tiles(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.content = same;
    facts.agreeing = 23;
    expect(&facts, VERIFY_DOUBTFUL, "23 test tiles agree, min_tiles asks for 24");
    facts.joined = true;
    expect(&facts, VERIFY_ALIGNED, "23 of 100 test tiles");
    facts.agreeing = 7;
    facts.held_out = 40;
    expect(&facts, VERIFY_DOUBTFUL, "7 test tiles agree, a third of min_tiles asks for 8");
    facts.agreeing = 24;
    facts.held_out = 241;
    expect(&facts, VERIFY_DOUBTFUL, "only 24 of 241 test tiles agree");
    facts.held_out = 239;
    expect(&facts, VERIFY_ALIGNED, "24 of 239 test tiles");
    facts.held_out = 100;
    facts.agreeing = 40;
    facts.sectors_agreeing = 2;
    expect(&facts, VERIFY_ALIGNED, "40 of 100 test tiles");
    facts.sectors_agreeing = 1;
    expect(&facts, VERIFY_DOUBTFUL, "1 of 9 parts");
    facts.sectors_agreeing = 3;
    facts.median_px = 11; /* objects and accidents, clearer than what agrees */
    expect(&facts, VERIFY_ALIGNED, "median 0.10 px on 40 of 100 test tiles");
    facts.agreeing_median_px = 3.1;
    expect(&facts, VERIFY_DOUBTFUL, "median of 3.1 px on 40 test tiles");
    facts.agreeing_median_px = facts.median_px = 0.1;
    facts.content = (struct verify_content){0};
    expect(&facts, VERIFY_DOUBTFUL, "only 40 of 100 test tiles agree");
}

/* As many tiles agree as accident allows; the texture, of which a tile's peak is the least part,
 * coincides. */
static void texture_is_detail(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.agreeing = 24;
    facts.null.chance = 0.12;
    expect(&facts, VERIFY_DOUBTFUL, "but not in detail");
    facts.content = same;
    expect(&facts, VERIFY_ALIGNED, "24 of 100 test tiles");
}

/* A tile that shows an edge or a blob alone is off by more than the map. */
static void a_known_map_of_the_same_content_leaves_tiles_their_own_residuals(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.median_px = 2.4;
    expect(&facts, VERIFY_DOUBTFUL, "median of 2.4 px on 95 test tiles, above max_residual (2 px)");
    facts.content = same;
    expect(&facts, VERIFY_ALIGNED, "median 2.40 px");
    facts.error_bar.tissue_px = 1.1;
    expect(&facts, VERIFY_DOUBTFUL, "median of 2.4 px");
    facts.error_bar.tissue_px = 0.3;
    facts.median_px = 3.1;
    expect(&facts, VERIFY_DOUBTFUL, "median of 3.1 px");
}

/* The votes may be an accident, here and at the rival's place; what the images have in common is
 * none. */
static void pixels_decide_where_votes_do_not(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.content = same;
    facts.refine.votes = 6;
    facts.refine.tiles = 49;
    facts.refine.runner_up_votes = 9;
    facts.refine.runner_up_tiles = 64;
    facts.decoys = (struct verify_decoys){{1, 49}, {1, 49}};
    expect(&facts, VERIFY_DOUBTFUL, "another position fits nearly as well");
    facts.refine.common = 0.15;
    facts.refine.runner_up_common = 0.03;
    expect(&facts, VERIFY_ALIGNED, "93 of 100 test tiles");
    facts.refine.runner_up_common = 0.06;
    expect(&facts, VERIFY_DOUBTFUL, "another position fits nearly as well");
}

/* Outlines around something else, and none of it known. */
static void texture_that_does_not_coincide_was_replaced(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.content = (struct verify_content){.coarse_parts = 60, .coarse_deviations = 2.1};
    expect(&facts, VERIFY_ALIGNED, "93 of 100"); /* nearly all agree */
    facts.agreeing = 89;
    expect(&facts, VERIFY_DOUBTFUL, "share outlines, but not their content");
    expect(&facts, VERIFY_DOUBTFUL, "look at qc/tiles.png");
    facts.content.coarse_parts = 59; /* too few to say either */
    expect(&facts, VERIFY_ALIGNED, "89 of 100");
}

/* As of nuclei: hardly anything is far from one. */
static void where_outlines_are_everywhere_they_are_the_content(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.agreeing = 42;
    facts.sectors_agreeing = 4;
    facts.content = (struct verify_content){
        .parts = 1000, .inside = 201, .coarse_parts = 200, .coarse_deviations = 2.1};
    expect(&facts, VERIFY_DOUBTFUL, "share outlines, but not their content");
    facts.content.inside = 199;
    expect(&facts, VERIFY_ALIGNED, "42 of 100 test tiles");
    facts.sectors_agreeing = 3;
    expect(&facts, VERIFY_DOUBTFUL, "3 of 9 parts");
    facts.sectors_agreeing = 4;
    facts.agreeing = 39;
    expect(&facts, VERIFY_DOUBTFUL, "only 39 of 100 test tiles agree");
    facts.agreeing = 42;
    facts.median_px = 1.1; /* so are two samples of one outline */
    expect(&facts, VERIFY_DOUBTFUL, "only 42 of 100 test tiles agree");
}

static void slopes_of_the_same_content_may_be_off(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.planted = (struct verify_planted){24, 10, 0.91, 1.09};
    expect(&facts, VERIFY_DOUBTFUL, "91 % of the shift across");
    facts.content = same;
    expect(&facts, VERIFY_ALIGNED, "93 of 100 test tiles");
    facts.planted.slope_x = 0.89;
    expect(&facts, VERIFY_DOUBTFUL, "89 % of the shift across");
    facts.joined = true; /* then tiles may slip along their outlines */
    facts.planted.slope_x = 0.36;
    expect(&facts, VERIFY_ALIGNED, "93 of 100 test tiles");
    facts.planted.slope_x = 0.34;
    expect(&facts, VERIFY_DOUBTFUL, "34 % of the shift across");
}

/* What each of the further checks says when it alone is against the map. */
static void doubts_of_a_measurement(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.planted.slope_y = 0.94;
    expect(&facts, VERIFY_DOUBTFUL, "100 % of the shift across and 94 % down");
    facts.repeats.ambiguous = 40; /* smooth ground fits everywhere */
    expect(&facts, VERIFY_DOUBTFUL, "94 % down");
    facts.repeats.ambiguous = 0;
    facts.planted.slope_y = 1.049;
    expect(&facts, VERIFY_ALIGNED, "93 of 100");
    facts.planted.following = 22;
    expect(&facts, VERIFY_DOUBTFUL, "only 22 of the 24 clearest test tiles find");

    facts = good(); /* the unseen tiles have a better map */
    facts.error_bar.offset_px = 1.2;
    expect(&facts, VERIFY_DOUBTFUL, "put some of the tissue 1.2 px from where the map does");

    facts = good();
    facts.error_bar.tissue_px = 0.9;
    expect(&facts, VERIFY_ALIGNED, "93 of 100");
    facts.error_bar.tissue_px = 1.1;
    expect(&facts, VERIFY_DOUBTFUL, "may be off by 1.1 px");
    facts.error_bar = (struct error_bar){0};
    expect(&facts, VERIFY_DOUBTFUL, "not known well enough");

    facts = good();
    facts.refine.fine = false;
    expect(&facts, VERIFY_DOUBTFUL, "on a reduced image only");

    facts = good();
    facts.coarse_agreeing = 14;
    facts.pattern.still = facts.pattern.shifted = true;
    expect(&facts, VERIFY_ALIGNED, "93 of 100"); /* the referee's tiles agreed */
    facts.refine.votes = 30;
    expect(&facts, VERIFY_DOUBTFUL, "finest grain only");
    facts.content = same;
    expect(&facts, VERIFY_DOUBTFUL, "finest grain only");
    facts.content = good().content;
    facts.pattern.still = facts.pattern.shifted = false;
    expect(&facts, VERIFY_ALIGNED, "93 of 100"); /* what agrees was turned */
    facts.pattern.shifted = true;
    expect(&facts, VERIFY_DOUBTFUL, "finest grain only");
    facts.content = same;
    expect(&facts, VERIFY_ALIGNED, "93 of 100");
}

static void doubts_of_another_map(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.second = (struct verify_second){.contradicting = 20, .agreeing = 14, .distance_px = 9};
    expect(&facts, VERIFY_DOUBTFUL, "moved separately: 14 test tiles, most of them in the upper");
    facts.second.still = true; /* a map that moves the tissue, and dust that stays */
    expect(&facts, VERIFY_ALIGNED, "93 of 100");

    facts = good(); /* wrong by a few px: nothing agrees, and yet there is common structure */
    facts.agreeing = facts.confident = 2;
    facts.second = (struct verify_second){.contradicting = 98, .agreeing = 95, .distance_px = 5};
    facts.refine.votes = 6;
    expect(&facts, VERIFY_DOUBTFUL, "95 of 100 test tiles agree with one another, but about 5 px");

    facts = good();
    facts.decoys.turned.votes = 70;
    expect(&facts, VERIFY_DOUBTFUL, "turned by 180 degrees it fits nearly as well");
    facts = good();
    facts.decoys.mirrored.votes = 70;
    expect(&facts, VERIFY_DOUBTFUL, "mirrored it fits nearly as well");
}

static void a_pattern_of_the_camera_is_told(void **state) {
    (void)state;
    struct verify_facts facts = good();
    facts.pattern = (struct verify_pattern){.still = true,
                                            .ground = 24,
                                            .ground_agreeing = 22,
                                            .tissue_shared = 0.008,
                                            .ground_shared = 0.004};
    expect(&facts, VERIFY_DOUBTFUL, "pattern of the camera");
    facts.pattern.tissue_shared = 0.08; /* the same noise in both images, and tissue */
    expect(&facts, VERIFY_ALIGNED, "93 of 100");
    facts.pattern.tissue_shared = 0.008;
    facts.pattern.ground_agreeing = 3; /* an aligned pair, aligned again */
    expect(&facts, VERIFY_ALIGNED, "93 of 100");
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
        cmocka_unit_test(the_same_content_needs_fewer_tiles),
        cmocka_unit_test(pixels_decide_where_votes_do_not),
        cmocka_unit_test(all_pixels_make_up_for_tiles),
        cmocka_unit_test(a_known_map_of_the_same_content_leaves_tiles_their_own_residuals),
        cmocka_unit_test(texture_that_does_not_coincide_was_replaced),
        cmocka_unit_test(where_outlines_are_everywhere_they_are_the_content),
        cmocka_unit_test(texture_is_detail),
        cmocka_unit_test(slopes_of_the_same_content_may_be_off),
        cmocka_unit_test(doubts_of_a_measurement),
        cmocka_unit_test(doubts_of_another_map),
        cmocka_unit_test(a_pattern_of_the_camera_is_told),
        cmocka_unit_test(accidents_are_never_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
