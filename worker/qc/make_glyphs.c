/* Run while registrar is built: prints glyph_table.c, the outlines of the letters that pictures are
 * labelled with, from a TrueType font (glyphs.h).
 *
 *     make_glyphs DejaVuSans.ttf > glyph_table.c
 */
#include "worker/qc/glyphs.h"

#include <stdio.h>

#include <ft2build.h>
#include FT_FREETYPE_H
#include FT_OUTLINE_H

/* Beside ASCII. In rising order, as glyphs_find wants them. */
static const uint32_t signs[] = {0xb0, 0xb1, 0xb5, 0xd7, 0x2013, 0x2212};

static long scaled(FT_Pos at, const FT_Face face) {
    long units = face->units_per_EM;
    return (2 * at * GLYPHS_EM + (at < 0 ? -units : units)) / (2 * units);
}

static int move_to(const FT_Vector *to, void *face) {
    return printf("M%ld %ld", scaled(to->x, face), scaled(to->y, face)) < 0;
}

static int line_to(const FT_Vector *to, void *face) {
    return printf("L%ld %ld", scaled(to->x, face), scaled(to->y, face)) < 0;
}

static int conic_to(const FT_Vector *control, const FT_Vector *to, void *face) {
    return printf("Q%ld %ld %ld %ld", scaled(control->x, face), scaled(control->y, face),
                  scaled(to->x, face), scaled(to->y, face)) < 0;
}

/* TrueType has none. */
static int cubic_to(const FT_Vector *first, const FT_Vector *second, const FT_Vector *to,
                    void *face) {
    (void)first, (void)second, (void)to, (void)face;
    return 1;
}

static int print_glyph(FT_Face face, uint32_t code) {
    static const FT_Outline_Funcs pens = {
        .move_to = move_to, .line_to = line_to, .conic_to = conic_to, .cubic_to = cubic_to};
    if (FT_Get_Char_Index(face, code) == 0 || FT_Load_Char(face, code, FT_LOAD_NO_SCALE) != 0) {
        (void)fprintf(stderr, "make_glyphs: the font has no letter U+%04x\n", code);
        return -1;
    }
    (void)printf("    {0x%x, %ld, \"", code, scaled(face->glyph->metrics.horiAdvance, face));
    int r = FT_Outline_Decompose(&face->glyph->outline, &pens, face);
    (void)printf("\"},\n");
    return r;
}

int main(int argc, char **argv) {
    FT_Library library;
    FT_Face face;
    if (argc != 2 || FT_Init_FreeType(&library) != 0)
        return 1;
    if (FT_New_Face(library, argv[1], 0, &face) != 0) {
        (void)fprintf(stderr, "make_glyphs: %s cannot be read as a font\n", argv[1]);
        return 1;
    }
    int r = 0;
    (void)printf(
        "#include \"worker/qc/glyphs.h\"\n\nconst struct glyphs_glyph glyphs_table[] = {\n");
    for (uint32_t code = ' '; code <= '~' && r == 0; code++)
        r = print_glyph(face, code);
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]) && r == 0; i++)
        r = print_glyph(face, signs[i]);
    (void)printf(
        "};\nconst size_t glyphs_count = sizeof(glyphs_table) / sizeof(glyphs_table[0]);\n");
    (void)FT_Done_Face(face);
    (void)FT_Done_FreeType(library);
    return r == 0 && fflush(stdout) == 0 ? 0 : 1;
}
