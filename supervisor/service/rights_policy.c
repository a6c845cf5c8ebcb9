/* See rights_policy.h: one table, who may do each thing. */
#include "supervisor/service/rights_policy.h"

enum who { EVERYBODY, OWNER, ADMINS };

static const struct {
    enum who who; /* and all that come after it in the list above */
    const char *to_do;
} rules[RIGHTS_ACTION_COUNT] = {
    [RIGHTS_SEE] = {EVERYBODY, "see"},
    [RIGHTS_SUBMIT] = {EVERYBODY, "submit"},
    [RIGHTS_CANCEL] = {OWNER, "cancel"},
    [RIGHTS_PAUSE] = {OWNER, "pause or resume"},
    [RIGHTS_RETRY] = {OWNER, "retry"},
    [RIGHTS_LOWER] = {OWNER, "change the priority of"},
    [RIGHTS_RAISE] = {ADMINS, "raise the priority above 0 of"},
    [RIGHTS_READ_LOG] = {OWNER, "read the logs of"},
    [RIGHTS_EXPLAIN] = {OWNER, "have explained"},
    [RIGHTS_WHOLE_QUEUE] = {ADMINS, "pause, resume or drain"},
};

bool rights_policy_allows(enum rights_action action, const struct rights_caller *caller,
                          uid_t owner) {
    if (caller->uid == 0 || caller->is_admin)
        return true;
    const enum who who = rules[action].who;
    return who == EVERYBODY || (who == OWNER && caller->uid == owner);
}

int rights_policy_check(enum rights_action action, const struct rights_caller *caller, uid_t owner,
                        const char *owner_name, const char *what, struct failure *failure) {
    if (rights_policy_allows(action, caller, owner))
        return 0;
    if (rules[action].who == ADMINS)
        return failure_set(failure, -EPERM,
                           "%s may not %s %s: only administrators may (root and the members of the "
                           "admin group in registrar.conf)",
                           caller->user, rules[action].to_do, what);
    return failure_set(failure, -EPERM,
                       "%s may not %s %s: it belongs to %s; only %s and administrators may",
                       caller->user, rules[action].to_do, what, owner_name, owner_name);
}
