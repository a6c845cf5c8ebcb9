/* See page.h. page.html says what stands where: a word in double braces is replaced by what
 * page.c's table of parts puts there. */
#include "supervisor/page/page.h"

#include "common/atomic_file.h"
#include "common/names.h"
#include "common/units.h"
#include "supervisor/page/page_data.h"
#include "supervisor/page/page_out.h"
#include "supervisor/page/page_picture.h"
#include "supervisor/page/page_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

enum { NONCE_BYTES = 16, SUMMARY_LINE_BYTES = 64 << 10 };

struct page {
    const struct page_request *request;
    struct page_tasks tasks;
    struct page_data data;
    json_t *memory; /* owned */
    char *where;    /* owned */
    char nonce[2 * NONCE_BYTES + 1];
};

static void page_free(struct page *page) {
    page_tasks_free(&page->tasks);
    json_decref(page->memory);
    free(page->where);
}

/* ---- gathering ---- */

/* "  {...}," of the tasks and " "memory": {...}": summary.json has a line for each. */
static int take_line(struct page *page, char *line) {
    static const char memory[] = " \"memory\": {";
    size_t length = strcspn(line, "\r\n");
    while (length > 0 && line[length - 1] == ',')
        length--;
    const bool is_memory = strncmp(line, memory, sizeof(memory) - 1) == 0;
    const size_t skip = is_memory ? sizeof(memory) - 2 : 0;
    if (!is_memory && strncmp(line, "  {", 3) != 0)
        return 0;
    CLEANUP_JSON json_t *value =
        json_loadb(line + skip, length - skip, JSON_REJECT_DUPLICATES, NULL);
    if (!value)
        return 0; /* another's file */
    if (!is_memory)
        return page_tasks_add_listed(&page->tasks, value);
    json_decref(page->memory);
    page->memory = STEAL_PTR(value);
    return 0;
}

static int read_summary(struct page *page) {
    CLEANUP_FREE char *path = names_format("%s/summary.json", page->request->out);
    CLEANUP_FREE char *line = malloc(SUMMARY_LINE_BYTES);
    if (!path || !line)
        return -ENOMEM;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return 0;
    CLEANUP_FCLOSE FILE *file = fdopen(fd, "r");
    if (!file) {
        (void)close(fd); /* nothing was read */
        return -ENOMEM;
    }
    int r = 0;
    while (r == 0 && fgets(line, SUMMARY_LINE_BYTES, file))
        r = take_line(page, line);
    return r;
}

static int gather(struct page *page, struct failure *failure) {
    const struct page_request *request = page->request;
    unsigned char nonce[NONCE_BYTES];
    int r = page_tasks_open(request->batch, &page->tasks);
    page->where = realpath(request->out, NULL);
    if (!page->where)
        return failure_set_errno(failure, -errno, "cannot read %s", request->out);
    if (r == 0 && request->read) {
        r = request->read(request->context, page_tasks_record, &page->tasks, failure);
        if (r < 0)
            return r;
    }
    if (r == 0)
        r = read_summary(page);
    if (r == 0 && getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
        r = -EIO;
    for (size_t i = 0; r == 0 && i < NONCE_BYTES; i++)
        (void)snprintf(page->nonce + 2 * i, 3, "%02x", nonce[i]);
    if (r < 0)
        return failure_set_errno(failure, r, "cannot write the report of %s", request->out);
    if (page->tasks.count == 0)
        return failure_set(failure, -ENODATA, "%s has no task to report", request->out);
    for (size_t i = 0; i < page->tasks.count; i++)
        page_picture_look(request->out, &page->tasks.items[i]);
    return 0;
}

/* ---- the parts ---- */

static int put_title(struct page *page, struct failure *failure) {
    const char *name = page->request->batch ? page->request->batch : page->where;
    const int r = page_out_text(page->data.stream, name);
    return r < 0 ? failure_set_errno(failure, r, "cannot write the report") : 0;
}

/* "27 ok, 1 doubtful, 2 failed": for those without scripts. */
static int put_counts(struct page *page, struct failure *failure) {
    size_t left = page->tasks.count;
    (void)failure;
    for (size_t v = 0; v < VERDICT_COUNT; v++) {
        size_t n = 0;
        for (size_t i = 0; i < page->tasks.count; i++)
            n += page->tasks.items[i].result.finished &&
                 page->tasks.items[i].result.verdict == (enum verdict)v;
        if (n > 0)
            (void)fprintf(page->data.stream, "%s%zu %s", left < page->tasks.count ? ", " : "", n,
                          verdict_name((enum verdict)v)); /* errors: see page_out.h */
        left -= n;
    }
    if (left > 0)
        (void)fprintf(page->data.stream, "%s%zu left", left < page->tasks.count ? ", " : "", left);
    return 0;
}

static int put_nonce(struct page *page, struct failure *failure) {
    (void)failure;
    (void)fputs(page->nonce, page->data.stream);
    return 0;
}

static int put_style(struct page *page, struct failure *failure) {
    (void)failure;
    (void)fputs(page_source_css, page->data.stream);
    return 0;
}

static int put_scripts(struct page *page, struct failure *failure) {
    (void)failure;
    for (unsigned n = 0; page_source_script(n); n++)
        (void)fputs(page_source_script(n), page->data.stream);
    return 0;
}

static int put_data(struct page *page, struct failure *failure) {
    return page_data_put(&page->data, failure);
}

static int put_details(struct page *page, struct failure *failure) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < page->tasks.count; i++)
        r = page_data_put_details(&page->data, i);
    return r < 0 ? failure_set_errno(failure, r, "cannot write the report") : 0;
}

