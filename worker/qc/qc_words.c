/* See qc_words.h. */
#include "worker/qc/qc_words.h"

#include "worker/qc/lettering.h"
#include "worker/qc/plot.h"

#include <string.h>

double qc_words_verdict(struct canvas *canvas, const struct qc_data *data, double x, double y,
                        double width) {
    bool is_good = strcmp(data->status, "aligned") == 0;
    canvas_set_colour(canvas, is_good ? COLOUR_GOOD : data->is_failed ? COLOUR_BAD : COLOUR_DOUBT);
    lettering_draw_bold(canvas, x, y, PLOT_LABEL_PX, LETTERING_LEFT, data->status);
    canvas_set_colour(canvas, COLOUR_TEXT);
    return lettering_draw_wrapped(canvas, x, y + PLOT_LEADING_PX, PLOT_LABEL_PX, width,
                                  PLOT_LEADING_PX, data->reason);
}

int qc_words_height(const struct qc_data *data, double width) {
    return PLOT_LEADING_PX * (1 + lettering_count_lines(PLOT_LABEL_PX, width, data->reason));
}
