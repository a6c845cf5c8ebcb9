/* Quoting for the shell; see command_line.h. What is quoted is printed as a suggestion, so it must
 * be safe to look at (text.h) as well as to paste. */
#include "supervisor/report/command_line.h"

#include "supervisor/report/text.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static bool is_plain(const char *word) {
    if (!*word)
        return false;
    for (; *word; word++)
        if (!isalnum((unsigned char)*word) && !strchr("_-./,:=@%+", *word) &&
            (unsigned char)*word < 0x80)
            return false;
    return true;
}

/* '...' keeps everything but the quote itself, which is closed, escaped and opened again. */
static void put_single_quoted(FILE *stream, const char *word) {
    (void)fputc('\'', stream);
    for (; *word; word++) {
        if (*word == '\'')
            (void)fputs("'\\''", stream);
        else
            (void)fputc(*word, stream);
    }
    (void)fputc('\'', stream);
}

static void put_ansi_quoted(FILE *stream, const char *word) {
    (void)fputs("$'", stream);
    for (; *word; word++) {
        unsigned char byte = (unsigned char)*word;
        if (byte == '\'' || byte == '\\')
            (void)fprintf(stream, "\\%c", byte);
        else if (byte < 0x20 || byte >= 0x7f)
            (void)fprintf(stream, "\\%03o", byte);
        else
            (void)fputc(byte, stream);
    }
    (void)fputc('\'', stream);
}

static void put_word(FILE *stream, const char *word) {
    if (!text_is_clean(word))
        put_ansi_quoted(stream, word);
    else if (is_plain(word))
        (void)fputs(word, stream);
    else
        put_single_quoted(stream, word);
}

char *command_line_quote(int argc, char *const *argv) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return NULL;
    for (int i = 0; i < argc; i++) {
        if (i > 0)
            (void)fputc(' ', stream);
        put_word(stream, argv[i]);
    }
    if (fclose(stream) != 0) { /* a memory stream fails for lack of memory only */
        free(text);
        return NULL;
    }
    return text;
}

char *command_line_quote_word(const char *word) {
    char *words[] = {(char *)word};
    return command_line_quote(1, words);
}

char *command_line_of_registrar(int argc, char *const *argv) {
    CLEANUP_FREE char **words = calloc((size_t)argc + 2, sizeof(*words));
    if (!words)
        return NULL;
    words[0] = (char *)"registrar";
    memcpy(words + 1, argv, (size_t)argc * sizeof(*words));
    return command_line_quote(argc + 1, words);
}
