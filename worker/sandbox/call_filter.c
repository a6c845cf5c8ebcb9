/* See call_filter.h. SECCOMP_RET_TRAP rather than a kill by the kernel, for only the process itself
 * is told which call it was: the handler tells the supervisor and lets the signal do its work. Code
 * that has taken the process over may replace the handler; the call is not made all the same.
 *
 * A build with the address sanitizer leaves out what its leak check needs at the end: a process
 * that looks at its parent's memory (clone, ptrace, process_vm_readv, prctl, kill).
 */
#include "worker/sandbox/call_filter.h"

#include "common/kernel_support.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif

static const bool is_sanitized =
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
    true;
#else
    false;
#endif

struct denied_call {
    int number;
    const char *name;
    bool sanitizers_need_it;
};

#define DENIED(name)                                                                               \
    { SCMP_SYS(name), #name, false }
#define DENIED_UNLESS_SANITIZED(name)                                                              \
    { SCMP_SYS(name), #name, true }

static const struct denied_call denied_calls[] = {
    /* the network, and descriptors from elsewhere */
    DENIED(socket), DENIED(socketpair), DENIED(connect), DENIED(bind), DENIED(listen),
    DENIED(accept), DENIED(accept4), DENIED(sendmsg), DENIED(sendmmsg), DENIED(recvmsg),
    DENIED(recvmmsg), DENIED(pidfd_getfd),
    /* processes and programs; clone stands below */
    DENIED(fork), DENIED(vfork), DENIED(execve), DENIED(execveat), DENIED(setsid), DENIED(setpgid),
    DENIED_UNLESS_SANITIZED(ptrace), DENIED_UNLESS_SANITIZED(process_vm_readv),
    DENIED(process_vm_writev), DENIED(kcmp), DENIED(tkill), DENIED(pidfd_open),
    DENIED(pidfd_send_signal), DENIED(personality),
    /* rights */
    DENIED(setuid), DENIED(setgid), DENIED(setreuid), DENIED(setregid), DENIED(setresuid),
    DENIED(setresgid), DENIED(setfsuid), DENIED(setfsgid), DENIED(setgroups), DENIED(capset),
    /* files: what Landlock does not look at */
    DENIED(chmod), DENIED(fchmod), DENIED(fchmodat), DENIED(chown), DENIED(fchown), DENIED(lchown),
    DENIED(fchownat), DENIED(setxattr), DENIED(lsetxattr), DENIED(fsetxattr), DENIED(removexattr),
    DENIED(lremovexattr), DENIED(fremovexattr), DENIED(link), DENIED(linkat), DENIED(symlink),
    DENIED(symlinkat), DENIED(mknod), DENIED(mknodat), DENIED(name_to_handle_at),
    DENIED(open_by_handle_at), DENIED(fanotify_init),
    /* the system's tree */
    DENIED(mount), DENIED(umount2), DENIED(pivot_root), DENIED(chroot), DENIED(unshare),
    DENIED(setns), DENIED(open_tree), DENIED(move_mount), DENIED(fsopen), DENIED(fsconfig),
    DENIED(fsmount), DENIED(fspick), DENIED(swapon), DENIED(swapoff), DENIED(quotactl),
    DENIED(acct), DENIED(sethostname), DENIED(setdomainname), DENIED(syslog), DENIED(vhangup),
    DENIED(settimeofday), DENIED(clock_settime), DENIED(clock_adjtime), DENIED(adjtimex),
    /* the kernel */
    DENIED(bpf), DENIED(perf_event_open), DENIED(userfaultfd), DENIED(io_uring_setup),
    DENIED(io_uring_enter), DENIED(io_uring_register), DENIED(keyctl), DENIED(add_key),
    DENIED(request_key), DENIED(init_module), DENIED(finit_module), DENIED(delete_module),
    DENIED(kexec_load), DENIED(kexec_file_load), DENIED(reboot), DENIED(iopl), DENIED(ioperm),
    DENIED(modify_ldt), DENIED(lookup_dcookie)};

/* These only with some arguments. */
static const struct denied_call denied_uses[] = {DENIED_UNLESS_SANITIZED(clone),
                                                 DENIED_UNLESS_SANITIZED(kill),
                                                 DENIED_UNLESS_SANITIZED(tgkill),
                                                 DENIED(rt_sigqueueinfo),
                                                 DENIED(rt_tgsigqueueinfo),
                                                 DENIED_UNLESS_SANITIZED(prctl),
                                                 DENIED(ioctl)};

/* The handler has no other way to know. Set before the filter is there, and never again. */
static volatile sig_atomic_t told_fd = -1;

/* ---- the handler: async-signal-safe calls only ---- */

static const char *name_of(int number) {
    for (size_t i = 0; i < ARRAY_LEN(denied_calls); i++)
        if (denied_calls[i].number == number)
            return denied_calls[i].name;
    for (size_t i = 0; i < ARRAY_LEN(denied_uses); i++)
        if (denied_uses[i].number == number)
            return denied_uses[i].name;
    return "unknown";
}

static char *put_number(char *at, int number) {
    char digits[12];
    size_t n = 0;
    for (unsigned rest = number > 0 ? (unsigned)number : 0; n == 0 || rest; rest /= 10)
        digits[n++] = (char)('0' + rest % 10);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

static void on_denied(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    char line[128], *at = line;
    at = stpcpy(at, "{\"event\":\"blocked\",\"call\":\"");
    at = stpcpy(at, name_of(info->si_syscall));
    at = stpcpy(at, "\",\"number\":");
    at = put_number(at, info->si_syscall);
    at = stpcpy(at, "}\n");
    (void)!write(told_fd, line, (size_t)(at - line)); /* untold, the signal still tells enough */
    (void)raise(signal_number); /* the handler was for once: this ends the process */
}

static int set_handler(int report_fd, struct failure *failure) {
    struct sigaction action = {.sa_sigaction = on_denied,
                               .sa_flags = SA_SIGINFO | (int)SA_RESETHAND | SA_NODEFER};
    told_fd = report_fd;
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL) < 0)
        return failure_set_errno(failure, -errno, "SIGSYS cannot be handled");
    return 0;
}

/* ---- the rules ---- */

/* Calls that this machine does not have have negative numbers. */
static int deny(scmp_filter_ctx filter, const struct denied_call *call,
                const struct scmp_arg_cmp *when) {
    if (call->number < 0 || (is_sanitized && call->sanitizers_need_it))
        return 0;
    return seccomp_rule_add_array(filter, SCMP_ACT_TRAP, call->number, when ? 1 : 0, when);
}

/* When a call of denied_uses is denied. */
static struct scmp_arg_cmp condition(int number) {
    const scmp_datum_t self = (scmp_datum_t)getpid();
    switch (number) {
    case SCMP_SYS(clone): /* a process and no thread */
        return SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
    case SCMP_SYS(prctl): /* to outlive the supervisor */
        return SCMP_A0_64(SCMP_CMP_EQ, PR_SET_PDEATHSIG);
    case SCMP_SYS(ioctl): /* to type for the person at the terminal; the kernel looks at 32 bits */
        return SCMP_A1_64(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI);
    default: /* a signal to somebody else */
        return SCMP_A0_64(SCMP_CMP_NE, self);
    }
}

static int fill(scmp_filter_ctx filter, bool may_link) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(denied_calls); i++)
        if (!may_link || denied_calls[i].number != SCMP_SYS(linkat))
            r = deny(filter, &denied_calls[i], NULL);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(denied_uses); i++) {
        const struct scmp_arg_cmp when = condition(denied_uses[i].number);
        r = deny(filter, &denied_uses[i], &when);
    }
    /* its flags stand in memory, out of a filter's sight: libc falls back to clone */
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return r;
}

int call_filter_enter(int report_fd, bool may_link, struct failure *failure) {
    if (!kernel_support_seccomp())
        return failure_set(failure, -ENOSYS, "this kernel offers no seccomp filters");
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return failure_set_errno(failure, -ENOMEM, "system calls cannot be filtered");
    /* calls in another machine's manner (32 bits on 64) would pass the rules by */
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* rules as a tree; an older library keeps its list */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0)
        r = fill(filter, may_link);
    if (r < 0)
        r = failure_set_errno(failure, r, "system calls cannot be filtered");
    if (r == 0)
        r = set_handler(report_fd, failure);
    if (r == 0 && (r = seccomp_load(filter)) < 0)
        r = failure_set_errno(failure, r, "the kernel refuses the filter of system calls");
    seccomp_release(filter);
    return r;
}
