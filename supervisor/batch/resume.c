/* See resume.h. A task_end is kept without its files, which go into plain structs, and without the
 * frame of its line: a thousand tasks take a few MiB in a supervisor that must stay small. */
#include "supervisor/batch/resume.h"

#include "common/params.h"
#include "supervisor/memory/probe.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum {
    HASH_BYTES = 33,
    HASH_TIMEOUT_MS = 30 * 60 * 1000, /* per file: 2.3 GB from a slow network disk */
};

struct file_mark {
    char *name; /* owned; an input's path, or an output's name below OUT/<id> */
    int64_t size, mtime_ns;
    char hash[HASH_BYTES]; /* "": not known */
};

struct file_marks {
    struct file_mark *items; /* owned */
    size_t count;
};

struct entry {
    json_t *end; /* owned; the last task_end, pruned; NULL: none yet */
    struct file_marks inputs, outputs;
    int attempts;
};

struct resume {
    struct entry *entries; /* owned */
    size_t count, capacity;
    json_t *index; /* id -> position in entries */
    json_t *open;  /* attempt_start records without an end */
    json_t *group; /* the text of the last run's control group, when that run did not end; owned */
};

static void free_marks(struct file_marks *marks) {
    for (size_t i = 0; i < marks->count; i++)
        free(marks->items[i].name);
    free(marks->items);
    *marks = (struct file_marks){0};
}

void resume_close(struct resume *resume) {
    if (!resume)
        return;
    for (size_t i = 0; i < resume->count; i++) {
        json_decref(resume->entries[i].end);
        free_marks(&resume->entries[i].inputs);
        free_marks(&resume->entries[i].outputs);
    }
    free(resume->entries);
    json_decref(resume->index);
    json_decref(resume->open);
    json_decref(resume->group);
    free(resume);
}

int resume_open(struct resume **ret, struct failure *failure) {
    struct resume *resume = calloc(1, sizeof(*resume));
    if (resume) {
        resume->index = json_object();
        resume->open = json_array();
    }
    if (!resume || !resume->index || !resume->open) {
        resume_close(resume);
        return failure_set_errno(failure, -ENOMEM, "cannot look at what was done before");
    }
    *ret = resume;
    return 0;
}

