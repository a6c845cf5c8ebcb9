/* See page_read.h. */
#include "supervisor/page/page_read.h"

#include "supervisor/ledger/ledger_replay.h"

#include <string.h>

int page_read_run(void *context, ledger_store_replay_cb replay, void *replay_context,
                  struct failure *failure) {
    return ledger_store_read(context, replay, replay_context, failure);
}

/* What the ledger's reader hands to both of its callbacks. */
struct reading {
    const struct page_read_batch *source;
    ledger_store_replay_cb replay;
    void *context;
};

/* A hasty look: the page looks again. */
static bool wants(void *context, const char *line, size_t length) {
    static const char of_batches[] = "\"event\":\"batch\"";
    const struct reading *reading = context;
    const char *batch = reading->source->batch;
    return memmem(line, length, batch, strlen(batch)) ||
           memmem(line, length, of_batches, sizeof(of_batches) - 1);
}

static int pass_on(void *context, const json_t *record, struct failure *failure) {
    const struct reading *reading = context;
    return reading->replay(reading->context, record, failure);
}

int page_read_service(void *context, ledger_store_replay_cb replay, void *replay_context,
                      struct failure *failure) {
    const struct page_read_batch *source = context;
    struct reading reading = {.source = source, .replay = replay, .context = replay_context};
    struct ledger_replay ended;
    return ledger_replay_file(source->fd, source->path, wants, pass_on, &reading, &ended, failure);
}
