/* See ledger_replay.h. Two phases: whole records in turn go to the caller; from the first line
 * that is none, the rest is only searched for whole records, because their "synced" tells whether
 * what is broken had been promised. */
#include "supervisor/ledger/ledger_replay.h"

#include "supervisor/ledger/ledger_identity.h"
#include "supervisor/ledger/ledger_line.h"
#include "supervisor/ledger/ledger_scan.h"

#include <errno.h>
#include <string.h>

#define CREATION_OPENING LEDGER_LINE_OPENING "1,\"time\":\""

/* The first record alone, whatever its length: more cannot stand there before it was synced. */
enum { CREATION_MAX_BYTES = 4096 };

enum ledger_replay_state ledger_replay_judge(const struct ledger_replay_facts *facts) {
    if (!facts->any_bytes_behind)
        return LEDGER_REPLAY_CLEAN;
    if (facts->promised > facts->n_records || facts->out_of_turn)
        return LEDGER_REPLAY_DAMAGED;
    if (facts->n_records > 0)
        return LEDGER_REPLAY_TORN;
    return facts->like_creation ? LEDGER_REPLAY_TORN : LEDGER_REPLAY_FOREIGN;
}

struct replay_state {
    const char *path;
    ledger_store_wants_cb wants;
    ledger_store_replay_cb replay;
    void *context;
    struct ledger_replay *ret;
    struct ledger_replay_facts facts;
    int version_error;
};

static void copy_member(const json_t *record, const char *key, char *to, size_t size) {
    const char *text = json_string_value(json_object_get(record, key));
    (void)snprintf(to, size, "%s", text ? text : ""); /* its length was checked, or is cut */
}

static int take_record(struct replay_state *state, const struct ledger_line *line,
                       const struct ledger_scan_line *at, struct failure *failure) {
    struct ledger_replay *ret = state->ret;
    ret->n_records = state->facts.n_records = line->seq;
    ret->good_bytes = at->end_offset;
    if (line->synced > state->facts.promised)
        state->facts.promised = line->synced;
    if (line->seq == 1) {
        copy_member(line->record, "ledger_id", ret->id, sizeof(ret->id));
        copy_member(line->record, "time", ret->first_time, sizeof(ret->first_time));
    }
    copy_member(line->record, "time", ret->last_time, sizeof(ret->last_time));
    return state->replay ? state->replay(state->context, line->record, failure) : 0;
}

/* The first line that does not continue the ledger. r is why it could not be decoded, or 0. */
static void meet_damage(struct replay_state *state, int r, const struct ledger_line *line,
                        const struct ledger_scan_line *at, const char *why) {
    struct ledger_replay_facts *facts = &state->facts;
    facts->any_bytes_behind = true;
    facts->out_of_turn = r == 0 || r == -EPROTO;
    if (r == -EPROTONOSUPPORT)
        state->version_error = r;
    char *found = state->ret->found;
    size_t size = sizeof(state->ret->found);
    uint64_t expected = facts->n_records + 1;
    if (r == 0 && line->seq == facts->n_records)
        (void)snprintf(found, size, "record %llu a second time", (unsigned long long)line->seq);
    else if (r == 0)
        (void)snprintf(found, size, "record %llu (%s)", (unsigned long long)line->seq,
                       line->seq > expected ? "lines are missing" : "out of order");
    else if (at->all_zero)
        (void)snprintf(found, size, "zero bytes");
    else if (!at->has_newline && at->length < LEDGER_LINE_MAX_BYTES)
        (void)snprintf(found, size, "a line that is cut off");
    else
        (void)snprintf(found, size, "%s", why);
}

/* A whole record at the end of a line whose front is damaged: zero bytes from a torn page, or the
 * line before it with its newline lost. */
static int decode_end(const struct ledger_scan_line *at, struct ledger_line *ret) {
    const size_t opening = sizeof(LEDGER_LINE_OPENING) - 1;
    char why[LEDGER_LINE_WHY_BYTES];
    for (size_t i = at->length; i-- > 0;)
        if (at->bytes[i] == '{' && at->length - i > opening &&
            memcmp(at->bytes + i, LEDGER_LINE_OPENING, opening) == 0)
            return ledger_line_decode(at->bytes + i, at->length - i, ret, why);
    return -EBADMSG;
}

static void search_behind(struct replay_state *state, const struct ledger_scan_line *at) {
    struct ledger_replay_facts *facts = &state->facts;
    struct ledger_line line = {0};
    if (decode_end(at, &line) < 0)
        return;
    if (line.synced > facts->promised)
        facts->promised = line.synced;
    json_decref(line.record);
}

/* A record in turn that nobody wants. The first one names the ledger: it is always read. */
static bool pass_over(struct replay_state *state, const struct ledger_scan_line *at) {
    uint64_t seq = 0, synced = 0;
    if (!state->wants || state->facts.n_records == 0 || !at->has_newline || at->cut ||
        state->wants(state->context, at->bytes, at->length) ||
        !ledger_line_peek(at->bytes, at->length, &seq, &synced) ||
        seq != state->facts.n_records + 1)
        return false;
    state->ret->n_records = state->facts.n_records = seq;
    state->ret->good_bytes = at->end_offset;
    if (synced > state->facts.promised)
        state->facts.promised = synced;
    return true;
}

