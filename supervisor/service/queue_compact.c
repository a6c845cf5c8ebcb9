/* The ledger made smaller under the queue: what points into it follows. */
#include "supervisor/service/queue_state.h"

#include "supervisor/ledger/ledger_keep.h"

static bool is_busy(const struct queue *queue) {
    for (size_t i = 0; i < queue->count; i++)
        if (queue->batches[i]->n_state[QUEUE_TAKEN] + queue->batches[i]->n_state[QUEUE_RUNNING] > 0)
            return true;
    return !ledger_commit_idle(queue->commit);
}

static void renumber(struct queue_batch *batch, const struct ledger_keep *keep) {
    batch->seq = ledger_keep_renumbered(keep, batch->seq);
    for (uint32_t i = 0; i < batch->n_tasks; i++)
        batch->tasks[i].seq =
            ledger_keep_renumbered(keep, batch->tasks[i].seq) & ((UINT64_C(1) << 40) - 1);
}

int queue_compact(struct queue *queue, double least_gain, struct ledger_compact_result *ret,
                  struct failure *failure) {
    struct ledger_keep *keep = NULL;
    *ret = (struct ledger_compact_result){0};
    if (is_busy(queue))
        return 0;
    int r = ledger_store_compact(queue->store, least_gain, &keep, ret, failure);
    if (keep) { /* though it may be broken since: then nothing is looked up any more */
        ledger_commit_renumbered(queue->commit);
        for (size_t i = 0; i < queue->count; i++)
            renumber(queue->batches[i], keep);
    }
    ledger_keep_close(keep);
    return r;
}
