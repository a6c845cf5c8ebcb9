/* See groups.h. What looks writable may still refuse: then the level is none after all. */
#include "supervisor/engine/groups.h"

void groups_open(const char *ledger_id, struct groups *ret) {
    const struct cgroup_level_place here = cgroup_level_here();
    struct failure failure = {0};
    *ret = (struct groups){0};
    cgroup_level_find(&here, &ret->level);
    if (ret->level.kind == CGROUP_LEVEL_NONE ||
        cgroup_tree_open(&ret->level, ledger_id, &ret->tree, &failure) == 0)
        return;
    ret->level.kind = CGROUP_LEVEL_NONE;
    (void)snprintf(ret->level.text, sizeof(ret->level.text), "no limits by the kernel: %s",
                   failure.text);
}

void groups_close(struct groups *groups) {
    cgroup_tree_close(groups->tree);
    groups->tree = NULL;
}

json_t *groups_to_json(const struct groups *groups) {
    json_t *object = json_pack("{s:s, s:s}", "level", cgroup_level_name(groups->level.kind), "text",
                               groups->level.text);
    json_t *folder = groups->tree ? json_string(cgroup_tree_folder(groups->tree)) : NULL;
    if (object && folder)
        (void)json_object_set_new(object, "folder", folder); /* else a crash leaves it behind */
    return object;
}
