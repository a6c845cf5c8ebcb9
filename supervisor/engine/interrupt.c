/* See interrupt.h. */
#include "supervisor/engine/interrupt.h"

#include <pwd.h>
#include <signal.h>
#include <stdbool.h>

static const int numbers[INTERRUPT_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

static const char *name_of(int number) {
    if (number == SIGINT)
        return "Ctrl-C";
    return number == SIGHUP ? "terminal closed" : "SIGTERM to registrar";
}

static void on_signal(uv_signal_t *handle, int number) {
    struct interrupt *interrupt = handle->data;
    if (number == SIGHUP && interrupt->level > 0)
        return;
    if (interrupt->level == 0) {
        const struct passwd *user = getpwuid(getuid());
        (void)snprintf(interrupt->who, sizeof(interrupt->who), "%.32s (%s)",
                       user ? user->pw_name : "a user", name_of(number));
    }
    interrupt->level++;
    interrupt->changed(interrupt->context, interrupt->level, interrupt->who);
}

static bool is_ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int interrupt_open(uv_loop_t *loop, struct interrupt *ret, interrupt_cb changed, void *context,
                   struct failure *failure) {
    *ret = (struct interrupt){.changed = changed, .context = context};
    for (int i = 0; i < INTERRUPT_SIGNALS; i++) {
        if (numbers[i] == SIGHUP && is_ignored(SIGHUP))
            continue;
        uv_signal_t *handle = &ret->signals[ret->open];
        int r = uv_signal_init(loop, handle);
        if (r == 0) {
            handle->data = ret;
            ret->open++;
            r = uv_signal_start(handle, on_signal, numbers[i]);
        }
        if (r < 0)
            return failure_set_errno(failure, r, "cannot watch for Ctrl-C");
    }
    return 0;
}

void interrupt_close(struct interrupt *interrupt) {
    for (int i = 0; i < interrupt->open; i++)
        uv_close((uv_handle_t *)&interrupt->signals[i], NULL);
    interrupt->open = 0;
}
