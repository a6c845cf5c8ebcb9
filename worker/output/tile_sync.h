/* A thread that makes written tiles durable while others render: sync the outputs, then enter their
 * tiles in the journal, again and again. So there is never much to lose, nor much left to sync at
 * the end, and dirty pages do not pile up.
 */
#ifndef WORKER_OUTPUT_TILE_SYNC_H
#define WORKER_OUTPUT_TILE_SYNC_H

#include "worker/output/tile_journal.h"
#include "worker/tiff/tiff_writer.h"

struct tile_sync;

/* Borrows all until tile_sync_close. */
MUST_USE int tile_sync_open(struct tiff_writer *const *writers, size_t n_writers,
                            struct tile_journal *journal, struct tile_sync **ret,
                            struct failure *failure);
/* The tile stands in all outputs. Waits when too many are not yet durable. Passes on the thread's
 * error, after which nothing more gets into the journal. Safe from several threads. */
MUST_USE int tile_sync_put(struct tile_sync *sync, const struct tile_journal_entry *entry,
                           struct failure *failure);
/* Makes all that were put durable, ends the thread and frees. NULL is fine: 0. */
MUST_USE int tile_sync_close(struct tile_sync *sync, struct failure *failure);

#endif
