/* What the service says while nobody watches: sentences on stderr, or, where stderr is systemd's
 * journal, records with fields that can be asked for (registrar-daemon(8)):
 *
 *     journalctl -u registrar TASK=CD070/DAPI
 *     journalctl -u registrar VERDICT=failed BATCH=night
 *     journalctl MESSAGE_ID=7266...       every end of a task
 *
 * Source: sd_journal_sendv(3), systemd.journal-fields(7), "$JOURNAL_STREAM" in systemd.exec(5).
 */
#ifndef SUPERVISOR_SERVICE_JOURNAL_H
#define SUPERVISOR_SERVICE_JOURNAL_H

#include "supervisor/engine/verdict.h"

#include <stddef.h>
#include <syslog.h>

/* All zero before journal_open. */
struct journal {
    bool is_native;
    int64_t second; /* the one that is counted */
    int n_ok;       /* tasks that were ok and told in it */
};

/* A task or a batch that came to its end. All borrowed. */
struct journal_task {
    const char *id, *batch, *user;
    enum verdict verdict;
    int attempts;
    int64_t wall_ms;
    uint64_t peak_rss_bytes;
    const char *reason; /* NULL or "": nothing to say */
};
struct journal_batch {
    const char *name, *user;
    size_t n_ok, n_doubtful, n_failed, n_cancelled; /* n_failed: every other verdict */
};

void journal_open(struct journal *journal);

/* priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO. */
__attribute__((format(printf, 3, 4))) void journal_say(const struct journal *journal, int priority,
                                                       const char *format, ...);
/* Every end but ok is told. Of those that are ok at most a hundred a second: the journal drops what
 * floods it, and then the others too; the ledger has them all, and the batch's end their number. */
void journal_task(struct journal *journal, const struct journal_task *task);
void journal_batch(const struct journal *journal, const struct journal_batch *batch);

#endif
