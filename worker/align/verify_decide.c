/* The decision of verify.h, apart from the measuring. Each rule is one function that either has
 * nothing against the map or says what, in words a biologist can act on. */
#include "worker/align/verify.h"

#include "worker/align/referee.h"

#include <math.h>
#include <stdio.h>

/* Where fewer parts lie far from every outline, outlines are the content: nuclei have 0.03 to 0.05,
 * tissue that was replaced behind its outline had 0.6 or more, however noisy. */
static const double LEAST_INSIDE = 0.2;
/* Content that was replaced behind shared outlines reached 0.17 and 3.5; right maps had 0.65 or 5.7
 * in noise that hides all but outlines from single tiles. Then tiles against the map are missing
 * tissue, objects or noise, and fewer must agree. */
static const double SAME_FINE = 0.4, FINE_EVIDENCE = 1.9, SAME_COARSE_DEVIATIONS = 5;
enum {
    LEAST_FINE_PARTS =
        6, /* and so many that their number times the square of the correlation is: */
    MANY_COARSE_PARTS = 60 /* if the texture of these does not coincide, it was replaced */
};
static const double CHANCE_LIMIT = 1e-6; /* agreement less likely by accident is real */
/* Of the tiles that both images show something of. Two samples of the same outline agree along it:
 * about a quarter. */
static const double AGREEING_SHARE = 0.55, AGREEING_SHARE_OUTLINES = 0.4,
                    AGREEING_SHARE_SAME = 0.15, AGREEING_SHARE_WHOLE = 0.1;
/* Content that was replaced left at most 0.76 of them to agree. Where nearly all do, stains that
 * show other grains are no objection. */
static const double NEARLY_ALL_SHARE = 0.9;
/* Outlines hold the map to a pixel or two at best: where the residuals (times max_residual) are
 * like that, nearly all tiles must agree. */
static const double LARGE_MEDIAN = 0.5, LARGE_MEDIAN_SHARE = 0.8;
/* Those that one image shows nothing of are not asked, but they must not be nearly all. */
static const double LEAST_SHARE = 0.3;
/* Of min_tiles. */
static const double MIN_TILES_SHARE_WHOLE = 1.0 / 3;
static const double SECTOR_SHARE = 0.75, SECTOR_SHARE_SAME = 0.4, SECTOR_SHARE_WHOLE = 0.2;
/* Times what the images have in common at the next best place. */
static const double MORE_COMMON = 3;
static const double AMBIGUOUS_SHARE = 0.5;
enum { LEAST_REPEATS_TESTED = 5 };
/* Of the tiles that agree, so many at least correlate better than strangers do. In a lattice, of
 * which any tile fits anywhere, 0.06 did. */
static const double OWN_SHARE = 0.2;
/* px: along an edge or a fibre the next peak is as good, and says nothing of a period. */
static const double LEAST_PERIOD_PX = 12;
static const double LEAST_OVERLAP = 0.15;
/* The camera's pattern: half of the empty ground shows it, and the tissue little more of it. */
static const double GROUND_SHARE = 0.5, CLEARER_ON_TISSUE = 8;
enum { LEAST_GROUND_TILES = 8 };
/* A planted shift is measured back to so much; and by so many tiles. Tiles that each hold along one
 * direction alone, as outlines do, report half of it; what does not move with the image, nothing.
 */
static const double SLOPE_TOLERANCE = 0.05, SLOPE_TOLERANCE_SAME = 0.1,
                    SLOPE_TOLERANCE_WHOLE = 0.65, FOLLOWING_SHARE = 0.95;
/* Where full resolution agrees, a reduced image does too; of those of its tiles that are heard. Not
 * asked where the map moves what agrees otherwise than a camera's pattern lies, or where so many of
 * the referee's tiles, which are reduced still further, agreed. */
static const double COARSE_SHARE = 0.3, VOTED_SHARE = 0.4;
enum { LEAST_COARSE_TILES = 12 };
/* Times max_residual: how far unseen tiles may put the tissue from where the map does. */
static const double OFFSET_SHARE = 0.5;
/* Times max_residual: how far the map may be off, to be called known. */
static const double KNOWN_SHARE = 0.5;
/* Times max_residual: where the images show the same and the map is known, the rest of a tile's
 * residual is its own, and the map's only when it is large. */
