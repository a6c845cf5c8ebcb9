/* See verdict_blocked.h. The worker's word alone says nothing: it counts only when the kernel ended
 * it with SIGSYS. Which calls are denied the worker decides (worker/sandbox/call_filter.c); one
 * that stands in no line here is told by its name.
 */
#include "supervisor/engine/verdict_blocked.h"

#include "common/protocol.h"

#include <string.h>

struct meaning {
    const char *meaning;
    const char *calls; /* each between spaces */
};

static const struct meaning meanings[] = {
    {"reach the network",
     " socket socketpair connect bind listen accept accept4 sendmsg sendmmsg recvmsg recvmmsg "},
    {"start another process", " clone fork vfork "},
    {"execute a program", " execve execveat "},
    {"look into another process",
     " ptrace process_vm_readv process_vm_writev kcmp pidfd_open pidfd_getfd "},
    {"signal another process",
     " kill tkill tgkill pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo "},
    {"outlive its supervisor", " prctl setsid setpgid "},
    {"take other rights", " setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid "
                          "setgroups capset "},
    {"change who may use a file, or make a link or a special file",
     " chmod fchmod fchmodat chown fchown lchown fchownat setxattr lsetxattr fsetxattr "
     "removexattr lremovexattr fremovexattr link linkat symlink symlinkat mknod mknodat "},
    {"change what is mounted",
     " mount umount2 pivot_root chroot unshare setns open_tree move_mount fsopen fsconfig "
     "fsmount fspick "},
    {"use keys of others", " keyctl add_key request_key "},
};

bool verdict_blocked_is_so(const struct verdict_facts *facts) {
    return !facts->is_command && verdict_by_signal(facts) && facts->status == SIGSYS &&
           facts->blocked && facts->blocked[0];
}

const char *verdict_blocked_meaning(const char *call) {
    char word[PROTOCOL_CALL_BYTES + 3];
    (void)snprintf(word, sizeof(word), " %s ", call);
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++)
        if (strstr(meanings[i].calls, word))
            return meanings[i].meaning;
    return "do what only a taken-over program wants";
}
