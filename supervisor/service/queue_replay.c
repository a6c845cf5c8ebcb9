/* The queue from its records, in the order in which things happened. Each record does to memory
 * what the operation did that wrote it; what speaks of unknown batches or tasks is passed over, for
 * the ledger outlives them. */
#include "supervisor/service/queue_file.h"
#include "supervisor/service/queue_state.h"

#include "common/names.h"
#include "supervisor/engine/leftovers.h"
#include "supervisor/service/queue_options.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

static const char *text_of(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static int64_t number_of(const json_t *record, const char *key) {
    return json_integer_value(json_object_get(record, key));
}

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory left for the queue");
}

/* ---- batches ---- */

/* What the record knows, for a batch whose file does not say so any more. */
static int fill_from_record(struct queue_batch *batch, const json_t *record,
                            struct failure *failure) {
    batch->name = strdup(text_of(record, "batch"));
    batch->user = strdup(text_of(record, "user"));
    batch->out = strdup(text_of(record, "out"));
    batch->command = strdup("");
    batch->uid = (uid_t)number_of(record, "uid");
    batch->gid = (gid_t)number_of(record, "gid");
    batch->order = (uint64_t)number_of(record, "order");
    batch->submitted_ms = leftovers_record_ms(record);
    if (!batch->name || !batch->user || !batch->out || !batch->command)
        return out_of_memory(failure);
    return queue_options_read(NULL, batch->out, &batch->options, failure);
}

/* A ledger that somebody else wrote must not name files elsewhere. */
static bool is_file_name(const char *name) {
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) <= QUEUE_MAX_NAME_BYTES;
}

static int take_submit(struct queue *queue, const json_t *record, struct failure *failure) {
    const char *name = text_of(record, "batch");
    if (!is_file_name(name))
        return 0;
    struct queue_batch *before = queue_find(queue, name);
    if (before)
        queue_drop_batch(queue, before); /* its forgetting was lost with a torn tail */
    CLEANUP(queue_cleanup_batch) struct queue_batch *batch = queue_make_batch();
    CLEANUP_FREE char *path = names_format("%s/%s" QUEUE_FILE_SUFFIX, queue->folder, name);
    if (!batch || !path)
        return out_of_memory(failure);
    batch->hash_seed = queue->hash_seed;
    int r = fill_from_record(batch, record, failure);
    if (r == 0)
        r = queue_file_load(path, batch->order, batch, failure);
    if (r == 0)
        r = queue_add_batch(queue, batch, failure);
    if (r < 0)
        return r;
    batch->seq = (uint64_t)number_of(record, "seq");
    batch = NULL; /* the queue's */
    return 0;
}

/* The tasks that a record is about; false: one that the batch does not have. */
static bool which_tasks(const struct queue_batch *batch, const json_t *record, uint32_t *ret) {
    const char *id = json_string_value(json_object_get(record, "task"));
    *ret = QUEUE_ALL;
    return !id || queue_find_task(batch, id, ret) == 0;
}

/* What attempts had used that a compacted ledger does not have any more. */
static void take_share(struct queue *queue, const json_t *record) {
    struct queue_user *user = queue_user_of(queue, (uid_t)number_of(record, "uid"));
    if (user) /* else it is only a little less fair */
        fair_share_add(&user->share, json_number_value(json_object_get(record, "byte_seconds")),
                       number_of(record, "at_ms"), queue->half_life_ms);
}

static void take_all(struct queue *queue, const json_t *record) {
    const char *state = text_of(record, "state");
    if (strcmp(state, "share") == 0)
        take_share(queue, record);
    const bool pause = strcmp(state, "pause") == 0;
    if (!pause && strcmp(state, "resume") != 0)
        return; /* a run's, or of a later version */
    free(queue->paused_by);
    queue->paused_by = pause ? strdup(text_of(record, "by")) : NULL;
}

