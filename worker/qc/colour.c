/* Each map is a few anchors at equal distances with straight lines between. See colour.h. */
#include "worker/qc/colour.h"

enum { MOST_ANCHORS = 11 };

static const struct {
    int n;
    uint32_t anchors[MOST_ANCHORS];
} maps[COLOUR_MAP_COUNT] = {
    [COLOUR_SEQUENTIAL] = {9,
                           {0x440154, 0x472c7a, 0x3b518b, 0x2c718e, 0x21908d, 0x27ad81, 0x5cc863,
                            0xaadc32, 0xfde725}},
    [COLOUR_ERROR] = {5, {0x0d0887, 0x6300a7, 0xa62098, 0xd5546e, 0xf48849}},
    [COLOUR_DIVERGING] = {11,
                          {0x053061, 0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0, 0xf7f7f7, 0xfddbc7,
                           0xf4a582, 0xd6604d, 0xb2182b, 0x67001f}},
    [COLOUR_GREY] = {2, {0x000000, 0xffffff}},
};

static uint32_t channel(uint32_t from, uint32_t to, double share, int shift) {
    double a = from >> shift & 0xff, b = to >> shift & 0xff;
    return (uint32_t)(a + share * (b - a) + 0.5) << shift;
}

/* 0 to 1; a NAN is 0. */
static double clamp(double value) { return !(value > 0) ? 0 : value < 1 ? value : 1; }

uint32_t colour_at(enum colour_map map, double value) {
    double place = clamp(value) * (maps[map].n - 1);
    int below = place < maps[map].n - 2 ? (int)place : maps[map].n - 2;
    uint32_t from = maps[map].anchors[below], to = maps[map].anchors[below + 1];
    double share = place - below;
    return channel(from, to, share, 16) | channel(from, to, share, 8) | channel(from, to, share, 0);
}

static uint32_t byte_of(double tone) { return (uint32_t)(255 * clamp(tone) + 0.5); }

uint32_t colour_overlay(double post, double pre) {
    return byte_of(post) << 16 | byte_of(pre) << 8 | byte_of(post);
}
