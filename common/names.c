/* See names.h. jansson decides what is valid UTF-8, because it is jansson that would refuse it
 * later. Lists here hold tens of names that people typed or put on disk, so growing by one and
 * searching in order are good enough. */
#include "common/names.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

char *names_format(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return length < 0 ? NULL : text;
}

static bool is_utf8(const char *text) {
    CLEANUP_JSON json_t *value = json_string(text);
    return value != NULL;
}

/* The length of the control character that starts here (C0, DEL or C1, which UTF-8 writes as C2
 * 80 to C2 9F), or 0. Terminals obey C1 as well as ESC. */
static size_t control_length(const char *at) {
    const unsigned char first = (unsigned char)at[0], second = first ? (unsigned char)at[1] : 0;
    if ((first > 0 && first < 0x20) || first == 0x7f)
        return 1;
    return first == 0xc2 && second >= 0x80 && second <= 0x9f ? 2 : 0;
}

bool names_is_clean(const char *text) {
    if (!is_utf8(text))
        return false;
    for (const char *at = text; *at; at++)
        if (control_length(at) > 0)
            return false;
    return true;
}

char *names_escape(const char *text) {
    const bool utf8 = is_utf8(text);
    char *escaped = malloc(4 * strlen(text) + 1);
    char *to = escaped;
    if (!escaped)
        return NULL;
    for (const char *at = text; *at;) {
        size_t length = control_length(at);
        if (length == 0 && !utf8 && (unsigned char)*at >= 0x80)
            length = 1;
        if (length == 0)
            *to++ = *at++;
        for (; length > 0; length--, at++)
            to += sprintf(to, "\\x%02x", (unsigned)(unsigned char)*at);
    }
    *to = '\0';
    return escaped;
}

void names_drop_half(char *text) {
    size_t end = strlen(text), start = end;
    while (start > 0 && end - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    const unsigned char lead = start > 0 ? (unsigned char)text[start - 1] : 0;
    const size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (end - start + 1 < wanted)
        text[start - 1] = '\0';
}

size_t names_count(char *const *list) {
    size_t length = 0;
    while (list && list[length])
        length++;
    return length;
}

int names_append(char ***list, const char *text) {
    const size_t length = names_count(*list);
    char **grown = realloc(*list, (length + 2) * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    *list = grown;
    grown[length] = strdup(text);
    grown[length + 1] = NULL;
    return grown[length] ? 0 : -ENOMEM;
}

bool names_contains(char *const *list, const char *text) {
    for (; list && *list; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(char **list) {
    if (list)
        qsort(list, names_count(list), sizeof(*list), compare_texts);
}

void names_free(char **list) {
    for (char **at = list; at && *at; at++)
        free(*at);
    free(list);
}

char *names_join(char *const *list, size_t most) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    const size_t length = names_count(list);
    const size_t shown = length <= most ? length : most;
    for (size_t i = 0; i < shown; i++) {
        CLEANUP_FREE char *escaped = names_escape(list[i]);
        (void)fprintf(stream, "%s%s", i ? ", " : "", escaped ? escaped : "?"); /* fclose tells */
    }
    if (shown < length)
        (void)fprintf(stream, " and %zu more", length - shown); /* fclose tells */
    if (fclose(stream) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
