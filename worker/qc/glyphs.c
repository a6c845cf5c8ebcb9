/* The table is made when registrar is built, by make_glyphs.c from the font DejaVu Sans. */
#include "worker/qc/glyphs.h"

#include <stdlib.h>

static int compare(const void *code, const void *glyph) {
    uint32_t a = *(const uint32_t *)code, b = ((const struct glyphs_glyph *)glyph)->code;
    return a < b ? -1 : a > b;
}

const struct glyphs_glyph *glyphs_find(uint32_t code) {
    const struct glyphs_glyph *found =
        bsearch(&code, glyphs_table, glyphs_count, sizeof(glyphs_table[0]), compare);
    return found ? found : &glyphs_table['?' - ' '];
}
