/* See json_list.h. The frame around the values is read here, byte by byte; jansson reads the values
 * through a callback that hands it one byte at a time, so that it takes no more of the file than
 * the value: or one byte more behind a bare number or word, which is then held back. */
#include "common/json_list.h"

#include "common/json_read.h"

#include <errno.h>
#include <string.h>

enum {
    MAX_KEY_BYTES = 64, /* of the frame; the one that is known is shorter */
    NOTHING_HELD = EOF - 1,
};

struct json_list {
    FILE *file;
    char *path;
    const char *key;
    size_t max_value_bytes;
    size_t n_value_bytes; /* of the value that is being read */
    int line, column;     /* of the last byte taken */
    int last, held;       /* the last byte handed to jansson; one to be taken again */
    bool is_in_list, was_in_list;
};

void json_list_close(struct json_list *list) {
    if (!list)
        return;
    cleanup_fclose(&list->file);
    free(list->path);
    free(list);
}

int json_list_open(const char *path, const char *key, size_t max_bytes, size_t max_value_bytes,
                   struct json_list **ret, struct failure *failure) {
    CLEANUP_JSON_LIST struct json_list *list = calloc(1, sizeof(*list));
    if (!list)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    list->key = key;
    list->max_value_bytes = max_value_bytes;
    list->line = 1;
    list->held = NOTHING_HELD;
    list->path = strdup(path);
    if (!list->path)
        return failure_set(failure, -ENOMEM, "%s: out of memory", path);
    int r = json_read_open(path, max_bytes, &list->file, failure);
    if (r == 0)
        *ret = STEAL_PTR(list);
    return r;
}

/* ---- bytes ---- */

static int take(struct json_list *list) {
    if (list->held != NOTHING_HELD) {
        const int held = list->held;
        list->held = NOTHING_HELD;
        return held;
    }
    const int byte = getc_unlocked(list->file);
    if (byte == '\n') {
        list->line++;
        list->column = 0;
    } else if (byte != EOF) {
        list->column++;
    }
    return byte;
}

static int take_behind_space(struct json_list *list) {
    int byte;
    do
        byte = take(list);
    while (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r');
    return byte;
}

static int complain(const struct json_list *list, const char *what, struct failure *failure) {
    if (ferror(list->file))
        return failure_set(failure, -EIO, "%s cannot be read to its end", list->path);
    return failure_set(failure, -EINVAL, "%s, line %d, column %d: %s", list->path, list->line,
                       list->column, what);
}

/* Takes what must come next. */
static int expect(struct json_list *list, int wanted, struct failure *failure) {
    char what[64];
    const int byte = take_behind_space(list);
    if (byte == wanted)
        return 0;
    if (byte == EOF)
        (void)snprintf(what, sizeof(what), "'%c' expected near end of file", wanted);
    else if (byte > ' ' && byte < 0x7f)
        (void)snprintf(what, sizeof(what), "'%c' expected near '%c'", wanted, byte);
    else
        (void)snprintf(what, sizeof(what), "'%c' expected", wanted);
    return complain(list, what, failure);
}

/* ---- values ---- */

/* json_load_callback_t */
static size_t hand_over(void *buffer, size_t size, void *context) {
    struct json_list *list = context;
    if (size == 0 || list->n_value_bytes++ >= list->max_value_bytes)
        return (size_t)-1;
    list->last = take(list);
    if (list->last == EOF)
        return 0;
    *(char *)buffer = (char)list->last;
    return 1;
}

static int read_value(struct json_list *list, json_t **ret, struct failure *failure) {
    json_error_t error;
    list->n_value_bytes = 0;
    json_t *value = json_load_callback(
        hand_over, list, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, &error);
    if (!value && list->n_value_bytes > list->max_value_bytes) {
        (void)snprintf(error.text, sizeof(error.text), "one value is longer than %zu bytes",
                       list->max_value_bytes);
        return complain(list, error.text, failure);
    }
    if (!value)
        return complain(list, error.text, failure);
    if (json_is_number(value) || json_is_boolean(value) || json_is_null(value))
        list->held = list->last; /* only what follows tells that these are over */
    *ret = value;
    return 0;
}

/* ---- the frame ---- */

static int begin(struct json_list *list, struct failure *failure) {
    const int byte = take_behind_space(list);
    if (byte == '[')
        return failure_set(failure, -EINVAL, "%s: must be an object {\"%s\":[...]}", list->path,
                           list->key);
    list->held = byte;
    return expect(list, '{', failure);
}

static int refuse_key(const struct json_list *list, const char *key, struct failure *failure) {
    CLEANUP_JSON json_t *object = json_object();
    const char *const known[] = {list->key, NULL};
    if (!object || json_object_set_new(object, key, json_null()) < 0)
        return complain(list, "a key that is no text", failure);
    int r = json_read_known_keys(object, known, list->path, failure);
    return r < 0 ? r : complain(list, "a second list", failure);
}

/* A key, and what opens its list, or all of what is no list. */
static int read_key(struct json_list *list, struct failure *failure) {
    CLEANUP_JSON json_t *key = NULL, *no_list = NULL;
    const int byte = take_behind_space(list);
    list->held = byte;
    int r = byte == '"' ? read_value(list, &key, failure) : expect(list, '"', failure);
    if (r < 0)
        return r;
    if (list->was_in_list || strcmp(json_string_value(key), list->key) != 0)
        return refuse_key(list, json_string_value(key), failure);
    r = expect(list, ':', failure);
    if (r < 0)
        return r;
    list->held = take_behind_space(list);
    list->was_in_list = true;
    list->is_in_list = list->held == '[';
    return list->is_in_list ? expect(list, '[', failure) : read_value(list, &no_list, failure);
}

/* Behind the list. */
static int end(struct json_list *list, struct failure *failure) {
    const int byte = take_behind_space(list);
    if (byte == ',')
        return read_key(list, failure); /* none is known besides */
    list->held = byte;
    int r = expect(list, '}', failure);
    if (r < 0)
        return r;
    return take_behind_space(list) == EOF && !ferror(list->file)
               ? 0
               : complain(list, "end of file expected", failure);
}

static int enter(struct json_list *list, struct failure *failure) {
    int r = begin(list, failure);
    if (r < 0)
        return r;
    list->held = take_behind_space(list);
    if (list->held != '}')
        r = read_key(list, failure);
    list->was_in_list = true;
    return r == 0 && !list->is_in_list ? end(list, failure) : r;
}

int json_list_next(struct json_list *list, json_t **ret, struct failure *failure) {
    const bool is_first = !list->was_in_list;
    int r = is_first ? enter(list, failure) : 0;
    if (r < 0)
        return r;
    *ret = NULL;
    if (!list->is_in_list)
        return 0;
    int byte = take_behind_space(list);
    if (byte == ']') {
        list->is_in_list = false;
        return end(list, failure);
    }
    list->held = byte;
    if (!is_first) {
        r = expect(list, ',', failure);
        if (r < 0)
            return r;
    }
    return read_value(list, ret, failure);
}
