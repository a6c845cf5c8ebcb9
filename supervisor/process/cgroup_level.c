/* See cgroup_level.h. Both halves of "where are we" come from the kernel: /proc/self/cgroup names
 * our group within its hierarchy, /proc/self/mountinfo where that hierarchy, or a part of it, is
 * mounted. In a cgroup namespace a group outside shows as "/..": then it cannot be reached.
 */
#include "supervisor/process/cgroup_level.h"

#include "common/names.h"
#include "supervisor/memory/kernel_file.h"
#include "supervisor/process/cgroup_manager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/xattr.h>

/* A file system of cgroups that holds our group. */
struct hierarchy {
    bool is_v2;
    char group[CGROUP_LEVEL_FOLDER_BYTES]; /* ours, as /proc/self/cgroup has it */
};

const char *cgroup_level_name(enum cgroup_level_kind kind) {
    static const char *const names[CGROUP_LEVEL_COUNT] = {
        [CGROUP_LEVEL_NONE] = "none", [CGROUP_LEVEL_V1] = "v1", [CGROUP_LEVEL_V2] = "v2"};
    return names[kind];
}

struct cgroup_level_place cgroup_level_here(void) {
    return (struct cgroup_level_place){
        .proc_root = CGROUP_LEVEL_PROC,
        .systemd_folder = CGROUP_LEVEL_SYSTEMD,
        .self = getpid(),
        .is_privileged = geteuid() == 0,
        .asks_manager = cgroup_manager_delegates,
    };
}

__attribute__((format(printf, 2, 3))) static void refuse(struct cgroup_level *level,
                                                         const char *format, ...) {
    char why[CGROUP_LEVEL_TEXT_BYTES - 64];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof(why), format, args); /* a sentence that does not fit is cut */
    va_end(args);
    level->kind = CGROUP_LEVEL_NONE;
    (void)snprintf(level->text, sizeof(level->text), "no limits by the kernel: %s", why);
    names_drop_half(level->text);
}

/* ---- which group ---- */

static bool holds_word(const char *list, const char *word, char separator) {
    const size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, separator), at = at ? at + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (at[length] == separator || at[length] == '\0'))
            return true;
    return false;
}

/* The memory controller is bound to a v1 hierarchy ("4:memory:/group"), or it is where v2 is
 * ("0::/group"). */
static bool read_membership(const char *proc_root, struct hierarchy *ret) {
    char text[KERNEL_FILE_BYTES];
    CLEANUP_FREE char *self = names_format("%s/self", proc_root);
    bool found = false;
    if (!self || !kernel_file_read(self, "cgroup", text, sizeof(text)))
        return false;
    char *end;
    for (char *line = text; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group || strlen(group + 1) >= sizeof(ret->group))
            continue;
        *group++ = '\0';
        const bool is_v1 = holds_word(controllers + 1, "memory", ',');
        if (!is_v1 && controllers[1] != '\0')
            continue;
        if (is_v1 || !found) {
            ret->is_v2 = !is_v1;
            (void)strcpy(ret->group, group); /* its length was checked */
            found = true;
        }
    }
    return found;
}

/* ---- where is it ---- */

/* mountinfo writes space, tab, newline and backslash as \ooo. In place. */
static void unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from; to++) {
        int value = 0, digits = 0;
        if (*from == '\\')
            while (digits < 3 && from[1 + digits] >= '0' && from[1 + digits] <= '7')
                value = value * 8 + (from[1 + digits++] - '0');
        *to = digits == 3 ? (char)value : *from;
        from += digits == 3 ? 4 : 1;
    }
    *to = '\0';
}

struct mount {
    char *root, *point, *type, *super_options;
};

/* "31 23 0:28 /root /point rw,relatime shared:1 - cgroup cgroup rw,memory" (proc(5)) */
static bool split_mount(char *line, struct mount *ret) {
    char *rest = line, *field[5];
    for (size_t i = 0; i < ARRAY_LEN(field); i++)
        if (!(field[i] = strsep(&rest, " ")))
            return false;
    char *dash = rest ? strstr(rest, " - ") : NULL;
    if (!dash)
        return false;
    dash += 3;
    *ret = (struct mount){.root = field[3], .point = field[4], .type = strsep(&dash, " ")};
    (void)strsep(&dash, " "); /* the source */
    ret->super_options = strsep(&dash, " \n");
    unescape(ret->root);
    unescape(ret->point);
    return ret->super_options != NULL;
}

/* The group's path below a mount of `root`; NULL when that shows another part of the hierarchy. */
static const char *below(const char *group, const char *root) {
    size_t length = strlen(root);
    if (length == 1)
        return group; /* "/" */
    if (strncmp(group, root, length) != 0 || (group[length] != '/' && group[length] != '\0'))
        return NULL;
    return group + length;
}

