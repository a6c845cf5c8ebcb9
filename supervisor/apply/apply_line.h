/* The one line on a terminal that shows how far an apply is:
 *
 *     DAPI.tif  [#####-----]   52 %         12 s, about 11 s left
 */
#ifndef SUPERVISOR_APPLY_APPLY_LINE_H
#define SUPERVISOR_APPLY_APPLY_LINE_H

#include <stdint.h>

struct apply_line;

/* On stderr, if that is a terminal. label: borrowed; NULL: never anything is shown. NULL when out
 * of memory. */
struct apply_line *apply_line_open(const char *label, int64_t now_ms);
void apply_line_close(struct apply_line *line); /* NULL is fine */

void apply_line_show(struct apply_line *line, double fraction, int64_t now_ms);
/* Draws what has changed, if it is time to. */
void apply_line_tick(struct apply_line *line, int64_t now_ms);
/* Until the next tick that may draw; -1: none is needed. */
int64_t apply_line_wait_ms(const struct apply_line *line, int64_t now_ms);
/* Nothing of it is left on the screen. */
void apply_line_clear(struct apply_line *line);

#endif
