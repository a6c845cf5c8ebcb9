/* See as_user.h. The order matters: groups while we may still change them; and the uid last on the
 * way in and first on the way out, as changing it takes and gives back the capabilities over files.
 */
#include "supervisor/service/as_user.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>

static const uid_t ASK_UID = (uid_t)-1; /* an id that none can have: asks, changes nothing */
static const gid_t ASK_GID = (gid_t)-1;

static uid_t set_uid(uid_t uid) {
    (void)syscall(SYS_setfsuid, uid); /* answers the old one, whether it worked or not */
    return (uid_t)syscall(SYS_setfsuid, ASK_UID);
}

static gid_t set_gid(gid_t gid) {
    (void)syscall(SYS_setfsgid, gid);
    return (gid_t)syscall(SYS_setfsgid, ASK_GID);
}

/* Effective as far as permitted, or not: with it, links in /proc lead us where the user may not go,
 * for there the kernel looks at CAP_SYS_PTRACE. Of this thread. False: it cannot be changed. */
static bool set_ptrace(bool wanted) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    const __u32 mask = (__u32)CAP_TO_MASK(CAP_SYS_PTRACE);
    struct __user_cap_data_struct *set = &sets[CAP_TO_INDEX(CAP_SYS_PTRACE)];
    if (syscall(SYS_capget, &header, sets) < 0)
        return false;
    set->effective = (set->effective & ~mask) | (wanted ? set->permitted & mask : 0);
    return syscall(SYS_capset, &header, sets) == 0;
}

static int read_our_groups(struct as_user *as_user) {
    const long n = syscall(SYS_getgroups, 0, NULL);
    as_user->groups = n > 0 ? calloc((size_t)n, sizeof(*as_user->groups)) : NULL;
    if (n > 0 && !as_user->groups)
        return -ENOMEM;
    if (n < 0 || syscall(SYS_getgroups, n, as_user->groups) != n)
        return -errno;
    as_user->n_groups = (size_t)n;
    return 0;
}

int as_user_enter(const struct credentials *credentials, struct as_user *as_user,
                  struct failure *failure) {
    *as_user = AS_USER_NOBODY;
    if (!credentials)
        return 0;
    int r = read_our_groups(as_user);
    if (r == 0 && syscall(SYS_setgroups, credentials->n_groups, credentials->groups) < 0)
        r = -errno;
    if (r < 0) {
        free(STEAL_PTR(as_user->groups));
        return failure_set_errno(failure, r, "cannot take the rights of %s", credentials->name);
    }
    as_user->is_other = true;
    as_user->uid = (uid_t)syscall(SYS_setfsuid, ASK_UID);
    as_user->gid = (gid_t)syscall(SYS_setfsgid, ASK_GID);
    if (set_ptrace(false) && set_gid(credentials->gid) == credentials->gid &&
        set_uid(credentials->uid) == credentials->uid)
        return 0;
    as_user_leave(as_user);
    return failure_set_errno(failure, -EPERM, "cannot take the rights of %s", credentials->name);
}

void as_user_leave(struct as_user *as_user) {
    if (!as_user->is_other)
        return;
    if (set_uid(as_user->uid) != as_user->uid || !set_ptrace(true) ||
        set_gid(as_user->gid) != as_user->gid ||
        syscall(SYS_setgroups, as_user->n_groups, as_user->groups) < 0)
        abort();
    free(as_user->groups);
    *as_user = AS_USER_NOBODY;
}
