/* See page_picture.h. A picture is a PNG by its first bytes, with the size that its header tells
 * (PNG specification, "File structure" and "IHDR"); its pixels are the browser's business. */
#include "supervisor/page/page_picture.h"

#include "supervisor/explain/story.h"
#include "supervisor/page/page_file.h"
#include "supervisor/page/page_out.h"

#include <errno.h>
#include <string.h>

enum {
    LIST_BYTES = 64 << 10,    /* of qc.json */
    PICTURE_BYTES = 16 << 20, /* of one */
    PICTURES = 32,            /* of a task */
    PICTURE_SIDE = 16384,     /* pixels */
    NAME_BYTES = 64,
    PNG_START = 24, /* signature, the length and type of IHDR, width, height */
};

struct picture {
    const char *name; /* borrowed from the list */
    int fd;           /* owned */
    uint64_t bytes;
    uint32_t width, height;
};

/* "overlay.png": nothing that leads elsewhere, nothing that needs quoting. */
static bool is_name(const char *name) {
    const size_t length = strlen(name);
    return length > 4 && length < NAME_BYTES && name[0] != '.' &&
           strcmp(name + length - 4, ".png") == 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               length;
}

static uint32_t big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_png(struct picture *picture) {
    static const unsigned char start[16] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    unsigned char bytes[PNG_START];
    if (pread(picture->fd, bytes, sizeof(bytes), 0) != sizeof(bytes) ||
        memcmp(bytes, start, sizeof(start)) != 0)
        return false;
    picture->width = big_endian(bytes + 16);
    picture->height = big_endian(bytes + 20);
    return picture->width > 0 && picture->width <= PICTURE_SIDE && picture->height > 0 &&
           picture->height <= PICTURE_SIDE;
}

/* False: there is none that can be shown. */
static bool open_picture(const char *out, const char *id, const json_t *entry,
                         struct picture *ret) {
    char name[NAME_BYTES + 4];
    *ret = (struct picture){.name = story_text(entry, "name"), .fd = -1};
    if (!is_name(ret->name))
        return false;
    (void)snprintf(name, sizeof(name), "qc/%s", ret->name);
    if (page_file_open(out, id, name, &ret->fd, &ret->bytes) < 0)
        return false;
    if (ret->bytes <= PICTURE_BYTES && is_png(ret))
        return true;
    (void)close(STEAL_FD(ret->fd)); /* was only read */
    return false;
}

static bool is_core(const char *name) {
    return strcmp(name, "overlay.png") == 0 || strncmp(name, "blink_", strlen("blink_")) == 0;
}

/* Caller owns. NULL: none. */
static json_t *read_list(const char *out, const char *id) {
    CLEANUP_JSON json_t *list = page_file_json(out, id, "qc/qc.json", LIST_BYTES);
    return json_incref(json_object_get(list, "pictures"));
}

void page_picture_look(const char *out, struct page_task *task) {
    CLEANUP_JSON json_t *list = read_list(out, task->id);
    for (size_t i = 0; i < json_array_size(list) && i < PICTURES; i++) {
        struct picture picture;
        if (!open_picture(out, task->id, json_array_get(list, i), &picture))
            continue;
        const uint64_t bytes = page_out_base64_length(picture.bytes);
        task->n_pictures++;
        task->all_bytes += bytes;
        task->core_bytes += is_core(picture.name) ? bytes : 0;
        (void)close(picture.fd); /* was only read */
    }
}

static bool is_problem(const struct page_task *task) {
    return !task->result.finished || task->result.verdict != VERDICT_OK;
}

/* From what it has now to that choice, if there is room. */
static void raise_choice(struct page_task *task, enum page_picture_choice choice, uint64_t *left) {
    const uint64_t sizes[] = {0, task->core_bytes, task->all_bytes};
    const uint64_t more = sizes[choice] - sizes[task->embedded];
    if (task->n_pictures == 0 || more > *left)
        return;
    task->embedded = choice;
    *left -= more;
}

uint64_t page_picture_choose(struct page_tasks *tasks, uint64_t budget_bytes) {
    static const struct {
        bool problems;
        enum page_picture_choice choice;
    } rounds[] = {{true, PAGE_PICTURE_CORE},
                  {true, PAGE_PICTURE_ALL},
                  {false, PAGE_PICTURE_CORE},
                  {false, PAGE_PICTURE_ALL}};
    uint64_t left = budget_bytes;
    for (size_t round = 0; round < ARRAY_LEN(rounds); round++)
        for (size_t i = 0; i < tasks->count; i++)
            if (is_problem(&tasks->items[i]) == rounds[round].problems)
                raise_choice(&tasks->items[i], rounds[round].choice, &left);
    return budget_bytes - left;
}

static json_t *describe(const json_t *entry, const struct picture *picture) {
    return json_pack("{s:s, s:o, s:o, s:I, s:I}", "name", picture->name, "title",
                     page_out_string(story_text(entry, "title")), "says",
                     page_out_string(story_text(entry, "says")), "width",
                     (json_int_t)picture->width, "height", (json_int_t)picture->height);
}

/* The object without its closing brace, so that the bytes can follow. */
static int put_open(FILE *stream, json_t *value) {
    CLEANUP_JSON json_t *owned = value;
    CLEANUP_FREE char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    if (!memory)
        return -ENOMEM;
    const int r = page_out_json(memory, owned);
    if (fclose(memory) != 0 || r < 0)
        return -ENOMEM;
    (void)fwrite(text, 1, length - 1, stream); /* errors: see page_out.h */
    return 0;
}

int page_picture_put(FILE *stream, const char *out, const struct page_task *task) {
    CLEANUP_JSON json_t *list = read_list(out, task->id);
    bool is_first = true;
    int r = 0;
    (void)fputc('[', stream);
    for (size_t i = 0; r == 0 && i < json_array_size(list) && i < PICTURES; i++) {
        const json_t *entry = json_array_get(list, i);
        struct picture picture;
        if (!open_picture(out, task->id, entry, &picture))
            continue;
        (void)fputs(is_first ? "" : ",", stream);
        is_first = false;
        r = put_open(stream, describe(entry, &picture));
        if (r == 0 && (task->embedded == PAGE_PICTURE_ALL ||
                       (task->embedded == PAGE_PICTURE_CORE && is_core(picture.name)))) {
            (void)fputs(",\"data\":\"data:image/png;base64,", stream);
            /* what cannot be read to its end is a picture that the browser cannot show */
            (void)!page_out_base64(stream, picture.fd, picture.bytes);
            (void)fputc('"', stream);
        }
        (void)fputc('}', stream);
        (void)close(picture.fd); /* was only read */
    }
    (void)fputc(']', stream);
    return r;
}
