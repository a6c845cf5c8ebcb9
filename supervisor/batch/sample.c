/* See sample.h. The images of the folder are sorted by name, then looked at dye by dye: a dye is a
 * pair, or one broken task that says why. An image that belongs to no dye is a broken task under
 * its own name, because an image that somebody scanned must not be passed over in silence. */
#include "supervisor/batch/sample.h"

#include "common/names.h"
#include "supervisor/batch/image_name.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { NAMES_SHOWN = 4 };

struct image {
    char *name;
    char *dye; /* NULL: none */
    struct image_name parsed;
    int error; /* of stat: a link to nowhere, ...; 0: fine */
    bool is_file;
    bool is_usable; /* by itself; what is not can be half of nothing */
    bool done;      /* some task speaks of it */
};

struct scan {
    const struct sample_request *request;
    struct sample_findings *findings;
    struct failure *failure;
    char *folder; /* absolute */
    struct image *images;
    size_t count;
};

static void scan_free(struct scan *scan) {
    for (size_t i = 0; i < scan->count; i++) {
        free(scan->images[i].name);
        free(scan->images[i].dye);
    }
    free(scan->images);
    free(scan->folder);
}

static int out_of_memory(struct scan *scan) {
    return failure_set(scan->failure, -ENOMEM, "out of memory while reading %s",
                       scan->request->name);
}

/* ---- tasks ---- */

/* Whatever stands in the names, the id of a broken task is clean and not taken. */
static char *clean_id(struct scan *scan, const char *id) {
    char *clean = names_escape(id);
    while (clean && task_list_find(scan->findings->tasks, clean)) {
        char *next = names_format("%s~", clean);
        free(clean);
        clean = next;
    }
    return clean;
}

/* Takes reason. leaf is the dye or a file's name; NULL: the sample as a whole. */
static int add_broken(struct scan *scan, const char *leaf, char *reason) {
    CLEANUP_FREE char *owned_reason = reason;
    CLEANUP_FREE char *id =
        leaf ? names_format("%s/%s", scan->request->name, leaf) : strdup(scan->request->name);
    if (!id || !reason)
        return out_of_memory(scan);
    char *clean = clean_id(scan, id);
    struct task *task = clean ? task_list_append(scan->findings->tasks) : NULL;
    if (!task) {
        free(clean);
        return out_of_memory(scan);
    }
    task->id = clean;
    task->kind = TASK_ALIGN;
    task->kind_name = strdup("align");
    task->params = json_incref(scan->request->params);
    task->broken = STEAL_PTR(owned_reason);
    return task->kind_name ? 0 : out_of_memory(scan);
}

static int add_pair(struct scan *scan, const char *dye, const struct image *pre,
                    const struct image *post) {
    CLEANUP_FREE char *id = names_format("%s/%s", scan->request->name, dye);
    CLEANUP_FREE char *pre_path = names_format("%s/%s", scan->folder, pre->name);
    CLEANUP_FREE char *post_path = names_format("%s/%s", scan->folder, post->name);
    if (!id || !pre_path || !post_path)
        return out_of_memory(scan);
    struct failure unclean;
    if (task_check_id(id, scan->request->raw, &unclean) < 0)
        return add_broken(scan, dye, names_format("%s; rename the file or folder", unclean.text));
    struct task *task = task_list_append(scan->findings->tasks);
    if (!task)
        return out_of_memory(scan);
    task->id = STEAL_PTR(id);
    task->kind = TASK_ALIGN;
    task->kind_name = strdup("align");
    task->params = json_incref(scan->request->params);
    if (!task->kind_name || names_append(&task->inputs, pre_path) < 0 ||
        names_append(&task->inputs, post_path) < 0)
        return out_of_memory(scan);
    task->n_inputs = 2;
    scan->findings->n_pairs++;
    return 0;
}

/* ---- one dye ---- */

static bool is_candidate(const struct image *image, const char *dye, enum image_role role) {
    return image->is_usable && !image->done && image->dye && strcmp(image->dye, dye) == 0 &&
           image->parsed.role == role;
}

/* The names of the dye's images in that role, sorted as the folder is. */
static int names_in_role(struct scan *scan, const char *dye, enum image_role role, char ***ret) {
    for (size_t i = 0; i < scan->count; i++) {
        struct image *image = &scan->images[i];
        if (!is_candidate(image, dye, role))
            continue;
        if (names_append(ret, image->name) < 0)
            return out_of_memory(scan);
    }
    return 0;
}

