/* See verdict.h for the order of the rules and for what the contract leaves open. Pure: the facts
 * come in, the judgement goes out, nothing is read or done here.
 */
#include "supervisor/engine/verdict.h"

#include "common/names.h"
#include "common/protocol.h"
#include "common/units.h"
#include "supervisor/engine/verdict_blocked.h"
#include "supervisor/engine/verdict_evidence.h"
#include "supervisor/engine/verdict_memory.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

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

/* The program's own fault, never somebody's wish. */
static bool is_crash(int number) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS};
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
        if (number == crashes[i])
            return true;
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
    const bool as_a_whole = verdict_by_signal(facts);
    const char *in = told(facts->stage) ? ", in stage " : "";
    const char *stage = told(facts->stage) ? facts->stage : "";
    ret->verdict = verdict_memory_at_limit(facts) ? VERDICT_OOM_LIMIT : VERDICT_OOM_MACHINE;
    verdict_memory_describe(facts, as_a_whole ? "it" : "a process of it", text, sizeof(text));
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
    if (verdict_memory_victims(facts) == 0)
        return;
    verdict_memory_describe(facts, "a process of it", text, sizeof(text));
    (void)snprintf(ret->reason + used, sizeof(ret->reason) - used, "; besides, %s", text);
    names_drop_half(ret->reason);
}

/* How it went after registrar had asked, for the end of the sentence. */
static const char *ending(const struct verdict_facts *facts) {
    if (verdict_by_signal(facts) && is_crash(facts->status))
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
    case VERDICT_STOP_MEMORY:
        ret->verdict = VERDICT_CANCELLED;
        say(ret, "stopped%s because memory ran short%s%s%s%s%s; it %s when there is room",
            facts->is_command ? "" : " at a checkpoint", told(facts->shortage) ? ": " : "",
            told(facts->shortage) ? facts->shortage : "", in, stage, ending(facts),
            facts->is_command ? "starts anew" : "continues");
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
    char name[VERDICT_EVIDENCE_SIGNAL_BYTES], why[256];
    (void)verdict_evidence_signal(facts->status, name);
    const char *in = told(facts->stage) ? " in stage " : "";
    const char *stage = told(facts->stage) ? facts->stage : "";
    if (verdict_blocked_is_so(facts)) {
        ret->verdict = VERDICT_CRASHED;
        say(ret,
            "crashed with %s%s%s: the sandbox stopped the system call %s, by which a program would "
            "%s; that is no part of the work, so do not trust the images",
            name, in, stage, facts->blocked, verdict_blocked_meaning(facts->blocked));
        return;
    }
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
        verdict_memory_is_likely(facts, why, sizeof(why)) ? likely_text : unlikely_text);
}

static void judge_command_exit(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    if (facts->status == 0) {
        ret->verdict = VERDICT_OK;
        return;
    }
    ret->verdict = VERDICT_FAILED;
    ret->cause = cause_environment;
    char name[VERDICT_EVIDENCE_SIGNAL_BYTES];
    int number = facts->status - 128;
    if (told(facts->error_reason))
        say(ret, "exit status %d: %s", facts->status, facts->error_reason);
    else if (number > 0 && sigabbrev_np(number))
        say(ret, "exit status %d: a program in it was perhaps ended by %s", facts->status,
            verdict_evidence_signal(number, name));
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
            verdict_memory_is_likely(facts, why, sizeof(why)) ? likely_text : unlikely_text);
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
    } else if (verdict_memory_victims(facts) > 0 && !clean &&
               (!verdict_by_signal(facts) || facts->status == SIGKILL)) {
        judge_oom(facts, ret);
    } else if (verdict_by_signal(facts)) {
        judge_signal(facts, ret);
    } else if (facts->is_command) {
        judge_command_exit(facts, ret);
    } else {
        judge_worker_exit(facts, ret);
    }
}

void verdict_judge(const struct verdict_facts *facts, struct verdict_judgement *ret) {
    *ret = (struct verdict_judgement){.cause = ""};
    judge(facts, ret);
    ret->evidence = verdict_evidence_make(facts, ret->verdict);
}
