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

static void format_memory(const struct preflight *preflight, const struct options *options,
                          char line[LINE_BYTES]) {
    char each[UNITS_TEXT_BYTES], all[UNITS_TEXT_BYTES], limit[UNITS_TEXT_BYTES], share[16];
    const int jobs = preflight->jobs;
    int used = snprintf(line, LINE_BYTES, "RAM:  %d worker%s", jobs, jobs == 1 ? "" : "s");
    (void)units_format_size(preflight->largest_bytes, each);
    if (preflight->is_uniform)
        used += snprintf(line + used, (size_t)(LINE_BYTES - used), " x %s", each);
    else
        used += snprintf(line + used, (size_t)(LINE_BYTES - used), ", up to %s each", each);
    if (preflight->space.is_ram)
        used += snprintf(line + used, (size_t)(LINE_BYTES - used), " + %s of results",
                         units_format_size(preflight->disk_needed_bytes, each));
    const bool is_own_limit = options->memory_bytes > 0 || options->memory_share > 0;
    (void)snprintf(
        line + used, (size_t)(LINE_BYTES - used), " = %s of %s %s (%s)",
        units_format_size(preflight->memory_needed_bytes, all),
        units_format_size(preflight->memory_limit_bytes, limit),
        is_own_limit && preflight->memory_limit_bytes < preflight->machine.available_bytes
            ? "for the batch"
            : "available",
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

static void print_notes(FILE *stream, const struct preflight *preflight) {
    char text[UNITS_TEXT_BYTES];
    const struct machine *machine = &preflight->machine;
    if (machine->is_cgroup_bound)
        (void)fprintf(stream,
                      "Note: the control group %s allows %s; it bounds what is available.\n",
                      machine->cgroup.memory_path[0] ? machine->cgroup.memory_path : "/",
                      units_format_size(machine->cgroup.memory_limit_bytes, text));
    if (preflight->space.is_ram)
        (void)fprintf(stream, "Note: %s is in RAM (tmpfs): results there count as memory too.\n",
                      preflight->space.existing);
    if (preflight->n_assumed > 0)
        (void)fprintf(stream, "Note: %zu command%s no \"memory\"; %s each is assumed.\n",
                      preflight->n_assumed, preflight->n_assumed == 1 ? " declares" : "s declare",
                      units_format_size(FORECAST_COMMAND_BYTES, text));
    if (preflight->n_errors > 0)
        (void)fprintf(stream, "Note: %zu pair%s cannot be read and will fail.\n",
                      preflight->n_errors, preflight->n_errors == 1 ? "" : "s");
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

void preflight_print(const struct preflight *preflight, const struct options *options,
                     FILE *stream) {
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
    print_notes(stream, preflight);
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
    (void)json_object_set_new(object, "disk_bytes", size_json(predicted->disk_bytes));
    (void)json_object_set_new(object, "time_s", json_real((double)predicted->time_ms / 1e3));
    return object;
}

json_t *preflight_to_json(const struct preflight *preflight, const struct task_list *tasks) {
    CLEANUP_JSON json_t *list = json_array();
    for (size_t i = 0; i < tasks->count; i++)
        if (json_array_append_new(list, task_to_json(&preflight->tasks[i], &tasks->items[i])) < 0)
            return NULL;
    return json_pack(
        "{s:i, s:O, s:i, s:i, s:f, s:{s:s, s:o, s:o, s:o, s:o}, s:{s:s, s:o, s:o, s:b, s:o}}",
        "version", 1, "tasks", list, "jobs", preflight->jobs, "threads", preflight->threads,
        "time_s", (double)preflight->time_ms / 1e3, "memory", "level",
        level_names[preflight->memory_level], "needed_bytes",
        size_json(preflight->memory_needed_bytes), "limit_bytes",
        size_json(preflight->memory_limit_bytes), "available_bytes",
        size_json(preflight->machine.available_bytes), "advice",
        texts_to_json(preflight->memory_advice), "disk", "level",
        level_names[preflight->disk_level], "needed_bytes", size_json(preflight->disk_needed_bytes),
        "free_bytes", size_json(preflight->disk_free_bytes), "is_ram", preflight->space.is_ram,
        "advice", texts_to_json(preflight->disk_advice));
}
