/* See hooks.h. A hook is a child like a task's: it leads a session, has a token in its environment,
 * and a control group where tasks have one; so nothing of it is left behind either. Starting is
 * always left to a timer of 0 ms, so that nothing is told from within a call.
 */
#include "supervisor/service/hooks.h"

#include "common/clock.h"
#include "common/names.h"
#include "common/protocol.h"
#include "common/units.h"
#include "supervisor/service/as_user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

enum {
    MAX_RUNNING_OF_OWNER = 4,
    MAX_RUNNING = 64,
    GRACE_MS = 5000, /* between SIGTERM and SIGKILL */
    OOM_SCORE = 500, /* as a task's: it goes before the desktop does */
    TOKEN_BYTES = 160,
    N_OWN = 4, /* variables that we add */
};

extern char **environ;

struct hook {
    TAILQ_ENTRY(hook) link;
    struct hooks *hooks;
    char *event, *command, *batch, *out, *cwd, *log_path, *input; /* owned */
    const struct credentials *credentials;                        /* a reference */
    uid_t owner;
    int64_t limit_ms, start_ms;
    char token[TOKEN_BYTES];
    struct child *child; /* NULL: it waits */
    uv_timer_t timer;    /* only when it runs */
    bool is_late;
};

TAILQ_HEAD(hook_list, hook);

struct hooks {
    struct child_host *host;
    char *ledger_id;
    hooks_done_cb done;
    void *context;
    struct hook_list waiting, running;
    size_t n_waiting, n_running;
    uint64_t counter;
    uv_timer_t pump;
    bool is_stopping;
};

static void free_hook(struct hook *hook) {
    credentials_unref(hook->credentials);
    free(hook->event);
    free(hook->command);
    free(hook->batch);
    free(hook->out);
    free(hook->cwd);
    free(hook->log_path);
    free(hook->input);
    free(hook);
}

/* ---- the end of one ---- */

__attribute__((format(printf, 3, 4))) static void tell(const struct hook *hook, bool is_fine,
                                                       const char *format, ...) {
    char sentence[HOOKS_SENTENCE_BYTES];
    const int n = snprintf(sentence, sizeof(sentence), "%s%s%.200s ", hook->event,
                           *hook->batch ? " of " : "", hook->batch);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence + n, sizeof(sentence) - (size_t)n, format, arguments);
    va_end(arguments);
    names_drop_half(sentence);
    const struct hooks_end end = {
        .event = hook->event, .batch = hook->batch, .sentence = sentence, .is_fine = is_fine};
    hook->hooks->done(hook->hooks->context, &end);
}

static void tell_exit(const struct hook *hook, const struct spawn_exit *exit) {
    char time[UNITS_TEXT_BYTES];
    (void)units_format_duration(clock_monotonic_ms() - hook->start_ms, time);
    if (hook->is_late)
        tell(hook, false, "was ended: it had not come to its end after %s", time);
    else if (exit->code != CLD_EXITED)
        tell(hook, false, "was ended by signal %d (%s) after %s", exit->status,
             strsignal(exit->status), time);
    else if (exit->status != 0)
        tell(hook, false, "ended with exit status %d after %s", exit->status, time);
    else
        tell(hook, true, "ended well after %s", time);
}

static void on_hook_closed(uv_handle_t *handle) { free_hook(handle->data); }

static void let_go(struct hook *hook) {
    TAILQ_REMOVE(&hook->hooks->running, hook, link);
    hook->hooks->n_running--;
    child_close(hook->child);
    uv_close((uv_handle_t *)&hook->timer, on_hook_closed);
}

static void start_pump(struct hooks *hooks);

static void on_over(void *context, const struct child_end *end) {
    struct hook *hook = context;
    struct hooks *hooks = hook->hooks;
    tell_exit(hook, &end->exit);
    let_go(hook);
    start_pump(hooks);
}

/* A hook has fd 3 as tasks do, and nothing to say there. */
static void on_report(void *context, const struct report *report) { (void)context, (void)report; }

static void on_breach(void *context) { (void)context; }

static void on_more_than_late(uv_timer_t *timer) {
    const struct hook *hook = timer->data;
    child_kill(hook->child);
}

static void on_late(uv_timer_t *timer) {
    struct hook *hook = timer->data;
    hook->is_late = true;
    child_terminate(hook->child);
    (void)uv_timer_start(timer, on_more_than_late, GRACE_MS, 0);
}

/* ---- the beginning of one ---- */

