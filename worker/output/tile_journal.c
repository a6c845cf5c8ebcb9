/* The order of durability is the caller's: tiles, then their records; see tile_journal.h. Records
 * check themselves, so appending needs no other care than fdatasync, and reading stops at the first
 * that is wrong: a kill may have torn it, a power failure may have left zeros. */
#include "worker/output/tile_journal.h"

#include "common/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { RECORDS_AT_ONCE = 256 };

static const char magic[8] = "tiles-3\n";

/* As on disk. */
struct record {
    struct tile_journal_entry entry;
    uint64_t check;
};

struct tile_journal {
    char *path; /* owned */
    int fd;     /* owned */
    struct tile_journal_head head;
    uint64_t seed;
    uint8_t *had; /* one bit per tile */
    uint64_t n_had, covered_had;
};

static uint64_t check_of(const struct tile_journal *journal,
                         const struct tile_journal_entry *entry) {
    return XXH3_64bits_withSeed(entry, sizeof(*entry), journal->seed);
}

void tile_journal_close(struct tile_journal *journal) {
    if (!journal)
        return;
    if (journal->fd >= 0)
        (void)close(journal->fd); /* what counts was synced */
    free(journal->had);
    free(journal->path);
    free(journal);
}

static int make(const char *path, const struct tile_journal_head *head, struct tile_journal **ret,
                struct failure *failure) {
    struct tile_journal *journal = calloc(1, sizeof(*journal));
    if (journal) {
        journal->fd = -1;
        journal->head = *head;
        journal->seed = XXH3_64bits(head, sizeof(*head));
        journal->path = strdup(path);
        journal->had = calloc(head->n_tiles / 8 + 1, 1);
    }
    if (!journal || !journal->path || !journal->had) {
        tile_journal_close(journal);
        return failure_set(failure, -ENOMEM, "no memory to keep %s", path);
    }
    *ret = journal;
    return 0;
}

static int open_file(struct tile_journal *journal, struct failure *failure) {
    journal->fd = open(journal->path, O_RDWR | O_APPEND | O_CLOEXEC);
    return journal->fd < 0 ? failure_set_errno(failure, -errno, "cannot open %s", journal->path)
                           : 0;
}

int tile_journal_create(const char *path, const struct tile_journal_head *head,
                        struct tile_journal **ret, struct failure *failure) {
    struct tile_journal_head marked = *head;
    memcpy(marked.magic, magic, sizeof(magic));
    struct tile_journal *journal = NULL;
    int r = make(path, &marked, &journal, failure);
    if (r == 0)
        r = atomic_file_write(path, &marked, sizeof(marked), failure);
    if (r == 0)
        r = open_file(journal, failure);
    if (r < 0)
        tile_journal_close(journal);
    else
        *ret = journal;
    return r;
}

static void believe(struct tile_journal *journal, const struct tile_journal_entry *entry) {
    uint8_t *byte = &journal->had[entry->tile / 8], bit = (uint8_t)(1U << entry->tile % 8);
    if (*byte & bit)
        return;
    *byte |= bit;
    journal->n_had++;
    journal->covered_had += entry->covered;
}

/* Up to the first record that is not right; what follows is cut off. */
static int read_records(struct tile_journal *journal, struct failure *failure) {
    struct record records[RECORDS_AT_ONCE];
    off_t right = sizeof(journal->head);
    bool more = true;
    while (more) {
        ssize_t n = pread(journal->fd, records, sizeof(records), right);
        if (n < 0)
            return failure_set_errno(failure, -errno, "cannot read %s", journal->path);
        size_t whole = (size_t)n / sizeof(*records), i = 0;
        while (i < whole && records[i].entry.tile < journal->head.n_tiles &&
               records[i].check == check_of(journal, &records[i].entry))
            believe(journal, &records[i++].entry);
        right += (off_t)(i * sizeof(*records));
        more = i > 0 && i == whole;
    }
    if (ftruncate(journal->fd, right) < 0)
        return failure_set_errno(failure, -errno, "cannot shorten %s", journal->path);
    return 0;
}

int tile_journal_open(const char *path, const char *key, uint64_t n_tiles,
                      struct tile_journal **ret, struct failure *failure) {
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot open %s", path);
    struct tile_journal_head head;
    if (read(fd, &head, sizeof(head)) != (ssize_t)sizeof(head) ||
        memcmp(head.magic, magic, sizeof(magic)) != 0)
        return failure_set(failure, -EBADMSG, "%s is damaged", path);
    if (!*key || strncmp(head.key, key, sizeof(head.key)) != 0 || head.n_tiles != n_tiles)
        return failure_set(failure, -ESTALE, "%s belongs to other inputs or parameters", path);
    struct tile_journal *journal = NULL;
    int r = make(path, &head, &journal, failure);
    if (r == 0)
        r = open_file(journal, failure);
    if (r == 0)
        r = read_records(journal, failure);
    if (r < 0)
        tile_journal_close(journal);
    else
        *ret = journal;
    return r;
}

int tile_journal_append(struct tile_journal *journal, const struct tile_journal_entry *entries,
                        size_t n, struct failure *failure) {
    struct record records[RECORDS_AT_ONCE];
    while (n > 0) {
        size_t count = n < RECORDS_AT_ONCE ? n : RECORDS_AT_ONCE;
        for (size_t i = 0; i < count; i++)
            records[i] = (struct record){entries[i], check_of(journal, &entries[i])};
        size_t size = count * sizeof(*records);
        ssize_t written = write(journal->fd, records, size);
        if (written != (ssize_t)size) /* part of a record: no other may follow it */
            return failure_set_errno(failure, written < 0 ? -errno : -ENOSPC, "cannot write %s",
                                     journal->path);
        entries += count;
        n -= count;
    }
    if (fdatasync(journal->fd) < 0)
        return failure_set_errno(failure, -errno, "cannot write %s to disk", journal->path);
    return 0;
}

const struct tile_journal_head *tile_journal_get_head(const struct tile_journal *journal) {
    return &journal->head;
}

bool tile_journal_had(const struct tile_journal *journal, uint64_t tile) {
    return journal->had[tile / 8] >> tile % 8 & 1;
}

uint64_t tile_journal_n_had(const struct tile_journal *journal) { return journal->n_had; }

uint64_t tile_journal_covered_had(const struct tile_journal *journal) {
    return journal->covered_had;
}

int tile_journal_remove(const char *path, struct failure *failure) {
    if (unlink(path) < 0)
        return errno == ENOENT ? 0 : failure_set_errno(failure, -errno, "cannot remove %s", path);
    return atomic_file_sync_folder(path, failure);
}
