/* Which output tiles are finished: written and fdatasync'ed. What a resumed warp need not do again.
 *
 * A head, then one record of 16 bytes per tile, each with a check of its own that is seeded with
 * the head: a torn tail, or a record of another journal, ends what is believed. The head names what
 * the tiles are made of (key), how many there are, and the inodes of the files they stand in, so
 * that a file which was replaced meanwhile is not taken for the one that was written.
 */
#ifndef WORKER_OUTPUT_TILE_JOURNAL_H
#define WORKER_OUTPUT_TILE_JOURNAL_H

#include "common/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TILE_JOURNAL_FILES = 12, TILE_JOURNAL_KEY_BYTES = 40 };

/* As on disk; what is not used is zero. */
struct tile_journal_head {
    char magic[8]; /* set by tile_journal_create */
    char key[TILE_JOURNAL_KEY_BYTES];
    uint64_t n_tiles;
    uint64_t inodes[TILE_JOURNAL_FILES];
};

/* A finished tile. */
struct tile_journal_entry {
    uint32_t tile;    /* index */
    uint32_t covered; /* its pixels that both images cover */
};

struct tile_journal;

/* Reads the journal at path, cuts off what cannot be believed and opens it for more. -ENOENT: there
 * is none; -ESTALE: of another key or number of tiles; -EBADMSG: no journal at all. */
MUST_USE int tile_journal_open(const char *path, const char *key, uint64_t n_tiles,
                               struct tile_journal **ret, struct failure *failure);
/* An empty journal, durable when this returns, in place of any other. Its files must be so before
 * their tiles are. */
MUST_USE int tile_journal_create(const char *path, const struct tile_journal_head *head,
                                 struct tile_journal **ret, struct failure *failure);
void tile_journal_close(struct tile_journal *journal); /* NULL is fine; the file stays */

/* Appends n entries; they are durable when this returns. The tiles themselves must be so before. */
MUST_USE int tile_journal_append(struct tile_journal *journal,
                                 const struct tile_journal_entry *entries, size_t n,
                                 struct failure *failure);

const struct tile_journal_head *tile_journal_get_head(const struct tile_journal *journal);
/* Of the tiles that stood in the journal when it was opened; later ones do not count. */
bool tile_journal_had(const struct tile_journal *journal, uint64_t tile);
uint64_t tile_journal_n_had(const struct tile_journal *journal);
uint64_t tile_journal_covered_had(const struct tile_journal *journal); /* sum over them */

/* The journal is gone, for good, when this returns; that there was none is fine. */
MUST_USE int tile_journal_remove(const char *path, struct failure *failure);

#endif
