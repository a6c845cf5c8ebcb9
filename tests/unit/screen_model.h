/* A terminal in miniature, to see what a person would: text, \r \n, cursor up, erase, automatic
 * wrapping, colours (ignored), hidden cursor, scrolling into the scrollback, and wrapping lines
 * anew when it becomes narrower, as most terminals do. ASCII only; anything it does not know fails
 * the test. */
#ifndef TESTS_UNIT_SCREEN_MODEL_H
#define TESTS_UNIT_SCREEN_MODEL_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCREEN_MAX_ROWS = 400, SCREEN_MAX_COLUMNS = 200 };

struct screen_row {
    char text[SCREEN_MAX_COLUMNS + 1]; /* '\0' where nothing was written */
    bool wrapped;                      /* goes on in the next row */
};

struct screen {
    struct screen_row rows[SCREEN_MAX_ROWS]; /* scrollback, then the visible ones */
    size_t top;                              /* the first visible row */
    size_t height, width;
    size_t saved_row, saved_column;
    size_t row, column; /* of the cursor; row counts from the scrollback's start */
    bool about_to_wrap, wraps, cursor_shown, coloured;
    char escape[32]; /* a sequence that has begun */
    size_t n_escape;
};

static inline void screen_init(struct screen *screen, size_t width, size_t height) {
    memset(screen, 0, sizeof(*screen));
    screen->width = width;
    screen->height = height;
    screen->wraps = screen->cursor_shown = true;
}

static inline void screen_line_feed(struct screen *screen) {
    screen->about_to_wrap = false;
    screen->row++;
    if (screen->row >= SCREEN_MAX_ROWS)
        abort();
    if (screen->row >= screen->top + screen->height)
        screen->top = screen->row - screen->height + 1;
}

static inline void screen_put(struct screen *screen, char c) {
    if (screen->about_to_wrap && screen->wraps) {
        screen->rows[screen->row].wrapped = true;
        screen_line_feed(screen);
        screen->column = 0;
    }
    char *text = screen->rows[screen->row].text;
    for (size_t i = 0; i < screen->column; i++)
        if (!text[i])
            text[i] = ' ';
    text[screen->column] = c;
    if (screen->column + 1 < screen->width)
        screen->column++;
    else
        screen->about_to_wrap = true;
}

static inline void screen_erase_right(struct screen *screen) {
    struct screen_row *row = &screen->rows[screen->row];
    memset(row->text + screen->column, 0, sizeof(row->text) - screen->column);
    row->wrapped = false;
}

static inline void screen_save_or_restore(struct screen *screen, bool save) {
    if (save) {
        screen->saved_row = screen->row - screen->top;
        screen->saved_column = screen->column;
    } else {
        screen->row = screen->top + screen->saved_row;
        screen->column = screen->saved_column;
        screen->about_to_wrap = false;
    }
}

static inline void screen_escape(struct screen *screen, const char *sequence) {
    size_t length = strlen(sequence);
    char final = sequence[length - 1];
    if (strcmp(sequence, "?25l") == 0 || strcmp(sequence, "?25h") == 0) {
        screen->cursor_shown = final == 'h';
    } else if (strcmp(sequence, "?7l") == 0 || strcmp(sequence, "?7h") == 0) {
        screen->wraps = final == 'h';
        screen->about_to_wrap = false;
    } else if (strcmp(sequence, "B") == 0) {
        screen->row += screen->row + 1 < screen->top + screen->height;
    } else if (final == 'A') {
        size_t up = strtoul(sequence, NULL, 10);
        size_t room = screen->row - screen->top;
        screen->row -= up < room ? up : room;
        screen->about_to_wrap = false;
    } else if (strcmp(sequence, "K") == 0) {
        screen_erase_right(screen);
    } else if (strcmp(sequence, "J") == 0) {
        if (screen->row == screen->top && screen->column == 0 && screen->height > 1) {
            (void)fputs("tmux would save the erased screen in its scrollback\n", stderr);
            abort();
        }
        screen_erase_right(screen);
        for (size_t r = screen->row + 1; r < screen->top + screen->height; r++)
            memset(&screen->rows[r], 0, sizeof(screen->rows[r]));
    } else if (final == 'm') {
        screen->coloured = true;
    } else {
        (void)fprintf(stderr, "the screen does not know ESC[%s\n", sequence);
        abort();
    }
}

