/* See orphans.h. A sweep costs one read of /proc/self/task/PID/children when there is nothing to
 * do, which is almost always: it must not add to the cost of a trivial task. A pid that we signal
 * here cannot have been recycled: it is an unreaped child of ours, or held by a pidfd.
 */
#include "supervisor/process/orphans.h"

#include "common/clock.h"
#include "common/protocol.h"
#include "supervisor/process/proc_read.h"
#include "supervisor/process/spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum {
    ORPHANS_TOKEN_BYTES = 256,
    ORPHANS_LIST_TRIES = 3,
    ORPHANS_PAUSE_MS = 5,
    ORPHANS_EXEC_MS = 250, /* for an exec to get as far as an environment, on a busy machine */
};

struct owner {
    pid_t leader;
    uint64_t start_ticks;
    bool seen; /* in the listing just made */
    char token[ORPHANS_TOKEN_BYTES];
};

/* A child that was sent SIGKILL. While it dies it shows no environment any more. */
struct doomed {
    pid_t pid, leader;
};

struct orphans {
    pid_t self;
    struct owner *owners; /* the running attempts, in no order */
    size_t count, capacity;
    pid_t *adopted; /* the listing: children of ours that lead no running attempt */
    size_t n_adopted, adopted_capacity;
    struct doomed *doomed;
    size_t n_doomed, doomed_capacity;
    char last_token[ORPHANS_TOKEN_BYTES]; /* given out last: tells this run's from others */
};

int orphans_open(struct orphans **ret, struct failure *failure) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return failure_set_errno(failure, -errno, "cannot become the reaper of orphans");
    struct orphans *orphans = calloc(1, sizeof(*orphans));
    if (!orphans)
        return failure_set_errno(failure, -ENOMEM, "cannot supervise processes");
    orphans->self = getpid();
    *ret = orphans;
    return 0;
}

void orphans_close(struct orphans *orphans) {
    if (!orphans)
        return;
    free(orphans->owners);
    free(orphans->adopted);
    free(orphans->doomed);
    free(orphans);
}

static struct owner *find_owner(const struct orphans *orphans, pid_t leader) {
    for (size_t i = 0; i < orphans->count; i++)
        if (orphans->owners[i].leader == leader)
            return &orphans->owners[i];
    return NULL;
}

int orphans_add(struct orphans *orphans, pid_t leader, uint64_t start_ticks, const char *token) {
    if (orphans->count == orphans->capacity) {
        size_t capacity = orphans->capacity ? 2 * orphans->capacity : 8;
        struct owner *owners = realloc(orphans->owners, capacity * sizeof(*owners));
        if (!owners)
            return -ENOMEM;
        orphans->owners = owners;
        orphans->capacity = capacity;
    }
    struct owner *owner = &orphans->owners[orphans->count++];
    *owner = (struct owner){.leader = leader, .start_ticks = start_ticks};
    (void)snprintf(owner->token, sizeof(owner->token), "%s", token);
    (void)snprintf(orphans->last_token, sizeof(orphans->last_token), "%s", token);
    return 0;
}

void orphans_remove(struct orphans *orphans, pid_t leader) {
    struct owner *owner = find_owner(orphans, leader);
    if (owner)
        *owner = orphans->owners[--orphans->count];
}

/* ---- listing ---- */

static int adopt(struct orphans *orphans, pid_t pid) {
    if (orphans->n_adopted == orphans->adopted_capacity) {
        size_t capacity = orphans->adopted_capacity ? 2 * orphans->adopted_capacity : 16;
        pid_t *adopted = realloc(orphans->adopted, capacity * sizeof(*adopted));
        if (!adopted)
            return -ENOMEM;
        orphans->adopted = adopted;
        orphans->adopted_capacity = capacity;
    }
    orphans->adopted[orphans->n_adopted++] = pid;
    return 0;
}

static int list_child(void *context, pid_t pid) {
    struct orphans *orphans = context;
    struct owner *owner = find_owner(orphans, pid);
    if (!owner)
        return adopt(orphans, pid);
    owner->seen = true;
    return 0;
}

/* Without CONFIG_PROC_CHILDREN: whoever names us as parent. */
static int list_if_child(void *context, pid_t pid) {
    const struct orphans *orphans = context;
    struct proc_read_stat stat;
    if (proc_read_stat(PROC_READ_ROOT, pid, &stat) < 0 || stat.parent != orphans->self)
        return 0;
    return list_child(context, pid);
}

