/* See story.h. An attempt's number is its own over all runs, so start and end find each other by
 * it, even when the end was written by the next run. */
#include "supervisor/explain/story.h"

#include "supervisor/cli/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *story_text(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static bool is_event(const json_t *record, const char *event) {
    return strcmp(story_text(record, "event"), event) == 0;
}

/* Counting references changes nothing that the lender of a const record could see. */
static void replace(json_t **slot, const json_t *record) {
    json_decref(*slot);
    *slot = json_incref((json_t *)record);
}

static void drop(struct story_attempt *attempt) {
    json_decref(attempt->start);
    json_decref(attempt->end);
    json_decref(attempt->batch);
    *attempt = (struct story_attempt){0};
}

static json_int_t number_of(const struct story_attempt *attempt) {
    const json_t *record = attempt->start ? attempt->start : attempt->end;
    return json_integer_value(json_object_get(record, "attempt"));
}

static struct story_attempt *find(struct story *story, json_int_t number) {
    for (size_t i = story->n_attempts; i-- > 0;)
        if (number_of(&story->attempts[i]) == number)
            return &story->attempts[i];
    return NULL;
}

static struct story_attempt *add(struct story *story) {
    if (story->n_attempts == STORY_MAX_ATTEMPTS) {
        drop(&story->attempts[0]);
        memmove(story->attempts, story->attempts + 1,
                (STORY_MAX_ATTEMPTS - 1) * sizeof(*story->attempts));
        story->attempts[--story->n_attempts] = (struct story_attempt){0};
        story->n_left_out++;
    }
    struct story_attempt *attempt = &story->attempts[story->n_attempts++];
    attempt->batch = json_incref(story->batch);
    return attempt;
}

static void take_attempt(struct story *story, const json_t *record, bool is_end) {
    struct story_attempt *attempt =
        find(story, json_integer_value(json_object_get(record, "attempt")));
    if (!attempt)
        attempt = add(story);
    replace(is_end ? &attempt->end : &attempt->start, record);
    json_decref(story->verdict);
    story->verdict = NULL;
}

/* Keeps what may be meant when the task's own name turns out to be none. */
static int take_other(struct story *story, const char *id) {
    size_t i = 0;
    while (i < STORY_MAX_EXAMPLES && story->examples[i] && strcmp(story->examples[i], id) != 0)
        i++;
    if (i < STORY_MAX_EXAMPLES && !story->examples[i] && !(story->examples[i] = strdup(id)))
        return -ENOMEM;
    const char *const with_best[] = {story->nearest, id, NULL};
    const char *best = nearest_word(story->task, story->nearest ? with_best : with_best + 1);
    if (!best || best == story->nearest)
        return 0;
    char *copy = strdup(best);
    free(story->nearest);
    story->nearest = copy;
    return copy ? 0 : -ENOMEM;
}

int story_begin(struct story *story, const char *task) {
    CLEANUP_JSON json_t *id = json_string(task);
    CLEANUP_FREE char *quoted = id ? json_dumps(id, JSON_ENCODE_ANY) : NULL;
    *story = (struct story){.task = task};
    if (!id) /* no UTF-8: no ledger has it */
        return 0;
    return !quoted || asprintf(&story->needle, "\"task\":%s", quoted) < 0 ? -ENOMEM : 0;
}

bool story_wants(void *context, const char *line, size_t length) {
    static const char batch[] = "\"event\":\"batch\"";
    const struct story *story = context;
    return (story->needle && memmem(line, length, story->needle, strlen(story->needle))) ||
           memmem(line, length, batch, sizeof(batch) - 1);
}

int story_record(void *context, const json_t *record, struct failure *failure) {
    struct story *story = context;
    const char *task = story_text(record, "task");
    if (is_event(record, "batch")) {
        story->is_over = strcmp(story_text(record, "state"), "end") == 0;
        story->is_older |= !story->is_over;
        if (!story->is_over)
            replace(&story->batch, record);
    } else if (*task && strcmp(task, story->task) != 0) {
        const bool known = story->n_attempts > 0 || story->verdict;
        if (!known && !is_event(record, "task_end") && take_other(story, task) < 0)
            return failure_set(failure, -ENOMEM, "out of memory while reading the ledger");
    } else if (is_event(record, "attempt_start") || is_event(record, "attempt_end")) {
        take_attempt(story, record, is_event(record, "attempt_end"));
    } else if (is_event(record, "task_end")) {
        replace(&story->verdict, record);
        story->is_older = false;
    }
    return 0;
}

enum story_state story_state(const struct story *story, bool is_locked) {
    const struct story_attempt *last =
        story->n_attempts > 0 ? &story->attempts[story->n_attempts - 1] : NULL;
    const bool goes_on = is_locked && !story->is_over;
    if (story->verdict)
        return STORY_FINISHED;
    if (!last)
        return STORY_UNKNOWN;
    if (!last->end)
        return goes_on && last->batch == story->batch ? STORY_RUNNING : STORY_ABANDONED;
    return goes_on ? STORY_WAITING : STORY_INTERRUPTED;
}

const char *story_state_name(enum story_state state) {
    static const char *const names[STORY_STATE_COUNT] = {
        [STORY_UNKNOWN] = "unknown",         [STORY_RUNNING] = "running",
        [STORY_WAITING] = "waiting",         [STORY_ABANDONED] = "abandoned",
        [STORY_INTERRUPTED] = "interrupted", [STORY_FINISHED] = "finished",
    };
    return names[state];
}

const json_t *story_last_end(const struct story *story) {
    for (size_t i = story->n_attempts; i-- > 0;)
        if (story->attempts[i].end)
            return story->attempts[i].end;
    return NULL;
}

void story_clear(struct story *story) {
    for (size_t i = 0; i < story->n_attempts; i++)
        drop(&story->attempts[i]);
    json_decref(story->verdict);
    json_decref(story->batch);
    free(story->nearest);
    free(story->needle);
    for (size_t i = 0; i < STORY_MAX_EXAMPLES; i++)
        free(story->examples[i]);
    *story = (struct story){0};
}
