/* See ledger_keep.h. Sixteen bytes a record and some dozens a task: a ledger of millions is
 * judged in little memory, which children that are started meanwhile do not get. Names are told
 * apart by 128 bits of two keyed hashes. */
#include "supervisor/ledger/ledger_keep.h"

#include "common/unforked.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { NOBODY = UINT32_MAX, MOST_ATTEMPTS = UINT16_MAX };

/* How a record is decided. */
enum sort { SORT_KEPT, SORT_GONE, SORT_START, SORT_END, SORT_TASK_END, SORT_BATCH, SORT_COUNT };

struct entry {
    uint64_t key[2];
    uint32_t batch;    /* of a task: NOBODY or the place of its batch; of a kind: of what is kept */
    uint32_t last_end; /* seq of a task's last task_end; 0: none */
    uint32_t open;     /* seq of its attempt_start without an end; 0: none */
    int64_t uid;       /* of a batch */
    uint16_t attempts; /* the highest number */
    bool is_ok;        /* its last task_end is */
    bool is_forgotten; /* a batch that is */
};

struct record {
    uint32_t owner;  /* its task, or its batch; after decide: its number among those that count */
    uint32_t time_s; /* of an attempt's end, as is */
    float byte_seconds; /* what is to count against its user */
    uint16_t number;    /* the attempt's */
    uint8_t sort;       /* after decide: whether it counts */
};

/* Names in a table, half full at most. */
struct names {
    struct entry *entries; /* owned */
    uint32_t *index;       /* place + 1; owned */
    uint32_t count, capacity, mask;
};

struct kind {
    uint32_t name, user;                  /* their places */
    uint32_t newest[LEDGER_KEEP_SAMPLES]; /* a ring of seqs */
    uint32_t n_seen;
    uint32_t smallest, largest, last; /* seqs */
    double smallest_size, largest_size;
};

struct ledger_keep {
    uint64_t seed[2];
    struct record *records; /* by seq - 1; owned */
    uint32_t count, capacity;
    struct names tasks, batches, users, kind_names;
    struct kind *kinds; /* owned */
    size_t n_kinds;
    uint32_t notes[LEDGER_KEEP_NOTES];
    uint32_t n_notes;
    uint32_t last_run_start, last_run_end, last_pause;
    struct ledger_keep_share *shares; /* owned; of all attempts */
    size_t n_shares;
    uint64_t n_counting;
};

static const double half_life_ms = 24.0 * 3600 * 1000;

static int out_of_memory(struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory left to compact the ledger");
}

int ledger_keep_open(struct ledger_keep **ret, struct failure *failure) {
    struct ledger_keep *keep = calloc(1, sizeof(*keep));
    if (!keep || getrandom(keep->seed, sizeof(keep->seed), 0) != (ssize_t)sizeof(keep->seed)) {
        free(keep);
        return out_of_memory(failure);
    }
    *ret = keep;
    return 0;
}

static size_t index_bytes(uint32_t capacity) { return 2 * (size_t)capacity * sizeof(uint32_t); }

static void free_names(struct names *names) {
    unforked_free(names->entries, names->capacity * sizeof(*names->entries));
    unforked_free(names->index, index_bytes(names->capacity));
}

void ledger_keep_close(struct ledger_keep *keep) {
    if (!keep)
        return;
    unforked_free(keep->records, keep->capacity * sizeof(*keep->records));
    free_names(&keep->tasks);
    free_names(&keep->batches);
    free_names(&keep->users);
    free_names(&keep->kind_names);
    free(keep->kinds);
    free(keep->shares);
    free(keep);
}

/* ---- names ---- */

static uint64_t hash_text(uint64_t seed, const char *text) {
    uint64_t hash = seed;
    for (; *text; text++) {
        const unsigned __int128 product =
            (unsigned __int128)(hash ^ (unsigned char)*text) * UINT64_C(0x9e3779b97f4a7c15);
        hash = (uint64_t)product ^ (uint64_t)(product >> 64) ^ seed;
    }
    return hash;
}

