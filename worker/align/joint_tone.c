/* See joint_tone.h. Sums run over all pixels in order: the same bytes every time. */
#include "worker/align/joint_tone.h"

#include <math.h>
#include <string.h>

enum { LEVELS = 128 }; /* of the fixed image's tone, for medians */

static const double LEAST_WEIGHT = 20;       /* pixels' worth: fewer make no knot */
static const double LEAST_DEVIATION = 2e-3;  /* of the tone (0 to 1) */
static const double QUARTILES_APART = 1.349; /* deviations, of a normal distribution */

static int bin_of(float value, int bins) {
    int bin = (int)(value * (float)bins);
    return bin < 0 ? 0 : bin >= bins ? bins - 1 : bin;
}

/* Where the next knot lies beyond a step's beginning, the segment is that of the knot before. At
 * most one knot begins within a step, since a bin is many steps wide. */
static void mark_segments(struct joint_tone *tone) {
    int k = 0;
    for (int step = 0; step < JOINT_TONE_STEPS; step++) {
        float begins = (float)step / JOINT_TONE_STEPS;
        while (k + 2 < tone->count && begins >= tone->at[k + 1])
            k++;
        tone->segment[step] = (unsigned char)k;
    }
}

static void add_knot(struct joint_tone *tone, double at, double value, double deviation) {
    int k = tone->count;
    if (k > 0 && !((float)at > tone->at[k - 1]))
        return;
    tone->at[k] = (float)at;
    tone->value[k] = (float)value;
    tone->deviation[k] = (float)fmax(deviation, LEAST_DEVIATION);
    tone->count++;
}

static double quantile_of(const double counts[LEVELS], double total, double share) {
    double left = share * total;
    for (int i = 0; i < LEVELS; i++) {
        if (left < counts[i])
            return (i + left / counts[i]) / LEVELS;
        left -= counts[i];
    }
    return 1;
}

void joint_tone_begin(const struct joint_tone_pixels *pixels, struct joint_tone *ret) {
    double counts[JOINT_TONE_BINS][LEVELS] = {{0}}, totals[JOINT_TONE_BINS] = {0};
    double sums[JOINT_TONE_BINS] = {0};
    for (size_t i = 0; i < pixels->count; i++) {
        double weight = pixels->weight[i];
        if (weight == 0)
            continue;
        int bin = bin_of(pixels->moving[i], JOINT_TONE_BINS);
        counts[bin][bin_of(pixels->fixed[i], LEVELS)] += weight;
        totals[bin] += weight;
        sums[bin] += weight * pixels->moving[i];
    }
    *ret = (struct joint_tone){0};
    for (int bin = 0; bin < JOINT_TONE_BINS; bin++) {
        double total = totals[bin];
        if (total < LEAST_WEIGHT)
            continue;
        double spread =
            quantile_of(counts[bin], total, 0.75) - quantile_of(counts[bin], total, 0.25);
        add_knot(ret, sums[bin] / total, quantile_of(counts[bin], total, 0.5),
                 spread / QUARTILES_APART);
    }
    mark_segments(ret);
}

void joint_tone_again(const struct joint_tone_pixels *pixels, struct joint_tone *tone) {
    double totals[JOINT_TONE_BINS] = {0}, at[JOINT_TONE_BINS] = {0};
    double value[JOINT_TONE_BINS] = {0}, squares[JOINT_TONE_BINS] = {0};
    for (size_t i = 0; i < pixels->count; i++) {
        double weight = pixels->weight[i];
        if (weight == 0)
            continue;
        float moving = pixels->moving[i], fixed = pixels->fixed[i];
        int bin = bin_of(moving, JOINT_TONE_BINS);
        double residual = fixed - joint_tone_look(tone, moving).value;
        totals[bin] += weight;
        at[bin] += weight * moving;
        value[bin] += weight * fixed;
        squares[bin] += weight * residual * residual;
    }
    struct joint_tone next = {0};
    for (int bin = 0; bin < JOINT_TONE_BINS; bin++)
        if (totals[bin] >= LEAST_WEIGHT)
            add_knot(&next, at[bin] / totals[bin], value[bin] / totals[bin],
                     sqrt(squares[bin] / totals[bin]));
    if (next.count < 2)
        return;
    mark_segments(&next);
    *tone = next;
}