static const double OWN_RESIDUAL = 1.5;
static const double MIRROR_MARGIN = 1.25;
static const double COARSE_MARGIN = 1.5;
/* With such a margin of the search itself, fewer votes are asked for. */
static const double CLEAR_MARGIN = 2, CLEAR_LIMIT = 1e-3;
enum { LEAST_MIRROR_VOTES = 12 };

const char *verify_status_name(enum verify_status status) {
    static const char *const names[VERIFY_STATUS_COUNT] = {
        [VERIFY_ALIGNED] = "aligned", [VERIFY_DOUBTFUL] = "doubtful", [VERIFY_FAILED] = "failed"};
    return names[status];
}

static bool looks_mirrored(const struct verify_facts *facts) {
    return facts->refine.mirrored_votes >= LEAST_MIRROR_VOTES &&
           facts->refine.mirrored_votes > 2 * facts->refine.votes &&
           facts->search_mirrored > MIRROR_MARGIN * facts->refine.search_score;
}

static double votes_by_accident(const struct verify_facts *facts) {
    return referee_accident(facts->refine.votes, facts->refine.tiles);
}

static double decoy_by_accident(const struct verify_decoy *decoy) {
    return referee_accident(decoy->votes, decoy->tiles);
}

static double rival_by_accident(const struct verify_facts *facts) {
    return referee_accident(facts->refine.runner_up_votes, facts->refine.runner_up_tiles);
}

static bool shows_same(const struct verify_facts *facts) {
    const struct verify_content *content = &facts->content;
    double evidence = content->fine_parts * content->fine_correlation * content->fine_correlation;
    return (content->fine_parts >= LEAST_FINE_PARTS && content->fine_correlation >= SAME_FINE &&
            evidence >= FINE_EVIDENCE) ||
           content->coarse_deviations >= SAME_COARSE_DEVIATIONS;
}

static bool is_full_of_outlines(const struct verify_facts *facts) {
    return facts->content.inside < LEAST_INSIDE * facts->content.parts;
}

/* Tiles, or the texture between them, which is all there is where noise hides it from tiles. */
static bool agrees_in_detail(const struct verify_facts *facts) {
    return shows_same(facts) ||
           fit_binomial_tail(facts->held_out, facts->agreeing, facts->null.chance) < CHANCE_LIMIT;
}

/* All pixels together know the map of what both images show: tiles, each of which shows little, are
 * asked for less. */
static bool whole_decides(const struct verify_facts *facts) {
    return facts->joined && shows_same(facts);
}

/* Where single tiles show little, the clearest are objects and accidents. */
static double residual_px(const struct verify_facts *facts) {
    return whole_decides(facts) ? facts->agreeing_median_px : facts->median_px;
}

static bool repeats(const struct verify_facts *facts) {
    return facts->repeats.tested >= LEAST_REPEATS_TESTED &&
           (facts->repeats.distance_px >= LEAST_PERIOD_PX || !shows_same(facts)) &&
           facts->repeats.ambiguous > AMBIGUOUS_SHARE * facts->repeats.tested;
}

/* Where the map puts tiles of such a structure is one place of many. */
static bool fits_anywhere(const struct verify_facts *facts) {
    return !shows_same(facts) && facts->confident < OWN_SHARE * facts->agreeing;
}

static void explain_repeats(const struct verify_facts *facts, char *reason) {
    (void)snprintf(reason, VERIFY_REASON_BYTES,
                   "the structure repeats itself every %.0f px: %d of %d test tiles fit as well "
                   "elsewhere, so the map may be off by whole periods; see whether something that "
                   "is there only once coincides",
                   facts->repeats.distance_px, facts->repeats.ambiguous, facts->repeats.tested);
}

/* Sections of one block, differently stained: no cell is in both, but the tissue's form is. */
static bool agrees_coarsely(const struct verify_facts *facts) {
    double search_rival = fmax(facts->refine.search_runner_up, facts->search_mirrored);
    if (votes_by_accident(facts) >= rival_by_accident(facts) ||
        facts->refine.votes <= facts->refine.mirrored_votes)
        return false;
    return (facts->refine.search_score > COARSE_MARGIN * search_rival &&
            votes_by_accident(facts) < CHANCE_LIMIT) ||
           (facts->refine.search_score > CLEAR_MARGIN * search_rival &&
            votes_by_accident(facts) < CLEAR_LIMIT);
}