/* What talks to our own starter, not to our children (sd_notify(3), sd_listen_fds(3)). */
static bool is_withheld(const char *variable) {
    static const char *const prefixes[] = {"NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Pointers to what others own, and behind them ours, which stand in own. NULL: no memory. */
static const char **make_environment(const struct hook *hook, char *own[N_OWN]) {
    char **base = hook->credentials ? hook->credentials->environment : environ;
    size_t n = 0, used = 0;
    while (base[n])
        n++;
    own[0] = names_format("REGISTRAR_EVENT=%s", hook->event);
    own[1] = names_format("REGISTRAR_BATCH=%s", hook->batch);
    own[2] = names_format("REGISTRAR_OUT=%s", hook->out);
    own[3] = names_format("%s=%s", PROTOCOL_TOKEN_VARIABLE, hook->token);
    const char **all = calloc(n + N_OWN + 1, sizeof(*all));
    for (size_t i = 0; all && i < n; i++)
        if (!is_withheld(base[i]) && strncmp(base[i], "REGISTRAR_", strlen("REGISTRAR_")) != 0)
            all[used++] = base[i];
    for (size_t i = 0; all && i < N_OWN; i++) {
        if (!own[i]) {
            free(all);
            return NULL;
        }
        all[used++] = own[i];
    }
    return all;
}

/* -1: our stderr. Made as the user, in a folder of his, where anything may stand under that name.
 */
static int open_log(const struct hook *hook, int *ret_fd, struct failure *failure) {
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    struct stat status;
    int r = as_user_enter(hook->credentials, &as_user, failure);
    if (r < 0)
        return r;
    CLEANUP_CLOSE int fd =
        open(hook->log_path,
             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0666);
    if (fd < 0 || fstat(fd, &status) < 0)
        return failure_set_errno(failure, -errno, "cannot write %s", hook->log_path);
    if (!S_ISREG(status.st_mode))
        return failure_set(failure, -EINVAL, "%s is no plain file", hook->log_path);
    *ret_fd = STEAL_FD(fd);
    return 0;
}

static int start_child(struct hook *hook, struct failure *failure) {
    CLEANUP_CLOSE int log_fd = -1;
    int r = hook->log_path ? open_log(hook, &log_fd, failure) : 0;
    if (r < 0)
        return r;
    char *own[N_OWN] = {NULL};
    const char **environment = make_environment(hook, own);
    const char *argv[] = {"/bin/sh", "-c", hook->command, NULL};
    const struct child_request request = {
        .argv = argv,
        .envp = environment,
        .cwd = hook->cwd,
        .token = hook->token,
        .stdin_text = hook->input,
        .log_fd = log_fd >= 0 ? log_fd : STDERR_FILENO,
        .stdout_to_log = true,
        .oom_score_adj = OOM_SCORE,
        .credentials = hook->credentials,
    };
    const struct child_callbacks callbacks = {on_report, on_breach, on_over};
    if (environment)
        r = child_start(hook->hooks->host, &request, &callbacks, hook, &hook->child, failure);
    else
        r = failure_set(failure, -ENOMEM, "out of memory");
    free(environment);
    for (size_t i = 0; i < N_OWN; i++)
        free(own[i]);
    return r;
}

/* Takes hook, which is in no list. */
static void start(struct hooks *hooks, struct hook *hook) {
    struct failure failure = {0};
    (void)snprintf(hook->token, sizeof(hook->token), "%s:hook-%llx-%llx", hooks->ledger_id,
                   (unsigned long long)clock_monotonic_ns(), (unsigned long long)++hooks->counter);
    hook->start_ms = clock_monotonic_ms();
    if (start_child(hook, &failure) < 0) {
        tell(hook, false, "could not be started: %s", failure.text);
        free_hook(hook);
        return;
    }
    free(STEAL_PTR(hook->input));                         /* the child has its copy */
    (void)uv_timer_init(hooks->host->loop, &hook->timer); /* cannot fail */
    hook->timer.data = hook;
    (void)uv_timer_start(&hook->timer, on_late, (uint64_t)hook->limit_ms, 0);
    TAILQ_INSERT_TAIL(&hooks->running, hook, link);
    hooks->n_running++;
}

static bool is_users(const char *event) { return strcmp(event, HOOKS_ON_FINISH) == 0; }

/* What there is of one owner and sort. */
struct hook_load {
    size_t n, bytes;
};

static struct hook_load load_of(const struct hook_list *list, uid_t owner, const char *event) {
    struct hook_load load = {0};
    const struct hook *hook = NULL;
    TAILQ_FOREACH(hook, list, link) {
        if (hook->owner != owner || is_users(hook->event) != is_users(event))
            continue;
        load.n++;
        load.bytes += hook->input ? strlen(hook->input) : 0;
    }
    return load;
}

/* The first whose owner has room; NULL: none. */
static struct hook *find_next(const struct hooks *hooks) {
    struct hook *hook = NULL;
    TAILQ_FOREACH(hook, &hooks->waiting, link)
    if (hooks->is_stopping ||
        (hooks->n_running < MAX_RUNNING &&
         load_of(&hooks->running, hook->owner, hook->event).n < MAX_RUNNING_OF_OWNER))
        break;
    return hook;
}

static void on_pump(uv_timer_t *timer) {
    struct hooks *hooks = timer->data;
    struct hook *hook = NULL;
    while ((hook = find_next(hooks))) {
        TAILQ_REMOVE(&hooks->waiting, hook, link);
        hooks->n_waiting--;
        if (hooks->is_stopping) {
            tell(hook, false, "was not started: the daemon was told to stop");
            free_hook(hook);
        } else {
            start(hooks, hook);
        }
    }
}

static void start_pump(struct hooks *hooks) { (void)uv_timer_start(&hooks->pump, on_pump, 0, 0); }

/* ---- all of them ---- */

int hooks_open(struct child_host *host, const char *ledger_id, hooks_done_cb done, void *context,
               struct hooks **ret, struct failure *failure) {
    struct hooks *hooks = calloc(1, sizeof(*hooks));
    char *id = strdup(ledger_id);
    if (!hooks || !id) {
        free(hooks);
        free(id);
        return failure_set_errno(failure, -ENOMEM, "cannot run hooks");
    }
    *hooks = (struct hooks){.host = host, .ledger_id = id, .done = done, .context = context};
    TAILQ_INIT(&hooks->waiting);
    TAILQ_INIT(&hooks->running);
    (void)uv_timer_init(host->loop, &hooks->pump); /* cannot fail */
    hooks->pump.data = hooks;
    *ret = hooks;
    return 0;
}

static struct hook *copy_request(struct hooks *hooks, const struct hooks_request *request,
                                 char *input) {
    struct hook *hook = calloc(1, sizeof(*hook));
    if (!hook) {
        free(input);
        return NULL;
    }
    *hook = (struct hook){
        .hooks = hooks,
        .event = strdup(request->event),
        .command = strdup(request->command),
        .batch = strdup(request->batch),
        .out = strdup(request->out),
        .cwd = strdup(request->cwd),
        .log_path = request->log_path ? strdup(request->log_path) : NULL,
        .input = input,
        .credentials = credentials_ref(request->credentials),
        .owner = request->owner,
        .limit_ms = request->limit_ms,
    };
    if (hook->event && hook->command && hook->batch && hook->out && hook->cwd &&
        (hook->log_path || !request->log_path))
        return hook;
    free_hook(hook);
    return NULL;
}

int hooks_run(struct hooks *hooks, const struct hooks_request *request, struct failure *failure) {
    const struct hook_load load = load_of(&hooks->waiting, request->owner, request->event);
    if (load.n >= HOOKS_MAX_WAITING || load.bytes >= HOOKS_MAX_WAITING_BYTES) {
        free(request->input);
        return failure_set(failure, -EBUSY,
                           "%s%s%s is not run: %zu such hooks of this user wait already; make them "
                           "quicker",
                           request->event, *request->batch ? " of " : "", request->batch, load.n);
    }
    struct hook *hook = copy_request(hooks, request, request->input);
    if (!hook)
        return failure_set_errno(failure, -ENOMEM, "cannot run %s", request->event);
    TAILQ_INSERT_TAIL(&hooks->waiting, hook, link);
    hooks->n_waiting++;
    start_pump(hooks);
    return 0;
}

bool hooks_idle(const struct hooks *hooks) {
    return hooks->n_waiting == 0 && hooks->n_running == 0;
}

void hooks_stop(struct hooks *hooks) {
    hooks->is_stopping = true;
    for (struct hook *hook = TAILQ_FIRST(&hooks->running); hook; hook = TAILQ_NEXT(hook, link))
        child_kill(hook->child);
    start_pump(hooks);
}

static void on_pump_closed(uv_handle_t *handle) {
    struct hooks *hooks = handle->data;
    free(hooks->ledger_id);
    free(hooks);
}

void hooks_close(struct hooks *hooks) {
    if (!hooks)
        return;
    while (!TAILQ_EMPTY(&hooks->running)) {
        struct hook *hook = TAILQ_FIRST(&hooks->running);
        child_kill(hook->child);
        let_go(hook);
    }
    while (!TAILQ_EMPTY(&hooks->waiting)) {
        struct hook *hook = TAILQ_FIRST(&hooks->waiting);
        TAILQ_REMOVE(&hooks->waiting, hook, link);
        free_hook(hook);
    }
    uv_close((uv_handle_t *)&hooks->pump, on_pump_closed);
}

/* ---- the one of a run ---- */

struct alone {
    struct hooks *hooks;
    struct failure *failure;
    int result;
};

static void on_alone_done(void *context, const struct hooks_end *end) {
    struct alone *alone = context;
    if (!end->is_fine)
        alone->result = failure_set(alone->failure, -ECHILD, "%s", end->sentence);
}

int hooks_run_alone(const struct hooks_request *request, struct failure *failure) {
    uv_loop_t loop;
    struct child_host host = {0};
    struct alone alone = {.failure = failure};
    char id[64];
    (void)snprintf(id, sizeof(id), "run-%d", (int)getpid());
    int r = uv_loop_init(&loop);
    if (r < 0) {
        free(request->input);
        return failure_set_errno(failure, r, "cannot run %s", request->event);
    }
    r = child_host_open(&loop, &host, failure);
    if (r == 0)
        r = hooks_open(&host, id, on_alone_done, &alone, &alone.hooks, failure);
    if (r < 0)
        free(request->input);
    else
        r = hooks_run(alone.hooks, request, failure);
    if (r == 0)
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    hooks_close(alone.hooks);
    (void)uv_run(&loop, UV_RUN_DEFAULT); /* lets go of the handles */
    if (host.loop)
        child_host_close(&host);
    (void)uv_loop_close(&loop);
    return r < 0 ? r : alone.result;
}
