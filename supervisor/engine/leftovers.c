/* See leftovers.h. A session's number may have been given to somebody else long after; so only
 * members that began while the ledger proves the supervisor alive are taken for ours. The record's
 * own pair of wall clock and start ticks ties the two clocks together. */
#include "supervisor/engine/leftovers.h"

#include "supervisor/engine/record.h"
#include "supervisor/process/cgroup_tree.h"
#include "supervisor/process/orphans.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { LEFTOVERS_LIMIT_MS = 5000 };

int64_t leftovers_record_ms(const json_t *record) {
    const char *text = json_string_value(json_object_get(record, "time"));
    struct tm time = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &time) : NULL;
    if (!end)
        return 0;
    int ms = 0;
    if (*end == '.')
        for (int digit = 0, weight = 100;
             digit < 3 && end[1 + digit] >= '0' && end[1 + digit] <= '9'; digit++, weight /= 10)
            ms += (end[1 + digit] - '0') * weight;
    return (int64_t)timegm(&time) * 1000 + ms;
}

static int64_t integer_member(const json_t *record, const char *key) {
    return json_integer_value(json_object_get(record, key));
}

static bool is_of_this_boot(const json_t *record, const struct ledger_store *store) {
    const char *boot = json_string_value(json_object_get(record, "boot"));
    return boot && strcmp(boot, ledger_store_boot_id(store)) == 0;
}

static size_t list_lost(const json_t *open, const struct ledger_store *store,
                        int64_t last_record_ms, struct orphans_lost *lost) {
    size_t n = 0, i;
    json_t *record;
    json_array_foreach(open, i, record) {
        int64_t started_ms = leftovers_record_ms(record);
        if (!is_of_this_boot(record, store) || started_ms == 0 || last_record_ms < started_ms)
            continue;
        uint64_t start_ticks = (uint64_t)integer_member(record, "start_ticks");
        lost[n++] = (struct orphans_lost){
            .session = (pid_t)integer_member(record, "pid"),
            .start_ticks = start_ticks,
            .last_ticks = start_ticks +
                          (uint64_t)((last_record_ms - started_ms) * sysconf(_SC_CLK_TCK) / 1000),
        };
    }
    return n;
}

static int append(struct ledger_store *store, const char *event, json_t *taken,
                  struct failure *failure) {
    CLEANUP_JSON json_t *fields = taken;
    if (!fields)
        return failure_set(failure, -ENOMEM, "no memory to record what an earlier run left");
    return ledger_store_append(store, event, fields, NULL, failure);
}

/* Groups come after processes: most are empty by then, and who is left showed neither a token nor
 * the session. */
static int clear_groups(const struct ledger_store *store, const char *group) {
    const struct cgroup_level_place here = cgroup_level_here();
    struct cgroup_level level;
    cgroup_level_find(&here, &level);
    return cgroup_tree_clear_leftovers(&level, group, ledger_store_id(store));
}

int leftovers_settle(struct ledger_store *store, const json_t *open, const char *group,
                     int64_t last_record_ms, int *ret_ended, struct failure *failure) {
    *ret_ended = 0;
    if (last_record_ms == 0)
        return 0; /* a new ledger */
    size_t n_open = json_array_size(open);
    CLEANUP_FREE struct orphans_lost *lost = calloc(n_open + 1, sizeof(*lost));
    if (!lost)
        return failure_set(failure, -ENOMEM, "no memory to look for what an earlier run left");
    size_t n_lost = list_lost(open, store, last_record_ms, lost);
    int ended = orphans_end_leftovers(ledger_store_id(store), lost, n_lost, LEFTOVERS_LIMIT_MS);
    ended += clear_groups(store, group);
    int r = 0;
    size_t i;
    json_t *record;
    json_array_foreach(open, i, record) {
        if (r == 0)
            r = append(store, "attempt_end", record_attempt_lost(record), failure);
    }
    if (r == 0 && ended > 0) {
        char text[96];
        (void)snprintf(text, sizeof(text), "ended %d process(es) that an earlier run left behind",
                       ended);
        r = append(store, "note", record_note(text), failure);
    }
    if (r == 0)
        *ret_ended = ended;
    return r;
}
