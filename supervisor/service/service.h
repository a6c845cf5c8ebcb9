/* The service: what the queue holds, the engine runs.
 *
 * Opening replays the ledger into the queue and the model, ends what a dead daemon left behind and
 * sets up the engine; service_start lets tasks start. The engine sees a window of each batch, which
 * is filled from the queue as tasks end; between users and batches the queue decides. A batch's end
 * is dealt with here: summary.json with the user's rights, hooks, the journal.
 *
 * One thread, on the caller's loop. While nothing runs and nothing waits for a time of day no timer
 * is set.
 *
 * Clients' commands go to the queue (service_queue); whoever changed it calls service_changed,
 * which passes on to the engine what that is about.
 */
#ifndef SUPERVISOR_SERVICE_SERVICE_H
#define SUPERVISOR_SERVICE_SERVICE_H

#include "supervisor/engine/engine.h"
#include "supervisor/service/conf.h"
#include "supervisor/service/journal.h"
#include "supervisor/service/queue.h"

struct service;

/* All borrowed. */
struct service_settings {
    uv_loop_t *loop;
    const char *state_dir;   /* absolute; locked by the caller */
    const struct conf *conf; /* until service_reconfigure gives another */
    struct journal *journal;
    const char *command; /* the daemon's command line, for the ledger */
    /* It has come to its end: after service_stop, or by a failure (code < 0). Close it then. */
    void (*stopped)(void *context, const struct failure *failure);
    void *context;
};

/* -EWOULDBLOCK, -EBADMSG and the like are the ledger's. On error *ret is to be closed and freed
 * too, unless it is NULL. */
MUST_USE int service_open(const struct service_settings *settings, struct service **ret,
                          struct failure *failure);
void service_start(struct service *service);
/* Level 1: nothing new starts and workers stop at a checkpoint; 2: at once. Then stopped is called,
 * never from within. who: "SIGTERM". */
void service_stop(struct service *service, int level, const char *who);
/* Closes the handles; what runs is let go of. */
void service_close(struct service *service);
void service_free(struct service *service); /* after the loop's last turn. NULL is fine */

void service_reconfigure(struct service *service, const struct conf *conf);
/* For the watchdog (a notify_progress_cb). */
bool service_makes_progress(void *service);

enum { SERVICE_SENTENCE_BYTES = 256 };
/* "12 tasks run, 340 wait, of 3 batches": for people. Returns text. */
const char *service_sentence(const struct service *service, char text[SERVICE_SENTENCE_BYTES]);

/* ---- for those who answer clients ---- */

struct queue *service_queue(const struct service *service);
/* Whom a batch runs as (credentials_remember). The caller owns one reference. */
MUST_USE int service_credentials(struct service *service, uid_t uid, struct credentials **ret,
                                 struct failure *failure);
/* The queue was changed, or tasks were submitted. batch and change: of a cancel, else NULL. who:
 * the user who did it; NULL without a cancel. */
void service_changed(struct service *service, struct queue_batch *batch,
                     const struct queue_change *change, const char *who);

/* A task that runs. */
struct service_view {
    const struct queue_batch *batch;
    uint32_t number;
    struct engine_view engine;
};
/* Returns how many there are; fills at most `most`. */
size_t service_look(const struct service *service, struct service_view *ret, size_t most);
/* What runs, what is reserved, of how much. */
void service_totals(const struct service *service, struct engine_totals *ret);

enum { SERVICE_WHY_BYTES = ENGINE_WHY_BYTES };
/* Why a waiting task does not run yet, as a sentence without a full stop. id may be NULL: why the
 * batch's tasks in general. Returns text. */
const char *service_why(const struct service *service, const struct queue_batch *batch,
                        const char *id, char text[SERVICE_WHY_BYTES]);

/* What is told as it happens, for `watch`: {"event":"start"|"end"|"batch"|"text","batch","user",
 * "task","verdict","reason","wall_s","attempts","text"}; borrowed. */
typedef void (*service_event_cb)(void *context, const json_t *event);
/* One listener; NULL: nobody, and then nothing is made. */
void service_listen(struct service *service, service_event_cb event, void *context);

#endif
