/* See caller.h. A caller without a name in the user database (a container's uid, a deleted account)
 * is called by its number: it may still see the queue and its own tasks. */
#include "supervisor/service/caller.h"

#include "common/clock.h"
#include "common/names.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>

enum {
    FIRST_GROUPS = 64,
    FIRST_NAME_BYTES = 1024,
    MAX_NAME_BYTES = 1 << 20,
};

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "out of memory while looking at who calls");
}

static char *number_as_name(uid_t uid) { return names_format("%u", (unsigned)uid); }

/* Caller owns; NULL when out of memory. */
static char *look_up_name(uid_t uid) {
    for (size_t size = FIRST_NAME_BYTES; size <= MAX_NAME_BYTES; size *= 4) {
        CLEANUP_FREE char *text = malloc(size);
        struct passwd entry, *found = NULL;
        if (!text)
            return NULL;
        const int r = getpwuid_r(uid, &entry, text, size, &found);
        if (r == ERANGE)
            continue;
        const bool has_name = r == 0 && found && *found->pw_name && names_is_clean(found->pw_name);
        return has_name ? strdup(found->pw_name) : number_as_name(uid);
    }
    return number_as_name(uid);
}

/* The same, from memory where it is there. */
static char *recall_name(struct caller_names *names, uid_t uid) {
    const int64_t now_ms = clock_monotonic_ms();
    size_t place = names->next;
    for (size_t i = 0; i < CALLER_NAMES; i++) {
        if (!names->entries[i].name || names->entries[i].uid != uid)
            continue;
        if (now_ms - names->entries[i].read_ms < CALLER_NAME_AGE_MS)
            return strdup(names->entries[i].name);
        place = i;
    }
    char *name = look_up_name(uid), *copy = name ? strdup(name) : NULL;
    if (!copy)
        return name;
    if (place == names->next)
        names->next = (names->next + 1) % CALLER_NAMES;
    free(names->entries[place].name);
    names->entries[place].name = copy;
    names->entries[place].uid = uid;
    names->entries[place].read_ms = now_ms;
    return name;
}

void caller_names_free(struct caller_names *names) {
    for (size_t i = 0; i < CALLER_NAMES; i++)
        free(names->entries[i].name);
    *names = (struct caller_names){0};
}

static void give(struct caller *from, struct caller *ret) {
    *ret = *from;
    *from = (struct caller){0};
}

/* Kernels before 4.13 do not tell: then there are none. */
static int read_groups(int fd, struct caller *caller, struct failure *failure) {
    socklen_t bytes = FIRST_GROUPS * sizeof(gid_t);
    for (;;) {
        gid_t *groups = realloc(caller->groups, bytes);
        if (!groups)
            return out_of_memory(failure);
        caller->groups = groups;
        const socklen_t room = bytes;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0) {
            caller->n_groups = bytes / sizeof(gid_t);
            return 0;
        }
        if (errno != ERANGE || bytes <= room)
            return 0;
    }
}

int caller_read(int fd, struct caller_names *names, struct caller *ret, struct failure *failure) {
    CLEANUP(caller_free) struct caller caller = {0};
    struct ucred credentials;
    socklen_t length = sizeof(credentials);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        return failure_set_errno(failure, -errno, "the kernel does not say who calls");
    caller = (struct caller){
        .pid = credentials.pid,
        .uid = credentials.uid,
        .gid = credentials.gid,
        .user = recall_name(names, credentials.uid),
    };
    if (!caller.user)
        return out_of_memory(failure);
    int r = read_groups(fd, &caller, failure);
    if (r < 0)
        return r;
    give(&caller, ret);
    return 0;
}

int caller_self(struct caller *ret, struct failure *failure) {
    CLEANUP(caller_free)
    struct caller caller = {
        .pid = getpid(), .uid = geteuid(), .gid = getegid(), .user = look_up_name(geteuid())};
    const int n = getgroups(0, NULL);
    caller.groups = calloc((size_t)(n > 0 ? n : 0) + 1, sizeof(gid_t));
    if (!caller.user || !caller.groups)
        return out_of_memory(failure);
    const int got = n > 0 ? getgroups(n, caller.groups) : 0;
    caller.n_groups = got > 0 ? (size_t)got : 0;
    give(&caller, ret);
    return 0;
}

bool caller_in_group(const struct caller *caller, gid_t group) {
    if (caller->gid == group)
        return true;
    for (size_t i = 0; i < caller->n_groups; i++)
        if (caller->groups[i] == group)
            return true;
    return false;
}

void caller_free(struct caller *caller) {
    free(caller->groups);
    free(caller->user);
    *caller = (struct caller){0};
}
