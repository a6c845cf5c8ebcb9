/* See next.h. The command is that of the last run, from the ledger: run again it does what is
 * missing, so what changes is an option. */
#include "supervisor/explain/next.h"

#include "common/names.h"
#include "common/units.h"
#include "supervisor/explain/words.h"
#include "supervisor/report/advice.h"
#include "supervisor/report/command_line.h"

#include <errno.h>
#include <string.h>

struct maker {
    const struct story *story;
    const struct next_facts *facts;
    const json_t *end; /* the last attempt's; NULL: none */
    const char *command;
    bool is_pair;
    struct next *next;
};

/* --- the command --- */

/* What is typed elsewhere must be typed where it was typed then. */
static char *from_there(const struct maker *maker, char *command) {
    const char *cwd = story_text(maker->story->batch, "cwd");
    CLEANUP_FREE char *owned = command, *quoted = NULL;
    if (!owned || !*cwd || strcmp(cwd, maker->facts->cwd) == 0)
        return STEAL_PTR(owned);
    quoted = command_line_quote_word(cwd);
    return quoted ? names_format("cd %s && %s", quoted, owned) : NULL;
}

static void type(struct maker *maker, const char *option) {
    if (*maker->command)
        maker->next->command = from_there(maker, advice_command(maker->command, option));
}

/* This task alone, once more. A manifest's tasks cannot be chosen. */
static void type_redo(struct maker *maker) {
    const char *id = maker->story->task, *slash = strrchr(id, '/');
    if (!*maker->command || !slash || strstr(maker->command, " --manifest"))
        return;
    CLEANUP_FREE char *sample_id = strndup(id, (size_t)(slash - id));
    CLEANUP_FREE char *sample = sample_id ? command_line_quote_word(sample_id) : NULL;
    CLEANUP_FREE char *dye = command_line_quote_word(slash + 1);
    CLEANUP_FREE char *samples = names_format(" --samples %s", sample ? sample : "");
    CLEANUP_FREE char *dyes = names_format(" --dyes %s", dye ? dye : "");
    CLEANUP_FREE char *first = samples ? advice_command(maker->command, samples) : NULL;
    CLEANUP_FREE char *second = first && dyes ? advice_command(first, dyes) : NULL;
    if (second && sample && dye)
        maker->next->command = from_there(maker, names_format("%s --redo", second));
}

/* --- words --- */

static void say(struct maker *maker, char *words) { maker->next->words = words; }

static void after_ok(struct maker *maker) {
    type_redo(maker);
    const char *ending = maker->next->command ? ". To do it again all the same:" : ".";
    if (maker->is_pair)
        say(maker, names_format("nothing is to be done; its results are in %s/%s. The next run "
                                "leaves it as it is%s",
                                maker->facts->out, maker->story->task, ending));
    else
        say(maker,
            names_format("nothing is to be done. The next run leaves it as it is%s", ending));
}

static void after_doubt(struct maker *maker) {
    type_redo(maker);
    say(maker,
        names_format("look before you use it: in %s/%s, edges that show twice in qc/overlay.png "
                     "or qc/tiles.png mean a wrong map; transform.json has the residuals. The next "
                     "run leaves it as it is. To do it again, add what should be different (--set "
                     "NAME=VALUE; registrar run --help lists them)%s",
                     maker->facts->out, maker->story->task, maker->next->command ? " to:" : "."));
}

static void after_failure(struct maker *maker) {
    const bool is_input = strcmp(story_text(maker->story->verdict, "cause"), "input") == 0;
    say(maker,
        names_format(
            "%s", is_input ? "the same files and parameters would fail again, so the next run "
                             "leaves it. Put right what the reason says; when the files have "
                             "changed, the same command does it again:"
                           : "put right what the reason says (the end of the log tells more); the "
                             "same command tries it again:"));
    type(maker, "");
}

/* How much was not enough. */
static uint64_t held_bytes(const struct maker *maker) {
    const json_t *group = json_object_get(json_object_get(maker->end, "evidence"), "cgroup");
    const uint64_t limit = words_bytes(group, "limit_bytes");
    const uint64_t peak = words_bytes(maker->end, "peak_rss_bytes");
    return limit > peak ? limit : peak;
}

static bool was_alone(const struct maker *maker) {
    const struct story *story = maker->story;
    if (story->n_attempts < 2)
        return false;
    const struct story_attempt *last = &story->attempts[story->n_attempts - 1];
    const struct story_attempt *before = last - 1;
    const json_t *next = json_object_get(json_object_get(before->end, "evidence"), "next");
    /* a run that was stopped before the last chance leaves it to nobody */
    return last->batch == before->batch && strcmp(story_text(next, "step"), "alone") == 0;
}

/* It had all of the batch's memory; more: twice that. */
static void after_all_memory(struct maker *maker, const char *more) {
    const json_t *machine = json_object_get(json_object_get(maker->end, "evidence"), "machine");
    const uint64_t total = words_bytes(machine, "memory_total_bytes");
    char option[64], size[UNITS_TEXT_BYTES];
    (void)snprintf(option, sizeof(option), " --memory %s", more);
    if (total > 0 && held_bytes(maker) < total / 2) {
        say(maker, names_format("it had all that the batch may use, alone, and that was not "
                                "enough. This machine has more to give:"));
        type(maker, option);
    } else {
        say(maker, names_format("it had all that the batch may use, alone, and that was not "
                                "enough: it needs smaller inputs, or a machine with more than %s.",
                                units_format_size(total, size)));
    }
}