/* The kernel's listing may skip a child while another is reaped; nobody reaps here but we. Should
 * one be skipped all the same, a leader that was not reaped yet (`but` was) is likely missing too:
 * then the listing is made again. */
static void list_adopted(struct orphans *orphans, pid_t but) {
    for (int tries = 0; tries < ORPHANS_LIST_TRIES; tries++) {
        orphans->n_adopted = 0;
        for (size_t i = 0; i < orphans->count; i++)
            orphans->owners[i].seen = false;
        int r = proc_read_children(PROC_READ_ROOT, orphans->self, list_child, orphans);
        if (r == -ENOENT)
            r = proc_read_all(PROC_READ_ROOT, list_if_child, orphans);
        bool complete = r == 0;
        for (size_t i = 0; i < orphans->count; i++)
            complete &= orphans->owners[i].seen || orphans->owners[i].leader == but;
        if (complete)
            return;
    }
}

static struct doomed *find_doomed(const struct orphans *orphans, pid_t pid) {
    for (size_t i = 0; i < orphans->n_doomed; i++)
        if (orphans->doomed[i].pid == pid)
            return &orphans->doomed[i];
    return NULL;
}

static void doom(struct orphans *orphans, pid_t pid, pid_t leader) {
    (void)kill(pid, SIGKILL); /* refused (EPERM): it is counted, and told by the caller */
    if (orphans->n_doomed == orphans->doomed_capacity) {
        size_t capacity = orphans->doomed_capacity ? 2 * orphans->doomed_capacity : 16;
        struct doomed *doomed = realloc(orphans->doomed, capacity * sizeof(*doomed));
        if (!doomed)
            return; /* it dies all the same; we just may not wait for it */
        orphans->doomed = doomed;
        orphans->doomed_capacity = capacity;
    }
    orphans->doomed[orphans->n_doomed++] = (struct doomed){pid, leader};
}

/* True when the child had ended and is gone now. Only for adopted children: leaders are reaped
 * through their pidfd, for their accounting. */
static bool reap_if_ended(struct orphans *orphans, pid_t pid) {
    siginfo_t info = {0};
    int r = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG);
    if (!(r == 0 && info.si_pid == pid) && !(r < 0 && errno == ECHILD))
        return false;
    struct doomed *doomed = find_doomed(orphans, pid);
    if (doomed)
        *doomed = orphans->doomed[--orphans->n_doomed];
    return true;
}

void orphans_reap(struct orphans *orphans) {
    list_adopted(orphans, 0);
    for (size_t i = 0; i < orphans->n_adopted; i++)
        (void)reap_if_ended(orphans, orphans->adopted[i]);
}

/* ---- whose is it ---- */

enum fate { FATE_SPARED, FATE_UNDECIDED, FATE_LEFTOVER };

/* "<ledger>:<run>-<number>": of this run, whatever the number? */
static bool is_of_this_run(const struct orphans *orphans, const char *token) {
    const char *number = strrchr(orphans->last_token, '-');
    return number &&
           strncmp(token, orphans->last_token, (size_t)(number - orphans->last_token) + 1) == 0;
}

/* Must the adopted child go now that `leader` has ended? */
static enum fate judge(const struct orphans *orphans, pid_t pid, pid_t leader) {
    char token[ORPHANS_TOKEN_BYTES];
    int r =
        proc_read_environment(PROC_READ_ROOT, pid, PROTOCOL_TOKEN_VARIABLE, token, sizeof(token));
    for (size_t i = 0; r == 0 && i < orphans->count; i++)
        if (strcmp(token, orphans->owners[i].token) == 0)
            return orphans->owners[i].leader == leader ? FATE_LEFTOVER : FATE_SPARED;
    if (r == 0 && is_of_this_run(orphans, token))
        return FATE_LEFTOVER; /* its attempt is over already */
    struct proc_read_stat stat;
    if (proc_read_stat(PROC_READ_ROOT, pid, &stat) < 0)
        return FATE_SPARED; /* gone meanwhile */
    for (size_t i = 0; i < orphans->count; i++)
        if (orphans->owners[i].leader != leader &&
            orphans->owners[i].start_ticks <= stat.start_ticks)
            return r == -ENODATA ? FATE_UNDECIDED : FATE_SPARED; /* that one may have started it */
    return FATE_LEFTOVER;
}

/* True when the adopted child is still to be waited for. */
static bool sweep_one(struct orphans *orphans, pid_t pid, pid_t leader, bool early) {
    const struct doomed *doomed = find_doomed(orphans, pid);
    if (doomed)
        return leader == 0 || doomed->leader == leader;
    enum fate fate = judge(orphans, pid, leader);
    if (fate == FATE_LEFTOVER)
        doom(orphans, pid, leader);
    return fate == FATE_LEFTOVER || (fate == FATE_UNDECIDED && early);
}

