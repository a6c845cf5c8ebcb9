/* Text on its way to a person: cleaned, measured in columns, cut or wrapped to a width.
 *
 * The text may be anything a file name or a program's output can be. What reaches the stream is
 * valid UTF-8 without control characters: line breaks and tabs become spaces; other controls,
 * characters that change the direction of writing, and bytes that are no UTF-8 become '?'. Widths
 * are terminal columns (wcwidth of the C.UTF-8 locale): wide characters count 2, combining ones 0.
 */
#ifndef SUPERVISOR_REPORT_TEXT_H
#define SUPERVISOR_REPORT_TEXT_H

#include "common/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

#define TEXT_UNLIMITED SIZE_MAX

enum text_cut {
    TEXT_CUT_END,    /* "the beginning matt..." */
    TEXT_CUT_MIDDLE, /* "CD070-left.../DAPI": both ends of an id tell it from others */
};

/* Colours say one thing each; without colour nothing is lost. */
enum text_style { TEXT_PLAIN, TEXT_GOOD, TEXT_WARN, TEXT_BAD, TEXT_FAINT, TEXT_STYLE_COUNT };

/* Columns that text_print writes for the whole text. */
size_t text_width(const char *text);

/* True when text_print would change nothing in it. */
bool text_is_clean(const char *text);

/* Prints at most width columns of the text, with "..." where something is left out. Returns the
 * columns printed. */
size_t text_print(FILE *stream, const char *text, size_t width, enum text_cut cut);

/* Prints the text in lines of at most width columns, every line but the first preceded by indent
 * spaces; the first is taken to start at that column already. Words longer than a line are kept
 * whole. Ends with a line break. */
void text_wrap(FILE *stream, const char *text, size_t indent, size_t width);

/* Prints the text as text_print does unlimited, with line_break and indent spaces in place of the
 * spaces before each word that would cross the edge of a terminal of width columns. Words that fit
 * no line are left to the terminal. No line break at the end. */
void text_print_broken(FILE *stream, const char *text, size_t indent, size_t width,
                       const char *line_break);

/* The escape sequence that begins a style; TEXT_PLAIN ends it. "" without colour. */
const char *text_style(enum text_style style, bool colour);

#endif