static void after_limit(struct maker *maker) {
    char more[UNITS_TEXT_BYTES], option[64];
    (void)advice_twice_size(held_bytes(maker), more);
    (void)snprintf(option, sizeof(option), " --worker-memory %s", more);
    if (was_alone(maker)) {
        after_all_memory(maker, more);
        return;
    }
    if (maker->is_pair)
        say(maker, names_format("allow its worker more memory:"));
    else
        say(maker, names_format("allow it more: \"memory\":\"%s\" in its entry of the manifest, "
                                "then the same command again:",
                                more));
    type(maker, maker->is_pair ? option : "");
}

static void after_shortage(struct maker *maker) {
    if (words_is_group_above(maker->end))
        say(maker, names_format("not the machine ran out, but a control group that registrar runs "
                                "in (a container, a service, a job): let that have more, or run "
                                "one task at a time:"));
    else
        say(maker, names_format("leave more memory free: one task at a time (or a smaller "
                                "--memory, or close what else uses memory):"));
    type(maker, " --jobs 1");
}

/* The rest stands in the summary's words. */
static int after_other(struct maker *maker, enum advice_kind kind) {
    struct advice_group group = {0};
    struct advice advice = {0};
    const json_t *evidence = json_object_get(maker->end, "evidence");
    const struct task_result like = {
        .wall_ms = words_ms(maker->end, "wall_s"), .evidence = evidence, .finished = true};
    advice_group_add(&group, &like);
    int r = advice_make(kind, &group, maker->command, &advice);
    if (r < 0)
        return r;
    say(maker, names_format("%s", advice.words));
    if (*maker->command)
        maker->next->command = from_there(maker, STEAL_PTR(advice.command));
    advice_free(&advice);
    return 0;
}

static int after_verdict(struct maker *maker) {
    const json_t *end = maker->end ? maker->end : maker->story->verdict;
    struct task_result result = {.finished = true, .evidence = json_object_get(end, "evidence")};
    const char *name = story_text(maker->story->verdict, "verdict");
    if (verdict_parse(name, &result.verdict) < 0) {
        say(maker, names_format("this version does not know the verdict %s", name));
        return 0;
    }
    switch (advice_kind(&result)) {
    case ADVICE_NONE:
        after_ok(maker);
        break;
    case ADVICE_DOUBTFUL:
        after_doubt(maker);
        break;
    case ADVICE_FAILED:
        after_failure(maker);
        break;
    case ADVICE_OOM_LIMIT:
        after_limit(maker);
        break;
    case ADVICE_OOM:
        after_shortage(maker);
        break;
    default:
        return after_other(maker, advice_kind(&result));
    }
    return 0;
}

/* "(process 4711)" */
static const char *holder_text(const struct next_facts *facts, char *text, size_t size) {
    text[0] = '\0';
    if (facts->holder > 0)
        (void)snprintf(text, size, " (process %d)", facts->holder);
    return text;
}

/* What a later run leaves as it is. */
static bool is_final(const json_t *task_end) {
    const char *verdict = story_text(task_end, "verdict");
    return strcmp(verdict, "ok") == 0 || strcmp(verdict, "doubtful") == 0 ||
           strcmp(story_text(task_end, "cause"), "input") == 0;
}

static int make(struct maker *maker) {
    char holder[32];
    (void)holder_text(maker->facts, holder, sizeof(holder));
    switch (maker->facts->state) {
    case STORY_RUNNING:
        say(maker, names_format("it is at work; the run%s shows how far it is.", holder));
        break;
    case STORY_WAITING:
        say(maker, names_format("it waits for its next try in the run that goes on%s.", holder));
        break;
    case STORY_ABANDONED:
        say(maker, names_format("registrar or the machine ended while it ran. The next run finds "
                                "that out and starts it again:"));
        type(maker, "");
        break;
    case STORY_INTERRUPTED:
        say(maker,
            names_format("the run ended before it had a verdict. The same command continues:"));
        type(maker, "");
        break;
    case STORY_FINISHED:
        if (maker->story->is_older && maker->facts->holder > 0 &&
            !is_final(maker->story->verdict)) {
            say(maker, names_format("a run goes on%s; it tries this task again, when that is among "
                                    "its own.",
                                    holder));
            return 0;
        }
        return after_verdict(maker);
    default:
        break;
    }
    return 0;
}

int next_make(const struct story *story, const struct next_facts *facts, struct next *ret) {
    struct next next = {0};
    struct maker maker = {
        .story = story,
        .facts = facts,
        .end = story_last_end(story),
        .command = story_text(story->batch, "command"),
        .next = &next,
    };
    maker.is_pair = maker.end && strcmp(story_text(maker.end, "kind"), "align") == 0;
    int r = make(&maker);
    if (r == 0 && !next.words)
        r = -ENOMEM;
    if (r < 0)
        next_free(&next);
    else
        *ret = next;
    return r;
}

void next_free(struct next *next) {
    free(next->words);
    free(next->command);
    *next = (struct next){0};
}
