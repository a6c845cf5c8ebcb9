/* Cleaning, measuring and cutting text for people; see text.h.
 *
 * libc does the decoding and the widths (mbrtowc, wcwidth) under a UTF-8 LC_CTYPE that is entered
 * for the duration of a call, so the process's own locale stays "C" and numbers keep their point.
 * Plain ASCII, nearly everything there is, never pays for it. */
#include "supervisor/report/text.h"

#include <locale.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

static const char dots[] = "...";
enum { DOTS_COLUMNS = 3 };

/* One character as it will be printed. */
struct glyph {
    const char *shown;
    size_t shown_bytes;
    size_t columns;
    size_t bytes; /* of the source */
};

struct utf8_scope {
    locale_t utf8, previous;
};

static bool is_ascii(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

/* Where there is no such locale, bytes above 0x7f count as invalid: ugly, never harmful. */
static struct utf8_scope enter_utf8(const char *text) {
    struct utf8_scope scope = {0};
    if (is_ascii(text))
        return scope;
    scope.utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (scope.utf8)
        scope.previous = uselocale(scope.utf8);
    return scope;
}

static void leave_utf8(struct utf8_scope *scope) {
    if (!scope->utf8)
        return;
    (void)uselocale(scope->previous);
    freelocale(scope->utf8);
}

#define CLEANUP_UTF8 CLEANUP(leave_utf8)

/* Marks and embeddings of bidirectional text, and the Unicode line and paragraph separators: they
 * would let a file name rearrange the line that it stands in. */
static bool rearranges(wchar_t code) {
    return code == 0x061c || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static struct glyph next_glyph(const char *text) {
    struct glyph glyph = {.shown = "?", .shown_bytes = 1, .columns = 1, .bytes = 1};
    wchar_t code = 0;
    mbstate_t state = {0};
    size_t bytes = mbrtowc(&code, text, strlen(text), &state);
    if (bytes == 0 || bytes == (size_t)-1 || bytes == (size_t)-2)
        return glyph;
    glyph.bytes = bytes;
    if (code == '\n' || code == '\t' || code == '\r') {
        glyph.shown = " ";
        return glyph;
    }
    int columns = wcwidth(code);
    if (columns < 0 || rearranges(code))
        return glyph;
    glyph.shown = text;
    glyph.shown_bytes = bytes;
    glyph.columns = (size_t)columns;
    return glyph;
}

static size_t measure(const char *text) {
    size_t columns = 0;
    while (*text) {
        struct glyph glyph = next_glyph(text);
        columns += glyph.columns;
        text += glyph.bytes;
    }
    return columns;
}

/* Prints glyphs while they fit; what follows a full line at width 0 (a combining mark) still does.
 */
static size_t print_fitting(FILE *stream, const char *text, size_t width) {
    size_t columns = 0;
    while (*text) {
        struct glyph glyph = next_glyph(text);
        if (columns + glyph.columns > width)
            break;
        (void)fwrite(glyph.shown, 1, glyph.shown_bytes, stream);
        columns += glyph.columns;
        text += glyph.bytes;
    }
    return columns;
}

/* The longest tail of the text that is at most width columns wide. */
static const char *find_tail(const char *text, size_t total, size_t width) {
    while (*text && total > width) {
        struct glyph glyph = next_glyph(text);
        total -= glyph.columns;
        text += glyph.bytes;
    }
    return text;
}

size_t text_width(const char *text) {
    CLEANUP_UTF8 struct utf8_scope scope = enter_utf8(text);
    return measure(text);
}

bool text_is_clean(const char *text) {
    CLEANUP_UTF8 struct utf8_scope scope = enter_utf8(text);
    while (*text) {
        struct glyph glyph = next_glyph(text);
        if (glyph.shown != text)
            return false;
        text += glyph.bytes;
    }
    return true;
}

size_t text_print(FILE *stream, const char *text, size_t width, enum text_cut cut) {
    CLEANUP_UTF8 struct utf8_scope scope = enter_utf8(text);
    size_t total = measure(text);
    if (total <= width || width <= DOTS_COLUMNS)
        return print_fitting(stream, text, width);
    size_t room = width - DOTS_COLUMNS;
    size_t head = cut == TEXT_CUT_MIDDLE ? (room + 1) / 2 : room;
    size_t columns = print_fitting(stream, text, head);
    (void)fputs(dots, stream);
    columns += DOTS_COLUMNS;
    if (cut == TEXT_CUT_MIDDLE)
        columns += print_fitting(stream, find_tail(text, total, room - head), room - head);
    return columns;
}

void text_wrap(FILE *stream, const char *text, size_t indent, size_t width) {
    CLEANUP_UTF8 struct utf8_scope scope = enter_utf8(text);
    size_t at = indent;
    while (*text) {
        size_t length = strcspn(text, " \n\t");
        CLEANUP_FREE char *word = strndup(text, length);
        if (!word)
            break;
        size_t columns = measure(word);
        if (columns && at > indent && at + 1 + columns > width) {
            (void)fprintf(stream, "\n%*s", (int)indent, "");
            at = indent;
        } else if (columns && at > indent) {
            (void)fputc(' ', stream);
            at++;
        }
        at += print_fitting(stream, word, TEXT_UNLIMITED);
        text += length;
        text += *text != '\0';
    }
    (void)fputc('\n', stream);
}

void text_print_broken(FILE *stream, const char *text, size_t indent, size_t width,
                       const char *line_break) {
    CLEANUP_UTF8 struct utf8_scope scope = enter_utf8(text);
    size_t at = 0;
    while (*text) {
        size_t spaces = strspn(text, " "), length = strcspn(text + spaces, " ");
        CLEANUP_FREE char *word = strndup(text + spaces, length);
        if (!word)
            break;
        size_t columns = measure(word);
        if (at > 0 && at + spaces + columns > width && indent + columns <= width) {
            (void)fprintf(stream, "%s%*s", line_break, (int)indent, "");
            at = indent;
        } else {
            (void)fprintf(stream, "%*s", (int)spaces, "");
            at += spaces;
        }
        at += print_fitting(stream, word, TEXT_UNLIMITED);
        text += spaces + length;
    }
}

const char *text_style(enum text_style style, bool colour) {
    static const char *const sequences[TEXT_STYLE_COUNT] = {
        [TEXT_PLAIN] = "\033[0m", [TEXT_GOOD] = "\033[32m", [TEXT_WARN] = "\033[33m",
        [TEXT_BAD] = "\033[31m",  [TEXT_FAINT] = "\033[2m",
    };
    return colour ? sequences[style] : "";
}