/* What ends between the listing and its turn has just left us its children: then list again. */
int orphans_sweep(struct orphans *orphans, pid_t leader, bool early, pid_t *ret_one) {
    int found;
    bool again;
    do {
        found = 0;
        again = false;
        list_adopted(orphans, leader);
        for (size_t i = 0; i < orphans->n_adopted; i++) {
            pid_t pid = orphans->adopted[i];
            if (reap_if_ended(orphans, pid)) {
                again = true;
            } else if (sweep_one(orphans, pid, leader, early)) {
                *ret_one = pid;
                found++;
            }
        }
    } while (again && found == 0); /* the caller comes again for what was found */
    return found;
}

/* ---- after our own death ---- */

struct leftovers {
    const char *ledger_id;
    const struct orphans_lost *lost;
    size_t n_lost;
    pid_t self;
    int alive;      /* seen in this round */
    bool undecided; /* in this round one was seen that may be in the middle of exec */
    int ended;
};

/* Kernel threads have no environment ever, and no session; a zombie has none any more. */
static bool may_be_in_exec(pid_t pid) {
    struct proc_read_stat stat;
    return proc_read_stat(PROC_READ_ROOT, pid, &stat) == 0 && stat.session != 0 &&
           stat.state != 'Z';
}

static bool has_ledgers_token(struct leftovers *leftovers, pid_t pid) {
    char token[ORPHANS_TOKEN_BYTES];
    size_t length = strlen(leftovers->ledger_id);
    int r =
        proc_read_environment(PROC_READ_ROOT, pid, PROTOCOL_TOKEN_VARIABLE, token, sizeof(token));
    if (r == -ENODATA && may_be_in_exec(pid))
        leftovers->undecided = true;
    return r == 0 && strncmp(token, leftovers->ledger_id, length) == 0 && token[length] == ':';
}

/* A session's number is not given anew while a member lives. So a member that started while the
 * supervisor still held the leader unreaped is ours for certain. */
static bool in_lost_session(const struct leftovers *leftovers, pid_t pid) {
    struct proc_read_stat stat;
    if (leftovers->n_lost == 0 || proc_read_stat(PROC_READ_ROOT, pid, &stat) < 0 ||
        stat.state == 'Z')
        return false;
    for (size_t i = 0; i < leftovers->n_lost; i++)
        if (stat.session == leftovers->lost[i].session &&
            stat.start_ticks >= leftovers->lost[i].start_ticks &&
            stat.start_ticks <= leftovers->lost[i].last_ticks)
            return true;
    return false;
}

static int end_leftover(void *context, pid_t pid) {
    struct leftovers *leftovers = context;
    if (pid == leftovers->self ||
        (!has_ledgers_token(leftovers, pid) && !in_lost_session(leftovers, pid)))
        return 0;
    CLEANUP_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return 0;
    /* Asked again: the number may have changed hands before the pidfd held it. */
    if (!has_ledgers_token(leftovers, pid) && !in_lost_session(leftovers, pid))
        return 0;
    leftovers->alive++;
    if (spawn_signal(pidfd, SIGKILL) < 0)
        return 0;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    if (poll(&ended, 1, 100) == 1)
        leftovers->ended++;
    return 0;
}

int orphans_end_leftovers(const char *ledger_id, const struct orphans_lost *lost, size_t n_lost,
                          int64_t limit_ms) {
    struct leftovers leftovers = {
        .ledger_id = ledger_id, .lost = lost, .n_lost = n_lost, .self = getpid()};
    const int64_t until = clock_monotonic_ms() + limit_ms;
    int64_t now, patience = 0;
    do { /* rounds, because what we kill may have started more in the meantime */
        leftovers.alive = 0;
        leftovers.undecided = false;
        if (proc_read_all(PROC_READ_ROOT, end_leftover, &leftovers) < 0)
            break; /* no /proc: nothing can be found */
        if (leftovers.alive > 0 || leftovers.undecided)
            (void)poll(NULL, 0, ORPHANS_PAUSE_MS);
        now = clock_monotonic_ms();
        if (leftovers.alive > 0 || patience == 0)
            patience = now + ORPHANS_EXEC_MS;
    } while (now < until && (leftovers.alive > 0 || (leftovers.undecided && now < patience)));
    return leftovers.ended;
}
