/* Text on a canvas, from outlines of our own (glyphs.h): UTF-8, one size of em in px. */
#ifndef WORKER_QC_LETTERING_H
#define WORKER_QC_LETTERING_H

#include "worker/qc/canvas.h"

enum lettering_anchor { LETTERING_LEFT, LETTERING_MIDDLE, LETTERING_RIGHT };

double lettering_width(const char *text, double em_px);

/* (x, y): the baseline, at its left end, middle or right end. In the canvas's colour. */
void lettering_draw(struct canvas *canvas, double x, double y, double em_px,
                    enum lettering_anchor anchor, const char *text);
void lettering_draw_bold(struct canvas *canvas, double x, double y, double em_px,
                         enum lettering_anchor anchor, const char *text);
/* Reads from bottom to top; (x, y) is the middle of the baseline. */
void lettering_draw_upward(struct canvas *canvas, double x, double y, double em_px,
                           const char *text);

/* Breaks at spaces into lines of at most width px, `leading` px apart, the first one's baseline at
 * y. Returns the baseline below the last one. */
double lettering_draw_wrapped(struct canvas *canvas, double x, double y, double em_px, double width,
                              double leading, const char *text);
/* How many lines that makes. */
int lettering_count_lines(double em_px, double width, const char *text);

#endif