static const char *text_of(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static struct entry *find(const struct resume *resume, const char *id) {
    const json_t *position = json_object_get(resume->index, id);
    return position ? &resume->entries[json_integer_value(position)] : NULL;
}

/* NULL when out of memory. */
static struct entry *find_or_add(struct resume *resume, const char *id) {
    struct entry *entry = find(resume, id);
    if (entry)
        return entry;
    if (!resume->entries || resume->count == resume->capacity) {
        size_t capacity = resume->capacity ? resume->capacity * 2 : 64;
        struct entry *entries = realloc(resume->entries, capacity * sizeof(*entries));
        if (!entries)
            return NULL;
        resume->entries = entries;
        resume->capacity = capacity;
    }
    if (json_object_set_new(resume->index, id, json_integer((json_int_t)resume->count)) < 0)
        return NULL;
    entry = &resume->entries[resume->count++];
    *entry = (struct entry){0};
    return entry;
}

/* Marks of an array of files; name_key is "path" or "name". An array that is not there is empty. */
static int read_marks(const json_t *files, const char *name_key, struct file_marks *ret) {
    size_t count = json_array_size(files);
    struct file_marks marks = {calloc(count ? count : 1, sizeof(struct file_mark)), 0};
    if (!marks.items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const json_t *file = json_array_get(files, i);
        struct file_mark *mark = &marks.items[marks.count++];
        mark->name = strdup(text_of(file, name_key));
        mark->size = json_integer_value(json_object_get(file, "size"));
        mark->mtime_ns = json_integer_value(json_object_get(file, "mtime_ns"));
        (void)snprintf(mark->hash, sizeof(mark->hash), "%s", text_of(file, "hash"));
        if (!mark->name) {
            free_marks(&marks);
            return -ENOMEM;
        }
    }
    *ret = marks;
    return 0;
}

/* A copy without the members that every line has and without the files; the values are shared. */
static json_t *prune(const json_t *record) {
    static const char *const dropped[] = {"v",   "boot",   "event",   "synced",
                                          "crc", "inputs", "outputs", NULL};
    json_t *pruned = json_copy((json_t *)record); /* shallow; the record itself is not changed */
    for (size_t i = 0; dropped[i] && pruned; i++)
        (void)json_object_del(pruned, dropped[i]); /* not there is as good */
    return pruned;
}

static int take_task_end(struct resume *resume, const json_t *record) {
    struct entry *entry = find_or_add(resume, text_of(record, "task"));
    struct file_marks inputs = {0}, outputs = {0};
    CLEANUP_JSON json_t *pruned = prune(record);
    if (!entry || !pruned)
        return -ENOMEM;
    int r = read_marks(json_object_get(record, "inputs"), "path", &inputs);
    if (r == 0)
        r = read_marks(json_object_get(record, "outputs"), "name", &outputs);
    if (r < 0) {
        free_marks(&inputs);
        return r;
    }
    free_marks(&entry->inputs);
    free_marks(&entry->outputs);
    json_decref(entry->end);
    entry->inputs = inputs;
    entry->outputs = outputs;
    entry->end = STEAL_PTR(pruned);
    /* a compacted ledger has not all of them any more */
    const json_int_t attempts = json_integer_value(json_object_get(record, "attempts"));
    if (attempts > entry->attempts && attempts <= INT_MAX)
        entry->attempts = (int)attempts;
    return 0;
}

static int take_attempt_start(struct resume *resume, const json_t *record) {
    struct entry *entry = find_or_add(resume, text_of(record, "task"));
    if (!entry || json_array_append(resume->open, (json_t *)record) < 0) /* counts a reference */
        return -ENOMEM;
    entry->attempts++;
    return 0;
}

static int take_attempt_end(struct resume *resume, const json_t *record) {
    json_int_t attempt = json_integer_value(json_object_get(record, "attempt"));
    for (size_t i = json_array_size(resume->open); i-- > 0;) {
        const json_t *start = json_array_get(resume->open, i);
        if (strcmp(text_of(start, "task"), text_of(record, "task")) == 0 &&
            json_integer_value(json_object_get(start, "attempt")) == attempt)
            return json_array_remove(resume->open, i);
    }
    struct entry *entry = find_or_add(resume, text_of(record, "task"));
    if (!entry)
        return -ENOMEM;
    entry->attempts++; /* one that ended before its start could be told, as when exec failed */
    return 0;
}

/* Records of a service's queue are batches too, but only runs have an id, and groups. */
static void take_batch(struct resume *resume, const json_t *record) {
    if (!json_object_get(record, "id"))
        return;
    json_decref(resume->group);
    resume->group = json_incref(json_object_get(json_object_get(record, "cgroup"), "folder"));
}

int resume_replay(void *context, const json_t *record, struct failure *failure) {
    static const struct {
        const char *event;
        int (*take)(struct resume *resume, const json_t *record);
    } takers[] = {
        {"task_end", take_task_end},
        {"attempt_start", take_attempt_start},
        {"attempt_end", take_attempt_end},
    };
    if (strcmp(text_of(record, "event"), "batch") == 0)
        take_batch(context, record);
    for (size_t i = 0; i < ARRAY_LEN(takers); i++) {
        if (strcmp(text_of(record, "event"), takers[i].event) != 0 || !*text_of(record, "task"))
            continue;
        if (takers[i].take(context, record) < 0)
            return failure_set_errno(failure, -ENOMEM, "cannot look at what was done before");
    }
    return 0;
}

const json_t *resume_last_end(const struct resume *resume, const char *id) {
    const struct entry *entry = find(resume, id);
    return entry ? entry->end : NULL;
}

const json_t *resume_open_attempts(const struct resume *resume) { return resume->open; }

const char *resume_open_group(const struct resume *resume) {
    return json_string_value(resume->group);
}

int resume_attempts(const struct resume *resume, const char *id) {
    const struct entry *entry = find(resume, id);
    return entry ? entry->attempts : 0;
}

/* The terminators go in too, so that {"a","b"} and {"ab"} differ. */
static uLong add_words(uLong crc, char *const *words) {
    for (size_t i = 0; words && words[i]; i++)
        crc = crc32(crc, (const Bytef *)words[i], (uInt)strlen(words[i]) + 1);
    return crc32(crc, (const Bytef *)"\n", 1);
}

static const char *fingerprint(const struct task *task, char text[PARAMS_FINGERPRINT_BYTES]) {
    if (task->kind == TASK_ALIGN)
        return params_fingerprint(task->params, text);
    char *cwd[] = {task->cwd, NULL};
    uLong crc = add_words(0, task->command);
    crc = add_words(crc, cwd);
    crc = add_words(crc, task->env);
    (void)snprintf(text, PARAMS_FINGERPRINT_BYTES, "%08lx", crc & 0xffffffffUL);
    return text;
}

json_t *resume_identity(const struct task *task) {
    char text[PARAMS_FINGERPRINT_BYTES];
    return json_pack("{s:s, s:s}", "kind", task->kind_name, "fingerprint", fingerprint(task, text));
}

static bool is_final(const json_t *end) {
    const char *verdict = text_of(end, "verdict");
    return strcmp(verdict, "ok") == 0 || strcmp(verdict, "doubtful") == 0 ||
           (strcmp(verdict, "failed") == 0 && strcmp(text_of(end, "cause"), "input") == 0);
}

static bool is_same_work(const json_t *end, const struct task *task) {
    char text[PARAMS_FINGERPRINT_BYTES];
    return strcmp(text_of(end, "kind"), task->kind_name) == 0 &&
           strcmp(text_of(end, "fingerprint"), fingerprint(task, text)) == 0;
}

static int64_t mtime_ns(const struct stat *status) {
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static bool are_outputs_unchanged(const struct file_marks *outputs, const char *out,
                                  const char *id) {
    for (size_t i = 0; i < outputs->count; i++) {
        const struct file_mark *mark = &outputs->items[i];
        struct stat status;
        CLEANUP_FREE char *path = NULL;
        if (asprintf(&path, "%s/%s/%s", out, id, mark->name) < 0)
            return false; /* to do it again is always right */
        if (stat(path, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size != mark->size ||
            mtime_ns(&status) != mark->mtime_ns)
            return false;
    }
    return true;
}

/* Inputs whose content decides, over all tasks: asked of one worker. */
struct hashing {
    const char **paths; /* borrowed from the tasks */
    const char **expected;
    size_t *tasks; /* which one each belongs to */
    size_t count;
};

static void free_hashing(struct hashing *hashing) {
    free(hashing->paths);
    free(hashing->expected);
    free(hashing->tasks);
}

/* False: an input is another one. What cannot be told by size, mtime and path goes to hashing. */
static bool check_inputs(const struct file_marks *inputs, const struct task *task, size_t position,
                         struct hashing *hashing) {
    size_t before = hashing->count;
    if (inputs->count != task->n_inputs)
        return false;
    for (size_t i = 0; i < task->n_inputs; i++) {
        const struct file_mark *mark = &inputs->items[i];
        struct stat status;
        bool same = stat(task->inputs[i], &status) == 0 && status.st_size == mark->size;
        if (same && mtime_ns(&status) == mark->mtime_ns && strcmp(mark->name, task->inputs[i]) == 0)
            continue;
        if (!same || !mark->hash[0]) {
            hashing->count = before; /* no need to read the others */
            return false;
        }
        hashing->paths[hashing->count] = task->inputs[i];
        hashing->expected[hashing->count] = mark->hash;
        hashing->tasks[hashing->count++] = position;
    }
    return true;
}

static bool check_task(const struct resume *resume, const struct task *task, const char *out,
                       size_t position, struct hashing *hashing) {
    const struct entry *entry = find(resume, task->id);
    return entry && entry->end && !task->broken && is_final(entry->end) &&
           is_same_work(entry->end, task) &&
           are_outputs_unchanged(&entry->outputs, out, task->id) &&
           check_inputs(&entry->inputs, task, position, hashing);
}

static int compare_hashes(const struct hashing *hashing, const char *worker, bool *finished,
                          struct failure *failure) {
    for (size_t i = 0; !worker && i < hashing->count; i++)
        finished[hashing->tasks[i]] = false; /* nobody reads them: to do it again is always right */
    if (hashing->count == 0 || !worker)
        return 0;
    struct probe_result *results = calloc(hashing->count, sizeof(*results));
    if (!results)
        return failure_set_errno(failure, -ENOMEM, "cannot compare the inputs with earlier ones");
    int r = probe_hashes(worker, hashing->paths, hashing->count, HASH_TIMEOUT_MS, results, failure);
    for (size_t i = 0; r == 0 && i < hashing->count; i++)
        if (results[i].error || strcmp(results[i].hash, hashing->expected[i]) != 0)
            finished[hashing->tasks[i]] = false;
    probe_results_free(results, hashing->count);
    free(results);
    return r;
}

int resume_decide(const struct resume *resume, const struct task_list *tasks, const char *out,
                  const char *worker, bool *ret_finished, struct failure *failure) {
    size_t n_inputs = 1;
    for (size_t i = 0; i < tasks->count; i++)
        n_inputs += tasks->items[i].n_inputs;
    CLEANUP(free_hashing)
    struct hashing hashing = {
        .paths = calloc(n_inputs, sizeof(*hashing.paths)),
        .expected = calloc(n_inputs, sizeof(*hashing.expected)),
        .tasks = calloc(n_inputs, sizeof(*hashing.tasks)),
    };
    if (!hashing.paths || !hashing.expected || !hashing.tasks)
        return failure_set_errno(failure, -ENOMEM, "cannot compare the inputs with earlier ones");
    for (size_t i = 0; i < tasks->count; i++)
        ret_finished[i] = check_task(resume, &tasks->items[i], out, i, &hashing);
    return compare_hashes(&hashing, worker, ret_finished, failure);
}
