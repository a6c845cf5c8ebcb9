/* Taking a batch in: its header and its tasks are checked and stream into a temporary file and into
 * memory. What becomes of them is queue_commit's. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/json_read.h"
#include "common/names.h"
#include "common/units.h"
#include "supervisor/batch/task_json.h"
#include "supervisor/service/queue_options.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
    MAX_TEXT_BYTES = 64 << 10,    /* of the command line, of --on-finish */
    TASK_BYTES = 64,              /* that a task takes beside its line */
    LOOK_AT_DISK_BYTES = 4 << 20, /* so often */
};

static const char where[] = "the batch";

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory left for a new batch");
}

/* It is no longer unfinished. */
static void give_back(const struct queue_submit *submit) {
    struct queue_user *user =
        submit->bytes > 0 ? queue_user_of(submit->queue, submit->caller_uid) : NULL;
    if (user)
        user->unfinished_bytes -= submit->bytes;
}

void queue_submit_abort(struct queue_submit *submit) {
    if (!submit)
        return;
    give_back(submit);
    queue_compare_free(submit);
    if (submit->batch)
        submit->batch->fd = -1; /* it stays the file's, who removes it */
    queue_file_close(&submit->file);
    queue_free_batch(submit->batch);
    free(submit->wanted_name);
    free(submit);
}

/* ---- the header ---- */

int queue_submit_check_name(const char *name, struct failure *failure) {
    int r = *name == '.' || strchr(name, '/') || strlen(name) > QUEUE_MAX_NAME_BYTES
                ? -EINVAL
                : task_check_id(name, where, NULL);
    if (r == 0)
        return 0;
    CLEANUP_FREE char *shown = names_escape(name);
    return failure_set(failure, -EINVAL,
                       "a batch cannot be called \"%.200s\": give a name of at most %d bytes "
                       "without \"/\" or control characters that does not begin with \".\" or "
                       "\"-\"",
                       shown ? shown : "?", QUEUE_MAX_NAME_BYTES);
}

/* A member that may be left out, copied. */
static int read_text(const json_t *header, const char *key, char **ret, struct failure *failure) {
    const char *text = NULL;
    int r = json_read_optional_string(header, key, where, &text, failure);
    if (r < 0 || !text)
        return r;
    if (strlen(text) > MAX_TEXT_BYTES)
        return failure_set(failure, -EINVAL, "%s: \"%s\" is longer than %d bytes", where, key,
                           MAX_TEXT_BYTES);
    *ret = strdup(text);
    return *ret ? 0 : out_of_memory(failure);
}

static int read_out(const json_t *header, struct queue_batch *batch, struct failure *failure) {
    const char *out = NULL;
    int r = json_read_string(header, "out", where, &out, failure);
    if (r < 0)
        return r;
    if (*out != '/' || strlen(out) >= 4096 || !names_is_clean(out))
        return failure_set(failure, -EINVAL,
                           "%s: \"out\" must be an absolute path without control characters",
                           where);
    batch->out = strdup(out);
    return batch->out ? 0 : out_of_memory(failure);
}

static int read_standing(const json_t *header, const struct rights_caller *caller,
                         struct queue_batch *batch, int64_t now, struct failure *failure) {
    const char *not_before = NULL;
    int64_t priority = 0;
    int r = json_read_optional_string(header, "not_before", where, &not_before, failure);
    if (r == 0 && not_before)
        r = window_parse_not_before(not_before, now, &batch->not_before_ms, failure);
    if (r == 0)
        r = json_read_optional_int(header, "priority", where, QUEUE_LEAST_PRIORITY,
                                   QUEUE_MOST_PRIORITY, &priority, failure);
    if (r == 0 && priority > 0)
        r = rights_policy_check(RIGHTS_RAISE, caller, caller->uid, caller->user, "a batch",
                                failure);
    if (r == 0 && batch->options.force && !caller->is_admin)
        r = failure_set(failure, -EPERM,
                        "%s: --force is for administrators here: what the pre-flight refuses would "
                        "keep the machine from everybody",
                        where);
    batch->priority = (int)priority;
    batch->submitted_ms = now;
    return r;
}

