/* From fine counts to the background scale; see log_ratio.h. Pure: no files, no threads. */
#include "worker/output/log_ratio.h"

#include <math.h>
#include <string.h>

enum { SMOOTH_REACH = 3 };

static const double FINE_LOW = -LOG_RATIO_DECADES / 2.0;
static const double FINE_WIDTH = 1.0 / LOG_RATIO_PER_DECADE;

struct bins {
    double low, width;
    double count[LOG_RATIO_BINS];
    double smooth[LOG_RATIO_BINS];
    bool kept[LOG_RATIO_BINS];
};

size_t log_ratio_bin(float pre, float post) {
    float position = (log10f(post / pre) - (float)FINE_LOW) * (float)LOG_RATIO_PER_DECADE;
    if (!(position > 0))
        return 0;
    size_t bin = (size_t)position;
    return bin < LOG_RATIO_FINE_BINS ? bin : LOG_RATIO_FINE_BINS - 1;
}

static uint64_t total(const uint64_t *fine) {
    uint64_t sum = 0;
    for (size_t i = 0; i < LOG_RATIO_FINE_BINS; i++)
        sum += fine[i];
    return sum;
}

double log_ratio_percentile(const uint64_t *fine, double percent) {
    uint64_t n = total(fine);
    if (n == 0)
        return NAN;
    double rank = percent / 100 * (double)n, below = 0;
    for (size_t i = 0; i < LOG_RATIO_FINE_BINS; i++) {
        double here = (double)fine[i];
        if (here > 0 && below + here >= rank)
            return FINE_LOW + ((double)i + (rank - below) / here) * FINE_WIDTH;
        below += here;
    }
    return -FINE_LOW;
}

/* Robust: the central 99.8 %, and no further from the median than 8 half-widths of the left side,
 * which post-only objects do not reach. Bins are whole numbers of fine ones. */
static void choose_range(const uint64_t *fine, size_t *ret_first, size_t *ret_per_bin) {
    const double reach = 8;
    double low = log_ratio_percentile(fine, 0.1), high = log_ratio_percentile(fine, 99.9);
    double median = log_ratio_percentile(fine, 50);
    double spread = fmax(median - log_ratio_percentile(fine, 16), 10 * FINE_WIDTH);
    low = fmax(low, median - reach * spread);
    high = fmin(high, median + reach * spread);
    double per_bin = ceil((high - low) / FINE_WIDTH / LOG_RATIO_BINS);
    per_bin = fmin(fmax(per_bin, 1), LOG_RATIO_FINE_BINS / LOG_RATIO_BINS);
    double middle = (low + high) / 2 - FINE_LOW;
    double first = floor(middle / FINE_WIDTH - per_bin * LOG_RATIO_BINS / 2);
    first = fmin(fmax(first, 0), LOG_RATIO_FINE_BINS - per_bin * LOG_RATIO_BINS);
    *ret_first = (size_t)first;
    *ret_per_bin = (size_t)per_bin;
}

static double centre(const struct bins *bins, size_t bin) {
    return bins->low + ((double)bin + 0.5) * bins->width;
}

/* The bins left out take no part in the mean either: their pile must not leak to the neighbours. */
static void smooth(struct bins *bins) {
    for (int i = 0; i < LOG_RATIO_BINS; i++) {
        double sum = 0;
        int n = 0;
        for (int k = i - SMOOTH_REACH; k <= i + SMOOTH_REACH; k++)
            if (k >= 0 && k < LOG_RATIO_BINS && bins->kept[k]) {
                sum += bins->count[k];
                n++;
            }
        bins->smooth[i] = n > 0 ? sum / n : 0;
    }
}

static void fill(struct bins *bins, const uint64_t *fine) {
    size_t first, per_bin;
    choose_range(fine, &first, &per_bin);
    bins->low = FINE_LOW + (double)first * FINE_WIDTH;
    bins->width = (double)per_bin * FINE_WIDTH;
    for (size_t i = 0; i < LOG_RATIO_BINS; i++) {
        uint64_t sum = 0;
        for (size_t k = 0; k < per_bin; k++)
            sum += fine[first + i * per_bin + k];
        bins->count[i] = (double)sum;
        bins->kept[i] = fabs(centre(bins, i)) >= LOG_RATIO_LEFT_OUT_BINS * bins->width;
    }
    smooth(bins);
}

