/* See notify.h. Nothing here ever fails for the caller: a service manager that does not listen is
 * none of a task's business, and one that waits in vain for WATCHDOG=1 says so itself. Nor does
 * anything wait for it, as sd_notify would while the manager's queue is full: what does not go is
 * lost, but a status, which is tried again while somebody listens, ever less often, and READY=1,
 * which sd_notify delivers. */
#include "supervisor/service/notify.h"

#include "common/clock.h"
#include "common/names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

enum {
    STATUS_PAUSE_MS = 1000,
    STATUS_MOST_PAUSE_MS = 64 * 1000, /* after that it is given up */
    STATUS_BYTES = 512,
};

struct notify {
    notify_progress_cb progress;
    void *context;
    uint64_t watchdog_ms; /* between two signs of life; 0: nobody asked */
    uv_timer_t watchdog, status;
    int open_handles;
    bool is_watched;
    char text[STATUS_BYTES]; /* the last status */
    bool is_told;            /* it was sent, or nobody is there to hear it */
    uint64_t pause_ms;       /* until it is tried again */
};

static void on_closed(uv_handle_t *handle) {
    struct notify *notify = handle->data;
    if (--notify->open_handles == 0)
        free(notify);
}

int notify_open(uv_loop_t *loop, notify_progress_cb progress, void *context, struct notify **ret,
                struct failure *failure) {
    struct notify *notify = calloc(1, sizeof(*notify));
    if (!notify)
        return failure_set_errno(failure, -ENOMEM, "cannot talk to the service manager");
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) <= 0)
        watchdog_us = 0;
    notify->progress = progress;
    notify->context = context;
    notify->watchdog_ms = watchdog_us / 2 / 1000;
    notify->is_told = true;
    (void)uv_timer_init(loop, &notify->watchdog); /* cannot fail */
    (void)uv_timer_init(loop, &notify->status);
    notify->watchdog.data = notify->status.data = notify;
    notify->open_handles = 2;
    /* neither keeps a loop alive that has nothing else to do */
    uv_unref((uv_handle_t *)&notify->watchdog);
    uv_unref((uv_handle_t *)&notify->status);
    *ret = notify;
    return 0;
}

/* sd_notify(3) describes the protocol: a datagram to $NOTIFY_SOCKET, a path or, with '@', a name.
 * False when it did not go and may another time: somebody listens, who has not read the last ones.
 */
__attribute__((format(printf, 1, 2))) static bool send_text(const char *format, ...) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || !strchr("/@", *path) || strlen(path) >= sizeof(address.sun_path))
        return true;
    char text[STATUS_BYTES + 64];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)stpcpy(address.sun_path, path);
    if (*path == '@')
        address.sun_path[0] = '\0';
    const size_t bytes = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ||
           sendto(fd, text, (size_t)length, MSG_NOSIGNAL, (const struct sockaddr *)&address,
                  (socklen_t)bytes) >= 0 ||
           (errno != EAGAIN && errno != ENOBUFS);
}

static void send_status(struct notify *notify) {
    notify->is_told = send_text("STATUS=%s", notify->text);
}

void notify_close(struct notify *notify) {
    if (!notify)
        return;
    if (!notify->is_told)
        send_status(notify);
    uv_close((uv_handle_t *)&notify->watchdog, on_closed);
    uv_close((uv_handle_t *)&notify->status, on_closed);
}

static void on_watchdog(uv_timer_t *timer) {
    struct notify *notify = timer->data;
    if (!notify->progress || notify->progress(notify->context))
        (void)send_text("WATCHDOG=1");
}

void notify_ready(struct notify *notify) {
    (void)sd_notify(0, "READY=1");
    if (notify->watchdog_ms == 0 || notify->is_watched)
        return;
    notify->is_watched = true;
    (void)uv_timer_start(&notify->watchdog, on_watchdog, 0, notify->watchdog_ms);
}

void notify_reloading(struct notify *notify) {
    (void)notify;
    (void)send_text("RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_monotonic_ns() / 1000);
}

void notify_stopping(struct notify *notify) {
    (void)notify;
    (void)send_text("STOPPING=1");
}

/* The pause after one that was sent is over. */
static void on_status_timer(uv_timer_t *timer) {
    struct notify *notify = timer->data;
    if (notify->is_told)
        return;
    send_status(notify);
    if (!notify->is_told)
        notify->pause_ms *= 2;
    if (notify->is_told || notify->pause_ms <= STATUS_MOST_PAUSE_MS)
        (void)uv_timer_start(timer, on_status_timer, notify->pause_ms, 0);
}

void notify_status(struct notify *notify, const char *format, ...) {
    char text[STATUS_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    names_drop_half(text);
    for (char *at = text; *at; at++)
        if (*at == '\n')
            *at = ' '; /* one would begin another variable */
    if (strcmp(text, notify->text) == 0)
        return;
    memcpy(notify->text, text, sizeof(text));
    notify->is_told = false;
    notify->pause_ms = STATUS_PAUSE_MS;
    if (uv_is_active((uv_handle_t *)&notify->status))
        return; /* it goes with the last one of this second */
    send_status(notify);
    (void)uv_timer_start(&notify->status, on_status_timer, STATUS_PAUSE_MS, 0);
}

void notify_extend(struct notify *notify, int64_t ms) {
    (void)notify;
    (void)send_text("EXTEND_TIMEOUT_USEC=%" PRId64, ms * 1000);
}
