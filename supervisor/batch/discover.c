/* See discover.h. RAW is read once; each folder in it that is asked for goes through sample_scan.
 * What is wrong with RAW as a whole is said before anything else, with what to do about it. */
#include "supervisor/batch/discover.h"

#include "common/names.h"
#include "supervisor/batch/image_name.h"
#include "supervisor/batch/sample.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { NAMES_SHOWN = 8, REASONS_SHOWN = 3 };

/* What lies directly in RAW. */
struct raw_listing {
    char **folders; /* sample folders, sorted */
    char **images;  /* images that belong into one, sorted */
};

static void listing_free(struct raw_listing *listing) {
    names_free(listing->folders);
    names_free(listing->images);
}

static void findings_free(struct sample_findings *findings) {
    names_free(findings->missing);
    names_free(findings->dyes);
}

static int out_of_memory(const struct options *options, struct failure *failure) {
    return failure_set(failure, -ENOMEM, "out of memory while reading %s", options->raw);
}

/* ---- reading RAW ---- */

static int refuse_open(const char *raw, int error, struct failure *failure) {
    if (error == ENOENT)
        return failure_set(failure, -error,
                           "there is no folder %s; check the path, and that the drive is mounted",
                           raw);
    if (error == ENOTDIR)
        return failure_set(failure, -error,
                           "%s is not a folder; name the folder that holds a folder per sample",
                           raw);
    if (error == EACCES)
        return failure_set(failure, -error,
                           "the folder %s cannot be read: permission denied; give yourself the "
                           "right to read it (chmod u+rx)",
                           raw);
    return failure_set_errno(failure, -error, "the folder %s cannot be read", raw);
}

static bool is_same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* OUT below RAW is no sample, unless somebody named a sample's own folder as OUT. */
static int check_out_folder(const struct options *options, const char *name,
                            struct failure *failure) {
    DIR *folder = opendir(options->out);
    if (!folder)
        return 0; /* run itself complains when it cannot use OUT */
    struct image_name parsed;
    bool holds_image = false;
    const struct dirent *entry;
    while (!holds_image && (entry = readdir(folder)))
        holds_image = image_name_parse(entry->d_name, &parsed);
    (void)closedir(folder); /* nothing was written */
    if (holds_image)
        return failure_set(failure, -EINVAL,
                           "-o: %s is the raw folder of sample %s itself; give another folder, "
                           "so that raw images and results stay apart",
                           options->out, name);
    return 0;
}

/* A folder that another run wrote its results to (say, RAW/aligned-last-week) is no sample. */
static bool is_results_folder(int raw_fd, const char *name) {
    CLEANUP_FREE char *ledger = names_format("%s/ledger.jsonl", name);
    struct stat status;
    return ledger && fstatat(raw_fd, ledger, &status, 0) == 0 && S_ISREG(status.st_mode);
}

static int list_entry(const struct options *options, int raw_fd, const char *name,
                      struct raw_listing *listing, struct failure *failure) {
    struct stat status, out;
    if (name[0] == '.')
        return 0;
    struct image_name parsed;
    int r = 0;
    if (fstatat(raw_fd, name, &status, 0) < 0) { /* a link to nowhere must not be passed over */
        r = names_append(image_name_parse(name, &parsed) ? &listing->images : &listing->folders,
                         name);
    } else if (S_ISDIR(status.st_mode)) {
        if (stat(options->out, &out) == 0 && is_same_file(&status, &out))
            return check_out_folder(options, name, failure);
        if (!is_results_folder(raw_fd, name))
            r = names_append(&listing->folders, name);
    } else if (image_name_parse(name, &parsed)) {
        r = names_append(&listing->images, name);
    }
    return r < 0 ? out_of_memory(options, failure) : 0;
}

static int list_raw(const struct options *options, struct raw_listing *listing,
                    struct failure *failure) {
    DIR *folder = opendir(options->raw);
    if (!folder)
        return refuse_open(options->raw, errno, failure);
    int r = 0;
    const struct dirent *entry;
    while (r == 0 && (errno = 0, entry = readdir(folder)))
        r = list_entry(options, dirfd(folder), entry->d_name, listing, failure);
    if (r == 0 && errno != 0)
        r = failure_set_errno(failure, -errno, "the folder %s cannot be read", options->raw);
    (void)closedir(folder); /* nothing was written */
    names_sort(listing->folders);
    names_sort(listing->images);
    return r;
}

/* ---- whole-RAW problems ---- */

static int refuse_without_folders(const struct options *options, const struct raw_listing *listing,
                                  struct failure *failure) {
    if (!listing->images)
        return failure_set(failure, -ENOENT,
                           "the folder %s holds no sample folder; each sample needs its own, like "
                           "%s/CD070/CD070pre_DAPI.tif and %s/CD070/CD070post_DAPI.tif",
                           options->raw, options->raw, options->raw);
    CLEANUP_FREE char *names = names_join(listing->images, 4);
    const char *slash = strrchr(options->raw, '/');
    const int parent = slash ? (int)(slash - options->raw) : 0;
    return failure_set(failure, -EINVAL,
                       "images lie directly in %s (%s) instead of in a folder per sample; move "
                       "them into one, like %s/CD070/, or, if %s is itself one sample, name its "
                       "parent: %.*s --samples %s",
                       options->raw, names ? names : "?", options->raw, options->raw,
                       parent > 0 ? parent : 1, options->raw, slash ? slash + 1 : options->raw);
}

