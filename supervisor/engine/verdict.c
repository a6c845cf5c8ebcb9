/* See verdict.h for the order of the rules and for what the contract leaves open. Pure: the facts
 * come in, the judgement goes out, nothing is read or done here.
 */
#include "supervisor/engine/verdict.h"

#include "common/names.h"
#include "common/protocol.h"
#include "common/units.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

/* A userspace killer (earlyoom, systemd-oomd) acts when about a tenth of the memory is left. */
enum { VERDICT_LOW_MEMORY_DIVISOR = 10 };

static const char *const names[VERDICT_COUNT] = {
    [VERDICT_OK] = "ok",
    [VERDICT_FAILED] = "failed",
    [VERDICT_DOUBTFUL] = "doubtful",
    [VERDICT_TIMEOUT] = "timeout",
    [VERDICT_STALLED] = "stalled",
    [VERDICT_OOM_LIMIT] = "oom-limit",
    [VERDICT_OOM_MACHINE] = "oom-machine",
    [VERDICT_KILLED] = "killed",
    [VERDICT_CRASHED] = "crashed",
    [VERDICT_CANCELLED] = "cancelled",
    [VERDICT_LOST] = "lost",
};

static const char *const result_names[VERDICT_RESULT_COUNT] = {
    [VERDICT_RESULT_NONE] = NULL,
    [VERDICT_RESULT_ALIGNED] = "aligned",
    [VERDICT_RESULT_DOUBTFUL] = "doubtful",
    [VERDICT_RESULT_FAILED] = "failed",
};

static const char *const stop_names[VERDICT_STOP_COUNT] = {
    [VERDICT_STOP_NONE] = NULL,       [VERDICT_STOP_TIMEOUT] = "timeout",
    [VERDICT_STOP_STALL] = "stall",   [VERDICT_STOP_USER] = "user",
    [VERDICT_STOP_BREACH] = "breach",
};

static const char cause_input[] = "input";
static const char cause_environment[] = "environment";
/* of a kill; why stands in the evidence */
static const char likely_text[] = "likely for lack of memory";
static const char unlikely_text[] = "not likely for lack of memory";

const char *verdict_name(enum verdict verdict) { return names[verdict]; }

int verdict_parse(const char *name, enum verdict *ret) {
    for (int i = 0; i < VERDICT_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum verdict)i;
            return 0;
        }
    return -EINVAL;
}

static bool told(const char *text) { return text && text[0]; }

enum { SIGNAL_TEXT_BYTES = 24 };

static const char *signal_text(int number, char text[SIGNAL_TEXT_BYTES]) {
    const char *name = sigabbrev_np(number);
    if (name)
        (void)snprintf(text, SIGNAL_TEXT_BYTES, "SIG%s", name);
    else
        (void)snprintf(text, SIGNAL_TEXT_BYTES, "signal %d", number);
    return text;
}

static bool by_signal(const struct verdict_facts *facts) {
    return facts->code == CLD_KILLED || facts->code == CLD_DUMPED;
}

/* The program's own fault, never somebody's wish. */
static bool is_crash(int number) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS};
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
        if (number == crashes[i])
            return true;
    return false;
}

/* ---- what the control group's counters say ---- */

/* How many of its processes the kernel killed for want of memory. */
static uint64_t oom_victims(const struct verdict_facts *facts) {
    const struct verdict_cgroup *cgroup = &facts->cgroup;
    return cgroup->level && cgroup->oom_kill_after > cgroup->oom_kill_before
               ? cgroup->oom_kill_after - cgroup->oom_kill_before
               : 0;
}

static bool at_own_limit(const struct verdict_facts *facts) {
    const struct verdict_cgroup *cgroup = &facts->cgroup;
    return cgroup->limit_bytes > 0 && cgroup->oom_after > cgroup->oom_before;
}

/* "the kernel killed it at its memory limit of 1.0 GiB": the common part of two sentences. */
static void describe_oom(const struct verdict_facts *facts, const char *whom, char *text,
                         size_t size) {
    char limit[UNITS_TEXT_BYTES];
    (void)units_format_size(facts->cgroup.limit_bytes, limit);
    if (at_own_limit(facts))
        (void)snprintf(text, size, "the kernel killed %s at its memory limit of %s", whom, limit);
    else
        (void)snprintf(text, size,
                       "the kernel killed %s because the machine, or a control group above, ran "
                       "out of memory",
                       whom);
}