/* true: there is no alignment at all. */
static bool explain_failure(const struct verify_facts *facts, char *reason) {
    if (facts->refine.reason[0]) {
        (void)snprintf(reason, VERIFY_REASON_BYTES, "%s", facts->refine.reason);
        return true;
    }
    if (looks_mirrored(facts)) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the images match only as mirror images (%d of %d tiles agree): one of them "
                       "was flipped; flip it back and run again",
                       facts->refine.mirrored_votes, facts->refine.mirrored_tiles);
        return true;
    }
    if (facts->held_out == 0) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the images have no common structure: the best map leaves no textured part "
                       "of the post image inside the pre image");
        return true;
    }
    if (!agrees_in_detail(facts) && !agrees_coarsely(facts) && facts->second.agreeing == 0) {
        if (repeats(facts) && votes_by_accident(facts) < CHANCE_LIMIT) {
            explain_repeats(facts, reason);
            return true;
        }
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the images have no common structure: only %d of %d test tiles find their "
                       "counterpart where the best map puts it, and chance alone finds about %.0f; "
                       "check that both files show the same sample",
                       facts->agreeing, facts->held_out, facts->null.chance * facts->held_out);
        return true;
    }
    if (!facts->plausible) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the best map magnifies beyond scale_min and scale_max: the images do not "
                       "show the same sample, or these parameters are too narrow");
        return true;
    }
    return false;
}

/* Whether the tiles say where the tissue lies, or the same whatever the map. */
static bool follows_slopes(const struct verify_facts *facts) {
    const struct verify_planted *planted = &facts->planted;
    double most = whole_decides(facts) ? SLOPE_TOLERANCE_WHOLE
                  : shows_same(facts)  ? SLOPE_TOLERANCE_SAME
                                       : SLOPE_TOLERANCE;
    return planted->tiles == 0 ||
           (fabs(planted->slope_x - 1) <= most && fabs(planted->slope_y - 1) <= most);
}

static bool explain_planted(const struct verify_facts *facts, char *reason) {
    const struct verify_planted *planted = &facts->planted;
    if (!follows_slopes(facts)) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the position cannot be measured: when the map is shifted on purpose, the "
                       "test tiles report %.0f %% of the shift across and %.0f %% down; stripes, "
                       "smooth shading or noise hold the map there, not the tissue",
                       100 * planted->slope_x, 100 * planted->slope_y);
        return true;
    }
    if (!shows_same(facts) && planted->following < FOLLOWING_SHARE * planted->tiles) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "when the map is shifted on purpose, only %d of the %d clearest test tiles "
                       "find the same place again: the images may share outlines, but not their "
                       "content, or noise hides it; look at qc/tiles.png",
                       planted->following, planted->tiles);
        return true;
    }
    return false;
}

/* The map follows what the camera adds to every image. */
static bool explain_pattern(const struct verify_facts *facts, char *reason) {
    const struct verify_pattern *pattern = &facts->pattern;
    if (!pattern->still || pattern->ground < LEAST_GROUND_TILES ||
        pattern->ground_agreeing < GROUND_SHARE * pattern->ground ||
        pattern->tissue_shared > CLEARER_ON_TISSUE * pattern->ground_shared)
        return false;
    (void)snprintf(reason, VERIFY_REASON_BYTES,
                   "the map moves nothing, and the empty ground agrees with it like the tissue (%d "
                   "of %d tiles): it may follow dust or a pattern of the camera that is in both "
                   "images; see whether the tissue itself coincides, or correct the images for the "
                   "flat field and run again",
                   pattern->ground_agreeing, pattern->ground);
    return true;
}

/* More tiles agree with one another on another map than on this one. */
static bool explain_other_map(const struct verify_facts *facts, char *reason) {
    if (facts->second.agreeing <= facts->agreeing)
        return false;
    (void)snprintf(reason, VERIFY_REASON_BYTES,
                   "%d of %d test tiles agree with one another, but about %.0f px away from where "
                   "the map puts them: the map is probably wrong; narrow angle_range, scale_min "
                   "and scale_max to what you know of the pair and run again",
                   facts->second.agreeing, facts->held_out, facts->second.distance_px);
    return true;
}

static bool nearly_as_good(const struct verify_facts *facts, double rival) {
    return referee_nearly_as_good(rival, votes_by_accident(facts));
}

/* All pixels were asked, since the votes may be an accident; the rivals' are. */
static bool pixels_decided(const struct verify_facts *facts) {
    return facts->refine.common >= MORE_COMMON * facts->refine.runner_up_common &&
           facts->refine.common > 0;
}