/* Requested samples that are not there, all of them at once. */
static int check_samples(const struct options *options, const struct raw_listing *listing,
                         struct failure *failure) {
    CLEANUP_NAMES char **missing = NULL;
    for (char *const *sample = options->samples; sample && *sample; sample++)
        if (!names_contains(listing->folders, *sample) && names_append(&missing, *sample) < 0)
            return out_of_memory(options, failure);
    if (!missing || options->skip_missing)
        return 0;
    CLEANUP_FREE char *joined = names_join(missing, NAMES_SHOWN);
    CLEANUP_FREE char *there = names_join(listing->folders, NAMES_SHOWN);
    return failure_set(failure, -ENOENT,
                       "--samples: not in %s: %s; there are: %s (--skip-missing goes on without)",
                       options->raw, joined ? joined : "?", there ? there : "?");
}

static int check_dyes(const struct options *options, const struct sample_findings *findings,
                      struct failure *failure) {
    if (!findings->missing || options->skip_missing)
        return 0;
    names_sort(findings->dyes);
    CLEANUP_FREE char *joined = names_join(findings->missing, NAMES_SHOWN);
    CLEANUP_FREE char *there = names_join(findings->dyes, NAMES_SHOWN);
    return failure_set(failure, -ENOENT,
                       "--dyes: not in %s: %s; %s%s (--skip-missing goes on without)", options->raw,
                       joined ? joined : "?",
                       findings->dyes ? "there are: " : "there is no image with a dye in its name",
                       findings->dyes && there ? there : "");
}

/* What was asked for and is not there: samples and dyes in one message. */
static int check_request(const struct options *options, const struct raw_listing *listing,
                         const struct sample_findings *findings, struct failure *failure) {
    struct failure samples = {0}, dyes = {0};
    int no_sample = check_samples(options, listing, &samples);
    int no_dye = check_dyes(options, findings, &dyes);
    if (no_sample < 0 && no_dye < 0)
        return failure_set(failure, no_sample, "%s\n  %s", samples.text, dyes.text);
    if (no_sample < 0)
        return failure_set(failure, no_sample, "%s", samples.text);
    return no_dye < 0 ? failure_set(failure, no_dye, "%s", dyes.text) : 0;
}

/* Nothing can be aligned at all: the first reasons stand for the rest. */
static int refuse_all_broken(const struct options *options, const struct task_list *tasks,
                             struct failure *failure) {
    if (tasks->count == 0)
        return failure_set(failure, -ENOENT,
                           "nothing of what --samples and --dyes ask for is in %s; check their "
                           "spelling",
                           options->raw);
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return out_of_memory(options, failure);
    for (size_t i = 0; i < tasks->count && i < REASONS_SHOWN; i++)
        (void)fprintf(stream, "\n  %s: %s", tasks->items[i].id, tasks->items[i].broken);
    if (tasks->count > REASONS_SHOWN)
        (void)fprintf(stream, "\n  and %zu more", tasks->count - REASONS_SHOWN);
    if (fclose(stream) != 0)
        return out_of_memory(options, failure);
    return failure_set(failure, -ENOENT, "no whole pair of images in %s:%s", options->raw, text);
}

/* ---- putting it together ---- */

/* Images beside the sample folders would be missed by nobody but the person who scanned them. */
static int add_stray_images(const struct options *options, const struct raw_listing *listing,
                            struct task_list *tasks, struct failure *failure) {
    for (char *const *name = listing->images; name && *name; name++) {
        struct task *task = task_list_append(tasks);
        if (!task)
            return out_of_memory(options, failure);
        task->id = names_escape(*name);
        task->kind = TASK_ALIGN;
        task->kind_name = strdup("align");
        task->params = json_incref(options->params);
        task->broken = task->id ? names_format("%s lies directly in %s; move it into its sample's "
                                               "folder, or out of the raw folder",
                                               task->id, options->raw)
                                : NULL;
        if (!task->kind_name || !task->broken)
            return out_of_memory(options, failure);
    }
    return 0;
}

static int scan_samples(const struct options *options, const struct raw_listing *listing,
                        struct sample_findings *findings, struct failure *failure) {
    for (char *const *name = listing->folders; name && *name; name++) {
        if (options->samples && !names_contains(options->samples, *name))
            continue;
        const struct sample_request request = {
            .raw = options->raw,
            .name = *name,
            .dyes = options->dyes,
            .skip_missing = options->skip_missing,
            .params = options->params,
        };
        int r = sample_scan(&request, findings, failure);
        if (r < 0)
            return r;
    }
    return 0;
}

static int fill(const struct options *options, struct task_list *tasks, struct failure *failure) {
    CLEANUP(listing_free) struct raw_listing listing = {0};
    CLEANUP(findings_free) struct sample_findings findings = {.tasks = tasks};
    int r = list_raw(options, &listing, failure);
    if (r < 0)
        return r;
    if (!listing.folders)
        return refuse_without_folders(options, &listing, failure);
    r = scan_samples(options, &listing, &findings, failure);
    if (r == 0)
        r = check_request(options, &listing, &findings, failure);
    if (r == 0 && !options->samples && !options->dyes)
        r = add_stray_images(options, &listing, tasks, failure);
    if (r < 0)
        return r;
    task_list_sort(tasks);
    return findings.n_pairs > 0 ? 0 : refuse_all_broken(options, tasks, failure);
}

int discover_tasks(const struct options *options, struct task_list *ret, struct failure *failure) {
    CLEANUP(task_list_free) struct task_list tasks = {0};
    int r = fill(options, &tasks, failure);
    if (r == 0)
        r = sweep_apply(&options->sweep, &tasks, failure);
    if (r < 0)
        return r;
    *ret = tasks;
    tasks = (struct task_list){0};
    return 0;
}
