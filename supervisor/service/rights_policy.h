/* Who may do what in the service. Pure.
 *
 * Everybody sees the queue: ids, verdicts, sizes. Own batches may be cancelled, paused, resumed,
 * retried and given a lower priority, and their logs and explanations read; others' only by
 * administrators: root, the members of the configured group, and in a user's own service that user.
 * A priority above 0, the whole queue (pause, resume, drain) are the administrators' alone.
 */
#ifndef SUPERVISOR_SERVICE_RIGHTS_POLICY_H
#define SUPERVISOR_SERVICE_RIGHTS_POLICY_H

#include "common/failure.h"

#include <stdbool.h>
#include <sys/types.h>

/* Who asks: the kernel's word (SO_PEERCRED), and what the passwd and group databases say of it. */
struct rights_caller {
    uid_t uid;
    gid_t gid;
    const char *user; /* borrowed; "uid 1234" where the database knows none */
    bool is_admin;
};

enum rights_action {
    RIGHTS_SEE,
    RIGHTS_SUBMIT,
    RIGHTS_CANCEL,
    RIGHTS_PAUSE, /* and resume */
    RIGHTS_RETRY,
    RIGHTS_LOWER, /* a priority of 0 or less */
    RIGHTS_RAISE, /* above 0 */
    RIGHTS_READ_LOG,
    RIGHTS_EXPLAIN,
    RIGHTS_WHOLE_QUEUE, /* pause, resume, drain all of it; owner does not count */
    RIGHTS_ACTION_COUNT
};

bool rights_policy_allows(enum rights_action action, const struct rights_caller *caller,
                          uid_t owner);
/* The same with a sentence for who is refused: -EPERM. what: "batch NIGHT"; owner_name: its user.
 */
MUST_USE int rights_policy_check(enum rights_action action, const struct rights_caller *caller,
                                 uid_t owner, const char *owner_name, const char *what,
                                 struct failure *failure);

#endif
