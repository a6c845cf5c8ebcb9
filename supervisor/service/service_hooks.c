/* What is run when a task has failed or a batch is done, and the JSON that it gets on its standard
 * input (registrar-daemon(8), "Hooks"). */
#include "supervisor/service/service_state.h"

#include "supervisor/engine/record.h"
#include "supervisor/report/summary.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>

static void on_done(void *context, const struct hooks_end *end) {
    struct service *service = context;
    journal_say(service->settings.journal, end->is_fine ? LOG_INFO : LOG_WARNING, "%s",
                end->sentence);
    if (service->is_ending || service->is_closed)
        return;
    engine_append(service->engine, "note", record_note(end->sentence), NULL, NULL);
    if (service->level > 0)
        service_quiet(service);
}

int service_hooks_open(struct service *service, struct failure *failure) {
    return hooks_open(engine_host(service->engine), ledger_store_id(service->store), on_done,
                      service, &service->hooks, failure);
}

static void run(struct service *service, const struct hooks_request *request) {
    struct failure failure;
    if (hooks_run(service->hooks, request, &failure) < 0)
        journal_say(service->settings.journal, LOG_WARNING, "%s of batch %s is not run: %s",
                    request->event, request->batch, failure.text);
}

/* The administrator's two. */
static void run_own(struct service *service, const char *event, const char *command,
                    const struct queue_batch *batch, char *input) {
    const struct conf *conf = service->settings.conf;
    struct failure failure;
    struct credentials *credentials = NULL;
    const struct passwd *user = conf->hook_user ? getpwnam(conf->hook_user) : NULL;
    if (conf->hook_user && !user) {
        journal_say(service->settings.journal, LOG_WARNING,
                    "%s is not run: there is no user %s (hook-user)", event, conf->hook_user);
        free(input);
        return;
    }
    if (user && credentials_lookup(user->pw_uid, &credentials, &failure) < 0) {
        journal_say(service->settings.journal, LOG_WARNING, "%s is not run: %s", event,
                    failure.text);
        free(input);
        return;
    }
    run(service, &(struct hooks_request){
                     .event = event,
                     .owner = batch->uid,
                     .command = command,
                     .batch = batch->name,
                     .out = batch->out,
                     .cwd = "/",
                     .credentials = credentials,
                     .input = input,
                     .limit_ms = conf->hook_timeout_ms,
                 });
    credentials_unref(credentials);
}

static void run_users(struct service *service, const struct queue_batch *batch,
                      struct credentials *credentials, char *input) {
    CLEANUP_FREE char *log_path = NULL;
    if (!credentials && batch->uid != geteuid()) { /* not looked up: NULL would be ourselves */
        journal_say(service->settings.journal, LOG_WARNING,
                    "on-finish of batch %s is not run: its user's rights are not known",
                    batch->name);
        free(input);
        return;
    }
    if (asprintf(&log_path, "%s/on-finish.log", batch->out) < 0)
        log_path = NULL; /* then it goes where ours goes */
    run(service, &(struct hooks_request){
                     .event = HOOKS_ON_FINISH,
                     .owner = batch->uid,
                     .command = batch->on_finish,
                     .batch = batch->name,
                     .out = batch->out,
                     .cwd = batch->out,
                     .log_path = log_path,
                     .credentials = credentials,
                     .input = input,
                     .limit_ms = service->settings.conf->hook_timeout_ms,
                 });
}

/* Takes tasks and counts. Caller owns; NULL: out of memory. */
static char *input_of(const struct queue_batch *batch, const char *event, json_t *tasks,
                      json_t *counts, double wall_s, uint32_t n_left_out) {
    CLEANUP_JSON json_t *input =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:o*, s:o*, s:f}", "version", 1, "event", event,
                  "batch", batch->name, "user", batch->user, "out", batch->out, "tasks", tasks,
                  "counts", counts, "wall_s", wall_s);
    if (input && n_left_out > 0)
        (void)json_object_set_new(input, "tasks_left_out", json_integer((json_int_t)n_left_out));
    return input ? json_dumps(input, SUMMARY_JSON_FLAGS) : NULL;
}

void service_hooks_task(struct service *service, const struct service_task *task,
                        const struct engine_result *result) {
    const char *command = service->settings.conf->on_failure;
    const enum verdict verdict = result->verdict;
    if (!command || verdict == VERDICT_OK || verdict == VERDICT_DOUBTFUL ||
        verdict == VERDICT_CANCELLED)
        return;
    const struct task_result told = {
        .id = task->taken.task.id,
        .finished = true,
        .verdict = verdict,
        .attempts = result->attempts,
        .wall_ms = result->wall_ms,
        .peak_rss_bytes = result->peak_rss_bytes,
        .reason = result->reason,
    };
    json_t *tasks = json_array();
    json_t *line = summary_task_to_json(&told);
    if (tasks && line)
        (void)json_array_append_new(tasks, line); /* out of memory: it is not told */
    char *input =
        input_of(task->of->batch, HOOKS_ON_FAILURE, tasks,
                 json_pack("{s:i}", verdict_name(verdict), 1), (double)result->wall_ms / 1000, 0);
    if (input)
        run_own(service, HOOKS_ON_FAILURE, command, task->of->batch, input);
}

bool service_hooks_want(const struct service *service, const struct queue_batch *batch) {
    return batch->on_finish || service->settings.conf->on_batch_end;
}

void service_hooks_batch(struct service *service, const struct queue_batch *batch,
                         struct credentials *credentials, const struct service_hooks_input *told) {
    const struct {
        const char *event, *command;
    } hooks[] = {{HOOKS_ON_FINISH, batch->on_finish},
                 {HOOKS_ON_BATCH_END, service->settings.conf->on_batch_end}};
    for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
        char *input = hooks[i].command
                          ? input_of(batch, hooks[i].event, json_incref(told->tasks),
                                     json_incref(told->counts), told->wall_s, told->n_left_out)
                          : NULL;
        if (input && i == 0)
            run_users(service, batch, credentials, input);
        else if (input)
            run_own(service, hooks[i].event, hooks[i].command, batch, input);
    }
}
