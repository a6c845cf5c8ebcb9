/* The letters that pictures are labelled with: ASCII and a few signs, as outlines.
 *
 * They are part of the program, so that pictures have the same bytes on every machine, whatever
 * fonts it has, and nothing outside the sandbox is looked for.
 */
#ifndef WORKER_QC_GLYPHS_H
#define WORKER_QC_GLYPHS_H

#include <stddef.h>
#include <stdint.h>

enum { GLYPHS_EM = 1024, GLYPHS_ASCENT = 778 };

struct glyphs_glyph {
    uint32_t code;    /* Unicode */
    int advance;      /* units of the em */
    const char *path; /* M x y, L x y ..., Q x y x y ...: closed curves, y up from the baseline */
};

/* By code, rising; ASCII from the space on first. */
extern const struct glyphs_glyph glyphs_table[];
extern const size_t glyphs_count;

/* The question mark stands for what is not there. Never NULL. */
const struct glyphs_glyph *glyphs_find(uint32_t code);

#endif
