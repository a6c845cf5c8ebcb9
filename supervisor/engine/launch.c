/* See launch.h. The environment is put together per attempt from pointers: ours, less what is
 * overridden, plus the task's own, plus the three that registrar adds.
 */
#include "supervisor/engine/launch.h"

#include "common/atomic_file.h"
#include "common/clock.h"
#include "common/names.h"
#include "common/protocol.h"
#include "supervisor/service/as_user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
    LAUNCH_OOM_SCORE = 500, /* the worker dies and not the desktop */
    LAUNCH_ADDED = 3,
};

extern char **environ;

/* What talks to our own starter, not to our children (sd_notify(3), sd_listen_fds(3)). */
static const char *const withheld[] = {"NOTIFY_SOCKET",
                                       "WATCHDOG_USEC",
                                       "WATCHDOG_PID",
                                       "LISTEN_FDS",
                                       "LISTEN_PID",
                                       "LISTEN_FDNAMES",
                                       NULL};

static bool same_name(const char *variable, const char *other) {
    size_t length = strcspn(other, "=");
    return strncmp(variable, other, length) == 0 && variable[length] == '=';
}

static bool is_named(const char *variable, const char *const *names) {
    for (; names && *names; names++)
        if (same_name(variable, *names))
            return true;
    return false;
}

int launch_base_init(struct launch_base *base) {
    size_t n = 0;
    while (environ[n])
        n++;
    base->environment = calloc(n + 1, sizeof(*base->environment));
    if (!base->environment)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (!is_named(environ[i], withheld))
            base->environment[base->n_environment++] = environ[i];
    base->run_name = clock_monotonic_ns();
    return 0;
}

void launch_base_free(struct launch_base *base) {
    free(base->environment);
    *base = (struct launch_base){0};
}

static int no_memory(const struct task *task, struct failure *failure) {
    return failure_set_errno(failure, -ENOMEM, "cannot start %s", task->id);
}

/* A user's tasks start with his, and nothing of ours. */
static int make_environment(const struct launch_base *base, const struct credentials *credentials,
                            const struct task *task, struct launch *launch,
                            struct failure *failure) {
    const char *const *start = credentials ? (const char *const *)credentials->environment
                                           : (const char *const *)base->environment;
    size_t n_start = 0, n_own = 0, used = 0;
    while (start[n_start])
        n_start++;
    while (task->env && task->env[n_own])
        n_own++;
    launch->variables = calloc(LAUNCH_ADDED + 1, sizeof(*launch->variables));
    launch->envp = calloc(n_start + n_own + LAUNCH_ADDED + 1, sizeof(*launch->envp));
    if (!launch->variables || !launch->envp ||
        asprintf(&launch->variables[0], PROTOCOL_TOKEN_VARIABLE "=%s", launch->token) < 0 ||
        asprintf(&launch->variables[1], "REGISTRAR_TASK=%s", task->id) < 0 ||
        asprintf(&launch->variables[2], "REGISTRAR_REPORT_FD=%d", PROTOCOL_REPORT_FD) < 0)
        return no_memory(task, failure);
    const char *const *ours = (const char *const *)launch->variables;
    const char *const *own = (const char *const *)task->env;
    for (size_t i = 0; i < n_start; i++)
        if (!is_named(start[i], ours) && !is_named(start[i], own))
            launch->envp[used++] = start[i];
    for (size_t i = 0; i < n_own; i++)
        if (!is_named(own[i], ours)) /* the token is not theirs to change */
            launch->envp[used++] = own[i];
    for (size_t i = 0; i < LAUNCH_ADDED; i++)
        launch->envp[used++] = ours[i];
    return 0;
}

static int make_stdin(const struct launch_base *base, const struct launch_line *line,
                      const struct task *task, int attempt, json_t *variants, const char *folder,
                      struct launch *launch, struct failure *failure) {
    CLEANUP_FREE char *shared =
        task->shared ? names_format("%s/%s", line->out, task->shared) : NULL;
    if (task->shared && !shared)
        return no_memory(task, failure);
    CLEANUP_JSON json_t *request =
        json_pack("{s:i, s:s, s:i, s:s, s:s, s:s, s:O, s:i, s:I, s:b, s:s*, s:O*}", "v",
                  PROTOCOL_VERSION, "task", task->id, "attempt", attempt, "pre", task->inputs[0],
                  "post", task->inputs[1], "out", folder, "params", task->params, "threads",
                  line->threads, "memory_bytes", (json_int_t)line->worker_memory_bytes, "sandbox",
                  !base->is_unconfined, "shared", shared, "variants", variants);
    if (!request) /* names come from the file system and may be no UTF-8, which JSON cannot hold */
        return failure_set(failure, -EILSEQ,
                           "cannot hand over %s: a name is not valid UTF-8; rename the file",
                           task->id);
    launch->stdin_text = json_dumps(request, JSON_COMPACT);
    return launch->stdin_text ? 0 : no_memory(task, failure);
}