static void take_change(struct queue *queue, struct queue_batch *batch, const json_t *record) {
    const char *state = text_of(record, "state");
    const uint64_t seq = (uint64_t)number_of(record, "seq");
    uint32_t number = 0;
    if (!which_tasks(batch, record, &number))
        return;
    batch->seq = seq;
    if (strcmp(state, "cancel") == 0)
        (void)queue_apply_cancel(batch, number, seq, leftovers_record_ms(record));
    else if (strcmp(state, "retry") == 0)
        (void)queue_apply_retry(batch, number);
    else if (strcmp(state, "again") == 0)
        (void)queue_apply_again(batch);
    else if (strcmp(state, "pause") == 0 || strcmp(state, "resume") == 0)
        queue_apply_pause(batch, *state == 'p', text_of(record, "by"));
    else if (strcmp(state, "priority") == 0)
        batch->priority = (int)number_of(record, "priority");
    else if (strcmp(state, "end") == 0) {
        batch->ended_ms = number_of(record, "ended_ms");
        /* the attempts that said so may be compacted away */
        if (number_of(record, "first_start_ms") > 0)
            batch->first_start_ms = number_of(record, "first_start_ms");
        batch->is_closed = batch->ended_ms > 0;
    } else if (strcmp(state, "forget") == 0)
        queue_drop_batch(queue, batch);
}

static int take_batch(struct queue *queue, const json_t *record, struct failure *failure) {
    const char *name = json_string_value(json_object_get(record, "batch"));
    if (!name) {
        take_all(queue, record);
        return 0;
    }
    if (strcmp(text_of(record, "state"), "submit") == 0)
        return take_submit(queue, record, failure);
    struct queue_batch *batch = queue_find(queue, name);
    if (batch)
        take_change(queue, batch, record);
    return 0;
}

/* ---- attempts ---- */

/* Of attempts there are never more open than ran at once: the list is short. */
static bool close_attempt(struct queue *queue, const json_t *record) {
    for (size_t i = json_array_size(queue->open); i-- > 0;) {
        const json_t *start = json_array_get(queue->open, i);
        if (strcmp(text_of(start, "task"), text_of(record, "task")) == 0 &&
            strcmp(text_of(start, "batch"), text_of(record, "batch")) == 0 &&
            number_of(start, "attempt") == number_of(record, "attempt"))
            return json_array_remove(queue->open, i) == 0;
    }
    return false;
}

static int take_start(struct queue *queue, struct queue_batch *batch, uint32_t number,
                      const json_t *record, struct failure *failure) {
    if (json_array_append(queue->open, (json_t *)record) < 0) /* counts a reference */
        return out_of_memory(failure);
    struct queue_task *task = &batch->tasks[number];
    if (task->attempts < UINT16_MAX)
        task->attempts++;
    if (task->state == QUEUE_WAITING)
        queue_started(queue, batch, number, leftovers_record_ms(record));
    return 0;
}

static int take_end(struct queue *queue, struct queue_batch *batch, uint32_t number,
                    const json_t *record, struct failure *failure) {
    (void)failure;
    struct queue_task *task = &batch->tasks[number];
    const int64_t attempt = number_of(record, "attempt");
    (void)close_attempt(queue, record); /* one whose start could not be told has none */
    if (attempt > (int64_t)task->attempts && attempt <= UINT16_MAX)
        task->attempts = (uint16_t)attempt;
    if (number_of(record, "reserved_bytes") > 0)
        queue_charge(queue, batch, (uint64_t)number_of(record, "reserved_bytes"),
                     queue_wall_ms(record), leftovers_record_ms(record));
    return 0;
}

static int take_task_end(struct queue *queue, struct queue_batch *batch, uint32_t number,
                         const json_t *record, struct failure *failure) {
    (void)queue, (void)failure;
    struct queue_result result = {
        .attempts = (int)number_of(record, "attempts"),
        .wall_ms = queue_wall_ms(record),
        .peak_rss_bytes = (uint64_t)number_of(record, "peak_rss_bytes"),
        .seq = (uint64_t)number_of(record, "seq"),
        .now = leftovers_record_ms(record),
    };
    if (verdict_parse(text_of(record, "verdict"), &result.verdict) == 0)
        queue_apply_end(batch, number, &result);
    return 0;
}

