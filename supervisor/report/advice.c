/* Problems put in words; see advice.h. A resumed run repeats only what is missing, so nearly every
 * advice is the run's own command with one option more: the last one given wins. */
#include "supervisor/report/advice.h"

#include "common/units.h"
#include "supervisor/report/command_line.h"

#include <errno.h>
#include <string.h>

static bool is_likely_oom(const struct task_result *task) {
    return json_is_true(json_object_get(task->evidence, "likely_oom"));
}

enum advice_kind advice_kind(const struct task_result *task) {
    static const enum advice_kind kinds[VERDICT_COUNT] = {
        [VERDICT_OK] = ADVICE_NONE,           [VERDICT_FAILED] = ADVICE_FAILED,
        [VERDICT_DOUBTFUL] = ADVICE_DOUBTFUL, [VERDICT_TIMEOUT] = ADVICE_TIMEOUT,
        [VERDICT_STALLED] = ADVICE_STALLED,   [VERDICT_OOM_LIMIT] = ADVICE_OOM_LIMIT,
        [VERDICT_OOM_MACHINE] = ADVICE_OOM,   [VERDICT_KILLED] = ADVICE_KILLED,
        [VERDICT_CRASHED] = ADVICE_CRASHED,   [VERDICT_CANCELLED] = ADVICE_CANCELLED,
        [VERDICT_LOST] = ADVICE_LOST,
    };
    if (!task->finished)
        return ADVICE_NONE;
    if (task->verdict == VERDICT_KILLED && is_likely_oom(task))
        return ADVICE_OOM;
    return kinds[task->verdict];
}

const char *advice_title(enum advice_kind kind) {
    static const char *const titles[ADVICE_KIND_COUNT] = {
        [ADVICE_CANCELLED] = "cancelled",
        [ADVICE_LOST] = "lost",
        [ADVICE_STALLED] = "stalled",
        [ADVICE_TIMEOUT] = "over the time limit",
        [ADVICE_OOM_LIMIT] = "over the memory limit",
        [ADVICE_OOM] = "killed when memory ran out",
        [ADVICE_KILLED] = "killed from outside",
        [ADVICE_CRASHED] = "crashed",
        [ADVICE_DOUBTFUL] = "doubtful",
        [ADVICE_FAILED] = "failed",
    };
    return kind < ADVICE_KIND_COUNT ? titles[kind] : "";
}

