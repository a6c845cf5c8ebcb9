/* Looking at tasks: their texts stand in the batch file and in the ledger. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/names.h"

#include <errno.h>
#include <string.h>

enum { BLOCK_BYTES = 256 << 10 };

int queue_task_id(const struct queue_batch *batch, uint32_t number, char **ret,
                  struct failure *failure) {
    CLEANUP_FREE char *line = NULL;
    int r = queue_file_read_line(batch, number, &line, failure);
    if (r < 0)
        return r;
    char *id = queue_file_id(line, strlen(line));
    if (!id)
        return failure_set(failure, -EBADMSG, "task %u of the batch %s has no id any more",
                           number + 1, batch->name);
    *ret = id;
    return 0;
}

char *queue_id_text(const struct queue_batch *batch, uint32_t number) {
    char *id = NULL;
    return queue_task_id(batch, number, &id, NULL) == 0 ? id : NULL;
}

char *queue_reason(const struct queue *queue, const struct queue_batch *batch, uint32_t number) {
    const struct queue_task *task = &batch->tasks[number];
    json_t *record = NULL;
    if (task->state != QUEUE_ENDED || task->verdict == VERDICT_OK || !queue->store ||
        ledger_store_look(queue->store, task->seq, &record, NULL) < 0)
        return strdup("");
    CLEANUP_JSON json_t *owned = record;
    const char *reason = json_string_value(json_object_get(owned, "reason"));
    const char *by = json_string_value(json_object_get(owned, "by"));
    if (task->verdict == VERDICT_CANCELLED && by)
        return names_format("cancelled by %s", by);
    return strdup(reason ? reason : "");
}

/* ---- many ---- */

/* A part of the batch file. */
struct block {
    char *bytes; /* owned */
    size_t capacity, length;
    uint64_t offset;
};

static void block_free(struct block *block) { free(block->bytes); }

/* The task's line, read with those behind it where they fit. */
static int find_line(const struct queue_batch *batch, uint32_t number, struct block *block,
                     const char **ret, struct failure *failure) {
    const uint64_t offset = batch->tasks[number].offset;
    const size_t length = batch->tasks[number].length;
    if (offset >= block->offset && offset + length <= block->offset + block->length) {
        *ret = block->bytes + (offset - block->offset);
        return 0;
    }
    if (length > block->capacity) {
        char *grown = realloc(block->bytes, length);
        if (!grown)
            return failure_set(failure, -ENOMEM, "no memory left to look at the batch");
        block->bytes = grown;
        block->capacity = length;
    }
    ssize_t n = 0;
    do
        n = pread(batch->fd, block->bytes, block->capacity, (off_t)offset);
    while (n < 0 && errno == EINTR);
    block->offset = offset;
    block->length = n > 0 ? (size_t)n : 0;
    if (block->length < length)
        return failure_set_errno(failure, n < 0 ? -errno : -EIO,
                                 "cannot read task %u of the batch %s", number + 1, batch->name);
    *ret = block->bytes;
    return 0;
}

int queue_walk(const struct queue_batch *batch, uint32_t from, uint32_t most,
               queue_walk_cb callback, void *context, struct failure *failure) {
    CLEANUP(block_free)
    struct block block = {.bytes = malloc(BLOCK_BYTES), .capacity = BLOCK_BYTES};
    if (!block.bytes)
        return failure_set(failure, -ENOMEM, "no memory left to look at the batch");
    for (uint32_t i = from; i < batch->n_tasks && i - from < most; i++) {
        const char *line = NULL;
        int r = find_line(batch, i, &block, &line, failure);
        if (r < 0)
            return r;
        CLEANUP_FREE char *id = queue_file_id(line, batch->tasks[i].length);
        const struct queue_task_view view = queue_look(batch, i);
        if (!id)
            return failure_set(failure, -EBADMSG, "task %u of the batch %s has no id any more",
                               i + 1, batch->name);
        r = callback(context, i, id, &view);
        if (r != 0)
            return r;
    }
    return 0;
}