static void mark_candidates_done(struct scan *scan, const char *dye) {
    for (size_t i = 0; i < scan->count; i++)
        if (is_candidate(&scan->images[i], dye, IMAGE_PRE) ||
            is_candidate(&scan->images[i], dye, IMAGE_POST))
            scan->images[i].done = true;
}

/* An image of the missing role whose dye differs in letter case alone, or NULL. */
static struct image *find_other_case(struct scan *scan, const char *dye, enum image_role role) {
    for (size_t i = 0; i < scan->count; i++) {
        struct image *image = &scan->images[i];
        if (image->is_usable && !image->done && image->dye && image->parsed.role == role &&
            strcmp(image->dye, dye) != 0 && strcasecmp(image->dye, dye) == 0)
            return image;
    }
    return NULL;
}

static bool is_usable(const struct image *image) {
    return image->error == 0 && image->is_file && names_is_clean(image->name);
}

/* Why an image that is not usable is not. Caller owns. */
static char *image_problem(const struct scan *scan, const struct image *image) {
    CLEANUP_FREE char *shown = names_escape(image->name);
    const char *name = shown ? shown : "?";
    if (image->error)
        return names_format("%s/%s cannot be read: %s; if it is a link, its target is gone",
                            scan->request->name, name, strerror(image->error));
    if (!image->is_file)
        return names_format("%s/%s is neither a file nor a link to one; remove it",
                            scan->request->name, name);
    return names_format("the name %s/%s holds a control character or bytes that are no UTF-8; "
                        "rename the file",
                        scan->request->name, name);
}

/* Why an image of neither or both roles, or without a dye, cannot be paired. Caller owns. */
static char *name_problem(const struct image *image) {
    CLEANUP_FREE char *shown = names_escape(image->name);
    const char *name = shown ? shown : "?";
    const int stem = (int)image->parsed.stem_length;
    if (!image->parsed.has_underscore)
        return names_format("%s has no underscore before the dye; rename it like %s", name,
                            image->parsed.role == IMAGE_POST ? "CD070post_DAPI.tif"
                                                             : "CD070pre_DAPI.tif");
    if (!image->dye)
        return names_format("%s has no dye between its last underscore and the extension; rename "
                            "it like CD070pre_DAPI.tif",
                            name);
    if (image->parsed.role == IMAGE_BOTH)
        return names_format("%s holds both \"pre\" and \"post\" before its last underscore (%.*s); "
                            "rename it so that one of them is left",
                            name, stem, name);
    if (strcasecmp(image->dye, "pre") == 0 || strcasecmp(image->dye, "post") == 0)
        return names_format("%s ends in \"%s\" where the dye belongs; put the dye last, like "
                            "CD070%s_DAPI.tif",
                            name, image->dye, image->dye);
    return names_format("%s holds neither \"pre\" nor \"post\" before its last underscore; put the "
                        "one that it is into the name, like CD070pre_DAPI.tif",
                        name);
}

static char *problem_of(const struct scan *scan, const struct image *image) {
    return image->is_usable ? name_problem(image) : image_problem(scan, image);
}

static char *two_candidates(struct scan *scan, const char *dye, enum image_role role) {
    CLEANUP_NAMES char **names = NULL;
    if (names_in_role(scan, dye, role, &names) < 0)
        return NULL;
    CLEANUP_FREE char *joined = names_join(names, NAMES_SHOWN);
    const size_t n = names_count(names);
    return names_format("%s has %zu %s images of %s (%s); keep one and move the %s away",
                        scan->request->name, n, role == IMAGE_PRE ? "pre" : "post", dye,
                        joined ? joined : "?", n == 2 ? "other" : "others");
}

/* An image of the dye that may be the missing half, were it usable or its name clear; or NULL. */
static struct image *find_unclear(struct scan *scan, const char *dye, enum image_role missing) {
    for (size_t i = 0; i < scan->count; i++) {
        struct image *image = &scan->images[i];
        const enum image_role role = image->parsed.role;
        if (!image->done && image->dye && strcmp(image->dye, dye) == 0 &&
            (role == IMAGE_BOTH || role == IMAGE_NEITHER || (role == missing && !image->is_usable)))
            return image;
    }
    return NULL;
}