static inline void screen_feed(struct screen *screen, const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char c = bytes[i];
        if (screen->n_escape > 0) {
            if (screen->n_escape + 1 >= sizeof(screen->escape))
                abort();
            screen->escape[screen->n_escape++] = c;
            bool bracket = screen->n_escape == 2 && c == '[';
            if (screen->n_escape == 2 && (c == '7' || c == '8')) {
                screen_save_or_restore(screen, c == '7');
                screen->n_escape = 0;
            } else if (!bracket && ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))) {
                screen->escape[screen->n_escape] = '\0';
                screen_escape(screen, screen->escape + 2);
                screen->n_escape = 0;
            }
        } else if (c == '\033') {
            screen->escape[screen->n_escape++] = c;
        } else if (c == '\r') {
            screen->column = 0;
            screen->about_to_wrap = false;
        } else if (c == '\n') {
            screen_line_feed(screen);
        } else if ((unsigned char)c < 0x20 || (unsigned char)c >= 0x7f) {
            (void)fprintf(stderr, "the screen got the byte %02x\n", (unsigned char)c);
            abort();
        } else {
            screen_put(screen, c);
        }
    }
}

/* The window gets another size. Rows that became too long are wrapped anew, rows that were wrapped
 * are joined first; the cursor stays with its character. */
static inline void screen_resize(struct screen *screen, size_t width, size_t height) {
    static struct screen before; /* too large for the stack */
    before = *screen;
    size_t last = before.row;
    for (size_t r = 0; r < before.top + before.height && r < SCREEN_MAX_ROWS; r++)
        if (before.rows[r].text[0] && r > last)
            last = r;
    screen_init(screen, width, height);
    screen->wraps = before.wraps;
    screen->cursor_shown = before.cursor_shown;
    screen->coloured = before.coloured;
    size_t cursor_row = 0, cursor_column = 0;
    for (size_t r = 0; r <= last; r++) {
        const char *text = before.rows[r].text;
        bool wraps = screen->wraps;
        screen->wraps = true;
        for (size_t c = 0; c < before.width && (text[c] || c == before.column); c++) {
            if (r == before.row && c == before.column) {
                cursor_row = screen->row + screen->about_to_wrap;
                cursor_column = screen->about_to_wrap ? 0 : screen->column;
            }
            if (text[c])
                screen_put(screen, text[c]);
        }
        screen->wraps = wraps;
        if (r < last && !before.rows[r].wrapped) {
            screen_line_feed(screen);
            screen->column = 0;
        }
    }
    screen->row = cursor_row;
    screen->column = cursor_column;
    screen->about_to_wrap = false;
}

/* How many rows, scrollback included, begin with the text. */
static inline size_t screen_count(const struct screen *screen, const char *text) {
    size_t count = 0;
    for (size_t r = 0; r < SCREEN_MAX_ROWS; r++)
        count += strncmp(screen->rows[r].text, text, strlen(text)) == 0;
    return count;
}

/* All rows, scrollback included, up to the last that holds anything; one per line. */
static inline char *screen_text(const struct screen *screen) {
    char *text = NULL;
    size_t length = 0, last = 0;
    FILE *stream = open_memstream(&text, &length);
    for (size_t r = 0; r < SCREEN_MAX_ROWS; r++)
        if (screen->rows[r].text[0])
            last = r + 1;
    for (size_t r = 0; stream && r < last; r++)
        (void)fprintf(stream, "%s\n", screen->rows[r].text);
    if (!stream || fclose(stream) != 0)
        abort();
    return text;
}

#endif
