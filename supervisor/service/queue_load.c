/* Reading a batch file back (queue_file.h). The daemon wrote it, but a disk, an administrator or a
 * restored backup may have changed it: everything is checked, damage is told in a sentence, and
 * what is whole can still be looked at. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/json_read.h"
#include "common/names.h"
#include "supervisor/ledger/ledger_scan.h"
#include "supervisor/service/queue_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <zlib.h>

struct loading {
    const char *path;
    struct queue_batch *batch;
    uint64_t n_tasks; /* as the first line says */
    uLong crc;
    bool is_ended; /* its last line was seen */
};

/* The first damage is the one that is told. 0, or -ENOMEM. */
__attribute__((format(printf, 3, 4))) static int
damage(const struct loading *loading, struct failure *failure, const char *format, ...) {
    struct queue_batch *batch = loading->batch;
    char what[256];
    if (batch->damage)
        return 0;
    va_list words;
    va_start(words, format);
    (void)vsnprintf(what, sizeof(what), format, words);
    va_end(words);
    batch->damage =
        names_format("%s is damaged (%s): what waits in this batch cannot run; submit it "
                     "again, what was done is not done twice",
                     loading->path, what);
    return batch->damage ? 0 : failure_set(failure, -ENOMEM, "no memory left for the queue");
}

/* ---- the first line ---- */

/* What the ledger said of it stays where the line says nothing. False: nothing. */
static bool take_text(const json_t *head, const char *key, char **slot) {
    const char *text = json_string_value(json_object_get(head, key));
    char *copy = text ? strdup(text) : NULL;
    if (!copy)
        return false;
    free(*slot);
    *slot = copy;
    return true;
}

static int64_t number_of(const json_t *head, const char *key) {
    return json_integer_value(json_object_get(head, key));
}

/* Whether it is a batch's first line at all, filling what it says. */
static bool read_head(const json_t *head, struct queue_batch *batch, uint64_t *ret_n_tasks) {
    bool is_whole = take_text(head, "user", &batch->user);
    is_whole = take_text(head, "out", &batch->out) && is_whole;
    is_whole = take_text(head, "command", &batch->command) && is_whole;
    (void)take_text(head, "on_finish", &batch->on_finish); /* most have none */
    if (!is_whole || batch->out[0] != '/' || !json_is_integer(json_object_get(head, "uid")))
        return false;
    batch->uid = (uid_t)number_of(head, "uid");
    batch->gid = (gid_t)number_of(head, "gid");
    batch->submitted_ms = number_of(head, "submitted_ms");
    batch->not_before_ms = number_of(head, "not_before_ms");
    batch->priority = (int)number_of(head, "priority");
    *ret_n_tasks = (uint64_t)number_of(head, "tasks");
    options_free(&batch->options);
    return queue_options_read(json_object_get(head, "options"), batch->out, &batch->options,
                              NULL) == 0;
}

static int take_head(struct loading *loading, const struct ledger_scan_line *line, uint64_t order,
                     struct failure *failure) {
    CLEANUP_JSON json_t *head = json_loadb(line->bytes, line->length, 0, NULL);
    if (!head || number_of(head, "v") != 1)
        return damage(loading, failure, "its first line is no batch's");
    if ((uint64_t)number_of(head, "order") != order)
        return damage(loading, failure, "it belongs to another batch of that name");
    if (!read_head(head, loading->batch, &loading->n_tasks))
        return damage(loading, failure, "its first line lacks something");
    return 0;
}

/* ---- the others ---- */

