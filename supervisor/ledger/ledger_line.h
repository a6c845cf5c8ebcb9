/* One line of the ledger: from a record to bytes and back (registrar-ledger(5)).
 *
 *     {"v":1,"seq":7,"time":"2026-11-21T20:00:00.123Z","boot":"<boot id>","event":"note",
 *      "synced":6, <the event's own members>, "crc":"0a1b2c3d"}
 *
 * without the spaces and breaks. crc is the CRC-32 (zlib's) of the bytes before `,"crc"`. A line
 * with its newline has at most LEDGER_LINE_MAX_BYTES.
 */
#ifndef SUPERVISOR_LEDGER_LEDGER_LINE_H
#define SUPERVISOR_LEDGER_LEDGER_LINE_H

#include "common/failure.h"

#include <stdbool.h>
#include <stdint.h>

/* How every line begins: a scan finds a whole record behind damaged bytes by it. */
#define LEDGER_LINE_OPENING "{\"v\":1,\"seq\":"

enum {
    LEDGER_LINE_VERSION = 1,
    LEDGER_LINE_MAX_BYTES = 1 << 20,
    LEDGER_LINE_MAX_DEPTH = 64, /* of nested members; the parser's own limit lies far above */
    LEDGER_LINE_WHY_BYTES = 256,
};

/* Whole lines, one after the other. Owns bytes. */
struct ledger_line_buffer {
    char *bytes;
    size_t length, capacity;
};
void ledger_line_buffer_free(struct ledger_line_buffer *buffer);

struct ledger_line_header {
    uint64_t seq, synced; /* synced: the last seq known to be on disk; below seq */
    const char *boot_id;
    const char *event;
};

/* Appends one line with its newline and the present time. fields may be NULL. -EINVAL: a member
 * that is registrar's own (v, seq, ...), text that is not UTF-8, or nested too deeply; -EMSGSIZE:
 * too long; then the buffer is as before. */
MUST_USE int ledger_line_encode(struct ledger_line_buffer *buffer,
                                const struct ledger_line_header *header, const json_t *fields,
                                struct failure *failure);

/* Appends a record that was decoded, with other numbers but its own time, boot and members. */
MUST_USE int ledger_line_recode(struct ledger_line_buffer *buffer, const json_t *record,
                                uint64_t seq, uint64_t synced, struct failure *failure);

struct ledger_line {
    uint64_t seq, synced;
    json_t *record; /* owned by the caller */
};

/* bytes: one line without its newline. -EBADMSG: the bytes are damaged (no record's shape, or the
 * checksum differs); -EPROTO: the checksum is right, yet it is no record of ours; -EPROTONOSUPPORT:
 * a record of a later version. why (LEDGER_LINE_WHY_BYTES) then says what is wrong with the line,
 * as the end of a sentence. */
MUST_USE int ledger_line_decode(const char *bytes, size_t length, struct ledger_line *ret,
                                char *why);

/* The numbers alone, ten times as quickly: the checksum is looked at, the members are not. False:
 * not a line as ledger_line_encode writes it; decode tells what it is. */
bool ledger_line_peek(const char *bytes, size_t length, uint64_t *ret_seq, uint64_t *ret_synced);

#endif
