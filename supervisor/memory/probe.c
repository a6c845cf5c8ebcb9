/* See probe.h. A list begins as one round, one worker. While a header keeps its worker waiting, the
 * files behind it go to a round of their own, so that files which hang, as all of a dead network
 * drive do, hang side by side. When too many do, the rest is not looked at. */
#include "supervisor/memory/probe.h"

#include "common/clock.h"
#include "common/names.h"
#include "supervisor/memory/probe_round.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MAX_LANES = 8,
    SLOW_MS = 300,             /* a header takes about 1 ms */
    MOST_LATE = 3 * MAX_LANES, /* as many files that hang are enough */
};

/* A part of the list, and the round that is at it. */
struct lane {
    struct probe_round round;
    size_t end;          /* of its part, in the whole list */
    int64_t answered_ms; /* when the round last settled a file, or began */
    bool runs;
};

struct lanes {
    struct lane lanes[MAX_LANES];
    const char *const *paths; /* the whole list */
    size_t n_late;
};

static size_t next_file(const struct lanes *lanes, const struct lane *lane) {
    return (size_t)(lane->round.paths - lanes->paths) + lane->round.n_done;
}

/* Not looked at: told per file, as each of them may be another task's. */
static int give_up(struct lanes *lanes, struct lane *lane, struct failure *failure) {
    for (size_t i = lane->round.n_done; i < lane->round.count; i++) {
        lane->round.results[i].error =
            names_format("%s was not looked at: %d files before it hang; is its drive still there?",
                         lane->round.paths[i], (int)lanes->n_late);
        if (!lane->round.results[i].error)
            return failure_set(failure, -ENOMEM, "out of memory");
    }
    return 0;
}

/* A round for what is left of the lane's part, if anything is. */
static int begin_round(struct lanes *lanes, struct lane *lane, struct failure *failure) {
    const struct probe_round *before = &lane->round;
    const size_t from = next_file(lanes, lane);
    const struct probe_round round = {
        .mode = before->mode,
        .worker = before->worker,
        .paths = before->paths + before->n_done,
        .count = lane->end - from,
        .results = before->results + before->n_done,
        .timeout_ms = before->timeout_ms,
    };
    lane->round = round;
    if (round.count == 0)
        return 0;
    if (lanes->n_late >= MOST_LATE)
        return give_up(lanes, lane, failure);
    int r = probe_round_start(&lane->round, failure);
    lane->runs = r == 0;
    lane->answered_ms = clock_monotonic_ms();
    return r;
}

static int end_round(struct lanes *lanes, struct lane *lane, struct failure *failure) {
    lanes->n_late += lane->round.late;
    lane->runs = false;
    int r = probe_round_end(&lane->round, failure);
    return r < 0 ? r : begin_round(lanes, lane, failure);
}

static struct lane *idle_lane(struct lanes *lanes) {
    for (size_t i = 0; i < MAX_LANES; i++)
        if (!lanes->lanes[i].runs)
            return &lanes->lanes[i];
    return NULL;
}

/* The lane that can take what is behind the file that this one waits for, or NULL. */
static struct lane *heir(struct lanes *lanes, const struct lane *lane) {
    const bool has_more = lane->round.mode == PROBE_ROUND_HEADERS && lane->round.begun &&
                          next_file(lanes, lane) + 1 < lane->end;
    return has_more && lanes->n_late < MOST_LATE ? idle_lane(lanes) : NULL;
}

static int hand_over(struct lanes *lanes, struct lane *slow, struct lane *to,
                     struct failure *failure) {
    *to = (struct lane){.round = slow->round, .end = slow->end};
    to->round.n_done++;
    slow->end = next_file(lanes, slow) + 1;
    slow->round.count = slow->round.n_done + 1;
    return begin_round(lanes, to, failure);
}

/* What time alone brings about. Lowers *next_ms to when it must be looked at again. */
static int mind_time(struct lanes *lanes, struct lane *lane, int64_t *next_ms,
                     struct failure *failure) {
    const int64_t waited = clock_monotonic_ms() - lane->answered_ms;
    struct lane *to = heir(lanes, lane);
    int64_t left = lane->round.timeout_ms - waited;
    int r = 0;
    if (left <= 0) {
        lane->round.late = true;
        r = end_round(lanes, lane, failure);
    } else if (to && waited >= SLOW_MS) {
        r = hand_over(lanes, lane, to, failure);
        left = 0; /* the other lane is to be looked at too */
    } else if (to && left > SLOW_MS - waited) {
        left = SLOW_MS - waited;
    }
    if (left < *next_ms)
        *next_ms = left > 0 ? left : 0;
    return r;
}

