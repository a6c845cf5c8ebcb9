/* See become_user.h. Raw system calls: libc's setuid and its like tell every thread it knows of,
 * and the child of a process with threads has inherited the list but not the threads.
 */
#include "supervisor/process/become_user.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The kernel drops them with uid 0, unless an inherited security bit keeps them; the inheritable
 * ones stay in any case. */
static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int take_ids(const struct credentials *credentials) {
    const uid_t uid = credentials->uid;
    const gid_t gid = credentials->gid;
    uid_t uids[3];
    gid_t gids[3];
    if (syscall(SYS_setgroups, credentials->n_groups, credentials->groups) < 0 ||
        syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0 ||
        syscall(SYS_getresuid, &uids[0], &uids[1], &uids[2]) < 0 ||
        syscall(SYS_getresgid, &gids[0], &gids[1], &gids[2]) < 0)
        return -errno;
    for (int i = 0; i < 3; i++)
        if (uids[i] != uid || gids[i] != gid)
            return -EPERM;
    return 0;
}

int become_user(const struct credentials *credentials) {
    int r = take_ids(credentials);
    if (r == 0 && credentials->uid != 0)
        r = drop_capabilities();
    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* Ours would come along, and what is in it. A kernel without keys has nothing to give away. */
    (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    (void)umask(credentials->umask);
    return 0;
}
