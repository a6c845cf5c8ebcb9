/* See queue_file.h. Writing is buffered and checksummed as it goes; reading streams the file once,
 * and takes no more of a line than its id and its place. */
#include "supervisor/service/queue_file.h"

#include "common/atomic_file.h"
#include "common/names.h"
#include "common/whole_write.h"
#include "supervisor/service/queue_options.h"
#include "supervisor/service/queue_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zlib.h>

enum { BUFFER_BYTES = 256 << 10 };

/* ---- writing ---- */

static int write_out(struct queue_file *file, struct failure *failure) {
    if (file->length == 0)
        return 0;
    int r = whole_write_at(file->fd, file->bytes, file->length, file->offset);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot write the batch to %s", file->path);
    file->offset += file->length;
    file->length = 0;
    return 0;
}

static int put(struct queue_file *file, const char *bytes, size_t length, struct failure *failure) {
    file->crc = crc32_z(file->crc, (const Bytef *)bytes, length);
    while (length > 0) {
        if (file->length == BUFFER_BYTES) {
            int r = write_out(file, failure);
            if (r < 0)
                return r;
        }
        const size_t room = BUFFER_BYTES - file->length, taken = length < room ? length : room;
        memcpy(file->bytes + file->length, bytes, taken);
        file->length += taken;
        bytes += taken;
        length -= taken;
    }
    return 0;
}

static json_t *head_to_json(const struct queue_batch *batch, uint32_t n_tasks) {
    return json_pack("{s:i, s:I, s:s, s:I, s:I, s:s, s:s, s:o, s:I, s:I, s:i, s:s*, s:I}", "v", 1,
                     "order", (json_int_t)batch->order, "user", batch->user, "uid",
                     (json_int_t)batch->uid, "gid", (json_int_t)batch->gid, "out", batch->out,
                     "command", batch->command, "options", queue_options_to_json(&batch->options),
                     "submitted_ms", (json_int_t)batch->submitted_ms, "not_before_ms",
                     (json_int_t)batch->not_before_ms, "priority", batch->priority, "on_finish",
                     batch->on_finish, "tasks", (json_int_t)n_tasks);
}

int queue_file_create(struct queue_file *file, const char *path, const struct queue_batch *batch,
                      uint32_t n_tasks, struct failure *failure) {
    *file = (struct queue_file){.fd = -1, .crc = crc32(0, NULL, 0)};
    CLEANUP_JSON json_t *head = head_to_json(batch, n_tasks);
    CLEANUP_FREE char *text =
        head ? json_dumps(head, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17))
             : NULL;
    file->bytes = malloc(BUFFER_BYTES);
    file->path = strdup(path);
    if (!text || !file->bytes || !file->path)
        return failure_set(failure, -ENOMEM, "no memory left for a new batch");
    file->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file->fd < 0) {
        const int code = -errno;
        free(STEAL_PTR(file->path)); /* not ours to remove */
        return failure_set_errno(failure, code, "cannot create %s", path);
    }
    int r = put(file, text, strlen(text), failure);
    return r < 0 ? r : put(file, "\n", 1, failure);
}

int queue_file_line(struct queue_file *file, const char *bytes, size_t length, uint64_t *ret_offset,
                    struct failure *failure) {
    const uint64_t offset = file->offset + file->length;
    int r = put(file, bytes, length, failure);
    if (r == 0)
        r = put(file, "\n", 1, failure);
    if (r < 0)
        return r;
    file->n_lines++;
    *ret_offset = offset;
    return 0;
}

int queue_file_finish(struct queue_file *file, struct failure *failure) {
    char text[64];
    const int length =
        snprintf(text, sizeof(text), "{\"end\":%u,\"crc\":\"%08lx\"}\n", file->n_lines, file->crc);
    int r = put(file, text, (size_t)length, failure);
    if (r == 0)
        r = write_out(file, failure);
    if (r == 0 && fsync(file->fd) < 0)
        r = failure_set_errno(failure, -errno, "cannot write the batch to %s", file->path);
    return r;
}

int queue_file_publish(struct queue_file *file, const char *path, struct failure *failure) {
    if (rename(file->path, path) < 0)
        return failure_set_errno(failure, -errno, "cannot rename %s to %s", file->path, path);
    free(STEAL_PTR(file->path));
    return atomic_file_sync_folder(path, failure);
}

void queue_file_close(struct queue_file *file) {
    if (file->path)
        (void)unlink(file->path); /* else the next start removes it */
    cleanup_close(&file->fd);
    free(file->path);
    free(file->bytes);
    *file = (struct queue_file){.fd = -1};
}

/* ---- lines ---- */

#define ID_OPENING "{\"id\":\""

const char *queue_file_plain_id(const char *line, size_t length, size_t *ret_length) {
    const size_t opening = sizeof(ID_OPENING) - 1;
    if (length <= opening || memcmp(line, ID_OPENING, opening) != 0)
        return NULL;
    const char *id = line + opening, *end = memchr(id, '"', length - opening);
    if (!end || memchr(id, '\\', (size_t)(end - id)))
        return NULL;
    *ret_length = (size_t)(end - id);
    return id;
}

char *queue_file_id(const char *line, size_t length) {
    size_t id_length = 0;
    const char *id = queue_file_plain_id(line, length, &id_length);
    if (id)
        return strndup(id, id_length);
    CLEANUP_JSON json_t *task = json_loadb(line, length, 0, NULL);
    const char *text = json_string_value(json_object_get(task, "id"));
    return text ? strdup(text) : NULL;
}

int queue_file_read_line(const struct queue_batch *batch, uint32_t number, char **ret,
                         struct failure *failure) {
    const uint64_t offset = batch->tasks[number].offset;
    const size_t length = batch->tasks[number].length;
    CLEANUP_FREE char *line = malloc(length + 1);
    if (!line)
        return failure_set(failure, -ENOMEM, "no memory left for a task");
    size_t done = 0;
    while (done < length) {
        const ssize_t n = pread(batch->fd, line + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failure_set_errno(failure, n < 0 ? -errno : -EIO,
                                     "cannot read task %u of the batch %s", number + 1,
                                     batch->name);
        done += (size_t)n;
    }
    line[length] = '\0';
    *ret = STEAL_PTR(line);
    return 0;
}
