/* The ledger made smaller under the queue: what points into it follows. */
#include "supervisor/service/queue_state.h"

static void renumber(struct queue_batch *batch, const struct ledger_compact *compact) {
    batch->seq = ledger_compact_renumbered(compact, batch->seq);
    for (uint32_t i = 0; i < batch->n_tasks; i++)
        batch->tasks[i].seq =
            ledger_compact_renumbered(compact, batch->tasks[i].seq) & ((UINT64_C(1) << 40) - 1);
}

/* A ledger_compacting_done_cb. */
static void on_compacted(void *context, int r, const struct ledger_compact *compact,
                         const struct failure *failure) {
    struct queue *queue = context;
    const struct ledger_compact_result result = ledger_compact_result(compact);
    queue->compacting = NULL;
    for (size_t i = 0; result.is_done && i < queue->count; i++)
        renumber(queue->batches[i], compact);
    queue->compacted(queue->compacted_context, r, &result, failure);
}

int queue_compact(struct queue *queue, uv_loop_t *loop, double least_gain,
                  queue_compacted_cb compacted, void *context, struct failure *failure) {
    if (queue->compacting)
        return 0;
    queue->compacted = compacted;
    queue->compacted_context = context;
    return ledger_compacting_begin(loop, queue->store, queue->commit, least_gain, on_compacted,
                                   queue, &queue->compacting, failure);
}

bool queue_is_compacting(const struct queue *queue) { return queue->compacting; }

void queue_stop_compacting(struct queue *queue) { ledger_compacting_close(queue->compacting); }
