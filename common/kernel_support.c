/* See kernel_support.h. Each question is one system call that changes nothing. */
#include "common/kernel_support.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset /* headers before Linux 5.13; the same on all machines */
#define SYS_landlock_create_ruleset 444
#endif

enum { LANDLOCK_ASK_VERSION = 1 }; /* LANDLOCK_CREATE_RULESET_VERSION */

int kernel_support_landlock(void) {
    const long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);
    return version > 0 ? (int)version : 0;
}

bool kernel_support_seccomp(void) {
    /* a filter at no address: one that knows filters says so */
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0) < 0 && errno == EFAULT;
}

const char *kernel_support_missing(void) {
    const bool has_landlock = kernel_support_landlock() > 0;
    const bool has_seccomp = kernel_support_seccomp();
    if (!has_landlock && !has_seccomp)
        return "this kernel offers neither Landlock nor seccomp: workers run without a sandbox";
    if (!has_landlock)
        return "this kernel offers no Landlock (Linux 5.13 or later, with lsm=landlock): workers "
               "are kept from network and programs, but can reach all of your files";
    if (!has_seccomp)
        return "this kernel offers no seccomp filters: workers are kept to their files, but not "
               "from other system calls";
    return NULL;
}