static int hear(struct lanes *lanes, struct lane *lane, struct failure *failure) {
    const size_t before = lane->round.n_done;
    const bool goes_on = probe_round_read(&lane->round);
    /* progress is an answered file: a flood of anything else does not move the deadline */
    if (lane->round.n_done > before)
        lane->answered_ms = clock_monotonic_ms();
    return goes_on ? 0 : end_round(lanes, lane, failure);
}

/* Looks at the clock, waits for what comes first, and hears it. */
static int step(struct lanes *lanes, bool *ret_over, struct failure *failure) {
    struct pollfd fds[MAX_LANES];
    int64_t next_ms = INT_MAX;
    nfds_t running = 0;
    for (size_t i = 0; i < MAX_LANES; i++) {
        int r = lanes->lanes[i].runs ? mind_time(lanes, &lanes->lanes[i], &next_ms, failure) : 0;
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < MAX_LANES; i++) {
        const bool runs = lanes->lanes[i].runs;
        fds[i] =
            (struct pollfd){.fd = runs ? lanes->lanes[i].round.report_fd : -1, .events = POLLIN};
        running += runs;
    }
    *ret_over = running == 0;
    if (running == 0)
        return 0;
    if (poll(fds, MAX_LANES, (int)next_ms) < 0)
        return errno == EINTR ? 0 : failure_set_errno(failure, -errno, "cannot wait for a worker");
    for (size_t i = 0; i < MAX_LANES; i++) {
        int r = fds[i].fd >= 0 && fds[i].revents ? hear(lanes, &lanes->lanes[i], failure) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static void stop(struct lanes *lanes) {
    struct failure unused;
    for (size_t i = 0; i < MAX_LANES; i++) {
        if (!lanes->lanes[i].runs)
            continue;
        lanes->lanes[i].round.late = true;
        (void)!probe_round_end(&lanes->lanes[i].round, &unused); /* another failure is told */
    }
}

static int probe(enum probe_round_mode mode, const char *worker, const char *const *paths,
                 size_t count, int64_t timeout_ms, struct probe_result *results,
                 struct failure *failure) {
    memset(results, 0, count * sizeof(*results));
    struct lanes lanes = {.paths = paths};
    lanes.lanes[0] = (struct lane){.round = {.mode = mode,
                                             .worker = worker,
                                             .paths = paths,
                                             .results = results,
                                             .timeout_ms = timeout_ms},
                                   .end = count};
    bool over = false;
    int r = begin_round(&lanes, &lanes.lanes[0], failure);
    while (r == 0 && !over)
        r = step(&lanes, &over, failure);
    if (r < 0) {
        stop(&lanes);
        probe_results_free(results, count);
    }
    return r;
}

int probe_headers(const char *worker, const char *const *paths, size_t count, int64_t timeout_ms,
                  struct probe_result *results, struct failure *failure) {
    return probe(PROBE_ROUND_HEADERS, worker, paths, count, timeout_ms, results, failure);
}

int probe_hashes(const char *worker, const char *const *paths, size_t count, int64_t timeout_ms,
                 struct probe_result *results, struct failure *failure) {
    return probe(PROBE_ROUND_HASHES, worker, paths, count, timeout_ms, results, failure);
}

void probe_results_free(struct probe_result *results, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(results[i].error);
        results[i].error = NULL;
    }
}

/* ---- finding it ---- */

/* The first executable registrar-worker of PATH, or NULL. Caller owns. */
static char *find_in_path(void) {
    const char *path = getenv("PATH");
    while (path && *path) {
        const size_t length = strcspn(path, ":");
        CLEANUP_FREE char *candidate = names_format("%.*s/registrar-worker", (int)length, path);
        if (length > 0 && candidate && access(candidate, X_OK) == 0)
            return STEAL_PTR(candidate);
        path += length + (path[length] == ':');
    }
    return NULL;
}

int probe_find_worker(char **ret_path, struct failure *failure) {
    const char *given = getenv("REGISTRAR_WORKER");
    if (given && *given) {
        struct stat status;
        const bool is_folder = stat(given, &status) == 0 && S_ISDIR(status.st_mode);
        if (is_folder || access(given, X_OK) < 0)
            return failure_set_errno(failure, is_folder ? -EISDIR : -errno,
                                     "REGISTRAR_WORKER names %s, which cannot be run; unset it, or "
                                     "name a registrar-worker",
                                     given);
        *ret_path = strdup(given);
        return *ret_path ? 0 : failure_set(failure, -ENOMEM, "out of memory");
    }
    char self[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    CLEANUP_FREE char *beside = names_format("%s/registrar-worker", self);
    if (beside && access(beside, X_OK) == 0)
        *ret_path = STEAL_PTR(beside);
    else
        *ret_path = find_in_path();
    return *ret_path ? 0
                     : failure_set(failure, -ENOENT,
                                   "there is no registrar-worker in %s or in PATH; install it "
                                   "beside registrar, or set REGISTRAR_WORKER",
                                   self);
}
