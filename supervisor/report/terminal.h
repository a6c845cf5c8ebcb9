/* What is at the other end of a descriptor: a terminal, how wide, and may it have colour. */
#ifndef SUPERVISOR_REPORT_TERMINAL_H
#define SUPERVISOR_REPORT_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

enum { TERMINAL_DEFAULT_COLUMNS = 80, TERMINAL_DEFAULT_ROWS = 24 };

struct terminal_size {
    size_t columns, rows;
};

/* A terminal that understands cursor movement: not TERM=dumb, not a pipe or file. */
bool terminal_can_redraw(int fd);
/* Such a terminal, and the user has not set NO_COLOR (no-color.org: set and not empty). */
bool terminal_has_colour(int fd);
/* The size now (TIOCGWINSZ); the defaults where there is no terminal or it does not know. */
struct terminal_size terminal_size(int fd);

#endif