static bool explain_rivals(const struct verify_facts *facts, char *reason) {
    const struct verify_decoy *turned = &facts->decoys.turned, *mirrored = &facts->decoys.mirrored;
    if (!pixels_decided(facts) && nearly_as_good(facts, rival_by_accident(facts))) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "another position fits nearly as well (%d of %d tiles there, %d of %d "
                       "here): the structure repeats itself, or a part of the tissue moved",
                       facts->refine.runner_up_votes, facts->refine.runner_up_tiles,
                       facts->refine.votes, facts->refine.tiles);
        return true;
    }
    if (nearly_as_good(facts, decoy_by_accident(turned))) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "turned by 180 degrees it fits nearly as well (%d of %d tiles, %d of %d as "
                       "it is): the form is the same either way up; set angle_range to what you "
                       "know of the pair",
                       turned->votes, turned->tiles, facts->refine.votes, facts->refine.tiles);
        return true;
    }
    if (nearly_as_good(facts, decoy_by_accident(mirrored))) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "mirrored it fits nearly as well (%d of %d tiles, %d of %d as it is): see "
                       "whether one of the images was flipped",
                       mirrored->votes, mirrored->tiles, facts->refine.votes, facts->refine.tiles);
        return true;
    }
    return false;
}

static bool explain_doubt_of_place(const struct verify_facts *facts, char *reason) {
    if (repeats(facts)) { /* smooth ground and stripes "repeat" at every distance */
        if (follows_slopes(facts) || !explain_planted(facts, reason))
            explain_repeats(facts, reason);
        return true;
    }
    if (explain_pattern(facts, reason) || explain_other_map(facts, reason))
        return true;
    if (!agrees_in_detail(facts)) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the tissue's form matches (%d of %d coarse tiles, to about %.0f px) but "
                       "not in detail: it was deformed, or these are neighbouring sections or "
                       "stains that show different structures",
                       facts->refine.votes, facts->refine.tiles, facts->coarse_median_px);
        return true;
    }
    if (explain_rivals(facts, reason))
        return true;
    if (fits_anywhere(facts)) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the structure is the same everywhere: of %d test tiles that agree with the "
                       "map only %d fit better than tiles from other places do, so it may be off "
                       "by whole periods; see whether something that is there only once coincides",
                       facts->agreeing, facts->confident);
        return true;
    }
    if (facts->overlap < LEAST_OVERLAP) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the images share only %.0f %% of the post image: too little to be sure of "
                       "the rest",
                       100 * facts->overlap);
        return true;
    }
    return false;
}

/* Some of the tissue is somewhere else. */
static bool explain_parts(const struct verify_facts *facts, char *reason) {
    const struct verify_second *second = &facts->second;
    if (second->agreeing > 0 && !second->still) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "a part of the tissue moved separately: %d test tiles, most of them %s, "
                       "agree with one another but lie about %.0f px from where the map puts them "
                       "(%d agree with the map); the rest of the tissue may be right",
                       second->agreeing, verify_second_where(second->sector), second->distance_px,
                       facts->agreeing);
        return true;
    }
    double asked = whole_decides(facts)                              ? SECTOR_SHARE_WHOLE
                   : shows_same(facts) || is_full_of_outlines(facts) ? SECTOR_SHARE_SAME
                                                                     : SECTOR_SHARE;
    if (facts->sectors_agreeing < asked * facts->sectors) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the images agree in %d of %d parts of the tissue only: it moved or tore "
                       "between the scans",
                       facts->sectors_agreeing, facts->sectors);
        return true;
    }
    return false;
}

static bool explain_shares(const struct verify_facts *facts, const struct params *params,
                           char *reason) {
    bool same = shows_same(facts), outlines = is_full_of_outlines(facts);
    if (!same && !outlines && facts->content.coarse_parts >= MANY_COARSE_PARTS &&
        facts->agreeing < NEARLY_ALL_SHARE * (facts->held_out - facts->silent)) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the images may share outlines, but not their content: between these their "
                       "grain does not coincide, though %d of %d test tiles agree with the map; "
                       "look at qc/tiles.png",
                       facts->agreeing, facts->held_out);
        return true;
    }
    double asked = whole_decides(facts) ? AGREEING_SHARE_WHOLE
                   : same               ? AGREEING_SHARE_SAME
                   : facts->median_px > LARGE_MEDIAN * params->max_residual_px ? LARGE_MEDIAN_SHARE
                   : outlines ? AGREEING_SHARE_OUTLINES
                              : AGREEING_SHARE;
    if (facts->agreeing < asked * (facts->held_out - facts->silent) ||
        (!same && facts->agreeing < LEAST_SHARE * facts->held_out)) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "only %d of %d test tiles agree with the map: the images share an outline "
                       "or a part, but not their content, or noise and objects of one image alone "
                       "hide it; look at qc/tiles.png",
                       facts->agreeing, facts->held_out);
        return true;
    }
    bool may_be_pattern = (facts->pattern.still || (facts->pattern.shifted && !same)) &&
                          facts->refine.votes <= VOTED_SHARE * facts->refine.tiles;
    if (may_be_pattern && facts->coarse_heard >= LEAST_COARSE_TILES &&
        facts->coarse_agreeing < COARSE_SHARE * facts->coarse_heard) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the images agree in their finest grain only (%d of %d test tiles), not "
                       "when seen from afar (%d of %d): that may be noise or a pattern of the "
                       "camera rather than the tissue; compare them by eye",
                       facts->agreeing, facts->held_out, facts->coarse_agreeing,
                       facts->coarse_heard);
        return true;
    }
    return false;
}

