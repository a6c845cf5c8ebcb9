/* The lines of the live view for one moment: pure text of a snapshot and a size.
 *
 *     CD070/DAPI  refine       [#####-----]   52 %  401/480 MiB   1 min 05 s
 *     CD070/SYTO  survey-post  [#---------]   11 %  212/480 MiB         12 s
 *     and 3 more running
 *     [####------]  12 of 30 done, 1 problem; 8 min 05 s, about 12 min left
 *
 * The memory is what a task holds and what is reserved for it; where there is room, the last line
 * ends with what is reserved of the batch's: "; RAM 1.4/2.0 GiB".
 */
#ifndef SUPERVISOR_REPORT_LIVE_FRAME_H
#define SUPERVISOR_REPORT_LIVE_FRAME_H

#include "supervisor/report/live_view.h"
#include "supervisor/report/terminal.h"

enum {
    LIVE_FRAME_MAX_LINES = 64,
    /* No line is longer, however wide the window: one that becomes narrower wraps long lines, and
     * what is so pushed out of it can never be erased. */
    LIVE_FRAME_MAX_COLUMNS = 79
};

struct live_frame {
    size_t n_lines;
    size_t columns[LIVE_FRAME_MAX_LINES]; /* of each line as printed; less than the terminal's */
};

/* Prints the lines over older ones: each erases what stood behind it, the last all that stood
 * below. The cursor rests at the start of the last line. */
void live_frame_print(FILE *stream, const struct live_view_snapshot *snapshot,
                      struct terminal_size size, bool colour, struct live_frame *ret);

/* Rows from the first line's to the last line's start in a terminal of that width. reflows: lines
 * that became too long were wrapped by the terminal rather than cut. */
size_t live_frame_rows_up(const struct live_frame *frame, struct terminal_size size, bool reflows);

/* "about 12 min left", "less than a minute left", "time left: -" */
enum { LIVE_FRAME_ETA_BYTES = 40 };
const char *live_frame_eta(int64_t eta_ms, char text[LIVE_FRAME_ETA_BYTES]);

#endif
