/* The pre-flight as a block to read and as JSON; see preflight.h. The two lines are padded to one
 * width, so that the verdicts stand under each other. */
#include "common/names.h"
#include "common/units.h"
#include "supervisor/memory/forecast.h"
#include "supervisor/memory/preflight.h"
#include "supervisor/memory/sizing.h"
#include "supervisor/report/terminal.h"
#include "supervisor/report/text.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { LINE_BYTES = 256, GAP = 4 };

static const char *const level_names[] = {
    [PREFLIGHT_OK] = "ok",
    [PREFLIGHT_WARNING] = "warning",
    [PREFLIGHT_REFUSED] = "refused",
};

/* Rounded up: what is shown as 80 % is ok, what is shown as 100 % fits. */
static int percent(uint64_t needed, uint64_t limit) {
    if (limit == 0)
        return needed == 0 ? 0 : 999;
    const double share = ceil(100.0 * (double)needed / (double)limit);
    return share > 999 ? 999 : (int)share;
}

static const char *percent_text(uint64_t needed, uint64_t limit, char text[16]) {
    const int value = percent(needed, limit);
    (void)snprintf(text, 16, "%s%d %%", value == 999 ? "over " : "", value);
    return text;
}

/* What the need is held against. */
static const char *limit_name(const struct preflight *preflight, const struct options *options) {
    const bool is_own = options->memory_bytes > 0 || options->memory_share > 0;
    if (is_own && preflight->memory_limit_bytes < preflight->machine.available_bytes)
        return "for the batch";
    return options->assume_memory_bytes > 0 ? "assumed" : "available";
}

static void format_memory(const struct preflight *preflight, const struct options *options,
                          char line[LINE_BYTES]) {
    char each[UNITS_TEXT_BYTES], all[UNITS_TEXT_BYTES], limit[UNITS_TEXT_BYTES], share[16];
    const int jobs = preflight->at_once;
    (void)units_format_size(preflight->memory_limit_bytes, limit);
    if (preflight->n_assumed > 0 &&
        preflight->n_assumed + preflight->n_errors == preflight->n_wanted) {
        (void)snprintf(line, LINE_BYTES, "RAM:  learned on the way; at most %s %s", limit,
                       limit_name(preflight, options));
        return;
    }
    int used = snprintf(line, LINE_BYTES, "RAM:  %d worker%s", jobs, jobs == 1 ? "" : "s");
    (void)units_format_size(preflight->largest_bytes, each);
    if (preflight->is_uniform)
        used += snprintf(line + used, (size_t)(LINE_BYTES - used), " x %s", each);
    else
        used += snprintf(line + used, (size_t)(LINE_BYTES - used), ", up to %s each", each);
    if (preflight->results_in_ram_bytes > 0)
        used += snprintf(line + used, (size_t)(LINE_BYTES - used), " + %s of results",
                         units_format_size(preflight->results_in_ram_bytes, each));
    (void)snprintf(
        line + used, (size_t)(LINE_BYTES - used), " = %s of %s %s (%s)",
        units_format_size(preflight->memory_needed_bytes, all), limit,
        limit_name(preflight, options),
        percent_text(preflight->memory_needed_bytes, preflight->memory_limit_bytes, share));
}

static void format_disk(const struct preflight *preflight, char line[LINE_BYTES]) {
    char all[UNITS_TEXT_BYTES], room[UNITS_TEXT_BYTES], share[16];
    (void)snprintf(line, LINE_BYTES, "Disk: %s of %s free (%s)",
                   units_format_size(preflight->disk_needed_bytes, all),
                   units_format_size(preflight->disk_free_bytes, room),
                   percent_text(preflight->disk_needed_bytes, preflight->disk_free_bytes, share));
}

static void print_level(FILE *stream, enum preflight_level level, bool colour) {
    static const enum text_style styles[] = {
        [PREFLIGHT_OK] = TEXT_GOOD,
        [PREFLIGHT_WARNING] = TEXT_WARN,
        [PREFLIGHT_REFUSED] = TEXT_BAD,
    };
    (void)fprintf(stream, "%s%s%s\n", text_style(styles[level], colour), level_names[level],
                  text_style(TEXT_PLAIN, colour));
}

