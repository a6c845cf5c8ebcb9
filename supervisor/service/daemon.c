/* See daemon.h. What the service does is service.c's, what clients ask requests.c's; here they are
 * opened, told of signals and settings, and closed in order. */
#include "supervisor/service/daemon.h"

#include "common/names.h"
#include "supervisor/service/listen_socket.h"
#include "supervisor/service/notify.h"
#include "supervisor/service/requests.h"
#include "supervisor/service/service.h"
#include "supervisor/service/state_dir.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

enum {
    DAEMON_UMASK = 022,
    DAEMON_SIGNALS = 3,
    REPLAY_MS = 10 * 60 * 1000, /* more than any takes */
};

struct daemon {
    const struct daemon_request *request;
    uv_loop_t loop;
    struct journal journal;
    struct conf conf;
    struct notify *notify;
    struct listen_socket socket;
    int state_fd; /* holds the lock */
    struct service *service;
    struct requests *requests;
    uv_signal_t signals[DAEMON_SIGNALS];
    int n_signals;
    uv_check_t after_events; /* keeps the status sentence right */
    bool has_check;
    int level; /* how often we were told to stop */
    struct failure *failure;
    int result;
};

int daemon_read_conf(const struct daemon_request *request, struct conf *ret,
                     struct failure *failure) {
    int r = conf_read(request->config, ret, failure);
    if (r == -ENOENT && !request->must_have_config) {
        failure->code = 0;
        r = conf_read(NULL, ret, failure);
    }
    return r;
}

/* ---- the end ---- */

static void close_handles(struct daemon *daemon) {
    for (int i = 0; i < daemon->n_signals; i++)
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
    daemon->n_signals = 0;
    if (daemon->has_check)
        uv_close((uv_handle_t *)&daemon->after_events, NULL);
    daemon->has_check = false;
    requests_close(daemon->requests);
    if (daemon->service)
        service_close(daemon->service);
    notify_close(daemon->notify);
    daemon->notify = NULL;
}

static void on_stopped(void *context, const struct failure *failure) {
    struct daemon *daemon = context;
    if (failure->code < 0)
        daemon->result = failure_set(daemon->failure, failure->code, "%s", failure->text);
    close_handles(daemon);
}

static void stop(struct daemon *daemon, const char *who) {
    if (daemon->level++ == 0) {
        notify_stopping(daemon->notify);
        requests_stop(daemon->requests);
    }
    service_stop(daemon->service, daemon->level > 1 ? 2 : 1, who);
}

/* ---- signals ---- */

/* Whoever did not ask for a group needs none. */
static void set_admin_group(const struct daemon *daemon) {
    const char *group = daemon->conf.admin_group;
    if (!requests_set_admin_group(daemon->requests, group) && strcmp(group, CONF_ADMIN_GROUP) != 0)
        journal_say(&daemon->journal, LOG_WARNING,
                    "admin-group: there is no group %s, so it has no members: make it (groupadd "
                    "%s), or give another, and reload",
                    group, group);
}