/* ret: the folder of our group. */
static bool find_folder(const char *proc_root, const struct hierarchy *hierarchy,
                        char ret[CGROUP_LEVEL_FOLDER_BYTES]) {
    CLEANUP_FREE char *path = names_format("%s/self/mountinfo", proc_root);
    CLEANUP_FCLOSE FILE *mounts = path ? fopen(path, "re") : NULL;
    CLEANUP_FREE char *line = NULL;
    size_t size = 0;
    while (mounts && getline(&line, &size, mounts) >= 0) {
        struct mount mount;
        if (!split_mount(line, &mount) ||
            strcmp(mount.type, hierarchy->is_v2 ? "cgroup2" : "cgroup") != 0 ||
            (!hierarchy->is_v2 && !holds_word(mount.super_options, "memory", ',')))
            continue;
        const char *inner = below(hierarchy->group, mount.root);
        if (!inner)
            continue;
        int length = snprintf(ret, CGROUP_LEVEL_FOLDER_BYTES, "%s%s", mount.point, inner);
        if (length <= 0 || length >= CGROUP_LEVEL_FOLDER_BYTES)
            continue;
        if (ret[length - 1] == '/')
            ret[length - 1] = '\0';
        if (access(ret, F_OK) == 0)
            return true;
    }
    return false;
}

/* ---- is it ours ---- */

/* systemd gives v1 groups away to nobody but root. */
static const char *advice(const struct cgroup_level_place *place, bool is_v2) {
    if (!is_v2 && !place->is_privileged)
        return "start registrar as root, or the machine with cgroup v2";
    if (access(place->systemd_folder, F_OK) < 0)
        return "start registrar as root, or in a group of its own that it may write";
    return place->is_privileged
               ? "start it by `systemd-run --scope -p Delegate=yes registrar ...`"
               : "start it by `systemd-run --user --scope -p Delegate=yes registrar ...`";
}

static bool may_write(const struct cgroup_level_place *place, const char *const *files, bool is_v2,
                      struct cgroup_level *level) {
    for (; *files; files++) {
        CLEANUP_FREE char *path = names_format("%s/%s", level->folder, *files);
        if (path && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
            continue;
        if (errno == EROFS)
            refuse(level, "%s is mounted read-only, as in most containers", level->folder);
        else
            refuse(level, "the control group %s is not ours to divide; %s", level->folder,
                   advice(place, is_v2));
        return false;
    }
    return true;
}

static bool is_delegated(const char *folder) {
    static const char *const marks[] = {"user.delegate", "trusted.delegate"};
    char value[2];
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (getxattr(folder, marks[i], value, sizeof(value)) == 1 && value[0] == '1')
            return true;
    return false;
}

/* A process in another pid namespace shows as 0. */
static bool is_alone(const char *folder, pid_t self) {
    char text[KERNEL_FILE_BYTES];
    if (!kernel_file_read(folder, "cgroup.procs", text, sizeof(text)))
        return false;
    char *rest = text;
    for (const char *pid = strsep(&rest, "\n"); pid; pid = strsep(&rest, "\n"))
        if (*pid && strtol(pid, NULL, 10) != self)
            return false;
    return true;
}

static void judge_v1(const struct cgroup_level_place *place, struct cgroup_level *level) {
    static const char *const files[] = {".", "cgroup.procs", NULL};
    if (!may_write(place, files, false, level))
        return;
    level->kind = CGROUP_LEVEL_V1;
    (void)strcpy(level->text, "cgroup v1: each task has a memory group of its own");
}

static void judge_v2(const struct cgroup_level_place *place, struct cgroup_level *level) {
    static const char *const files[] = {".", "cgroup.procs", "cgroup.subtree_control", NULL};
    char text[KERNEL_FILE_BYTES];
    const bool has_type = kernel_file_read(level->folder, "cgroup.type", text, sizeof(text));
    level->is_root = !has_type;
    if (has_type && strcmp(text, "domain\n") != 0) {
        text[strcspn(text, "\n")] = '\0';
        refuse(level, "the control group %s is of type \"%.32s\", which cannot limit memory",
               level->folder, text);
        return;
    }
    const bool has_list = kernel_file_read(level->folder, "cgroup.controllers", text, sizeof(text));
    text[strcspn(text, "\n")] = '\0';
    if (!has_list || !holds_word(text, "memory", ' ')) {
        refuse(level, "the control group %s has no memory controller; %s", level->folder,
               advice(place, true));
        return;
    }
    if (!may_write(place, files, true, level))
        return;
    if (!is_delegated(level->folder) && access(place->systemd_folder, F_OK) == 0 &&
        !(place->asks_manager && place->asks_manager())) {
        refuse(level, "the control group %s belongs to systemd and was not delegated; %s",
               level->folder, advice(place, true));
        return;
    }
    if (!level->is_root && !is_alone(level->folder, place->self)) {
        refuse(level, "other processes are in the control group %s too; %s", level->folder,
               advice(place, true));
        return;
    }
    level->kind = CGROUP_LEVEL_V2;
    (void)strcpy(level->text, "cgroup v2: each task has a memory group of its own");
}

void cgroup_level_find(const struct cgroup_level_place *place, struct cgroup_level *ret) {
    struct hierarchy hierarchy;
    *ret = (struct cgroup_level){.kind = CGROUP_LEVEL_NONE};
    if (!read_membership(place->proc_root, &hierarchy)) {
        refuse(ret, "this kernel has no memory control groups");
    } else if (strncmp(hierarchy.group, "/..", 3) == 0) {
        refuse(ret, "our control group %s is outside this cgroup namespace", hierarchy.group);
    } else if (!find_folder(place->proc_root, &hierarchy, ret->folder)) {
        ret->folder[0] = '\0';
        refuse(ret, "no cgroup file system that shows our control group %s is mounted",
               hierarchy.group);
    } else if (hierarchy.is_v2) {
        judge_v2(place, ret);
    } else {
        judge_v1(place, ret);
    }
}
