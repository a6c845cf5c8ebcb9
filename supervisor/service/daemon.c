/* See daemon.h. */
#include "supervisor/service/daemon.h"

#include "common/clock.h"
#include "supervisor/service/journal.h"
#include "supervisor/service/listen_socket.h"
#include "supervisor/service/notify.h"
#include "supervisor/service/state_dir.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

enum { DAEMON_UMASK = 022, DAEMON_SIGNALS = 3 };

struct daemon {
    const struct daemon_request *request;
    uv_loop_t *loop; /* borrows */
    struct journal journal;
    struct conf conf;
    struct notify *notify;
    struct listen_socket socket;
    int state_fd; /* holds the lock */
    uv_signal_t signals[DAEMON_SIGNALS];
    int n_signals;
    int stops; /* how often we were told to */
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

/* ---- signals ---- */

static void close_signals(struct daemon *daemon) {
    for (int i = 0; i < daemon->n_signals; i++)
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
    daemon->n_signals = 0;
}

static void stop(struct daemon *daemon) {
    if (daemon->stops++ > 0)
        return;
    notify_stopping(daemon->notify);
    close_signals(daemon);
}

static void reread(struct daemon *daemon) {
    struct failure failure = {0};
    struct conf conf;
    notify_reloading(daemon->notify);
    if (daemon_read_conf(daemon->request, &conf, &failure) < 0) {
        journal_say(&daemon->journal, LOG_ERR, "%s; the settings stay as they were", failure.text);
    } else {
        conf_free(&daemon->conf);
        daemon->conf = conf;
        journal_say(&daemon->journal, LOG_NOTICE, "the configuration was read again");
    }
    notify_ready(daemon->notify);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct daemon *daemon = handle->data;
    if (number == SIGHUP)
        reread(daemon);
    else
        stop(daemon);
}

static int open_signals(struct daemon *daemon, struct failure *failure) {
    static const int numbers[DAEMON_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    for (int i = 0; i < DAEMON_SIGNALS; i++) {
        uv_signal_t *handle = &daemon->signals[i];
        int r = uv_signal_init(daemon->loop, handle);
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

/* ---- life ---- */

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

static int serve(struct daemon *daemon, struct failure *failure) {
    int r = notify_open(daemon->loop, NULL, NULL, &daemon->notify, failure);
    if (r == 0)
        r = open_signals(daemon, failure);
    if (r == 0) {
        notify_ready(daemon->notify);
        journal_say(&daemon->journal, LOG_NOTICE, "ready: the state is in %s",
                    daemon->request->state_dir);
        (void)uv_run(daemon->loop, UV_RUN_DEFAULT);
        journal_say(&daemon->journal, LOG_NOTICE, "stopped");
    }
    close_signals(daemon);
    notify_close(daemon->notify);
    (void)uv_run(daemon->loop, UV_RUN_DEFAULT); /* lets go of the handles */
    return r;
}

int daemon_run(const struct daemon_request *request, struct failure *failure) {
    uv_loop_t loop;
    struct daemon daemon = {
        .request = request, .loop = &loop, .socket = LISTEN_SOCKET_NONE, .state_fd = -1};
    (void)umask(DAEMON_UMASK);
    journal_open(&daemon.journal);
    int r = uv_loop_init(&loop);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot start");
    r = prepare(&daemon, failure);
    if (r == 0)
        r = serve(&daemon, failure);
    (void)uv_loop_close(&loop); /* nothing is left open in it */
    listen_socket_close(&daemon.socket);
    conf_free(&daemon.conf);
    if (daemon.state_fd >= 0)
        (void)close(daemon.state_fd);
    return r;
}