/* Fills why with a clause: what speaks for or against a shortage of memory. */
static bool likely_oom(const struct verdict_facts *facts, char *why, size_t size) {
    char available[UNITS_TEXT_BYTES], peak[UNITS_TEXT_BYTES];
    (void)units_format_size(facts->memory_available_bytes, available);
    (void)units_format_size(facts->peak_rss_bytes, peak);
    const bool has_group = facts->cgroup.level != NULL;
    if (oom_victims(facts) > 0) { /* not this death, but one of its processes */
        describe_oom(facts, "a process of it", why, size);
        return true;
    }
    if (!has_group && facts->oom_counter_known &&
        facts->oom_kills_after > facts->oom_kills_before) {
        (void)snprintf(why, size,
                       "the kernel's out-of-memory killer struck %llu time(s) while it ran, and it "
                       "had %s",
                       (unsigned long long)(facts->oom_kills_after - facts->oom_kills_before),
                       peak);
        return true;
    }
    /* What it held came back with its death, so at its death that much less was available. */
    uint64_t low = facts->memory_total_bytes / VERDICT_LOW_MEMORY_DIVISOR;
    if (facts->memory_total_bytes > 0 &&
        facts->memory_available_bytes < facts->peak_rss_bytes + low) {
        (void)snprintf(why, size,
                       "memory was short (%s available afterwards, it had %s): perhaps earlyoom or "
                       "systemd-oomd",
                       available, peak);
        return true;
    }
    if (has_group)
        (void)snprintf(why, size,
                       "the kernel counts no out-of-memory kill in its control group and %s were "
                       "available",
                       available);
    else if (facts->oom_counter_known)
        (void)snprintf(why, size,
                       "the kernel's out-of-memory counter did not move and %s were available",
                       available);
    else
        (void)snprintf(why, size,
                       "%s were available; this kernel does not count its "
                       "out-of-memory kills",
                       available);
    return false;
}

__attribute__((format(printf, 2, 3))) static void say(struct verdict_judgement *judgement,
                                                      const char *format, ...) {
    va_list args;
    va_start(args, format);
    /* a sentence that does not fit is cut */
    (void)vsnprintf(judgement->reason, sizeof(judgement->reason), format, args);
    va_end(args);
    names_drop_half(judgement->reason); /* the ledger takes whole characters only */
}

static void judge_result(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    static const enum verdict verdicts[VERDICT_RESULT_COUNT] = {
        [VERDICT_RESULT_ALIGNED] = VERDICT_OK,
        [VERDICT_RESULT_DOUBTFUL] = VERDICT_DOUBTFUL,
        [VERDICT_RESULT_FAILED] = VERDICT_FAILED,
    };
    ret->verdict = verdicts[facts->result];
    if (ret->verdict == VERDICT_FAILED)
        ret->cause = cause_input; /* the images and parameters made it so */
    if (told(facts->result_reason))
        say(ret, "%s", facts->result_reason);
    else if (ret->verdict != VERDICT_OK)
        say(ret, "the worker gave no reason; see its log");
}

/* A limit that was exceeded, or a machine that ran short: the kernel counted it in this attempt's
 * own group. */
static void judge_oom(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    char text[256], peak[UNITS_TEXT_BYTES];
    const bool as_a_whole = by_signal(facts);
    const char *in = told(facts->stage) ? ", in stage " : "";
    const char *stage = told(facts->stage) ? facts->stage : "";
    ret->verdict = at_own_limit(facts) ? VERDICT_OOM_LIMIT : VERDICT_OOM_MACHINE;
    describe_oom(facts, as_a_whole ? "it" : "a process of it", text, sizeof(text));
    (void)units_format_size(facts->peak_rss_bytes, peak);
    if (!as_a_whole)
        say(ret, "%s%s%s; it then exited with status %d", text, in, stage, facts->status);
    else if (ret->verdict == VERDICT_OOM_MACHINE)
        say(ret, "%s%s%s; it had %s", text, in, stage, peak);
    else
        say(ret, "%s%s%s", text, in, stage);
}

/* A parent that waits for ever for a child that the kernel killed: say so. */
static void add_victims(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    char text[256];
    const size_t used = strlen(ret->reason);
    if (oom_victims(facts) == 0)
        return;
    describe_oom(facts, "a process of it", text, sizeof(text));
    (void)snprintf(ret->reason + used, sizeof(ret->reason) - used, "; besides, %s", text);
    names_drop_half(ret->reason);
}

/* How it went after registrar had asked, for the end of the sentence. */
static const char *ending(const struct verdict_facts *facts) {
    if (by_signal(facts) && is_crash(facts->status))
        return "; it crashed while stopping";
    if (facts->sent_kill && facts->sent_term)
        return "; it ignored SIGTERM and got SIGKILL";
    return "";
}