static void print_advice(FILE *stream, const char *heading, char *const *lines) {
    static const char *const leads[] = {"", " This helps:", " Any one of these helps:"};
    const size_t n = names_count(lines);
    (void)fprintf(stream, "\n%s%s\n", heading, leads[n < 2 ? n : 2]);
    for (; lines && *lines; lines++)
        (void)fprintf(stream, "  - %s\n", *lines);
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

static void print_notes_on_tasks(FILE *stream, const struct preflight *preflight,
                                 const struct options *options) {
    char text[UNITS_TEXT_BYTES];
    if (preflight->at_once < preflight->jobs && options->jobs > 0)
        (void)fprintf(stream, "Note: not all of --jobs %d fit at once; the others wait for room.\n",
                      options->jobs);
    if (preflight->is_cap_shrunk)
        (void)fprintf(stream,
                      "Note: each worker is held to %s, so that it fits (--worker-memory).\n",
                      units_format_size(preflight->cap_bytes, text));
    if (preflight->n_assumed > 0)
        (void)fprintf(
            stream,
            "Note: of %zu command%s nothing is known yet: one of a kind runs alone first, "
            "and the\n      others are planned by what it needs.\n",
            preflight->n_assumed, plural(preflight->n_assumed));
    for (char *const *kind = preflight->faster; kind && *kind; kind++)
        (void)fprintf(stream,
                      "Note: %s: memory grows faster than linear with the size of the inputs.\n",
                      *kind);
    if (preflight->n_beyond > 0)
        (void)fprintf(stream,
                      "Note: %zu task%s larger than any of the kind so far: the forecast is less "
                      "certain.\n",
                      preflight->n_beyond, preflight->n_beyond == 1 ? " is" : "s are");
    if (preflight->n_errors > 0)
        (void)fprintf(stream, "Note: %zu pair%s cannot be read and will fail.\n",
                      preflight->n_errors, plural(preflight->n_errors));
}

static void print_notes(FILE *stream, const struct preflight *preflight,
                        const struct options *options) {
    char text[UNITS_TEXT_BYTES];
    const struct machine *machine = &preflight->machine;
    if (options->assume_memory_bytes > 0 || options->assume_cpus > 0)
        (void)fprintf(stream, "Note: for a machine with %s and %d core%s, all of it free.\n",
                      units_format_size(machine->available_bytes, text), machine->cores,
                      plural((size_t)machine->cores));
    if (machine->is_cgroup_bound)
        (void)fprintf(stream,
                      "Note: the control group %s allows %s; it bounds what is available.\n",
                      machine->cgroup.memory_path[0] ? machine->cgroup.memory_path : "/",
                      units_format_size(machine->cgroup.memory_limit_bytes, text));
    if (preflight->space.is_ram)
        (void)fprintf(stream, "Note: %s is in RAM (tmpfs): results there count as memory too.\n",
                      preflight->space.existing);
    else if (preflight->results_in_ram_bytes > 0)
        (void)fprintf(stream,
                      "Note: folders of some tasks are in RAM (tmpfs): results there count as "
                      "memory too.\n");
    print_notes_on_tasks(stream, preflight, options);
}

/* By name: what no number of jobs helps. */
static void print_too_large(FILE *stream, const struct preflight *preflight,
                            const struct task_list *tasks) {
    char need[UNITS_TEXT_BYTES], limit[UNITS_TEXT_BYTES], more[64] = "";
    if (preflight->n_too_large == 0)
        return;
    if (preflight->n_too_large > 1)
        (void)snprintf(more, sizeof(more), " (and %zu more do not fit either)",
                       preflight->n_too_large - 1);
    const size_t at = preflight->too_large;
    (void)fprintf(stream, "\n%s can never fit: alone it needs %s of %s%s.\n", tasks->items[at].id,
                  units_format_size(preflight->tasks[at].memory_bytes, need),
                  units_format_size(preflight->memory_limit_bytes, limit), more);
}

static void print_remedies(FILE *stream, const struct preflight *preflight) {
    if (preflight->memory_level == PREFLIGHT_WARNING)
        print_advice(stream,
                     "Memory is tight: a worker that needs more than predicted may be killed.",
                     preflight->memory_advice);
    if (preflight->memory_level == PREFLIGHT_REFUSED)
        print_advice(stream, "Too little memory.", preflight->memory_advice);
    if (preflight->disk_level == PREFLIGHT_WARNING)
        print_advice(stream, "The disk will be nearly full.", preflight->disk_advice);
    if (preflight->disk_level == PREFLIGHT_REFUSED)
        print_advice(stream, "Too little disk.", preflight->disk_advice);
}

void preflight_print(const struct preflight *preflight, const struct task_list *tasks,
                     const struct options *options, FILE *stream) {
    char memory[LINE_BYTES], disk[LINE_BYTES];
    if (preflight->n_wanted == 0)
        return; /* nothing will start: there is nothing to say */
    const bool colour = terminal_has_colour(fileno(stream));
    format_memory(preflight, options, memory);
    format_disk(preflight, disk);
    const size_t longest = strlen(memory) > strlen(disk) ? strlen(memory) : strlen(disk);
    const int width = (int)longest + GAP;
    (void)fprintf(stream, "=== Pre-flight ===\n%-*s", width, memory);
    print_level(stream, preflight->memory_level, colour);
    (void)fprintf(stream, "%-*s", width, disk);
    print_level(stream, preflight->disk_level, colour);
    print_notes(stream, preflight, options);
    print_too_large(stream, preflight, tasks);
    print_remedies(stream, preflight);
    if (preflight_level(preflight) != PREFLIGHT_REFUSED)
        return;
    (void)fputs(options->force
                    ? "\n--force was given: workers may be killed, or find the disk full.\n"
                    : "\nOr --force: run as it is, at the risk of a kill or a full disk.\n",
                stream);
}

void preflight_describe_refusal(const struct preflight *preflight, struct failure *failure) {
    const bool is_memory = preflight->memory_level == PREFLIGHT_REFUSED;
    char *const *advice = is_memory ? preflight->memory_advice : preflight->disk_advice;
    char needed[UNITS_TEXT_BYTES], limit[UNITS_TEXT_BYTES];
    (void)units_format_size(
        is_memory ? preflight->memory_needed_bytes : preflight->disk_needed_bytes, needed);
    (void)units_format_size(is_memory ? preflight->memory_limit_bytes : preflight->disk_free_bytes,
                            limit);
    (void)failure_set(failure, is_memory ? -ENOMEM : -ENOSPC,
                      "the pre-flight refused: too little %s, %s are needed of %s; %s%sor --force",
                      is_memory ? "memory" : "disk", needed, limit,
                      advice && *advice ? *advice : "", advice && *advice ? "; " : "");
}

/* ---- JSON ---- */

static json_t *size_json(uint64_t bytes) {
    return json_integer(bytes > INT64_MAX ? INT64_MAX : (json_int_t)bytes);
}

static json_t *texts_to_json(char *const *texts) {
    json_t *array = json_array();
    for (; texts && *texts; texts++)
        (void)json_array_append_new(array, json_string(*texts)); /* a lost line of advice */
    return array;
}

static json_t *task_to_json(const struct preflight_task *predicted, const struct task *task) {
    json_t *object = json_pack("{s:s, s:s}", "id", task->id, "kind", task->kind_name);
    const char *problem = task->broken ? task->broken : predicted->error;
    if (problem)
        (void)json_object_set_new(object, "problem", json_string(problem));
    else if (!predicted->is_wanted)
        (void)json_object_set_new(object, "finished", json_true());
    if (!object || problem || !predicted->is_wanted)
        return object;
    (void)json_object_set_new(object, "memory_bytes", size_json(predicted->memory_bytes));
    (void)json_object_set_new(object, "predicted_bytes",
                              size_json(predicted->forecast.predicted_bytes));
    (void)json_object_set_new(object, "from",
                              json_string(forecast_basis_name(predicted->forecast.basis)));
    (void)json_object_set_new(object, "attempts",
                              json_integer((json_int_t)predicted->forecast.n_attempts));
    (void)json_object_set_new(object, "disk_bytes", size_json(predicted->disk_bytes));
    (void)json_object_set_new(object, "time_s", json_real((double)predicted->time_ms / 1e3));
    return object;
}

json_t *preflight_to_json(const struct preflight *preflight, const struct task_list *tasks) {
    CLEANUP_JSON json_t *list = json_array();
    for (size_t i = 0; i < tasks->count; i++)
        if (json_array_append_new(list, task_to_json(&preflight->tasks[i], &tasks->items[i])) < 0)
            return NULL;
    return json_pack("{s:i, s:O, s:i, s:i, s:i, s:I, s:f, s:{s:s, s:o, s:o, s:o, s:o}, s:{s:s, "
                     "s:o, s:o, s:b, s:o}}",
                     "version", 1, "tasks", list, "jobs", preflight->jobs, "threads",
                     preflight->threads, "at_once", preflight->at_once, "worker_memory_bytes",
                     (json_int_t)preflight->cap_bytes, "time_s", (double)preflight->time_ms / 1e3,
                     "memory", "level", level_names[preflight->memory_level], "needed_bytes",
                     size_json(preflight->memory_needed_bytes), "limit_bytes",
                     size_json(preflight->memory_limit_bytes), "available_bytes",
                     size_json(preflight->machine.available_bytes), "advice",
                     texts_to_json(preflight->memory_advice), "disk", "level",
                     level_names[preflight->disk_level], "needed_bytes",
                     size_json(preflight->disk_needed_bytes), "free_bytes",
                     size_json(preflight->disk_free_bytes), "is_ram", preflight->space.is_ram,
                     "advice", texts_to_json(preflight->disk_advice));
}