/* Half a pair: present names the half that is there. Marks what the sentence speaks of as done. */
static char *half_a_pair(struct scan *scan, const char *dye, enum image_role missing,
                         const char *present) {
    const char *role = missing == IMAGE_PRE ? "pre" : "post";
    struct image *other = find_other_case(scan, dye, missing);
    if (other) {
        other->done = true;
        return names_format("the dye is written %s in %s but %s in %s; rename one file so that "
                            "both agree",
                            dye, present, other->dye, other->name);
    }
    struct image *unclear = find_unclear(scan, dye, missing);
    if (unclear) {
        unclear->done = true;
        CLEANUP_FREE char *why = problem_of(scan, unclear);
        return names_format("%s has no %s image to go with %s: %s", scan->request->name, role,
                            present, why ? why : "?");
    }
    return names_format("half a pair: %s has %s but no %s image of %s; add it, or move %s away",
                        scan->request->name, present, role, dye, present);
}

/* The first of the dye's images in that role, or NULL, and how many there are. */
static struct image *find_in_role(struct scan *scan, const char *dye, enum image_role role,
                                  size_t *ret_count) {
    struct image *first = NULL;
    *ret_count = 0;
    for (size_t i = scan->count; i-- > 0;) {
        struct image *image = &scan->images[i];
        if (!is_candidate(image, dye, role))
            continue;
        first = image;
        (*ret_count)++;
    }
    return first;
}

static int scan_dye(struct scan *scan, const char *dye) {
    size_t n_pre = 0, n_post = 0;
    struct image *pre = find_in_role(scan, dye, IMAGE_PRE, &n_pre);
    struct image *post = find_in_role(scan, dye, IMAGE_POST, &n_post);
    if (!pre && !post)
        return 0; /* the images, if any, are strays: see scan_strays */
    if (n_pre == 1 && n_post == 1) {
        pre->done = post->done = true; /* unclear ones beside a whole pair are strays */
        return add_pair(scan, dye, pre, post);
    }
    char *reason = NULL;
    if (n_pre > 1)
        reason = two_candidates(scan, dye, IMAGE_PRE);
    else if (n_post > 1)
        reason = two_candidates(scan, dye, IMAGE_POST);
    else if (!pre)
        reason = half_a_pair(scan, dye, IMAGE_PRE, post->name);
    else
        reason = half_a_pair(scan, dye, IMAGE_POST, pre->name);
    mark_candidates_done(scan, dye);
    return add_broken(scan, dye, reason);
}

/* ---- the folder ---- */

static bool is_wanted(const struct scan *scan, const struct image *image) {
    return !scan->request->dyes || (image->dye && names_contains(scan->request->dyes, image->dye));
}

static int scan_strays(struct scan *scan) {
    for (size_t i = 0; i < scan->count; i++) {
        struct image *image = &scan->images[i];
        if (image->done || !is_wanted(scan, image))
            continue;
        int r = add_broken(scan, image->name, problem_of(scan, image));
        if (r < 0)
            return r;
    }
    return 0;
}

/* Notes the dyes that are there, and those of the request that are not. */
static int compare_with_request(struct scan *scan) {
    struct sample_findings *findings = scan->findings;
    CLEANUP_NAMES char **here = NULL;
    for (size_t i = 0; i < scan->count; i++) {
        const char *dye = scan->images[i].dye;
        if (!dye)
            continue;
        if (!names_contains(here, dye) && names_append(&here, dye) < 0)
            return out_of_memory(scan);
        if (!names_contains(findings->dyes, dye) && names_append(&findings->dyes, dye) < 0)
            return out_of_memory(scan);
    }
    for (char *const *dye = scan->request->dyes; dye && *dye; dye++) {
        if (names_contains(here, *dye))
            continue;
        CLEANUP_FREE char *missing = names_format("%s/%s", scan->request->name, *dye);
        if (!missing || names_append(&findings->missing, missing) < 0)
            return out_of_memory(scan);
    }
    return 0;
}

static int scan_images(struct scan *scan) {
    int r = compare_with_request(scan);
    for (size_t i = 0; i < scan->count && r == 0; i++) {
        struct image *image = &scan->images[i];
        if (!image->done && image->dye && is_wanted(scan, image))
            r = scan_dye(scan, image->dye);
    }
    return r < 0 ? r : scan_strays(scan);
}