/* How well the map is known, and whether unseen tiles would move it. */
static bool explain_error(const struct verify_facts *facts, const struct params *params,
                          char *reason) {
    const struct error_bar *bar = &facts->error_bar;
    if (!facts->refine.fine) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the map was found on a reduced image only: at full resolution too few "
                       "parts of the images match to fit it; it is good to some pixels at best");
        return true;
    }
    if (bar->tiles > 0 && bar->offset_px > OFFSET_SHARE * params->max_residual_px) {
        (void)snprintf(
            reason, VERIFY_REASON_BYTES,
            "the test tiles put some of the tissue %.1f px from where the map does: the "
            "tissue was deformed, or the map is off%s",
            bar->offset_px,
            transform_has_grid(&facts->refine.transform) ? "" : "; --set model=grid may follow it");
        return true;
    }
    double most_px = KNOWN_SHARE * params->max_residual_px;
    if (bar->tiles == 0 || bar->tissue_px > most_px) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the map is not known well enough: with the %d test tiles that agree it may "
                       "be off by %.1f px somewhere on the tissue (95 %% sure), above %g px (%g of "
                       "max_residual)",
                       facts->agreeing, bar->tissue_px, most_px, KNOWN_SHARE);
        return true;
    }
    return false;
}

static bool explain_doubt_of_fit(const struct verify_facts *facts, const struct params *params,
                                 char *reason) {
    bool is_whole = whole_decides(facts);
    double asked = params->min_tiles * (is_whole ? MIN_TILES_SHARE_WHOLE : 1);
    if (facts->agreeing < asked) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "too little common structure to be sure: %d test tiles agree, %smin_tiles "
                       "asks for %.0f",
                       facts->agreeing, is_whole ? "a third of " : "", ceil(asked));
        return true;
    }
    bool is_known = facts->error_bar.tiles > 0 &&
                    facts->error_bar.tissue_px <= KNOWN_SHARE * params->max_residual_px;
    double most_px = params->max_residual_px * (is_known && shows_same(facts) ? OWN_RESIDUAL : 1);
    if (residual_px(facts) > most_px) {
        (void)snprintf(reason, VERIFY_REASON_BYTES,
                       "the map leaves a median of %.1f px on %d test tiles, above max_residual "
                       "(%g px): the tissue was deformed between the scans, or the stains show "
                       "different structures",
                       residual_px(facts), is_whole ? facts->agreeing : facts->confident,
                       params->max_residual_px);
        return true;
    }
    return false;
}

enum verify_status verify_decide(const struct verify_facts *facts, const struct params *params,
                                 char ret_reason[VERIFY_REASON_BYTES]) {
    if (explain_failure(facts, ret_reason))
        return VERIFY_FAILED;
    if (explain_doubt_of_place(facts, ret_reason) ||
        explain_doubt_of_fit(facts, params, ret_reason) ||
        explain_shares(facts, params, ret_reason) || explain_parts(facts, ret_reason) ||
        explain_planted(facts, ret_reason) || explain_error(facts, params, ret_reason))
        return VERIFY_DOUBTFUL;
    (void)snprintf(ret_reason, VERIFY_REASON_BYTES, "median %.2f px on %d of %d test tiles%s",
                   residual_px(facts), facts->agreeing, facts->held_out,
                   facts->refine.inverted
                       ? "; what is bright in one image is dark in the other, so "
                         "their difference tells little"
                       : "");
    return VERIFY_ALIGNED;
}