static int read_header(struct queue_submit *submit, const struct rights_caller *caller,
                       const json_t *header, int64_t now, struct failure *failure) {
    struct queue_batch *batch = submit->batch;
    const char *name = NULL;
    int64_t n_tasks = 0;
    int r = json_read_int(header, "tasks", where, 1, QUEUE_MAX_TASKS, &n_tasks, failure);
    submit->n_announced = (uint32_t)n_tasks;
    if (r == 0)
        r = read_out(header, batch, failure);
    if (r == 0)
        r = json_read_optional_string(header, "name", where, &name, failure);
    if (r == 0 && name)
        r = queue_submit_check_name(name, failure);
    if (r == 0)
        r = read_text(header, "command", &batch->command, failure);
    if (r == 0)
        r = read_text(header, "on_finish", &batch->on_finish, failure);
    if (r == 0)
        r = queue_options_read(json_object_get(header, "options"), batch->out, &batch->options,
                               failure);
    if (r == 0)
        r = read_standing(header, caller, batch, now, failure);
    if (r < 0)
        return r;
    submit->wanted_name = name ? strdup(name) : NULL;
    batch->user = strdup(caller->user);
    batch->uid = caller->uid;
    batch->gid = caller->gid;
    batch->order = submit->queue->next_order++;
    if (!batch->command)
        batch->command = strdup("");
    return (name && !submit->wanted_name) || !batch->user || !batch->command
               ? out_of_memory(failure)
               : 0;
}

/* ---- room ---- */

/* Before the disk is full: then no result could be recorded, and nobody's work would go on. */
static int check_disk(const struct queue *queue, struct failure *failure) {
    struct statvfs disk;
    char left[UNITS_TEXT_BYTES], kept[UNITS_TEXT_BYTES];
    if (queue->reserve_bytes == 0 || statvfs(queue->folder, &disk) < 0)
        return 0; /* writing says what is wrong */
    const uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes >= queue->reserve_bytes)
        return 0;
    return failure_set(
        failure, -ENOSPC,
        "the disk of the service's state has only %s left, and %s are kept there for "
        "results: nothing more is queued until there is room below %s",
        units_format_size(free_bytes, left), units_format_size(queue->reserve_bytes, kept),
        queue->folder);
}

/* Counts a line against what its user may be sending at once. */
static int check_line(struct queue_submit *submit, size_t length, struct failure *failure) {
    struct queue_user *user = queue_user_of(submit->queue, submit->caller_uid);
    if (!user)
        return out_of_memory(failure);
    const uint64_t bytes = length + TASK_BYTES;
    if (user->unfinished_bytes + bytes > QUEUE_MAX_UNFINISHED_BYTES && !submit->is_admin)
        return failure_set(
            failure, -EBUSY,
            "the batches that %s is submitting have more than %d MiB together, which "
            "is the most; submit them one after the other, in smaller parts",
            submit->batch->user, QUEUE_MAX_UNFINISHED_BYTES >> 20);
    user->unfinished_bytes += bytes;
    submit->bytes += bytes;
    if (submit->bytes - submit->checked_bytes < LOOK_AT_DISK_BYTES)
        return 0;
    submit->checked_bytes = submit->bytes;
    return check_disk(submit->queue, failure);
}

/* One user's many small batches leave room for those of others. */
static int check_room(const struct queue *queue, const struct rights_caller *caller,
                      uint32_t n_announced, struct failure *failure) {
    size_t own = 0;
    uint64_t n_tasks = n_announced;
    if (queue->count >= QUEUE_MAX_BATCHES)
        return failure_set(failure, -EBUSY,
                           "the queue holds %d batches already; wait until old ones are forgotten",
                           QUEUE_MAX_BATCHES);
    for (size_t i = 0; i < queue_count(queue); i++) {
        own += queue_at(queue, i)->uid == caller->uid;
        n_tasks += queue_at(queue, i)->uid == caller->uid ? queue_at(queue, i)->n_tasks : 0;
    }
    if (own >= QUEUE_MAX_USER_BATCHES && !caller->is_admin)
        return failure_set(failure, -EBUSY,
                           "%s has %d batches in the queue already; put more tasks into each, or "
                           "wait until old ones are forgotten",
                           caller->user, QUEUE_MAX_USER_BATCHES);
    if (n_tasks > QUEUE_MAX_USER_TASKS && !caller->is_admin)
        return failure_set(failure, -EBUSY,
                           "%s would have %llu tasks in the queue, and the most is %d; wait until "
                           "old batches are forgotten",
                           caller->user, (unsigned long long)n_tasks, QUEUE_MAX_USER_TASKS);
    return check_disk(queue, failure);
}