static void key_of(const struct ledger_keep *keep, const char *text, uint64_t more,
                   uint64_t ret[2]) {
    for (int i = 0; i < 2; i++)
        ret[i] = hash_text(keep->seed[i] + more * UINT64_C(0xd1342543de82ef95), text);
}

static uint32_t *find_slot(const struct names *names, const uint64_t key[2]) {
    uint32_t at = (uint32_t)key[0] & names->mask;
    while (names->index[at] != 0 &&
           memcmp(names->entries[names->index[at] - 1].key, key, 2 * sizeof(*key)) != 0)
        at = (at + 1) & names->mask;
    return &names->index[at];
}

static int grow_names(struct names *names) {
    const uint32_t capacity = names->capacity ? 2 * names->capacity : 1024;
    const size_t bytes = names->capacity * sizeof(*names->entries);
    uint32_t *index = unforked_grow(NULL, 0, index_bytes(capacity));
    struct entry *entries =
        index ? unforked_grow(names->entries, bytes, capacity * sizeof(*entries)) : NULL;
    if (!entries) {
        unforked_free(index, index_bytes(capacity));
        return -ENOMEM;
    }
    unforked_free(names->index, index_bytes(names->capacity));
    names->entries = entries;
    names->index = index;
    names->capacity = capacity;
    names->mask = 2 * capacity - 1;
    for (uint32_t i = 0; i < names->count; i++)
        *find_slot(names, names->entries[i].key) = i + 1;
    return 0;
}

/* The place of that name, made when it is new. -ENOMEM. */
static int64_t place_of(struct names *names, const uint64_t key[2]) {
    if (names->count == names->capacity && grow_names(names) < 0)
        return -ENOMEM;
    uint32_t *slot = find_slot(names, key);
    if (*slot == 0) {
        names->entries[names->count] =
            (struct entry){.key = {key[0], key[1]}, .batch = NOBODY, .uid = -1};
        *slot = ++names->count;
    }
    return *slot - 1;
}

/* ---- seeing ---- */

