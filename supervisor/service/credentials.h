/* Whom the service works for: a user's ids, groups and clean environment.
 *
 * All that needs the user database (getpwuid_r, getgrouplist: they may read files, ask a server,
 * allocate) is looked up here, before any fork; a child then only needs system calls. NULL stands
 * for ourselves everywhere: no change of rights, our own environment.
 */
#ifndef SUPERVISOR_SERVICE_CREDENTIALS_H
#define SUPERVISOR_SERVICE_CREDENTIALS_H

#include "common/failure.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CREDENTIALS_UMASK = 022 };

struct credentials {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* owns; the primary one is among them */
    size_t n_groups;
    mode_t umask;              /* of the user's processes; the lookup gives CREDENTIALS_UMASK */
    char *name, *home, *shell; /* owns */
    char **environment;        /* owns; HOME, USER, LOGNAME, SHELL, PATH, LANG; NULL-terminated */
    unsigned references;       /* see credentials_ref */
};

/* Of a user as the system knows him now. Without privilege we can only be ourselves: *ret is NULL
 * for our own uid, others are refused with -EPERM. -ENOENT: nobody has that uid. The caller owns
 * one reference. May block: a user database can be a server. */
MUST_USE int credentials_lookup(uid_t uid, struct credentials **ret, struct failure *failure);

/* What was looked up in the last minute: a user database that is slow holds nobody up each time.
 * Zeroed it is empty. */
enum { CREDENTIALS_REMEMBERED = 32, CREDENTIALS_AGE_MS = 60 * 1000 };
struct credentials_memory {
    struct {
        struct credentials *credentials; /* a reference; NULL: free */
        int64_t read_ms;
    } entries[CREDENTIALS_REMEMBERED];
    size_t next; /* to be overwritten */
};
/* As credentials_lookup. now_ms: of the monotonic clock. */
MUST_USE int credentials_remember(struct credentials_memory *memory, uid_t uid, int64_t now_ms,
                                  struct credentials **ret, struct failure *failure);
void credentials_forget(struct credentials_memory *memory); /* all of it */

/* One more holder of what credentials_lookup gave, and one less. From one thread only. NULL is
 * fine.
 */
const struct credentials *credentials_ref(const struct credentials *credentials);
void credentials_unref(const struct credentials *credentials);

#endif