static void judge_stopped(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    char limit[UNITS_TEXT_BYTES];
    (void)units_format_duration(facts->limit_ms, limit);
    const char *in = told(facts->stage) ? ", in stage " : "";
    const char *stage = told(facts->stage) ? facts->stage : "";
    switch (facts->stop) {
    case VERDICT_STOP_TIMEOUT:
        ret->verdict = VERDICT_TIMEOUT;
        say(ret, "over its time limit of %s%s%s%s", limit, in, stage, ending(facts));
        break;
    case VERDICT_STOP_STALL:
        ret->verdict = VERDICT_STALLED;
        say(ret, "no progress for %s%s%s%s", limit, in, stage, ending(facts));
        break;
    case VERDICT_STOP_USER:
        ret->verdict = VERDICT_CANCELLED;
        say(ret, "stopped by %s%s%s%s", told(facts->user) ? facts->user : "a user", in, stage,
            ending(facts));
        break;
    default: /* a breach; the first reason stays, so nothing else comes here */
        ret->verdict = VERDICT_FAILED;
        ret->cause = cause_environment;
        say(ret, "ended because the worker %s",
            told(facts->breach) ? facts->breach : "broke the protocol");
        break;
    }
    add_victims(facts, ret);
}

static void judge_signal(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    char name[SIGNAL_TEXT_BYTES], why[256];
    (void)signal_text(facts->status, name);
    const char *in = told(facts->stage) ? " in stage " : "";
    const char *stage = told(facts->stage) ? facts->stage : "";
    if (is_crash(facts->status)) {
        ret->verdict = VERDICT_CRASHED;
        say(ret, "crashed with %s%s%s%s%s", name, in, stage,
            told(facts->breach) ? " after it " : "", told(facts->breach) ? facts->breach : "");
        return;
    }
    ret->verdict = VERDICT_KILLED;
    if (facts->status != SIGKILL && facts->status != SIGTERM) {
        say(ret, "ended by %s%s%s, which registrar did not send", name, in, stage);
        return;
    }
    say(ret, "%s from elsewhere%s%s, %s", name, in, stage, /* earlyoom begins with SIGTERM */
        likely_oom(facts, why, sizeof(why)) ? likely_text : unlikely_text);
}

static void judge_command_exit(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    if (facts->status == 0) {
        ret->verdict = VERDICT_OK;
        return;
    }
    ret->verdict = VERDICT_FAILED;
    ret->cause = cause_environment;
    char name[SIGNAL_TEXT_BYTES];
    int number = facts->status - 128;
    if (told(facts->error_reason))
        say(ret, "exit status %d: %s", facts->status, facts->error_reason);
    else if (number > 0 && sigabbrev_np(number))
        say(ret, "exit status %d: a program in it was perhaps ended by %s", facts->status,
            signal_text(number, name));
    else
        say(ret, "exit status %d", facts->status);
}

static void judge_worker_exit(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    ret->verdict = VERDICT_FAILED;
    ret->cause = cause_environment;
    if (told(facts->breach)) {
        say(ret, "the worker %s, then exited with %d", facts->breach, facts->status);
    } else if (facts->result != VERDICT_RESULT_NONE) {
        say(ret, "the worker reported a result and then exited with %d: not trusted",
            facts->status);
    } else if (facts->error_cause) {
        if (strcmp(facts->error_cause, cause_input) == 0)
            ret->cause = cause_input;
        say(ret, "%s",
            told(facts->error_reason) ? facts->error_reason : "the worker gave no reason");
    } else if (facts->status == PROTOCOL_EXIT_STOPPED) {
        char why[256];
        ret->verdict = VERDICT_KILLED;
        ret->cause = "";
        say(ret, "stopped at a checkpoint by SIGTERM from elsewhere, %s",
            likely_oom(facts, why, sizeof(why)) ? likely_text : unlikely_text);
    } else if (facts->status == PROTOCOL_EXIT_USAGE) {
        say(ret, "the worker could not read its task: do registrar and registrar-worker belong "
                 "together?");
    } else {
        say(ret, "the worker exited with %d without a result", facts->status);
    }
}

static void judge(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    bool clean = facts->code == CLD_EXITED && facts->status == 0;
    if (facts->lost) {
        ret->verdict = VERDICT_LOST;
        say(ret, "registrar or the machine ended while it ran");
    } else if (told(facts->start_error)) {
        ret->verdict = VERDICT_FAILED;
        ret->cause = cause_environment;
        say(ret, "%s", facts->start_error);
    } else if (clean && !facts->is_command && facts->result != VERDICT_RESULT_NONE &&
               !told(facts->breach)) {
        judge_result(facts, ret);
    } else if (facts->stop != VERDICT_STOP_NONE) {
        judge_stopped(facts, ret);
    } else if (oom_victims(facts) > 0 && !clean &&
               (!by_signal(facts) || facts->status == SIGKILL)) {
        judge_oom(facts, ret);
    } else if (by_signal(facts)) {
        judge_signal(facts, ret);
    } else if (facts->is_command) {
        judge_command_exit(facts, ret);
    } else {
        judge_worker_exit(facts, ret);
    }
}