static size_t highest(const struct bins *bins) {
    size_t best = 0;
    for (size_t i = 0; i < LOG_RATIO_BINS; i++)
        if (bins->kept[i] && (!bins->kept[best] || bins->smooth[i] > bins->smooth[best]))
            best = i;
    return best;
}

/* The vertex of the parabola through the logarithm of the bins around the highest one that have at
 * least this share of it: finer than a bin, and right where the peak itself was left out. */
static double refine_peak(const struct bins *bins, size_t best) {
    const double share = 0.7;
    double least = share * bins->smooth[best];
    size_t first = best, last = best;
    while (first > 0 && (!bins->kept[first - 1] || bins->smooth[first - 1] >= least))
        first--;
    while (last + 1 < LOG_RATIO_BINS && (!bins->kept[last + 1] || bins->smooth[last + 1] >= least))
        last++;
    double s[5] = {0}, t[3] = {0}; /* sums of u^k and of u^k v */
    int n = 0;
    for (size_t i = first; i <= last; i++) {
        if (!bins->kept[i] || bins->smooth[i] <= 0)
            continue;
        double u = (double)i - (double)best, v = log(bins->smooth[i] / bins->smooth[best]);
        double power = 1;
        for (int k = 0; k < 5; k++) {
            s[k] += power;
            if (k < 3)
                t[k] += power * v;
            power *= u;
        }
        n++;
    }
    /* Cramer's rule on the normal equations of v = a + b u + c u^2 */
    double det = s[0] * (s[2] * s[4] - s[3] * s[3]) - s[1] * (s[1] * s[4] - s[3] * s[2]) +
                 s[2] * (s[1] * s[3] - s[2] * s[2]);
    double b = s[0] * (t[1] * s[4] - s[3] * t[2]) - t[0] * (s[1] * s[4] - s[3] * s[2]) +
               s[2] * (s[1] * t[2] - t[1] * s[2]);
    double c = s[0] * (s[2] * t[2] - t[1] * s[3]) - s[1] * (s[1] * t[2] - t[1] * s[2]) +
               t[0] * (s[1] * s[3] - s[2] * s[2]);
    double vertex = -b / (2 * c);
    bool usable = n >= 5 && det > 0 && c < 0 && vertex >= (double)first - (double)best &&
                  vertex <= (double)last - (double)best;
    return centre(bins, best) + (usable ? vertex * bins->width : 0);
}

static void fit(const struct bins *bins, double amp, struct log_ratio_scale *scale) {
    double x[2 * LOG_RATIO_BINS], y[2 * LOG_RATIO_BINS];
    size_t n = 0;
    double half_width = 2 * bins->width;
    for (size_t i = 0; i < LOG_RATIO_BINS && centre(bins, i) <= scale->peak; i++) {
        if (!bins->kept[i])
            continue;
        x[n] = centre(bins, i);
        x[n + 1] = 2 * scale->peak - x[n];
        y[n] = y[n + 1] = bins->smooth[i];
        n += 2;
        if (bins->smooth[i] < amp / 2) /* the last one so is the innermost */
            half_width = fmax(2 * bins->width, scale->peak - x[n - 2]);
    }
    struct moffat moffat = {.amp = amp, .mu = scale->peak, .alpha = 1.5 * half_width, .beta = 2};
    double rms;
    if (!moffat_fit(x, y, n, &moffat, &rms))
        return;
    /* a profile that misses the peak it was fitted to, or the data, is no estimate */
    if (fabs(moffat.mu - scale->peak) > SMOOTH_REACH * bins->width || rms > 0.25 * amp)
        return;
    scale->fitted = true;
    scale->moffat = moffat;
    scale->rms = rms;
}

bool log_ratio_estimate(const uint64_t *fine, struct log_ratio_scale *ret) {
    struct log_ratio_scale scale = {.n_pixels = total(fine)};
    if (scale.n_pixels < LOG_RATIO_LEAST_PIXELS)
        return false;
    struct bins bins;
    fill(&bins, fine);
    size_t best = highest(&bins);
    if (bins.smooth[best] <= 0)
        return false;
    memcpy(scale.counts, bins.count, sizeof(scale.counts));
    scale.low = bins.low;
    scale.high = bins.low + bins.width * LOG_RATIO_BINS;
    scale.peak = refine_peak(&bins, best);
    fit(&bins, bins.smooth[best], &scale);
    *ret = scale;
    return true;
}