/* Anything may stand there that a program of the user's could put there: a link is not followed, a
 * FIFO does not keep us waiting for its reader. */
static int open_log(const struct task *task, int attempt, struct launch *launch,
                    struct failure *failure) {
    struct stat status;
    launch->log_fd =
        open(launch->log_path,
             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0666);
    const int error = launch->log_fd < 0 ? errno : 0;
    if (error == ELOOP || error == ENXIO ||
        (error == 0 && fstat(launch->log_fd, &status) == 0 && !S_ISREG(status.st_mode)))
        return failure_set(failure, -EINVAL, "cannot write %s: it is no plain file; remove it",
                           launch->log_path);
    if (error != 0)
        return failure_set_errno(failure, -error, "cannot write %s", launch->log_path);
    char now[CLOCK_TEXT_BYTES];
    if (dprintf(launch->log_fd, "=== %s, attempt %d, %s ===\n", task->id, attempt,
                clock_rfc3339(now)) < 0)
        return failure_set_errno(failure, -errno, "cannot write %s", launch->log_path);
    return 0;
}

/* OUT/<id> and the log in it are the user's, and made with his rights. */
static int make_files(const struct launch_line *line, const struct task *task, int attempt,
                      const char *folder, struct launch *launch, struct failure *failure) {
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    int r = as_user_enter(line->credentials, &as_user, failure);
    if (r == 0 && mkdir(folder, 0777) < 0) /* mostly only the last part is missing */
        r = atomic_file_make_folders(folder, failure);
    return r < 0 ? r : open_log(task, attempt, launch, failure);
}

int launch_prepare(struct launch_base *base, const struct launch_line *line,
                   const struct task *task, int attempt, json_t *variants, struct launch *ret,
                   struct failure *failure) {
    *ret = (struct launch){.log_fd = -1};
    CLEANUP_FREE char *folder = NULL;
    if (asprintf(&folder, "%s/%s", line->out, task->id) < 0)
        return no_memory(task, failure);
    ret->log_path = launch_log_path(line->out, task->id);
    if (!ret->log_path)
        return no_memory(task, failure);
    int r = make_files(line, task, attempt, folder, ret, failure);
    if (r < 0)
        return r;
    (void)snprintf(ret->token, sizeof(ret->token), "%s:%llx-%llx", base->ledger_id,
                   (unsigned long long)base->run_name, (unsigned long long)++base->counter);
    r = make_environment(base, line->credentials, task, ret, failure);
    bool is_command = task->kind == TASK_COMMAND;
    if (r == 0 && !is_command)
        r = make_stdin(base, line, task, attempt, variants, folder, ret, failure);
    if (r < 0)
        return r;
    ret->worker_argv[0] = base->worker;
    ret->worker_argv[1] = "align";
    ret->request = (struct child_request){
        .argv = is_command ? (const char *const *)task->command : ret->worker_argv,
        .envp = ret->envp,
        .cwd = is_command ? task->cwd : NULL,
        .token = ret->token,
        .credentials = line->credentials,
        .stdin_text = ret->stdin_text,
        .log_fd = ret->log_fd,
        .stdout_to_log = is_command,
        .oom_score_adj = LAUNCH_OOM_SCORE,
    };
    return 0;
}

void launch_free(struct launch *launch) {
    if (launch->log_fd >= 0)
        (void)close(launch->log_fd); /* the child has its own copy */
    for (size_t i = 0; launch->variables && launch->variables[i]; i++)
        free(launch->variables[i]);
    free(launch->variables);
    free(launch->envp);
    free(launch->stdin_text);
    free(launch->log_path);
    *launch = (struct launch){.log_fd = -1};
}

static void close_folder(DIR **folder) {
    if (*folder)
        (void)closedir(*folder); /* it was only read */
}

int launch_forget_stages(const struct launch_line *line, const struct task *task,
                         struct failure *failure) {
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s/checkpoints", line->out, task->id) < 0)
        return no_memory(task, failure);
    CLEANUP(as_user_leave) struct as_user as_user = AS_USER_NOBODY;
    int r = as_user_enter(line->credentials, &as_user, failure);
    if (r < 0)
        return r;
    /* a link in its place may lead to a folder whose files are not checkpoints */
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : failure_set_errno(failure, -errno, "cannot read %s", path);
    CLEANUP(close_folder) DIR *folder = fdopendir(fd);
    if (!folder)
        return failure_set_errno(failure, -errno, "cannot read %s", path);
    (void)STEAL_FD(fd); /* the folder has it now */
    const struct dirent *entry = NULL;
    while ((entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(folder), entry->d_name, 0) < 0 && errno != ENOENT)
            return failure_set_errno(failure, -errno, "cannot remove %s/%s", path, entry->d_name);
    }
    return 0;
}

char *launch_log_path(const char *out, const char *id) {
    char *path = NULL;
    return asprintf(&path, "%s/%s/log.txt", out, id) < 0 ? NULL : path;
}
