/* See credentials.h. The environment is made here, once per user: what our own starter (systemd, an
 * administrator's shell) put into ours is no business of a user's tasks.
 */
#include "supervisor/service/credentials.h"

#include "common/names.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

enum {
    CREDENTIALS_FIRST_BYTES = 1024, /* of a user's entry; doubled while it does not fit */
    CREDENTIALS_MOST_BYTES = 1 << 20,
    CREDENTIALS_FIRST_GROUPS = 32,
    CREDENTIALS_VARIABLES = 6,
};

static const char user_path[] = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
static const char default_language[] = "C.UTF-8";

static void release(struct credentials **credentials) { credentials_unref(*credentials); }

static int no_memory(uid_t uid, struct failure *failure) {
    return failure_set_errno(failure, -ENOMEM, "cannot look up the user with uid %u",
                             (unsigned)uid);
}

/* The strings of *ret live in *ret_block, which the caller owns. */
static int read_entry(uid_t uid, struct passwd *ret, char **ret_block, struct failure *failure) {
    struct passwd *found = NULL;
    int error = ERANGE;
    for (size_t size = CREDENTIALS_FIRST_BYTES; error == ERANGE && size <= CREDENTIALS_MOST_BYTES;
         size *= 2) {
        free(*ret_block);
        *ret_block = malloc(size);
        if (!*ret_block)
            return no_memory(uid, failure);
        error = getpwuid_r(uid, ret, *ret_block, size, &found);
    }
    if (found)
        return 0;
    if (error != 0 && error != ENOENT && error != ESRCH)
        return failure_set_errno(failure, -error, "cannot look up the user with uid %u",
                                 (unsigned)uid);
    return failure_set(failure, -ENOENT,
                       "nobody has the uid %u on this machine, so nothing can be run for it; add "
                       "the user, or submit as another",
                       (unsigned)uid);
}

static int read_groups(struct credentials *credentials, struct failure *failure) {
    int n = CREDENTIALS_FIRST_GROUPS;
    for (;;) {
        gid_t *groups = reallocarray(credentials->groups, (size_t)n, sizeof(*groups));
        if (!groups)
            return no_memory(credentials->uid, failure);
        credentials->groups = groups;
        const int room = n;
        if (getgrouplist(credentials->name, credentials->gid, groups, &n) >= 0)
            break;
        if (n <= room) /* it did not say how many there are */
            n = room * 2;
    }
    credentials->n_groups = (size_t)n;
    return 0;
}

static int make_environment(struct credentials *credentials, struct failure *failure) {
    const char *language = getenv("LANG");
    char **variables = calloc(CREDENTIALS_VARIABLES + 1, sizeof(*variables));
    credentials->environment = variables;
    if (!variables || !(variables[0] = names_format("HOME=%s", credentials->home)) ||
        !(variables[1] = names_format("USER=%s", credentials->name)) ||
        !(variables[2] = names_format("LOGNAME=%s", credentials->name)) ||
        !(variables[3] = names_format("SHELL=%s", credentials->shell)) ||
        !(variables[4] = names_format("PATH=%s", user_path)) ||
        !(variables[5] = names_format("LANG=%s", language ? language : default_language)))
        return no_memory(credentials->uid, failure);
    return 0;
}

static const char *or_else(const char *text, const char *other) {
    return text && text[0] ? text : other;
}

static int look_up(uid_t uid, struct credentials *credentials, struct failure *failure) {
    CLEANUP_FREE char *block = NULL;
    struct passwd entry;
    int r = read_entry(uid, &entry, &block, failure);
    if (r < 0)
        return r;
    credentials->uid = uid;
    credentials->gid = entry.pw_gid;
    credentials->umask = CREDENTIALS_UMASK;
    credentials->name = strdup(entry.pw_name);
    credentials->home = strdup(or_else(entry.pw_dir, "/"));
    credentials->shell = strdup(or_else(entry.pw_shell, "/bin/sh")); /* passwd(5): empty means it */
    if (!credentials->name || !credentials->home || !credentials->shell)
        return no_memory(uid, failure);
    r = read_groups(credentials, failure);
    return r < 0 ? r : make_environment(credentials, failure);
}

int credentials_lookup(uid_t uid, struct credentials **ret, struct failure *failure) {
    const uid_t ours = geteuid();
    if (ours != 0 && uid == ours) {
        *ret = NULL;
        return 0;
    }
    if (ours != 0)
        return failure_set(failure, -EPERM,
                           "this service belongs to the user with uid %u and can run nothing for "
                           "uid %u; use the system's service, or one of your own",
                           (unsigned)ours, (unsigned)uid);
    CLEANUP(release) struct credentials *credentials = calloc(1, sizeof(*credentials));
    if (!credentials)
        return no_memory(uid, failure);
    credentials->references = 1;
    int r = look_up(uid, credentials, failure);
    if (r == 0)
        *ret = STEAL_PTR(credentials);
    return r;
}

/* Nobody changes them; only how many hold them changes. */
static unsigned *references(const struct credentials *credentials) {
    return &((struct credentials *)credentials)->references;
}

const struct credentials *credentials_ref(const struct credentials *credentials) {
    if (credentials)
        ++*references(credentials);
    return credentials;
}

void credentials_unref(const struct credentials *credentials) {
    if (!credentials || --*references(credentials) > 0)
        return;
    for (size_t i = 0; credentials->environment && credentials->environment[i]; i++)
        free(credentials->environment[i]);
    free(credentials->environment);
    free(credentials->groups);
    free(credentials->name);
    free(credentials->home);
    free(credentials->shell);
    free((struct credentials *)credentials);
}

/* ---- a minute's memory ---- */

int credentials_remember(struct credentials_memory *memory, uid_t uid, int64_t now_ms,
                         struct credentials **ret, struct failure *failure) {
    size_t place = memory->next;
    for (size_t i = 0; i < CREDENTIALS_REMEMBERED; i++) {
        struct credentials *known = memory->entries[i].credentials;
        if (!known || known->uid != uid)
            continue;
        place = i;
        if (now_ms - memory->entries[i].read_ms >= CREDENTIALS_AGE_MS)
            break;
        known->references++;
        *ret = known;
        return 0;
    }
    struct credentials *credentials = NULL;
    const int r = credentials_lookup(uid, &credentials, failure);
    if (r < 0)
        return r;
    *ret = credentials;
    if (!credentials)
        return 0; /* ourselves */
    if (place == memory->next)
        memory->next = (memory->next + 1) % CREDENTIALS_REMEMBERED;
    credentials_unref(memory->entries[place].credentials);
    credentials->references++;
    memory->entries[place].credentials = credentials;
    memory->entries[place].read_ms = now_ms;
    return 0;
}

void credentials_forget(struct credentials_memory *memory) {
    for (size_t i = 0; i < CREDENTIALS_REMEMBERED; i++)
        credentials_unref(memory->entries[i].credentials);
    *memory = (struct credentials_memory){0};
}
