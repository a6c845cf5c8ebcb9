/* Rate-limited progress lines; see progress.h. Stop signals are held blocked and looked for with
 * sigpending: no handler, no global flag, and no system call of a library is ever interrupted. */
#include "worker/stage/progress.h"

#include "common/clock.h"
#include "worker/memory/tracked.h"
#include "worker/stage/report.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { REPORT_INTERVAL_MS = 100, WAIT_INTERVAL_MS = 1000 };

struct progress {
    pthread_mutex_t lock; /* guards all but next_ms */
    struct report *report;
    const char *stage;
    double start, end;       /* of the stage, in fractions of the task */
    double span_start, span; /* of a step, in fractions of the stage */
    double told;             /* the highest fraction reported */
    _Atomic int64_t next_ms; /* no report before this instant */
};

void progress_hold_signals(void) {
    sigset_t held;
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGTERM);
    (void)sigaddset(&held, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &held, NULL); /* fails for wrong arguments only */
}

static bool stop_wanted(void) {
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

struct progress *progress_open(struct report *report) {
    struct progress *progress = calloc(1, sizeof(*progress));
    if (!progress)
        return NULL;
    (void)pthread_mutex_init(&progress->lock, NULL); /* default attributes never fail */
    progress->report = report;
    progress->stage = "start";
    progress->end = 1;
    progress->span = 1;
    return progress;
}

void progress_close(struct progress *progress) {
    if (!progress)
        return;
    (void)pthread_mutex_destroy(&progress->lock);
    free(progress);
}

/* A report that nobody reads is no reason to stop: a vanished supervisor ends its workers itself.
 */
static void tell(struct progress *progress, double fraction) {
    double of_stage = progress->span_start + progress->span * fraction;
    double whole = progress->start + (progress->end - progress->start) * of_stage;
    progress->told = fmax(progress->told, fmin(whole, 1));
    if (progress->report)
        (void)report_send(progress->report,
                          json_pack("{s:s,s:s,s:f,s:I}", "event", "progress", "stage",
                                    progress->stage, "fraction", progress->told, "memory_bytes",
                                    (json_int_t)tracked_now()));
}

void progress_begin(struct progress *progress, const char *stage, double start, double end) {
    if (!progress)
        return;
    (void)pthread_mutex_lock(&progress->lock);
    progress->stage = stage;
    progress->start = start;
    progress->end = end;
    progress->span_start = 0;
    progress->span = 1;
    atomic_store(&progress->next_ms, clock_monotonic_ms() + REPORT_INTERVAL_MS);
    tell(progress, 0);
    (void)pthread_mutex_unlock(&progress->lock);
}

void progress_span(struct progress *progress, double start, double end) {
    if (!progress)
        return;
    (void)pthread_mutex_lock(&progress->lock);
    progress->span_start = start;
    progress->span = end - start;
    (void)pthread_mutex_unlock(&progress->lock);
}

/* 1: the caller reports now, and holds the lock; 0: it is too early. */
static int begin_report(struct progress *progress, int64_t interval_ms) {
    if (!progress)
        return 0;
    if (stop_wanted())
        return -ECANCELED;
    int64_t now = clock_monotonic_ms(), next = atomic_load(&progress->next_ms);
    /* of all threads that come at once, one reports */
    if (now < next || !atomic_compare_exchange_strong(&progress->next_ms, &next, now + interval_ms))
        return 0;
    (void)pthread_mutex_lock(&progress->lock);
    return 1;
}

int progress_set(struct progress *progress, double fraction) {
    int r = begin_report(progress, REPORT_INTERVAL_MS);
    if (r <= 0)
        return r;
    tell(progress, fraction >= 0 ? fmin(fraction, 1) : 0);
    (void)pthread_mutex_unlock(&progress->lock);
    return 0;
}

int progress_wait(struct progress *progress) {
    int r = begin_report(progress, WAIT_INTERVAL_MS);
    if (r <= 0)
        return r;
    if (progress->report)
        (void)report_send(progress->report,
                          json_pack("{s:s,s:s}", "event", "waiting", "stage", progress->stage));
    (void)pthread_mutex_unlock(&progress->lock);
    return 0;
}
