/* The file is the struct itself behind a head with its CRC-32: it is read by the same program on
 * the same machine, within the same batch. See background_counts.h. */
#include "worker/output/background_counts.h"

#include "common/atomic_file.h"
#include "worker/memory/tracked.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zlib.h>

static const char magic[8] = "RGCOUNT1";

struct file {
    char magic[8];
    uint64_t crc;
    struct background_counts counts;
};

struct background_counts *background_counts_new(void) {
    return tracked_alloc(1, sizeof(struct background_counts), "histograms");
}

void background_counts_free(struct background_counts *counts) { tracked_free(counts); }

void background_counts_add(struct background_counts *into, const struct background_counts *from) {
    for (size_t i = 0; i < ARRAY_LEN(into->ratio); i++)
        into->ratio[i] += from->ratio[i];
    for (size_t i = 0; i < ARRAY_LEN(into->pre); i++) {
        into->pre[i] += from->pre[i];
        into->post[i] += from->post[i];
    }
}

static uint64_t crc_of(const struct background_counts *counts) {
    return crc32_z(0, (const Bytef *)counts, sizeof(*counts));
}

static int no_memory(const char *path, struct failure *failure) {
    return failure_set(failure, -ENOMEM, "no memory for %s; raise --worker-memory", path);
}

static void cleanup_file(struct file **file) { tracked_free(*file); }

int background_counts_save(const struct background_counts *counts, const char *path,
                           struct failure *failure) {
    CLEANUP(cleanup_file) struct file *file = tracked_alloc(1, sizeof(*file), "histograms");
    if (!file)
        return no_memory(path, failure);
    memcpy(file->magic, magic, sizeof(magic));
    file->crc = crc_of(counts);
    file->counts = *counts;
    return atomic_file_write(path, file, sizeof(*file), failure);
}

int background_counts_load(const char *path, struct background_counts **ret,
                           struct failure *failure) {
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot read %s", path);
    CLEANUP(cleanup_file) struct file *file = tracked_alloc(1, sizeof(*file), "histograms");
    struct background_counts *counts = background_counts_new();
    if (!file || !counts) {
        background_counts_free(counts);
        return no_memory(path, failure);
    }
    const bool is_whole = read(fd, file, sizeof(*file)) == (ssize_t)sizeof(*file) &&
                          memcmp(file->magic, magic, sizeof(magic)) == 0 &&
                          file->crc == crc_of(&file->counts);
    if (!is_whole) {
        background_counts_free(counts);
        return failure_set(failure, -EBADMSG, "%s is damaged", path);
    }
    *counts = file->counts;
    *ret = counts;
    return 0;
}
