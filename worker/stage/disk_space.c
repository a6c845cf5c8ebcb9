/* See disk_space.h. The mount point is the highest folder above that still lies on the same device.
 */
#include "worker/stage/disk_space.h"

#include "common/tmpfs.h"
#include "common/units.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Cuts path down to the mount point that holds it; leaves it alone when it cannot be found out. */
static void cut_to_mount_point(char path[PATH_MAX]) {
    struct stat here, above;
    if (stat(path, &here) < 0)
        return;
    while (strcmp(path, "/") != 0) {
        char parent[PATH_MAX];
        (void)snprintf(parent, sizeof(parent), "%s", path);
        char *slash = strrchr(parent, '/');
        if (!slash)
            return;
        slash[slash == parent] = '\0';
        if (stat(parent, &above) < 0 || above.st_dev != here.st_dev)
            return;
        (void)snprintf(path, PATH_MAX, "%s", parent);
    }
}

/* No disk is full here. */
static void explain_ram(const char *mount_point, uint64_t free_bytes, uint64_t needed_bytes,
                        struct failure *failure) {
    const struct failure before = *failure;
    char free_text[UNITS_TEXT_BYTES], needed[UNITS_TEXT_BYTES], missing[UNITS_TEXT_BYTES];
    char lack[UNITS_TEXT_BYTES + sizeof(" are missing, ")] = "";
    if (needed_bytes > free_bytes)
        (void)snprintf(lack, sizeof(lack), "%s are missing, ",
                       units_format_size(needed_bytes - free_bytes, missing));
    (void)failure_set(
        failure, before.code,
        "no space on %s, which is RAM and no disk (tmpfs): %s%s needed and %s free; " TMPFS_REMEDY
        ", which takes as much memory, or use an output folder on a disk (%.600s)",
        mount_point, lack, units_format_size(needed_bytes, needed),
        units_format_size(free_bytes, free_text), before.text);
}

void disk_space_explain(const char *folder, uint64_t needed_bytes, struct failure *failure) {
    if (!failure || (failure->code != -ENOSPC && failure->code != -EDQUOT))
        return;
    char mount_point[PATH_MAX];
    struct statvfs space;
    if (!realpath(folder, mount_point) || statvfs(folder, &space) < 0)
        return;
    cut_to_mount_point(mount_point);
    uint64_t free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    struct failure before = *failure;
    char free_text[UNITS_TEXT_BYTES], needed[UNITS_TEXT_BYTES], missing[UNITS_TEXT_BYTES];
    (void)units_format_size(free_bytes, free_text);
    (void)units_format_size(needed_bytes, needed);
    if (tmpfs_holds(folder)) {
        explain_ram(mount_point, free_bytes, needed_bytes, failure);
        return;
    }
    if (failure->code == -EDQUOT || needed_bytes <= free_bytes) { /* a quota, or others' files */
        (void)failure_set(failure, before.code,
                          "no space on %s (%s free now, %s needed here): %.600s; free some or use "
                          "another output folder",
                          mount_point, free_text, needed, before.text);
        return;
    }
    (void)units_format_size(needed_bytes - free_bytes, missing);
    (void)failure_set(failure, before.code,
                      "no space on %s: %s are missing (%s needed, %s free); free that much or use "
                      "another output folder (%.600s)",
                      mount_point, missing, needed, free_text, before.text);
}