/* ---- the evidence ---- */

static void put(json_t *object, const char *key, json_t *value) {
    /* out of memory: the member is missing from the evidence, the judgement stands */
    if (value)
        (void)json_object_set_new(object, key, value);
}

static void put_text(json_t *object, const char *key, const char *text) {
    if (told(text))
        put(object, key, json_string(text));
}

static void put_bytes(json_t *object, const char *key, uint64_t bytes) {
    put(object, key, json_integer((json_int_t)bytes));
}

static void put_exit(json_t *evidence, const struct verdict_facts *facts) {
    char name[SIGNAL_TEXT_BYTES];
    if (by_signal(facts)) {
        put_text(evidence, "signal", signal_text(facts->status, name));
        put(evidence, "core_dumped", json_boolean(facts->code == CLD_DUMPED));
    } else {
        put(evidence, "exit_status", json_integer(facts->status));
    }
}

static void put_memory(json_t *evidence, const struct verdict_facts *facts) {
    char why[256];
    bool likely = likely_oom(facts, why, sizeof(why));
    put(evidence, "likely_oom", json_boolean(likely));
    put_text(evidence, "why", why);
}

static void put_machine(json_t *evidence, const struct verdict_facts *facts) {
    json_t *machine = json_object();
    if (facts->oom_counter_known) {
        put_bytes(machine, "oom_kill_before", facts->oom_kills_before);
        put_bytes(machine, "oom_kill_after", facts->oom_kills_after);
    }
    put_bytes(machine, "memory_available_bytes", facts->memory_available_bytes);
    put_bytes(machine, "memory_total_bytes", facts->memory_total_bytes);
    put(evidence, "machine", machine);
}

static void put_cgroup(json_t *evidence, const struct verdict_facts *facts) {
    const struct verdict_cgroup *cgroup = &facts->cgroup;
    json_t *object = NULL;
    if (!cgroup->level) {
        put_text(evidence, "cgroup_error", facts->cgroup_error);
        return;
    }
    object = json_object();
    put_text(object, "level", cgroup->level);
    if (cgroup->limit_bytes > 0)
        put_bytes(object, "limit_bytes", cgroup->limit_bytes);
    put_bytes(object, "oom_before", cgroup->oom_before);
    put_bytes(object, "oom_after", cgroup->oom_after);
    put_bytes(object, "oom_kill_before", cgroup->oom_kill_before);
    put_bytes(object, "oom_kill_after", cgroup->oom_kill_after);
    if (cgroup->peak_bytes > 0)
        put_bytes(object, "peak_bytes", cgroup->peak_bytes);
    put(evidence, "cgroup", object);
}

static json_t *make_evidence(const struct verdict_facts *facts, enum verdict verdict) {
    json_t *evidence = json_object();
    if (!evidence || facts->lost)
        return evidence;
    if (told(facts->start_error)) {
        put_text(evidence, "start_error", facts->start_error);
        return evidence;
    }
    put_exit(evidence, facts);
    put_text(evidence, "stopped_for", stop_names[facts->stop]);
    if (facts->stop == VERDICT_STOP_TIMEOUT || facts->stop == VERDICT_STOP_STALL)
        put(evidence, "limit_s", json_real((double)facts->limit_ms / 1000));
    if (facts->stop == VERDICT_STOP_USER)
        put_text(evidence, "user", facts->user);
    if (facts->sent_term || facts->sent_kill)
        put_text(evidence, "sent",
                 !facts->sent_kill  ? "SIGTERM"
                 : facts->sent_term ? "SIGTERM, SIGKILL"
                                    : "SIGKILL");
    put_text(evidence, "result", result_names[facts->result]);
    put_text(evidence, "error_cause", facts->error_cause);
    put_text(evidence, "breach", facts->breach);
    put_text(evidence, "left_behind", facts->left_behind);
    put_cgroup(evidence, facts);
    if (verdict == VERDICT_KILLED)
        put_memory(evidence, facts);
    if (verdict == VERDICT_KILLED || verdict == VERDICT_OOM_LIMIT || verdict == VERDICT_OOM_MACHINE)
        put_machine(evidence, facts);
    return evidence;
}

void verdict_judge(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    *ret = (struct verdict_judgement){.cause = ""};
    judge(facts, ret);
    ret->evidence = make_evidence(facts, ret->verdict);
}
