/* Who is next, who is held back, and the sentence for it. */
#include "supervisor/service/queue_state.h"

#include <stdlib.h>
#include <string.h>

/* ---- held ---- */

/* The sooner of two moments; 0 is never. */
static int64_t sooner(int64_t a, int64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

static struct queue_hold hold_of(const struct queue *queue, const struct queue_batch *batch,
                                 struct window_now quiet, int64_t now) {
    struct queue_hold hold = {.memory_share = quiet.is_quiet ? quiet.share : 1,
                              .until_ms = quiet.until_ms};
    hold.is_held = queue->is_drained || queue->paused_by || batch->is_paused || batch->damage ||
                   (quiet.is_quiet && !(quiet.share > 0));
    if (batch->not_before_ms > now) {
        hold.is_held = true;
        hold.until_ms = sooner(hold.until_ms, batch->not_before_ms);
    }
    if (batch->obstacle_ms > now) {
        hold.is_held = true;
        hold.until_ms = sooner(hold.until_ms, batch->obstacle_ms);
    }
    return hold;
}

struct queue_hold queue_hold(const struct queue *queue, const struct queue_batch *batch,
                             int64_t now) {
    return hold_of(queue, batch, window_look(queue->quiet, now), now);
}

/* ---- order ---- */

struct ranked {
    struct fair_share_rank rank;
    struct queue_batch *batch;
};

static int compare_ranked(const void *a, const void *b) {
    return fair_share_compare(&((const struct ranked *)a)->rank, &((const struct ranked *)b)->rank);
}

static double used_by(const struct queue *queue, uid_t uid, int64_t now) {
    for (size_t i = 0; i < queue->n_users; i++)
        if (queue->users[i].uid == uid)
            return fair_share_at(&queue->users[i].share, now, queue->half_life_ms);
    return 0;
}

/* Of each user the first batch in the line, which stands in order of submission. Users are few. */
static void fill_user_orders(struct ranked *line, size_t count) {
    size_t n_firsts = 0;
    CLEANUP_FREE size_t *firsts = calloc(count + 1, sizeof(*firsts));
    for (size_t i = 0; firsts && i < count; i++) {
        size_t k = 0;
        while (k < n_firsts && line[firsts[k]].rank.user != line[i].rank.user)
            k++;
        if (k == n_firsts)
            firsts[n_firsts++] = i;
        line[i].rank.user_order = line[firsts[k]].rank.order;
    }
}

/* All that could start now, next first. Caller owns *ret. */
static size_t make_line(const struct queue *queue, int64_t now, struct ranked **ret) {
    struct ranked *line = calloc(queue->count + 1, sizeof(*line));
    const struct window_now quiet = window_look(queue->quiet, now);
    size_t n = 0;
    for (size_t i = 0; line && i < queue->count; i++) {
        struct queue_batch *batch = queue->batches[i];
        const uint32_t *n_state = batch->n_state; /* what is taken waits in the engine */
        if (n_state[QUEUE_WAITING] + n_state[QUEUE_TAKEN] == 0 ||
            hold_of(queue, batch, quiet, now).is_held)
            continue;
        const struct fair_share_rank rank = {
            .used = used_by(queue, batch->uid, now),
            .user = batch->uid,
            .priority = batch->priority,
            .order = batch->order,
        };
        line[n++] = (struct ranked){rank, batch};
    }
    fill_user_orders(line, n);
    if (n > 1)
        qsort(line, n, sizeof(*line), compare_ranked);
    *ret = line;
    return n;
}

size_t queue_order(const struct queue *queue, int64_t now, struct queue_batch **ret, size_t most) {
    CLEANUP_FREE struct ranked *line = NULL;
    const size_t n = make_line(queue, now, &line);
    for (size_t i = 0; i < n && i < most; i++)
        ret[i] = line[i].batch;
    return n < most ? n : most;
}

/* ---- why ---- */

static const char *why_later(const struct queue *queue, const struct queue_batch *batch,
                             int64_t now, char *text) {
    const struct window_now quiet = window_look(queue->quiet, now);
    char when[WINDOW_TEXT_BYTES];
    if (batch->not_before_ms > now)
        (void)snprintf(text, QUEUE_WHY_BYTES, "not before %s",
                       window_format(batch->not_before_ms, now, when));
    else if (quiet.is_quiet && !(quiet.share > 0) && quiet.until_ms == 0)
        (void)snprintf(text, QUEUE_WHY_BYTES, "quiet hours, without an end");
    else if (quiet.is_quiet && !(quiet.share > 0))
        (void)snprintf(text, QUEUE_WHY_BYTES, "quiet hours until %s",
                       window_format(quiet.until_ms, now, when));
    return text;
}

static const char *why_behind(const struct queue *queue, const struct queue_batch *batch,
                              int64_t now, char *text) {
    CLEANUP_FREE struct ranked *line = NULL;
    const size_t n = make_line(queue, now, &line);
    uint64_t ahead = 0;
    size_t i = 0;
    for (; i < n && line[i].batch != batch; i++)
        ahead += line[i].batch->n_state[QUEUE_WAITING];
    if (ahead == 0 || i == n)
        return text;
    const struct queue_batch *first = line[0].batch;
    const bool is_own = first->uid == batch->uid;
    (void)snprintf(text, QUEUE_WHY_BYTES, "behind %llu task%s, first %s of %s%s",
                   (unsigned long long)ahead, ahead == 1 ? "" : "s", first->name, first->user,
                   is_own                              ? ""
                   : first->priority > batch->priority ? ""
                                                       : ", who has used less of the machine");
    return text;
}

const char *queue_why(const struct queue *queue, const struct queue_batch *batch, int64_t now,
                      char text[QUEUE_WHY_BYTES]) {
    text[0] = '\0';
    if (batch->damage)
        (void)snprintf(text, QUEUE_WHY_BYTES, "its batch file is damaged: submit it again");
    else if (batch->is_paused)
        (void)snprintf(text, QUEUE_WHY_BYTES, "paused by %s; registrar resume %s lets it go on",
                       batch->paused_by ? batch->paused_by : "somebody", batch->name);
    else if (queue->paused_by)
        (void)snprintf(text, QUEUE_WHY_BYTES, "the whole queue is paused by %s", queue->paused_by);
    else if (queue->is_drained)
        (void)snprintf(text, QUEUE_WHY_BYTES, "the queue is being drained: nothing new starts");
    else if (batch->obstacle_ms > now)
        (void)snprintf(text, QUEUE_WHY_BYTES, "%s", batch->obstacle ? batch->obstacle : "");
    else if (*why_later(queue, batch, now, text) == '\0')
        return why_behind(queue, batch, now, text);
    return text;
}
