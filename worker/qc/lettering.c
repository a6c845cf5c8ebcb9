/* Outlines are quadratic curves, which cairo takes as cubic ones; see lettering.h. */
#include "worker/qc/lettering.h"

#include "worker/qc/glyphs.h"

#include <stdbool.h>
#include <string.h>

/* The next character of UTF-8 text; a byte that belongs to none counts as itself. */
static uint32_t next_code(const char **text) {
    const unsigned char *at = (const unsigned char *)*text;
    int more = *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : *at >= 0xc0 ? 1 : 0;
    uint32_t code = more == 3 ? *at & 0x07U : more == 2 ? *at & 0x0fU : more ? *at & 0x1fU : *at;
    *text += 1;
    for (int i = 1; i <= more && (at[i] & 0xc0) == 0x80; i++, *text += 1)
        code = code << 6 | (at[i] & 0x3fU);
    return code;
}

static double width_of(const char *text, size_t length, double em_px) {
    int units = 0;
    for (const char *at = text; at < text + length && *at;)
        units += glyphs_find(next_code(&at))->advance;
    return units * em_px / GLYPHS_EM;
}

double lettering_width(const char *text, double em_px) {
    return width_of(text, strlen(text), em_px);
}

static void curve_to(cairo_t *cairo, const double p[4]) {
    double x, y;
    cairo_get_current_point(cairo, &x, &y);
    cairo_curve_to(cairo, x + 2.0 / 3 * (p[0] - x), y + 2.0 / 3 * (p[1] - y),
                   p[2] + 2.0 / 3 * (p[0] - p[2]), p[3] + 2.0 / 3 * (p[1] - p[3]), p[2], p[3]);
}

static void add_glyph(cairo_t *cairo, const struct glyphs_glyph *glyph, double left, double scale) {
    char command = 'M';
    for (const char *at = glyph->path; *at;) {
        if (*at == 'M' || *at == 'L' || *at == 'Q')
            command = *at++;
        double p[4];
        for (int i = 0; i < (command == 'Q' ? 4 : 2); i++) {
            char *end;
            double value = (double)strtol(at, &end, 10) * scale;
            p[i] = i % 2 == 0 ? left + value : -value;
            at = end;
        }
        if (command == 'M')
            cairo_move_to(cairo, p[0], p[1]);
        else if (command == 'L')
            cairo_line_to(cairo, p[0], p[1]);
        else
            curve_to(cairo, p);
    }
}

/* The origin is where the baseline begins. */
static void fill(cairo_t *cairo, double em_px, bool bold, const char *text, size_t length) {
    double left = 0, scale = em_px / GLYPHS_EM;
    cairo_new_path(cairo);
    for (const char *at = text; at < text + length && *at;) {
        const struct glyphs_glyph *glyph = glyphs_find(next_code(&at));
        add_glyph(cairo, glyph, left, scale);
        left += glyph->advance * scale;
    }
    cairo_set_fill_rule(cairo, CAIRO_FILL_RULE_WINDING);
    cairo_fill_preserve(cairo);
    if (bold) {
        cairo_set_line_width(cairo, em_px / 24);
        cairo_stroke_preserve(cairo);
    }
    cairo_new_path(cairo);
}

static void draw(struct canvas *canvas, double x, double y, double em_px,
                 enum lettering_anchor anchor, bool bold, const char *text) {
    double width = anchor == LETTERING_LEFT ? 0 : lettering_width(text, em_px);
    cairo_save(canvas->cairo);
    cairo_translate(canvas->cairo, x - (anchor == LETTERING_MIDDLE ? width / 2 : width), y);
    fill(canvas->cairo, em_px, bold, text, strlen(text));
    cairo_restore(canvas->cairo);
}

void lettering_draw(struct canvas *canvas, double x, double y, double em_px,
                    enum lettering_anchor anchor, const char *text) {
    draw(canvas, x, y, em_px, anchor, false, text);
}

void lettering_draw_bold(struct canvas *canvas, double x, double y, double em_px,
                         enum lettering_anchor anchor, const char *text) {
    draw(canvas, x, y, em_px, anchor, true, text);
}

void lettering_draw_upward(struct canvas *canvas, double x, double y, double em_px,
                           const char *text) {
    cairo_save(canvas->cairo);
    cairo_translate(canvas->cairo, x, y);
    cairo_rotate(canvas->cairo, -1.57079632679489662);
    draw(canvas, 0, 0, em_px, LETTERING_MIDDLE, false, text);
    cairo_restore(canvas->cairo);
}

/* Length of the first line, at least one word. */
static size_t line_length(const char *text, double em_px, double width) {
    size_t best = strcspn(text, " ");
    for (size_t end = best; text[end];) {
        end += 1 + strcspn(text + end + 1, " ");
        if (width_of(text, end, em_px) > width)
            break;
        best = end;
    }
    return best;
}

double lettering_draw_wrapped(struct canvas *canvas, double x, double y, double em_px, double width,
                              double leading, const char *text) {
    while (*text) {
        size_t length = line_length(text, em_px, width);
        cairo_save(canvas->cairo);
        cairo_translate(canvas->cairo, x, y);
        fill(canvas->cairo, em_px, false, text, length);
        cairo_restore(canvas->cairo);
        y += leading;
        text += length;
        text += strspn(text, " ");
    }
    return y;
}

int lettering_count_lines(double em_px, double width, const char *text) {
    int lines = 0;
    for (; *text; lines++) {
        text += line_length(text, em_px, width);
        text += strspn(text, " ");
    }
    return lines;
}