static const char *text_of(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

static int make_room(struct ledger_keep *keep) {
    if (keep->count < keep->capacity)
        return 0;
    if (keep->capacity > UINT32_MAX / 4)
        return -ENOMEM;
    const uint32_t capacity = keep->capacity ? 2 * keep->capacity : 4096;
    struct record *records = unforked_grow(keep->records, keep->capacity * sizeof(*records),
                                           capacity * sizeof(*records));
    if (!records)
        return -ENOMEM;
    keep->records = records;
    keep->capacity = capacity;
    return 0;
}

static int64_t time_ms(const json_t *record) {
    struct tm time = {0};
    const char *end = strptime(text_of(record, "time"), "%Y-%m-%dT%H:%M:%S", &time);
    return end ? (int64_t)timegm(&time) * 1000 : 0;
}

static int add_share(struct ledger_keep *keep, int64_t uid, double byte_seconds, int64_t at_ms) {
    size_t i = 0;
    while (i < keep->n_shares && keep->shares[i].uid != uid)
        i++;
    if (i == keep->n_shares) {
        struct ledger_keep_share *grown = reallocarray(keep->shares, i + 1, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        keep->shares = grown;
        keep->shares[keep->n_shares++] = (struct ledger_keep_share){.uid = uid, .at_ms = at_ms};
    }
    struct ledger_keep_share *share = &keep->shares[i];
    if (at_ms > share->at_ms) {
        share->byte_seconds *= exp2(-(double)(at_ms - share->at_ms) / half_life_ms);
        share->at_ms = at_ms;
    }
    share->byte_seconds += byte_seconds;
    return 0;
}

/* Of no batch: a run's, or the whole queue's. The last of each sort comes back when all are seen.
 */
static int see_all(struct ledger_keep *keep, const json_t *record, const char *state,
                   uint32_t seq) {
    if (strcmp(state, "start") == 0)
        keep->last_run_start = seq;
    else if (strcmp(state, "end") == 0)
        keep->last_run_end = seq;
    else if (strcmp(state, "pause") == 0 || strcmp(state, "resume") == 0)
        keep->last_pause = seq;
    else if (strcmp(state, "share") == 0)
        return add_share(keep, json_integer_value(json_object_get(record, "uid")),
                         json_number_value(json_object_get(record, "byte_seconds")),
                         json_integer_value(json_object_get(record, "at_ms"))) < 0
                   ? -ENOMEM
                   : SORT_GONE; /* written anew */
    else
        return SORT_KEPT;
    return SORT_GONE;
}

/* A batch is known from its submit to its forgetting; then the name is free for another. */
static int see_batch(struct ledger_keep *keep, const json_t *record, uint32_t seq) {
    const char *state = text_of(record, "state");
    const char *name = json_string_value(json_object_get(record, "batch"));
    if (!name)
        return see_all(keep, record, state, seq);
    uint64_t key[2];
    key_of(keep, name, 0, key);
    const int64_t place = place_of(&keep->batches, key);
    if (place < 0)
        return (int)place;
    struct entry *batch = &keep->batches.entries[place];
    keep->records[seq - 1].owner = (uint32_t)place;
    if (strcmp(state, "submit") == 0)
        batch->uid = json_integer_value(json_object_get(record, "uid"));
    if (strcmp(state, "forget") == 0) {
        batch->is_forgotten = true;
        batch->key[1] = ~batch->key[1] ^ seq; /* whoever asks for the name gets another entry */
    }
    return SORT_BATCH;
}

/* -ENOMEM, or where the record's task stands; NOBODY: it is of none. */
static int64_t task_of(struct ledger_keep *keep, const json_t *record) {
    const char *id = json_string_value(json_object_get(record, "task"));
    const char *name = json_string_value(json_object_get(record, "batch"));
    uint64_t key[2];
    int64_t batch = NOBODY;
    if (!id)
        return NOBODY;
    if (name) {
        key_of(keep, name, 0, key);
        batch = place_of(&keep->batches, key);
        if (batch < 0)
            return batch;
    }
    key_of(keep, id, (uint64_t)batch + 1, key);
    const int64_t place = place_of(&keep->tasks, key);
    if (place >= 0)
        keep->tasks.entries[place].batch = (uint32_t)batch;
    return place;
}

static void see_task_end(struct entry *task, const json_t *record, uint32_t seq) {
    task->last_end = seq;
    task->is_ok = strcmp(text_of(record, "verdict"), "ok") == 0;
}

/* A place for one more: new, or that of the user's kind that was last used longest ago. */
static struct kind *make_kind(struct ledger_keep *keep, uint32_t user) {
    size_t n_own = 0;
    struct kind *oldest = NULL;
    for (size_t i = 0; i < keep->n_kinds; i++) {
        struct kind *kind = &keep->kinds[i];
        n_own += kind->user == user;
        if (kind->user == user && (!oldest || kind->last < oldest->last))
            oldest = kind;
    }
    if (n_own >= LEDGER_KEEP_KINDS) {
        keep->kind_names.entries[oldest->name].batch = NOBODY;
        return oldest;
    }
    struct kind *grown = reallocarray(keep->kinds, keep->n_kinds + 1, sizeof(*grown));
    if (!grown)
        return NULL;
    keep->kinds = grown;
    return &grown[keep->n_kinds++];
}

/* Of a user: nobody is to push out what is another's. NULL: out of memory. */
static struct kind *kind_of(struct ledger_keep *keep, const json_t *record) {
    uint64_t key[2];
    key_of(keep, text_of(record, "user"), 0, key);
    const int64_t user = place_of(&keep->users, key);
    if (user < 0)
        return NULL;
    const uint64_t is_pair = json_object_get(record, "prior_bytes") != NULL;
    key_of(keep, text_of(record, "kind"), 2 * (uint64_t)user + is_pair, key);
    const int64_t name = place_of(&keep->kind_names, key);
    if (name < 0)
        return NULL;
    uint32_t *place = &keep->kind_names.entries[name].batch;
    if (*place != NOBODY)
        return &keep->kinds[*place];
    struct kind *kind = make_kind(keep, (uint32_t)user);
    if (!kind)
        return NULL;
    *kind = (struct kind){.name = (uint32_t)name,
                          .user = (uint32_t)user,
                          .smallest_size = INFINITY,
                          .largest_size = -INFINITY};
    *place = (uint32_t)(kind - keep->kinds);
    return kind;
}

static int see_sample(struct ledger_keep *keep, const json_t *record, uint32_t seq) {
    const double size = json_number_value(json_object_get(record, "size"));
    struct kind *kind = kind_of(keep, record);
    if (!kind)
        return -ENOMEM;
    kind->last = seq;
    kind->newest[kind->n_seen++ % LEDGER_KEEP_SAMPLES] = seq;
    if (size < kind->smallest_size) {
        kind->smallest_size = size;
        kind->smallest = seq;
    }
    if (size > kind->largest_size) {
        kind->largest_size = size;
        kind->largest = seq;
    }
    return 0;
}

static double used_by(const json_t *record) {
    const double bytes = json_number_value(json_object_get(record, "reserved_bytes"));
    const double seconds = json_number_value(json_object_get(record, "wall_s"));
    return bytes > 0 && seconds > 0 && bytes * seconds < 1e30 ? bytes * seconds : 0;
}

static int see_attempt(struct ledger_keep *keep, struct entry *task, const json_t *record,
                       bool is_start, uint32_t seq) {
    struct record *attempt = &keep->records[seq - 1];
    const json_int_t number = json_integer_value(json_object_get(record, "attempt"));
    attempt->number = (uint16_t)(number > 0 && number < MOST_ATTEMPTS ? number : 0);
    if (attempt->number > task->attempts)
        task->attempts = attempt->number;
    if (is_start) {
        task->open = seq;
        return SORT_START;
    }
    attempt->time_s = (uint32_t)(time_ms(record) / 1000);
    attempt->byte_seconds = (float)used_by(record);
    task->open = 0;
    return see_sample(keep, record, seq) < 0 ? -ENOMEM : SORT_END;
}

static int see_task(struct ledger_keep *keep, const json_t *record, const char *event,
                    uint32_t seq) {
    const int64_t place = task_of(keep, record);
    if (place < 0 || place == NOBODY)
        return place < 0 ? (int)place : SORT_KEPT;
    struct entry *task = &keep->tasks.entries[place];
    keep->records[seq - 1].owner = (uint32_t)place;
    if (strcmp(event, "task_end") != 0)
        return see_attempt(keep, task, record, strcmp(event, "attempt_start") == 0, seq);
    see_task_end(task, record, seq);
    return SORT_TASK_END;
}

static int see_note(struct ledger_keep *keep, uint32_t seq) {
    keep->notes[keep->n_notes++ % LEDGER_KEEP_NOTES] = seq;
    return SORT_GONE; /* the newest come back when all are seen */
}

int ledger_keep_see(void *context, const json_t *record, struct failure *failure) {
    struct ledger_keep *keep = context;
    const char *event = text_of(record, "event");
    if (make_room(keep) < 0)
        return out_of_memory(failure);
    const uint32_t seq = ++keep->count;
    keep->records[seq - 1] = (struct record){.owner = NOBODY};
    int sort = SORT_KEPT;
    if (seq > 1 && strcmp(event, "batch") == 0)
        sort = see_batch(keep, record, seq);
    else if (strcmp(event, "attempt_start") == 0 || strcmp(event, "attempt_end") == 0 ||
             strcmp(event, "task_end") == 0)
        sort = see_task(keep, record, event, seq);
    else if (seq > 1 && strcmp(event, "note") == 0)
        sort = see_note(keep, seq);
    if (sort < 0)
        return out_of_memory(failure);
    keep->records[seq - 1].sort = (uint8_t)sort;
    return 0;
}

/* ---- deciding ---- */

static bool is_forgotten(const struct ledger_keep *keep, uint32_t batch) {
    return batch != NOBODY && keep->batches.entries[batch].is_forgotten;
}

static bool counts_by_task(const struct ledger_keep *keep, uint32_t seq, enum sort sort) {
    const struct entry *task = &keep->tasks.entries[keep->records[seq - 1].owner];
    if (is_forgotten(keep, task->batch))
        return false;
    if (sort == SORT_TASK_END)
        return seq == task->last_end;
    if (seq == task->open)
        return true;
    return !(task->last_end > 0 && task->is_ok) &&
           keep->records[seq - 1].number + LEDGER_KEEP_ATTEMPTS > task->attempts;
}

static bool counts_by_itself(const struct ledger_keep *keep, uint32_t seq) {
    const enum sort sort = (enum sort)keep->records[seq - 1].sort;
    switch (sort) {
    case SORT_KEPT:
        return true;
    case SORT_BATCH:
        return !is_forgotten(keep, keep->records[seq - 1].owner);
    case SORT_START:
    case SORT_END:
    case SORT_TASK_END:
        return counts_by_task(keep, seq, sort);
    case SORT_GONE:
    case SORT_COUNT:
        break;
    }
    return false;
}

static void bring_back(struct ledger_keep *keep, uint32_t seq) {
    if (seq > 0)
        keep->records[seq - 1].sort = SORT_KEPT;
}

static void bring_back_samples(struct ledger_keep *keep, const struct kind *kind) {
    for (uint32_t i = 0; i < kind->n_seen && i < LEDGER_KEEP_SAMPLES; i++)
        bring_back(keep, kind->newest[i]);
    bring_back(keep, kind->smallest);
    bring_back(keep, kind->largest);
}

/* Of an attempt that goes, its user's use stays. Without memory for it he has a little less. */
static void keep_share(struct ledger_keep *keep, uint32_t seq) {
    const struct record *attempt = &keep->records[seq - 1];
    const uint32_t batch = keep->tasks.entries[keep->records[seq - 1].owner].batch;
    if (batch == NOBODY || keep->batches.entries[batch].uid < 0 || !(attempt->byte_seconds > 0))
        return;
    (void)add_share(keep, keep->batches.entries[batch].uid, (double)attempt->byte_seconds,
                    (int64_t)attempt->time_s * 1000);
}

void ledger_keep_decide(struct ledger_keep *keep) {
    for (size_t i = 0; i < keep->n_kinds; i++)
        bring_back_samples(keep, &keep->kinds[i]);
    for (uint32_t i = 0; i < keep->n_notes && i < LEDGER_KEEP_NOTES; i++)
        bring_back(keep, keep->notes[i]);
    bring_back(keep, keep->last_run_start);
    bring_back(keep, keep->last_run_end);
    bring_back(keep, keep->last_pause);
    for (uint32_t seq = 1; seq <= keep->count; seq++) {
        const bool counts = counts_by_itself(keep, seq);
        if (!counts && keep->records[seq - 1].sort == SORT_END)
            keep_share(keep, seq);
        keep->records[seq - 1].sort = counts;
        keep->n_counting += counts;
        keep->records[seq - 1].owner = counts ? (uint32_t)keep->n_counting : 0;
    }
}

bool ledger_keep_counts(const struct ledger_keep *keep, uint64_t seq) {
    return seq > 0 && seq <= keep->count && keep->records[seq - 1].sort;
}

uint64_t ledger_keep_renumbered(const struct ledger_keep *keep, uint64_t seq) {
    return ledger_keep_counts(keep, seq) ? keep->records[seq - 1].owner : 0;
}

uint64_t ledger_keep_count(const struct ledger_keep *keep) { return keep->n_counting; }

size_t ledger_keep_shares(const struct ledger_keep *keep, const struct ledger_keep_share **ret) {
    *ret = keep->shares;
    return keep->n_shares;
}
