/* See page_tasks.h. */
#include "supervisor/page/page_tasks.h"

#include "supervisor/explain/words.h"

#include <errno.h>
#include <string.h>

int page_tasks_open(const char *batch, struct page_tasks *ret) {
    *ret = (struct page_tasks){
        .batch = batch, .index = json_object(), .runs = json_array(), .notes = json_array()};
    return ret->index && ret->runs && ret->notes ? 0 : -ENOMEM;
}

void page_tasks_free(struct page_tasks *tasks) {
    for (size_t i = 0; i < tasks->count; i++) {
        free(tasks->items[i].id);
        free(tasks->items[i].reason);
        json_decref(tasks->items[i].evidence);
    }
    free(tasks->items);
    json_decref(tasks->index);
    json_decref(tasks->runs);
    json_decref(tasks->notes);
    *tasks = (struct page_tasks){0};
}

/* ---- which records ---- */

static bool is_event(const json_t *record, const char *event) {
    return strcmp(story_text(record, "event"), event) == 0;
}

static bool is_of_batch(const struct page_tasks *tasks, const json_t *record) {
    return !tasks->batch || strcmp(story_text(record, "batch"), tasks->batch) == 0;
}

static bool has_state(const json_t *record, const char *state) {
    return is_event(record, "batch") && strcmp(story_text(record, "state"), state) == 0;
}

bool page_tasks_begins_run(const struct page_tasks *tasks, const json_t *record) {
    return tasks->batch ? has_state(record, "submit") && is_of_batch(tasks, record)
                        : has_state(record, "start");
}

bool page_tasks_find(const struct page_tasks *tasks, const json_t *record, size_t *ret) {
    const json_t *number = json_object_get(tasks->index, story_text(record, "task"));
    if (!number || !is_of_batch(tasks, record))
        return false;
    *ret = (size_t)json_integer_value(number);
    return true;
}

/* ---- tasks ---- */

static struct page_task *add(struct page_tasks *tasks, const char *id) {
    if (tasks->count == tasks->room) {
        const size_t room = tasks->room > 0 ? 2 * tasks->room : 64;
        struct page_task *items = reallocarray(tasks->items, room, sizeof(*items));
        if (!items)
            return NULL;
        tasks->items = items;
        tasks->room = room;
    }
    struct page_task *task = &tasks->items[tasks->count];
    *task = (struct page_task){.id = strdup(id)};
    task->result.id = task->id;
    if (!task->id ||
        json_object_set_new(tasks->index, id, json_integer((json_int_t)tasks->count)) < 0) {
        free(task->id);
        return NULL;
    }
    tasks->count++;
    return task;
}

/* NULL: out of memory. */
static struct page_task *find_or_add(struct page_tasks *tasks, const char *id) {
    const json_t *number = json_object_get(tasks->index, id);
    return number ? &tasks->items[json_integer_value(number)] : add(tasks, id);
}

static int set_reason(struct page_task *task, const json_t *record) {
    char *reason = strdup(story_text(record, "reason"));
    if (!reason)
        return -ENOMEM;
    free(task->reason);
    task->result.reason = task->reason = reason;
    return 0;
}

/* Of a task_end, and of a task in summary.json. */
static int take_verdict(struct page_task *task, const json_t *record) {
    struct task_result *result = &task->result;
    const json_int_t attempts = json_integer_value(json_object_get(record, "attempts"));
    result->finished = verdict_parse(story_text(record, "verdict"), &result->verdict) == 0;
    result->attempts = attempts > 0 && attempts < INT32_MAX ? (int)attempts : 0;
    result->wall_ms = words_ms(record, "wall_s");
    result->peak_rss_bytes = words_bytes(record, "peak_rss_bytes");
    task->is_running = false;
    (void)snprintf(task->cause, sizeof(task->cause), "%s", story_text(record, "cause"));
    if (!result->finished || result->verdict == VERDICT_OK) {
        json_decref(task->evidence);
        task->evidence = NULL;
        result->evidence = NULL;
    }
    return set_reason(task, record);
}

static void take_forecast(struct page_task *task, const json_t *record) {
    task->predicted_bytes = words_bytes(record, "predicted_bytes");
    task->reserved_bytes = words_bytes(record, "reserved_bytes");
    task->is_pair = strcmp(story_text(record, "kind"), "align") == 0;
}

static int take_task(struct page_tasks *tasks, const json_t *record) {
    const bool is_end = is_event(record, "task_end"), is_attempt = is_event(record, "attempt_end");
    if (!is_end && !is_attempt && !is_event(record, "attempt_start"))
        return 0;
    struct page_task *task = find_or_add(tasks, story_text(record, "task"));
    if (!task)
        return -ENOMEM;
    if (is_end)
        return take_verdict(task, record);
    take_forecast(task, record);
    if (!is_attempt) {
        task->is_running = true;
        task->result.finished = false; /* another try of what had a verdict once */
        return 0;
    }
    tasks->n_attempts++;
    task->is_running = false;
    json_decref(task->evidence);
    task->evidence = json_incref(json_object_get(record, "evidence"));
    task->result.evidence = task->evidence;
    return 0;
}

int page_tasks_add_listed(struct page_tasks *tasks, const json_t *listed) {
    const char *id = json_string_value(json_object_get(listed, "id"));
    if (!id || json_object_get(tasks->index, id))
        return 0;
    struct page_task *task = add(tasks, id);
    return task ? take_verdict(task, listed) : -ENOMEM;
}

/* ---- runs and notes ---- */

static int append(json_t *array, json_t *value, size_t most) {
    if (!value || json_array_append_new(array, value) < 0)
        return -ENOMEM;
    if (json_array_size(array) > most)
        (void)json_array_remove(array, 0); /* cannot fail: it is there */
    return 0;
}

static int take_batch(struct page_tasks *tasks, const json_t *record) {
    if (has_state(record, "start"))
        tasks->jobs = (int)json_integer_value(json_object_get(record, "jobs"));
    if (page_tasks_begins_run(tasks, record)) {
        tasks->n_runs++;
        CLEANUP_JSON json_t *run = json_copy((json_t *)record); /* the signature lacks a const */
        if (!run ||
            (tasks->batch && json_object_set_new(run, "jobs", json_integer(tasks->jobs)) < 0))
            return -ENOMEM;
        return append(tasks->runs, STEAL_PTR(run), PAGE_TASKS_RUNS);
    }
    json_t *last = json_array_get(tasks->runs, json_array_size(tasks->runs) - 1);
    const bool is_end = has_state(record, "end") && is_of_batch(tasks, record);
    if (!is_end || !last)
        return 0;
    return json_object_set_new(last, "end", json_copy((json_t *)record)) < 0 ? -ENOMEM : 0;
}

static int take_note(struct page_tasks *tasks, const json_t *record) {
    return append(tasks->notes,
                  json_pack("[s, s]", story_text(record, "time"), story_text(record, "text")),
                  PAGE_TASKS_NOTES);
}

int page_tasks_record(void *context, const json_t *record, struct failure *failure) {
    struct page_tasks *tasks = context;
    int r = 0;
    if (is_event(record, "batch"))
        r = take_batch(tasks, record);
    else if (!is_of_batch(tasks, record))
        r = 0; /* another's */
    else if (is_event(record, "note"))
        r = take_note(tasks, record);
    else
        r = take_task(tasks, record);
    return r < 0 ? failure_set(failure, r, "out of memory while reading the ledger") : 0;
}