static int take_line(struct replay_state *state, const struct ledger_scan_line *at,
                     struct failure *failure) {
    struct ledger_line line = {0};
    if (!state->facts.any_bytes_behind) {
        if (pass_over(state, at))
            return 0;
        char why[LEDGER_LINE_WHY_BYTES] = "";
        int r = at->has_newline && !at->cut ? ledger_line_decode(at->bytes, at->length, &line, why)
                                            : -EBADMSG;
        CLEANUP_JSON json_t *record = line.record;
        if (r == 0 && line.seq == state->facts.n_records + 1)
            return take_record(state, &line, at, failure);
        meet_damage(state, r, &line, at, why);
    }
    search_behind(state, at);
    return 0;
}

static bool is_zero(const char *bytes, size_t length) {
    return length == 0 || (bytes[0] == '\0' && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Whether a file without a first record is what a crash leaves of a ledger's creation: the start of
 * that record, and behind it zeros of any length, or whatever fits where nothing else can stand. */
static bool is_like_creation(int fd, uint64_t file_bytes) {
    char block[CREATION_MAX_BYTES];
    ssize_t n = pread(fd, block, sizeof(block), 0);
    if (n < 0)
        return false;
    size_t length = strnlen(block, (size_t)n), opening = sizeof(CREATION_OPENING) - 1;
    if (memcmp(block, CREATION_OPENING, length < opening ? length : opening) != 0)
        return false;
    if (length > 0 && file_bytes <= sizeof(block))
        return true;
    if (!is_zero(block + length, (size_t)n - length))
        return false;
    for (uint64_t at = (uint64_t)n; at < file_bytes; at += (uint64_t)n) {
        n = pread(fd, block, sizeof(block), (off_t)at);
        if (n <= 0 || !is_zero(block, (size_t)n))
            return false;
    }
    return true;
}

static int describe(const struct replay_state *state, struct failure *failure) {
    const struct ledger_replay *is = state->ret;
    unsigned long long line = is->n_records + 1, promised = is->promised;
    if (state->version_error)
        return failure_set(failure, state->version_error,
                           "%s, line %llu: %s; use the registrar that wrote it, or a newer one",
                           state->path, line, is->found);
    if (is->state == LEDGER_REPLAY_FOREIGN)
        return failure_set(failure, -EMEDIUMTYPE,
                           "%s is not a ledger: expected record 1 in its first line, found %s; "
                           "it is left as it is: name another place, or move it away",
                           state->path, is->found);
    if (is->n_records > 0 && !ledger_identity_is_valid(is->id))
        return failure_set(
            failure, -EBADMSG,
            "%s, line 1: expected a note with \"ledger_id\", as every ledger begins; "
            "nothing was changed: restore it from a copy, or move it away",
            state->path);
    if (is->state != LEDGER_REPLAY_DAMAGED)
        return 0;
    char because[128] = "";
    if (promised > is->n_records)
        (void)snprintf(because, sizeof(because),
                       ", although records up to %llu had been safely on disk", promised);
    if (is->n_records == 0)
        return failure_set(failure, -EBADMSG,
                           "%s, line 1: damaged: expected record 1, found %s%s; nothing was "
                           "changed: restore it from a copy, or move it away and begin anew",
                           state->path, is->found, because);
    return failure_set(failure, -EBADMSG,
                       "%s, line %llu: damaged in the middle: expected record %llu, found %s%s; "
                       "nothing was changed: restore it from a copy, or move it to another name "
                       "and keep the %llu whole records with: head -n %llu OTHER-NAME > '%s'",
                       state->path, line, line, is->found, because, line - 1, line - 1,
                       state->path);
}

int ledger_replay_file(int fd, const char *path, ledger_store_wants_cb wants,
                       ledger_store_replay_cb replay, void *context, struct ledger_replay *ret,
                       struct failure *failure) {
    *ret = (struct ledger_replay){0};
    struct replay_state state = {
        .path = path, .wants = wants, .replay = replay, .context = context, .ret = ret};
    CLEANUP(ledger_scan_close) struct ledger_scan scan = {.fd = -1};
    int r = ledger_scan_open(fd, &scan);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot read %s", path);
    struct ledger_scan_line line;
    while ((r = ledger_scan_next(&scan, &line)) > 0) {
        r = take_line(&state, &line, failure);
        if (r != 0)
            return r;
        ret->file_bytes = line.end_offset;
    }
    if (r < 0)
        return failure_set_errno(failure, r, "cannot read %s", path);
    state.facts.like_creation = ret->n_records == 0 && is_like_creation(fd, ret->file_bytes);
    ret->promised = state.facts.promised;
    ret->state = ledger_replay_judge(&state.facts);
    return describe(&state, failure);
}