static int take_task(struct queue *queue, const json_t *record, struct failure *failure) {
    static const struct {
        const char *event;
        int (*take)(struct queue *queue, struct queue_batch *batch, uint32_t number,
                    const json_t *record, struct failure *failure);
    } takers[] = {
        {"attempt_start", take_start}, {"attempt_end", take_end}, {"task_end", take_task_end}};
    const char *name = json_string_value(json_object_get(record, "batch"));
    struct queue_batch *batch = name ? queue_find(queue, name) : NULL;
    uint32_t number = 0;
    if (!batch || queue_find_task(batch, text_of(record, "task"), &number) < 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(takers); i++)
        if (strcmp(text_of(record, "event"), takers[i].event) == 0)
            return takers[i].take(queue, batch, number, record, failure);
    return 0;
}

int queue_replay(void *context, const json_t *record, struct failure *failure) {
    struct queue *queue = context;
    const int64_t time_ms = leftovers_record_ms(record);
    if (time_ms > queue->last_ms)
        queue->last_ms = time_ms;
    return strcmp(text_of(record, "event"), "batch") == 0 ? take_batch(queue, record, failure)
                                                          : take_task(queue, record, failure);
}

/* ---- afterwards ---- */

/* Nothing runs: it waits again, or was cancelled while it ran. */
static void settle_batch(struct queue_batch *batch, int64_t now) {
    for (uint32_t i = 0; i < batch->n_tasks; i++)
        if (batch->tasks[i].state == QUEUE_RUNNING)
            queue_apply_return(batch, i);
    (void)queue_note_end(batch, now); /* whoever asks sees ended_ms */
}

static bool ends_in(const char *name, const char *suffix) {
    const size_t length = strlen(name), tail = strlen(suffix);
    return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

/* A whole batch that the ledger does not know: its submit was killed before anybody was told. */
static int set_aside(const struct queue *queue, const char *name, size_t *count,
                     struct failure *failure) {
    CLEANUP_FREE char *from = names_format("%s/%s", queue->folder, name);
    CLEANUP_FREE char *to = names_format("%s/%s.unknown", queue->folder, name);
    if (!from || !to)
        return out_of_memory(failure);
    if (rename(from, to) < 0)
        return failure_set_errno(failure, -errno, "cannot rename %s", from);
    (*count)++;
    return 0;
}

static int clean_entry(const struct queue *queue, const char *name, size_t *count,
                       struct failure *failure) {
    if (ends_in(name, QUEUE_FILE_TEMPORARY) || ends_in(name, QUEUE_FILE_TEMPORARY "+")) {
        CLEANUP_FREE char *path = names_format("%s/%s", queue->folder, name);
        if (path)
            (void)unlink(path); /* else the next start does */
        return 0;
    }
    if (!ends_in(name, QUEUE_FILE_SUFFIX))
        return 0;
    CLEANUP_FREE char *batch = strndup(name, strlen(name) - strlen(QUEUE_FILE_SUFFIX));
    if (!batch)
        return out_of_memory(failure);
    return queue_find(queue, batch) ? 0 : set_aside(queue, name, count, failure);
}

static void close_folder(DIR **folder) {
    if (*folder)
        (void)closedir(*folder); /* it was only read */
}

static int clean_folder(const struct queue *queue, size_t *count, struct failure *failure) {
    CLEANUP(close_folder) DIR *folder = opendir(queue->folder);
    if (!folder)
        return failure_set_errno(failure, -errno, "cannot read %s", queue->folder);
    const struct dirent *entry;
    int r = 0;
    while (r == 0 && (entry = readdir(folder)))
        r = clean_entry(queue, entry->d_name, count, failure);
    return r;
}

int queue_attach(struct queue *queue, struct ledger_store *store, struct ledger_commit *commit,
                 size_t *ret_set_aside, struct failure *failure) {
    size_t n_set_aside = 0;
    queue->store = store;
    queue->commit = commit;
    for (size_t i = 0; i < queue->count; i++)
        settle_batch(queue->batches[i], queue->last_ms);
    json_decref(queue->open);
    queue->open = NULL;
    int r = clean_folder(queue, &n_set_aside, failure);
    if (r == 0)
        *ret_set_aside = n_set_aside;
    return r;
}