static void reread(struct daemon *daemon) {
    struct failure failure = {0};
    struct conf conf;
    notify_reloading(daemon->notify);
    if (daemon_read_conf(daemon->request, &conf, &failure) < 0) {
        journal_say(&daemon->journal, LOG_ERR, "%s; the settings stay as they were", failure.text);
    } else {
        struct conf before = daemon->conf;
        daemon->conf = conf;
        service_reconfigure(daemon->service, &daemon->conf);
        set_admin_group(daemon);
        conf_free(&before);
        journal_say(&daemon->journal, LOG_NOTICE, "the configuration was read again");
    }
    notify_ready(daemon->notify);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct daemon *daemon = handle->data;
    if (number == SIGHUP)
        reread(daemon);
    else
        stop(daemon, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static int open_signals(struct daemon *daemon, struct failure *failure) {
    static const int numbers[DAEMON_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    for (int i = 0; i < DAEMON_SIGNALS; i++) {
        uv_signal_t *handle = &daemon->signals[i];
        int r = uv_signal_init(&daemon->loop, handle);
        if (r == 0) {
            handle->data = daemon;
            daemon->n_signals++;
            r = uv_signal_start(handle, on_signal, numbers[i]);
        }
        if (r < 0)
            return failure_set_errno(failure, r, "cannot wait for signals");
    }
    return 0;
}

/* ---- what the service manager hears ---- */

static bool makes_progress(void *context) {
    const struct daemon *daemon = context;
    return service_makes_progress(daemon->service);
}

/* Only when something has happened anyway: an idle daemon sleeps. */
static void on_events(uv_check_t *check) {
    const struct daemon *daemon = check->data;
    char text[SERVICE_SENTENCE_BYTES];
    notify_status(daemon->notify, "%s", service_sentence(daemon->service, text));
}

static void open_status(struct daemon *daemon) {
    (void)uv_check_init(&daemon->loop, &daemon->after_events); /* neither can fail */
    daemon->after_events.data = daemon;
    daemon->has_check = true;
    (void)uv_check_start(&daemon->after_events, on_events);
    uv_unref((uv_handle_t *)&daemon->after_events);
    on_events(&daemon->after_events);
}

/* ---- the beginning ---- */

static int prepare(struct daemon *daemon, struct failure *failure) {
    const struct daemon_request *request = daemon->request;
    const char *network = NULL;
    int r = daemon_read_conf(request, &daemon->conf, failure);
    if (r == 0)
        r = state_dir_open(request->state_dir, &daemon->state_fd, &network, failure);
    if (r == 0 && network)
        journal_say(&daemon->journal, LOG_WARNING,
                    "the state folder %s is on %s, which may lose what was written when this "
                    "machine dies; give a --state-dir on a disk of this machine",
                    request->state_dir, network);
    if (r == 0)
        r = listen_socket_open(request->socket, request->is_system, &daemon->socket, failure);
    return r;
}

static int open_service(struct daemon *daemon, struct failure *failure) {
    const struct service_settings settings = {
        .loop = &daemon->loop,
        .state_dir = daemon->request->state_dir,
        .conf = &daemon->conf,
        .journal = &daemon->journal,
        .command = daemon->request->command,
        .stopped = on_stopped,
        .context = daemon,
    };
    int r = notify_open(&daemon->loop, makes_progress, daemon, &daemon->notify, failure);
    if (r < 0)
        return r;
    notify_extend(daemon->notify, REPLAY_MS);
    notify_status(daemon->notify, "The ledger is read.");
    return service_open(&settings, &daemon->service, failure);
}

static int open_requests(struct daemon *daemon, struct failure *failure) {
    CLEANUP_FREE char *ledger = names_format("%s/ledger.jsonl", daemon->request->state_dir);
    const struct requests_settings settings = {
        .loop = &daemon->loop,
        .service = daemon->service,
        .listen_fd = daemon->socket.fd,
        .ledger_path = ledger,
    };
    if (!ledger)
        return failure_set_errno(failure, -ENOMEM, "cannot listen to clients");
    const int r = requests_open(&settings, &daemon->requests, failure);
    if (r == 0)
        set_admin_group(daemon);
    return r;
}

static int serve(struct daemon *daemon, struct failure *failure) {
    int r = open_service(daemon, failure);
    if (r == 0)
        r = open_requests(daemon, failure);
    if (r == 0)
        r = open_signals(daemon, failure);
    if (r < 0) {
        close_handles(daemon);
    } else {
        service_start(daemon->service);
        open_status(daemon);
        notify_ready(daemon->notify);
        journal_say(&daemon->journal, LOG_NOTICE, "ready: the state is in %s",
                    daemon->request->state_dir);
    }
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT); /* until on_stopped has closed all */
    requests_free(daemon->requests);
    service_free(daemon->service);
    if (r == 0 && daemon->result == 0)
        journal_say(&daemon->journal, LOG_NOTICE, "stopped");
    return r < 0 ? r : daemon->result;
}

int daemon_run(const struct daemon_request *request, struct failure *failure) {
    struct daemon daemon = {
        .request = request, .socket = LISTEN_SOCKET_NONE, .state_fd = -1, .failure = failure};
    (void)umask(DAEMON_UMASK);
    journal_open(&daemon.journal);
    int r = uv_loop_init(&daemon.loop);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot start");
    r = prepare(&daemon, failure);
    if (r == 0)
        r = serve(&daemon, failure);
    (void)uv_loop_close(&daemon.loop); /* nothing is left open in it */
    listen_socket_close(&daemon.socket);
    conf_free(&daemon.conf);
    if (daemon.state_fd >= 0)
        (void)close(daemon.state_fd);
    return r;
}