static int add_image(struct scan *scan, int folder_fd, const char *name) {
    struct image_name parsed;
    if (!image_name_parse(name, &parsed))
        return 0;
    struct stat status = {0};
    const int error = fstatat(folder_fd, name, &status, 0) < 0 ? errno : 0;
    if (error == 0 && S_ISDIR(status.st_mode))
        return 0; /* folders below a sample are not looked at, whatever they are called */
    struct image *grown = reallocarray(scan->images, scan->count + 1, sizeof(*grown));
    if (!grown)
        return out_of_memory(scan);
    scan->images = grown;
    struct image *image = &grown[scan->count++];
    *image = (struct image){.error = error, .is_file = S_ISREG(status.st_mode)};
    image->name = strdup(name);
    if (!image->name)
        return out_of_memory(scan);
    (void)image_name_parse(image->name, &image->parsed); /* as above, borrowing from the copy */
    image->is_usable = is_usable(image);
    if (image->parsed.dye)
        image->dye = strndup(image->parsed.dye, image->parsed.dye_length);
    return image->parsed.dye && !image->dye ? out_of_memory(scan) : 0;
}

static int compare_images(const void *a, const void *b) {
    return strcmp(((const struct image *)a)->name, ((const struct image *)b)->name);
}

/* Reads the folder; a problem with it is told by *ret_problem (owned by the caller). */
static int read_folder(struct scan *scan, char **ret_problem) {
    DIR *folder = opendir(scan->folder);
    if (!folder) {
        *ret_problem =
            names_format("the folder %s cannot be opened: %s; %s", scan->folder, strerror(errno),
                         errno == EACCES ? "give yourself the right to read it"
                                         : "if it is a link, its target is gone");
        return *ret_problem ? 0 : out_of_memory(scan);
    }
    int r = 0;
    const struct dirent *entry;
    while (r == 0 && (errno = 0, entry = readdir(folder)))
        r = add_image(scan, dirfd(folder), entry->d_name);
    if (r == 0 && errno != 0)
        *ret_problem =
            names_format("the folder %s cannot be read: %s", scan->folder, strerror(errno));
    (void)closedir(folder); /* nothing was written */
    if (scan->count > 1)
        qsort(scan->images, scan->count, sizeof(*scan->images), compare_images);
    return r;
}

/* The first folder below the sample that holds images itself, or NULL. Caller owns. */
static char *find_deeper_images(const struct scan *scan) {
    char *found = NULL;
    struct image_name parsed;
    DIR *folder = opendir(scan->folder);
    const struct dirent *entry;
    while (folder && !found && (entry = readdir(folder))) {
        const struct dirent *below;
        if (entry->d_name[0] == '.')
            continue;
        CLEANUP_FREE char *path = names_format("%s/%s", scan->folder, entry->d_name);
        DIR *deeper = path ? opendir(path) : NULL; /* NULL for files too */
        while (deeper && !found && (below = readdir(deeper)))
            if (image_name_parse(below->d_name, &parsed))
                found = names_escape(entry->d_name);
        if (deeper)
            (void)closedir(deeper); /* nothing was written */
    }
    if (folder)
        (void)closedir(folder); /* nothing was written */
    return found;
}

static int add_empty(struct scan *scan) {
    CLEANUP_FREE char *deeper = find_deeper_images(scan);
    if (deeper)
        return add_broken(scan, NULL,
                          names_format("the folder %s holds no .tif or .tiff file, but its folder "
                                       "%s does; if that is a sample, name %s as the raw folder",
                                       scan->folder, deeper, scan->folder));
    return add_broken(scan, NULL,
                      names_format("the folder %s holds no .tif or .tiff file; put its images "
                                   "there, move it out of the raw folder, or leave it out with "
                                   "--skip-missing",
                                   scan->folder));
}

int sample_scan(const struct sample_request *request, struct sample_findings *findings,
                struct failure *failure) {
    CLEANUP(scan_free)
    struct scan scan = {
        .request = request,
        .findings = findings,
        .failure = failure,
        .folder = names_format("%s/%s", request->raw, request->name),
    };
    if (!scan.folder)
        return out_of_memory(&scan);
    if (!names_is_clean(request->name))
        return add_broken(&scan, NULL,
                          names_format("the folder's name holds a control character or bytes that "
                                       "are no UTF-8; rename it"));
    char *problem = NULL;
    int r = read_folder(&scan, &problem);
    if (r < 0 || problem)
        return r < 0 ? r : add_broken(&scan, NULL, problem);
    if (scan.count > 0)
        return scan_images(&scan);
    return request->skip_missing ? 0 : add_empty(&scan);
}
