/* A ledger of any bytes: as it is, and with a right checksum on each line, so that what lies behind
 * the checksum is reached too. */
#include "supervisor/batch/resume.h"
#include "supervisor/explain/story.h"
#include "supervisor/ledger/ledger_line.h"
#include "supervisor/ledger/ledger_replay.h"
#include "supervisor/memory/model.h"

#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct readers {
    struct resume *resume;
    struct model *model;
    struct story story;
};

static int replay(void *context, const json_t *record, struct failure *failure) {
    struct readers *readers = context;
    (void)!model_replay(readers->model, record, failure);
    (void)!story_record(&readers->story, record, failure);
    (void)!resume_replay(readers->resume, record, failure);
    return 0; /* what one reader refuses, the next may still see */
}

static void read_file(const void *bytes, size_t size) {
    struct readers readers = {.story = {.task = "a/b"}};
    struct ledger_replay result = {0};
    struct failure failure;
    int fd = memfd_create("ledger", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size ||
        resume_open(&readers.resume, &failure) < 0 || model_open(&readers.model, &failure) < 0)
        abort();
    (void)!ledger_replay_file(fd, "ledger", NULL, replay, &readers, &result, &failure);
    (void)story_state(&readers.story, true);
    story_clear(&readers.story);
    resume_close(readers.resume);
    model_close(readers.model);
    (void)close(fd);
}

/* Each line gets its checksum, in place of a closing brace that it need not have. */
static void read_signed(const char *bytes, size_t size) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        abort();
    for (size_t at = 0; at < size;) {
        const char *newline = memchr(bytes + at, '\n', size - at);
        const size_t n = newline ? (size_t)(newline - bytes) - at : size - at;
        const unsigned long crc = crc32(0, (const Bytef *)(bytes + at), (uInt)n);
        (void)fwrite(bytes + at, 1, n, stream);
        (void)fprintf(stream, ",\"crc\":\"%08lx\"}\n", crc);
        at += n + 1;
    }
    if (fclose(stream) != 0)
        abort();
    read_file(text, length);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ledger_line line;
    char why[LEDGER_LINE_WHY_BYTES];
    if (ledger_line_decode((const char *)data, size, &line, why) == 0)
        json_decref(line.record);
    read_file(data, size);
    read_signed((const char *)data, size);
    return 0;
}