static const struct part {
    const char *name;
    int (*put)(struct page *page, struct failure *failure);
} parts[] = {
    {"title", put_title}, {"counts", put_counts},   {"nonce", put_nonce},     {"style", put_style},
    {"data", put_data},   {"scripts", put_scripts}, {"details", put_details},
};

static int put_part(struct page *page, const char *name, size_t length, struct failure *failure) {
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (strlen(parts[i].name) == length && strncmp(parts[i].name, name, length) == 0)
            return parts[i].put(page, failure);
    return failure_set(failure, -EINVAL, "page.html names an unknown part");
}

static int put_page(struct page *page, struct failure *failure) {
    const char *at = page_source_html, *open = NULL, *close = NULL;
    int r = 0;
    while (r == 0 && (open = strstr(at, "{{")) && (close = strstr(open, "}}"))) {
        (void)fwrite(at, 1, (size_t)(open - at), page->data.stream);
        r = put_part(page, open + 2, (size_t)(close - open) - 2, failure);
        at = close + 2;
    }
    (void)fputs(at, page->data.stream);
    return r;
}

/* ---- the file ---- */

static int write_file(struct page *page, const char *temporary, uint64_t *ret_bytes,
                      struct failure *failure) {
    (void)unlink(temporary); /* a stale one; what else it may be open refuses */
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return failure_set_errno(failure, -errno, "cannot write %s", temporary);
    FILE *stream = fdopen(fd, "w");
    if (!stream) {
        (void)close(fd); /* nothing was written */
        return failure_set_errno(failure, -ENOMEM, "cannot write %s", temporary);
    }
    page->data.stream = stream;
    int r = put_page(page, failure);
    const off_t bytes = ftello(stream);
    const bool is_bad = ferror(stream) != 0;
    errno = 0;
    if ((fclose(stream) == EOF || is_bad || bytes < 0) && r == 0)
        r = failure_set_errno(failure, errno > 0 ? -errno : -EIO, "cannot write %s", temporary);
    *ret_bytes = (uint64_t)bytes;
    return r;
}

static void sum_up(const struct page *page, uint64_t bytes, struct page_result *ret) {
    *ret = (struct page_result){
        .bytes = bytes, .n_tasks = page->tasks.count, .embed_bytes = page->data.embed_bytes};
    for (size_t i = 0; i < page->tasks.count; i++) {
        const struct page_task *task = &page->tasks.items[i];
        ret->n_pictures += task->n_pictures;
        ret->n_beside += task->n_pictures > 0 && task->embedded != PAGE_PICTURE_ALL;
    }
}

int page_write(const struct page_request *request, struct page_result *ret,
               struct failure *failure) {
    CLEANUP(page_free) struct page page = {.request = request};
    uint64_t bytes = 0;
    int r = gather(&page, failure);
    if (r < 0)
        return r;
    page.data = (struct page_data){
        .request = request,
        .tasks = &page.tasks,
        .where = page.where,
        .memory = page.memory,
        .embed_bytes = page_picture_choose(&page.tasks, request->embed_bytes),
    };
    CLEANUP_FREE char *path = names_format("%s/" PAGE_NAME, request->out);
    CLEANUP_FREE char *temporary = path ? atomic_file_temporary_name(path) : NULL;
    if (!temporary)
        return failure_set_errno(failure, -ENOMEM, "cannot write the report");
    r = write_file(&page, temporary, &bytes, failure);
    if (r == 0)
        r = atomic_file_publish(temporary, path, failure);
    if (r < 0)
        (void)unlink(temporary); /* the error above is the one to tell */
    else if (ret)
        sum_up(&page, bytes, ret);
    return r;
}