char *advice_evidence(const struct task_result *task) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return NULL;
    const char *reason = task->reason && *task->reason ? task->reason : "no reason was recorded";
    (void)fputs(reason, stream);
    const char *why = json_string_value(json_object_get(task->evidence, "why"));
    if (why && *why && !strstr(reason, why))
        (void)fprintf(stream, "; %s", why);
    const char *left = json_string_value(json_object_get(task->evidence, "left_behind"));
    if (left && *left)
        (void)fprintf(stream, "; could not be ended and may still run: %s", left);
    if (task->tries > 1)
        (void)fprintf(stream, " (after %d tries)", task->tries);
    if (fclose(stream) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

void advice_group_add(struct advice_group *group, const struct task_result *task) {
    if (!group->first)
        group->first = task;
    group->count++;
    const json_t *limit = json_object_get(task->evidence, "limit_s");
    int64_t ms = json_is_number(limit) ? (int64_t)(1e3 * json_number_value(limit)) : task->wall_ms;
    if (ms > group->longest_ms)
        group->longest_ms = ms;
    if (task->peak_rss_bytes > group->largest_bytes)
        group->largest_bytes = task->peak_rss_bytes;
}

/* Twice what was not enough, as a round value for the command line: "90s", "45m", "4h". */
static void twice_duration(int64_t ms, char text[UNITS_TEXT_BYTES]) {
    long long seconds = (long long)(2 * ms + 500) / 1000;
    if (seconds < 10)
        seconds = 10;
    if (seconds < 120)
        (void)snprintf(text, UNITS_TEXT_BYTES, "%llds", seconds);
    else if (seconds < 7200)
        (void)snprintf(text, UNITS_TEXT_BYTES, "%lldm", (seconds + 30) / 60);
    else
        (void)snprintf(text, UNITS_TEXT_BYTES, "%lldh", (seconds + 1800) / 3600);
}

const char *advice_twice_size(uint64_t bytes, char *text) {
    unsigned long long mib = (unsigned long long)(2 * bytes >> 20) + 1;
    if (mib < 4096)
        (void)snprintf(text, UNITS_TEXT_BYTES, "%lluM", (mib + 255) / 256 * 256);
    else
        (void)snprintf(text, UNITS_TEXT_BYTES, "%lluG", (mib + 1023) / 1024);
    return text;
}

/* The option that is added to the run's command, or "" to repeat it as it is. */
static void make_option(enum advice_kind kind, const struct advice_group *group, char *option,
                        size_t size) {
    char value[UNITS_TEXT_BYTES];
    option[0] = '\0';
    if (kind == ADVICE_TIMEOUT) {
        twice_duration(group->longest_ms, value);
        (void)snprintf(option, size, " --timeout %s", value);
    } else if (kind == ADVICE_STALLED) {
        twice_duration(group->longest_ms, value);
        (void)snprintf(option, size, " --stall-timeout %s", value);
    } else if (kind == ADVICE_OOM_LIMIT) {
        (void)advice_twice_size(group->largest_bytes, value);
        (void)snprintf(option, size, " --worker-memory %s", value);
    } else if (kind == ADVICE_OOM) {
        (void)snprintf(option, size, " --jobs 1");
    }
}

/* Whether `at` is inside a quoted word: quotes open and close, but for those behind a backslash. */
static bool is_quoted(const char *command, const char *at) {
    bool quoted = false;
    for (const char *c = command; c < at; c++)
        if (*c == '\'' && (c == command || c[-1] != '\\'))
            quoted = !quoted;
    return quoted;
}

/* Takes an option out of a quoted command, with its value where it has one. A value that would have
 * to be quoted (no size, duration or number is) leaves the command as it stands. */
static void drop_option(char *command, const char *option, bool has_value) {
    size_t length = strlen(option);
    for (char *at = strstr(command, option); at;) {
        char *behind = at + length;
        if (has_value && (*behind == ' ' || *behind == '='))
            behind += 1 + strcspn(behind + 1, " '$");
        bool is_whole = (*behind == '\0' || *behind == ' ') && !is_quoted(command, at);
        if (is_whole)
            memmove(at, behind, strlen(behind) + 1);
        at = strstr(is_whole ? at : at + length, option);
    }
}

/* What is left to do is not to be done along with all the rest once more, so --redo goes. */
char *advice_command(const char *command, const char *option) {
    char *text = NULL;
    CLEANUP_FREE char *bare = strdup(command);
    if (!bare)
        return NULL;
    drop_option(bare, " --redo", false);
    if (*option) { /* " --name value" */
        CLEANUP_FREE char *name = strndup(option, 1 + strcspn(option + 1, " "));
        if (!name)
            return NULL;
        drop_option(bare, name, true);
    }
    return asprintf(&text, "%s%s", bare, option) < 0 ? NULL : text;
}

int advice_make(enum advice_kind kind, const struct advice_group *group, const char *command,
                struct advice *ret) {
    static const char *const words[ADVICE_KIND_COUNT] = {
        [ADVICE_CANCELLED] = "run them when you want to:",
        [ADVICE_LOST] = "registrar or the machine died while these ran; run them again:",
        [ADVICE_STALLED] = "the end of the log says where it stood still. If it was only slow "
                           "(a busy disk, a network folder), allow more time without progress:",
        [ADVICE_TIMEOUT] = "if the log shows that it was still advancing, allow more time:",
        [ADVICE_OOM_LIMIT] = "allow each worker more memory:",
        [ADVICE_OOM] = "leave more memory free: one task at a time (or a smaller --memory, or "
                       "close what else uses memory):",
        [ADVICE_KILLED] = "somebody, or a guard such as earlyoom, sent the signal; the system's "
                          "journal may tell who. Then run again:",
        [ADVICE_CRASHED] =
            "look at the end of the log. A crash that comes again is worth a report, "
            "with the log and what kind of file it was. To try again:",
        [ADVICE_DOUBTFUL] = "look before you use it: edges that show twice in qc/overlay.png or "
                            "qc/tiles.png mean a wrong map; transform.json has the residuals.",
        [ADVICE_FAILED] = "put right what the reason says; the same command then runs only what "
                          "is missing:",
    };
    static const char manifest_timeout[] =
        "if the log shows that it was still advancing, allow more time: by its own \"timeout\" in "
        "the manifest, where it has one, else by";
    if (kind >= ADVICE_KIND_COUNT)
        return -EINVAL;
    char *text = NULL;
    if (kind != ADVICE_DOUBTFUL) { /* running it again would change nothing */
        char option[64];
        make_option(kind, group, option, sizeof(option));
        text = advice_command(command, option);
        if (!text)
            return -ENOMEM;
    }
    static const char manifest_memory[] =
        "allow it more memory: by its own \"memory\" in the manifest, where it has one, else by";
    const bool has_manifest = strstr(command, " --manifest") != NULL;
    const char *chosen = words[kind];
    if (has_manifest && kind == ADVICE_TIMEOUT)
        chosen = manifest_timeout;
    if (has_manifest && kind == ADVICE_OOM_LIMIT)
        chosen = manifest_memory;
    *ret = (struct advice){.words = chosen, .command = text};
    return 0;
}

void advice_free(struct advice *advice) {
    free(advice->command);
    *advice = (struct advice){0};
}