int queue_submit_begin(struct queue *queue, const struct rights_caller *caller,
                       const json_t *header, int64_t now, struct queue_submit **ret,
                       struct failure *failure) {
    CLEANUP(queue_cleanup_submit) struct queue_submit *submit = calloc(1, sizeof(*submit));
    if (!submit)
        return out_of_memory(failure);
    submit->queue = queue;
    submit->file.fd = -1;
    submit->batch = queue_make_batch();
    if (!submit->batch)
        return out_of_memory(failure);
    submit->batch->hash_seed = queue->hash_seed;
    submit->caller_uid = caller->uid;
    submit->is_admin = caller->is_admin;
    int r = read_header(submit, caller, header, now, failure);
    if (r == 0)
        r = check_room(queue, caller, submit->n_announced, failure);
    if (r < 0)
        return r;
    (void)mkdir(queue->folder, 0700); /* it is there, unless somebody took it away */
    CLEANUP_FREE char *path = names_format("%s/.%llu" QUEUE_FILE_TEMPORARY, queue->folder,
                                           (unsigned long long)queue->next_temporary++);
    r = path ? queue_file_create(&submit->file, path, submit->batch, submit->n_announced, failure)
             : out_of_memory(failure);
    if (r < 0)
        return r;
    *ret = STEAL_PTR(submit);
    return 0;
}

/* ---- the tasks ---- */

static int add_task(struct queue_submit *submit, const char *id, const char *bytes, size_t length,
                    struct failure *failure) {
    struct queue_batch *batch = submit->batch;
    uint64_t offset = 0;
    if (queue_make_room(batch) < 0)
        return out_of_memory(failure);
    int r = queue_file_line(&submit->file, bytes, length, &offset, failure);
    if (r < 0)
        return r;
    batch->tasks[batch->n_tasks++] = (struct queue_task){
        .hash = queue_index_hash(batch->hash_seed, id, strlen(id)),
        .offset = offset & ((UINT64_C(1) << 42) - 1),
        .length = length & ((1U << 22) - 1),
    };
    return 0;
}

/* As the client wrote it, where its id is found without reading the rest; else anew. */
static int add_line(struct queue_submit *submit, const struct task *task,
                    const struct forecast_task *need, const char *bytes, size_t length,
                    struct failure *failure) {
    size_t id_length = 0;
    if (queue_file_plain_id(bytes, length, &id_length) && !memchr(bytes, '\n', length))
        return add_task(submit, task->id, bytes, length, failure);
    CLEANUP_JSON json_t *json = task_json_make(task, need->is_pair || need->size > 0 ? need : NULL);
    CLEANUP_FREE char *line =
        json ? json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17))
             : NULL;
    return line ? add_task(submit, task->id, line, strlen(line), failure) : out_of_memory(failure);
}

int queue_submit_line(struct queue_submit *submit, const char *bytes, size_t length,
                      struct failure *failure) {
    char place[64];
    const uint32_t number = submit->batch->n_tasks + 1;
    (void)snprintf(place, sizeof(place), "task %u", number);
    if (number > submit->n_announced)
        return failure_set(failure, -EINVAL, "%s is one more than the %u that were announced",
                           place, submit->n_announced);
    if (length >= QUEUE_MAX_LINE_BYTES)
        return failure_set(failure, -EMSGSIZE, "%s is longer than %d bytes", place,
                           QUEUE_MAX_LINE_BYTES);
    int r = check_line(submit, length, failure);
    if (r < 0)
        return r;
    json_error_t error;
    CLEANUP_JSON json_t *json = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return failure_set(failure, -EINVAL, "%s is not JSON: %s", place, error.text);
    CLEANUP(task_free) struct task task = {0};
    struct forecast_task need = {0};
    r = task_json_read(json, place, &task, &need, failure);
    if (r == 0 && submit->queue->judge)
        r = submit->queue->judge(submit->queue->judge_context, submit->batch->user,
                                 &submit->batch->options, &task, &need, failure);
    return r < 0 ? r : add_line(submit, &task, &need, bytes, length, failure);
}
