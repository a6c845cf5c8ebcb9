/* See verdict_evidence.h. What is not so is left out; out of memory, a member is missing from the
 * evidence and the judgement stands. */
#include "supervisor/engine/verdict_evidence.h"

#include "supervisor/engine/verdict_blocked.h"
#include "supervisor/engine/verdict_memory.h"

#include <signal.h>
#include <string.h>

static const char *const result_names[VERDICT_RESULT_COUNT] = {
    [VERDICT_RESULT_NONE] = NULL,
    [VERDICT_RESULT_ALIGNED] = "aligned",
    [VERDICT_RESULT_DOUBTFUL] = "doubtful",
    [VERDICT_RESULT_FAILED] = "failed",
};

static const char *const stop_names[VERDICT_STOP_COUNT] = {
    [VERDICT_STOP_NONE] = NULL,       [VERDICT_STOP_TIMEOUT] = "timeout",
    [VERDICT_STOP_STALL] = "stall",   [VERDICT_STOP_USER] = "user",
    [VERDICT_STOP_BREACH] = "breach", [VERDICT_STOP_MEMORY] = "memory-pressure",
};

static bool told(const char *text) { return text && text[0]; }

const char *verdict_evidence_signal(int number, char text[VERDICT_EVIDENCE_SIGNAL_BYTES]) {
    const char *name = sigabbrev_np(number);
    if (name)
        (void)snprintf(text, VERDICT_EVIDENCE_SIGNAL_BYTES, "SIG%s", name);
    else
        (void)snprintf(text, VERDICT_EVIDENCE_SIGNAL_BYTES, "signal %d", number);
    return text;
}

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
    char name[VERDICT_EVIDENCE_SIGNAL_BYTES];
    if (verdict_by_signal(facts)) {
        put_text(evidence, "signal", verdict_evidence_signal(facts->status, name));
        put(evidence, "core_dumped", json_boolean(facts->code == CLD_DUMPED));
    } else {
        put(evidence, "exit_status", json_integer(facts->status));
    }
}

static void put_blocked(json_t *evidence, const struct verdict_facts *facts) {
    if (verdict_blocked_is_so(facts))
        put(evidence, "blocked",
            json_pack("{s:s, s:i}", "call", facts->blocked, "number", facts->blocked_number));
}

static void put_memory(json_t *evidence, const struct verdict_facts *facts) {
    char why[256];
    bool likely = verdict_memory_is_likely(facts, why, sizeof(why));
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

json_t *verdict_evidence_make(const struct verdict_facts *facts, enum verdict verdict) {
    json_t *evidence = json_object();
    if (!evidence || facts->lost)
        return evidence;
    if (told(facts->start_error)) {
        put_text(evidence, "start_error", facts->start_error);
        return evidence;
    }
    put_exit(evidence, facts);
    put_blocked(evidence, facts);
    put_text(evidence, "stopped_for", stop_names[facts->stop]);
    if (facts->stop == VERDICT_STOP_TIMEOUT || facts->stop == VERDICT_STOP_STALL)
        put(evidence, "limit_s", json_real((double)facts->limit_ms / 1000));
    if (facts->stop == VERDICT_STOP_USER)
        put_text(evidence, "user", facts->user);
    if (facts->stop == VERDICT_STOP_MEMORY)
        put_text(evidence, "shortage", facts->shortage);
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
