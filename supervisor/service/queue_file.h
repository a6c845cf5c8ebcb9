/* A batch on disk: its tasks, as they were submitted; never changed afterwards.
 *
 *     {"v":1,"order":7,"user":"anna","uid":1000,"gid":1000,"out":"/...","command":"...",
 *      "options":{...},"submitted_ms":n,"not_before_ms":n,"priority":n,"on_finish":...,"tasks":n}
 *     {"id":...one task...}                                     n lines (batch/task_json.h)
 *     {"end":n,"crc":"8 hex"}                                   CRC-32 (zlib's) of all bytes before
 *
 * The file's name is the batch's: NAME.jsonl. It is written under a temporary name, so what has its
 * final name is whole, unless the disk has damaged it since.
 */
#ifndef SUPERVISOR_SERVICE_QUEUE_FILE_H
#define SUPERVISOR_SERVICE_QUEUE_FILE_H

#include "supervisor/service/queue.h"

/* Ends in this until it is whole. */
#define QUEUE_FILE_TEMPORARY ".tmp"
#define QUEUE_FILE_SUFFIX ".jsonl"

/* ---- writing ---- */

struct queue_file {
    int fd;     /* readable too; owned */
    char *path; /* temporary until published; owned */
    char *bytes;
    size_t length;   /* in bytes, not yet written */
    uint64_t offset; /* of bytes[0] in the file */
    unsigned long crc;
    uint32_t n_lines;
};

/* Makes the temporary file with the batch's first line. -EEXIST as open(2). */
MUST_USE int queue_file_create(struct queue_file *file, const char *path,
                               const struct queue_batch *batch, uint32_t n_tasks,
                               struct failure *failure);
/* One line, without its newline. ret_offset: where it begins. */
MUST_USE int queue_file_line(struct queue_file *file, const char *bytes, size_t length,
                             uint64_t *ret_offset, struct failure *failure);
/* The last line; then all is written and on disk. */
MUST_USE int queue_file_finish(struct queue_file *file, struct failure *failure);
/* Gives the finished file its name, safely. */
MUST_USE int queue_file_publish(struct queue_file *file, const char *path, struct failure *failure);
/* Frees; what was not published is removed. */
void queue_file_close(struct queue_file *file);

/* ---- reading ---- */

/* Fills the batch (all but its name) from its file: order, user, options, tasks and their index. 0
 * also when it is damaged: batch->damage then says how, and what could be read stands there. order:
 * as the ledger has it; another one is another batch's file. Negative: out of memory. */
MUST_USE int queue_file_load(const char *path, uint64_t order, struct queue_batch *batch,
                             struct failure *failure);

/* The line of a task. Caller owns *ret; a NUL stands behind it. */
MUST_USE int queue_file_read_line(const struct queue_batch *batch, uint32_t number, char **ret,
                                  struct failure *failure);
/* The id as it stands in such a line, borrowed, not terminated; NULL when it is not plain text. */
const char *queue_file_plain_id(const char *line, size_t length, size_t *ret_length);
/* The id in such a line. Caller owns; NULL: there is none, or no memory. */
char *queue_file_id(const char *line, size_t length);

#endif
