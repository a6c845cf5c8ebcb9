/* Asking the terminal; see terminal.h. Nothing is remembered: a terminal changes under us. */
#include "supervisor/report/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_can_redraw(int fd) {
    const char *term = getenv("TERM");
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

bool terminal_has_colour(int fd) {
    const char *no_color = getenv("NO_COLOR");
    return terminal_can_redraw(fd) && !(no_color && *no_color);
}

struct terminal_size terminal_size(int fd) {
    struct terminal_size size = {TERMINAL_DEFAULT_COLUMNS, TERMINAL_DEFAULT_ROWS};
    struct winsize answer = {0};
    if (ioctl(fd, TIOCGWINSZ, &answer) != 0)
        return size;
    if (answer.ws_col > 0)
        size.columns = answer.ws_col;
    if (answer.ws_row > 0)
        size.rows = answer.ws_row;
    return size;
}