static int take_task(struct loading *loading, const struct ledger_scan_line *line,
                     struct failure *failure) {
    struct queue_batch *batch = loading->batch;
    CLEANUP_FREE char *decoded = NULL;
    size_t length = 0;
    const char *id = queue_file_plain_id(line->bytes, line->length, &length);
    if (!id && !line->cut) {
        decoded = queue_file_id(line->bytes, line->length);
        id = decoded;
        length = id ? strlen(id) : 0;
    }
    if (!id || line->cut || !line->has_newline || line->length >= QUEUE_MAX_LINE_BYTES)
        return damage(loading, failure, "line %u is no task", batch->n_tasks + 2);
    if (batch->n_tasks == QUEUE_MAX_TASKS)
        return damage(loading, failure, "it has more than %d tasks", QUEUE_MAX_TASKS);
    if (queue_make_room(batch) < 0)
        return failure_set(failure, -ENOMEM, "no memory left for the queue");
    batch->tasks[batch->n_tasks++] = (struct queue_task){
        .hash = queue_index_hash(batch->hash_seed, id, length),
        .offset = line->offset & ((UINT64_C(1) << 42) - 1),
        .length = line->length & ((1U << 22) - 1),
    };
    return 0;
}

static int take_end(struct loading *loading, const struct ledger_scan_line *line,
                    struct failure *failure) {
    CLEANUP_JSON json_t *end = json_loadb(line->bytes, line->length, 0, NULL);
    const char *crc = json_string_value(json_object_get(end, "crc"));
    char text[16];
    (void)snprintf(text, sizeof(text), "%08lx", loading->crc & 0xffffffffUL);
    loading->is_ended = true;
    if (!crc || strcmp(crc, text) != 0)
        return damage(loading, failure, "its checksum does not fit");
    if ((uint64_t)number_of(end, "end") != loading->batch->n_tasks)
        return damage(loading, failure, "it has %u tasks where %lld were written",
                      loading->batch->n_tasks, (long long)number_of(end, "end"));
    return 0;
}

static int take_line(struct loading *loading, const struct ledger_scan_line *line, uint64_t order,
                     struct failure *failure) {
    static const char end[] = "{\"end\":";
    int r = 0;
    if (line->offset == 0)
        r = take_head(loading, line, order, failure);
    else if (loading->is_ended)
        r = damage(loading, failure, "something stands behind its end");
    else if (line->length >= sizeof(end) - 1 && memcmp(line->bytes, end, sizeof(end) - 1) == 0)
        r = take_end(loading, line, failure);
    else
        r = take_task(loading, line, failure);
    loading->crc = crc32_z(loading->crc, (const Bytef *)line->bytes, line->length);
    loading->crc = crc32_z(loading->crc, (const Bytef *)"\n", 1);
    return r;
}

static void close_scan(struct ledger_scan *scan) { ledger_scan_close(scan); }

static int load_lines(struct loading *loading, uint64_t order, struct failure *failure) {
    CLEANUP(close_scan) struct ledger_scan scan = {.fd = -1};
    struct ledger_scan_line line;
    int r = ledger_scan_open(loading->batch->fd, &scan);
    if (r < 0)
        return failure_set(failure, r, "no memory left for the queue");
    while ((r = ledger_scan_next(&scan, &line)) > 0) {
        r = take_line(loading, &line, order, failure);
        if (r < 0)
            return r;
        if (loading->batch->damage && line.offset == 0)
            return 0; /* of another batch: none of ours can be in it */
    }
    if (r == -ENOMEM)
        return failure_set(failure, r, "no memory left for the queue");
    if (r < 0)
        return damage(loading, failure, "it cannot be read: %s", strerror(-r));
    return loading->is_ended ? 0 : damage(loading, failure, "its end is missing");
}

int queue_file_load(const char *path, uint64_t order, struct queue_batch *batch,
                    struct failure *failure) {
    struct loading loading = {.path = path, .batch = batch, .crc = crc32(0, NULL, 0)};
    batch->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int r = batch->fd < 0 ? damage(&loading, failure, "it cannot be opened: %s", strerror(errno))
                          : load_lines(&loading, order, failure);
    if (r < 0)
        return r;
    uint32_t first = 0, second = 0;
    batch->n_state[QUEUE_WAITING] = batch->n_tasks;
    r = queue_index_build(batch, &first, &second);
    if (r == -EEXIST)
        return damage(&loading, failure, "lines %u and %u have the same id", first + 2, second + 2);
    return r < 0 ? failure_set(failure, r, "no memory left for the queue") : 0;
}
