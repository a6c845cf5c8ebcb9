/* Painters render tiles and hand them to the writers in one fixed order (painter.h); a thread
 * beside them makes the tiles durable (tile_sync.h). Order matters at the start: an old journal
 * goes before its files do, and new files are durable before their journal appears; see warp.h. */
#include "worker/output/warp.h"

#include "common/atomic_file.h"
#include "worker/output/ome_levels.h"
#include "worker/output/ome_xml.h"
#include "worker/output/painter.h"
#include "worker/output/tile_plan.h"
#include "worker/stage/progress.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

_Static_assert((int)PICTURE_MOST - 1 <= (int)TILE_JOURNAL_FILES,
               "the journal names every file: pre and post are never two");

/* Of the stage's time; the rest is for what is made of the pictures. Measured. */
static const double painted_share = 0.85;

struct warp {
    struct tiff_writer *writers[PICTURE_MOST]; /* of the set's files */
    size_t n_writers;
    bool keeps_tiff;
    uint32_t n_levels; /* reduced ones */
    struct fits_library fits;
    char *fits_paths[PICTURE_MOST]; /* owned; NULL: none */
    json_t *ready;                  /* paths of pictures that wait for their names; owned */
    struct tile_journal *journal;
    struct tile_walk walk;
    struct warp_counts counts;
};

/* --- the files and their journal --- */

static uint64_t tile_at(const struct warp *warp, uint64_t position) {
    uint32_t x, y;
    tile_walk_locate(&warp->walk, position, &x, &y);
    return (uint64_t)y * warp->walk.columns + x;
}

/* With a journal: the file that it speaks of. */
static int open_writer(const struct warp_options *options, const struct tiff_writer_options *tiff,
                       struct warp *warp, struct failure *failure) {
    const size_t i = warp->n_writers++;
    const char *folder = options->set->folders[i], *name = options->set->files[i];
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", folder ? folder : options->folder, name) < 0)
        return failure_set(failure, -ENOMEM, "no memory to open %s", name);
    if (!warp->journal)
        return tiff_writer_open(path, tiff, &warp->writers[i], failure);
    uint64_t n_had = tile_journal_n_had(warp->journal);
    return tiff_writer_reopen(path, tiff, tile_journal_get_head(warp->journal)->inodes[i], n_had,
                              n_had > 0 ? tile_at(warp, n_had - 1) : 0, &warp->writers[i], failure);
}

/* What stands in the TIFFs' tags, picture by picture. */
struct labels {
    char texts[PICTURE_MOST][128];
    char *xml; /* owned */
    struct tiff_writer_options options[PICTURE_MOST];
};

static void free_labels(struct labels *labels) { free(labels->xml); }

static struct tiff_writer_options describe(const struct warp_options *options,
                                           const struct warp *warp, const struct picture *picture,
                                           char text[128]) {
    const struct image_info *post = image_get_info(options->task->post);
    (void)snprintf(text, 128, "registrar: pre-stain image in the post-stain frame");
    if (picture->difference)
        (void)snprintf(text, 128, "registrar: post - %.9g x aligned pre (%s)",
                       picture->difference->scale, picture->difference->kind);
    return (struct tiff_writer_options){
        .width = tile_render_canvas_width(options->task),
        .height = tile_render_canvas_height(options->task),
        .samples = picture->shape.samples,
        .bits = picture->shape.bits,
        .is_float = picture->shape.is_float,
        .x_resolution = post->x_resolution,
        .y_resolution = post->y_resolution,
        .resolution_unit = post->resolution_unit,
        .compression = options->compression,
        .is_read_back = warp->n_levels > 0 || warp->fits_paths[0],
        .n_levels = warp->n_levels,
        .description = text,
    };
}

/* The pictures of an OME-TIFF are one file's images, and its XML speaks of all. */
static int chain(const struct warp_options *options, struct labels *labels,
                 struct failure *failure) {
    const struct ome_xml_parts parts = {.set = options->set,
                                        .name = options->source->name,
                                        .key = options->key,
                                        .width = labels->options[0].width,
                                        .height = labels->options[0].height,
                                        .frame = image_get_info(options->task->post)};
    labels->xml = ome_xml_make(&parts);
    if (!labels->xml)
        return failure_set(failure, -ENOMEM, "no memory to describe %s", options->set->files[0]);
    for (size_t i = 0; i < options->set->n; i++) {
        labels->options[i].description = i == 0 ? labels->xml : NULL;
        labels->options[i].next = i + 1 < options->set->n ? &labels->options[i + 1] : NULL;
    }
    return 0;
}

static int open_writers(const struct warp_options *options, struct warp *warp,
                        struct failure *failure) {
    const struct picture_set *set = options->set;
    CLEANUP(free_labels) struct labels labels = {0};
    for (size_t i = 0; i < set->n; i++)
        labels.options[i] = describe(options, warp, &set->pictures[i], labels.texts[i]);
    int r = set->format == PARAMS_FORMAT_OME_TIFF ? chain(options, &labels, failure) : 0;
    for (size_t i = 0; i < set->n_files && r == 0; i++)
        r = open_writer(options, &labels.options[i], warp, failure);
    return r;
}

static void suspend(struct warp *warp) {
    for (size_t i = 0; i < warp->n_writers; i++)
        tiff_writer_suspend(STEAL_PTR(warp->writers[i]));
    warp->n_writers = 0;
    tile_journal_close(STEAL_PTR(warp->journal));
}

/* Of these files and no others: what is painted without one would be missing in it. Tiles are
 * finished in the walk's order. */
static bool is_beginning(const struct warp *warp, const struct picture_set *set) {
    if (set->n_files < TILE_JOURNAL_FILES &&
        tile_journal_get_head(warp->journal)->inodes[set->n_files] != 0)
        return false;
    for (uint64_t i = 0; i < tile_journal_n_had(warp->journal); i++)
        if (!tile_journal_had(warp->journal, tile_at(warp, i)))
            return false;
    return true;
}

/* What an earlier attempt left, when all of it is there. */
static bool reopen(const struct warp_options *options, struct warp *warp) {
    struct failure failure = {0};
    int r = tile_journal_open(options->journal, options->key, warp->counts.tiles, &warp->journal,
                              &failure);
    if (r == 0 && !is_beginning(warp, options->set))
        r = -ESTALE;
    if (r == 0)
        r = open_writers(options, warp, &failure);
    if (r < 0)
        suspend(warp);
    return r == 0;
}

static int create(const struct warp_options *options, struct warp *warp, struct failure *failure) {
    struct tile_journal_head head = {.n_tiles = warp->counts.tiles};
    (void)snprintf(head.key, sizeof(head.key), "%s", options->key);
    int r = tile_journal_remove(options->journal, failure);
    if (r == 0)
        r = open_writers(options, warp, failure);
    for (size_t i = 0; i < warp->n_writers && r == 0; i++) {
        r = tiff_writer_get_inode(warp->writers[i], &head.inodes[i], failure);
        if (r == 0)
            r = tiff_writer_sync(warp->writers[i], failure);
    }
    CLEANUP_FREE char *entry = NULL; /* of the folder, which is synced */
    if (r == 0 && asprintf(&entry, "%s/%s", options->folder, options->set->files[0]) < 0)
        r = failure_set(failure, -ENOMEM, "no memory to sync %s", options->folder);
    if (r == 0)
        r = atomic_file_sync_folder(entry, failure);
    return r < 0 ? r : tile_journal_create(options->journal, &head, &warp->journal, failure);
}

/* --- painting --- */

/* What was painted before an error is made durable too: a stop is one. */
static int paint(const struct warp_options *options, struct warp *warp, struct failure *failure) {
    struct tile_sync *sync = NULL;
    int r = tile_sync_open(warp->writers, warp->n_writers, warp->journal, &sync, failure);
    if (r < 0)
        return r;
    struct painter_job job = {.task = options->task,
                              .set = options->set,
                              .compression = options->compression,
                              .walk = &warp->walk,
                              .first = tile_journal_n_had(warp->journal),
                              .writers = warp->writers,
                              .sync = sync,
                              .threads = options->threads,
                              .progress = options->progress};
    struct painter_counts painted;
    r = painter_run(&job, &painted, failure);
    warp->counts.overlap_pixels = tile_journal_covered_had(warp->journal) + painted.overlap_pixels;
    warp->counts.pre_read_bytes = painted.pre_read_bytes;
    warp->counts.post_read_bytes = painted.post_read_bytes;
    struct failure late = {0};
    int synced = tile_sync_close(sync, &late);
    if (synced == 0 || (r < 0 && r != -ECANCELED))
        return r;
    return failure_set(failure, synced, "%s", late.text);
}

static int make_levels(const struct warp_options *options, const struct warp *warp,
                       struct failure *failure) {
    struct ome_levels_job job = {.writer = warp->writers[0],
                                 .set = options->set,
                                 .width = tile_render_canvas_width(options->task),
                                 .height = tile_render_canvas_height(options->task),
                                 .n_levels = warp->n_levels,
                                 .compression = options->compression,
                                 .threads = options->threads,
                                 .start = painted_share,
                                 .progress = options->progress};
    return ome_levels_run(&job, failure);
}

static int make_fits(const struct warp_options *options, const struct warp *warp, size_t i,
                     struct failure *failure) {
    CLEANUP_FREE char *temporary = atomic_file_temporary_name(warp->fits_paths[i]);
    if (!temporary)
        return failure_set(failure, -ENOMEM, "no memory to write %s", warp->fits_paths[i]);
    const struct picture *picture = &options->set->pictures[i];
    struct fits_export_job job = {.library = &warp->fits,
                                  .source = options->source,
                                  .picture = picture,
                                  .writer = warp->writers[picture->file],
                                  .width = tile_render_canvas_width(options->task),
                                  .height = tile_render_canvas_height(options->task),
                                  .compression = options->compression,
                                  .path = temporary,
                                  .progress = options->progress};
    double share = (1 - painted_share) / (double)options->set->n;
    progress_span(options->progress, painted_share + share * (double)i,
                  painted_share + share * (double)(i + 1));
    return fits_export_run(&job, failure);
}

/* What is made of the painted pictures. After a kill it is made again. */
static int derive(const struct warp_options *options, struct warp *warp, struct failure *failure) {
    int r = warp->n_levels > 0 ? make_levels(options, warp, failure) : 0;
    for (size_t i = 0; i < options->set->n && r == 0 && warp->fits_paths[i]; i++)
        r = make_fits(options, warp, i, failure);
    return r;
}

/* What has to be there before hours of painting. */
static int prepare(const struct warp_options *options, struct warp *warp, struct failure *failure) {
    const struct picture_set *set = options->set;
    warp->keeps_tiff = picture_set_keeps_tiff(set);
    if (set->format == PARAMS_FORMAT_OME_TIFF)
        warp->n_levels = ome_levels_count(tile_render_canvas_width(options->task),
                                          tile_render_canvas_height(options->task));
    if (!picture_set_has_fits(set))
        return 0;
    for (size_t i = 0; i < set->n; i++) {
        char name[PICTURE_NAME_BYTES];
        (void)picture_fits_name(set->files[set->pictures[i].file], name);
        if (asprintf(&warp->fits_paths[i], "%s/%s", options->folder, name) < 0) {
            warp->fits_paths[i] = NULL;
            return failure_set(failure, -ENOMEM, "no memory to open %s", name);
        }
    }
    return fits_library_load(&warp->fits, failure);
}

int warp_run(const struct warp_options *options, struct warp **ret, struct failure *failure) {
    struct warp *warp = calloc(1, sizeof(*warp));
    if (!warp)
        return failure_set(failure, -ENOMEM, "no memory to open the outputs");
    warp->ready = json_incref(options->ready);
    if (options->set->n == 0) {
        *ret = warp;
        return 0;
    }
    warp->walk = tile_plan_walk(
        options->task, (tile_render_canvas_width(options->task) - 1) / TILE_RENDER_PX + 1,
        (tile_render_canvas_height(options->task) - 1) / TILE_RENDER_PX + 1, 1);
    warp->counts.tiles = tile_walk_length(&warp->walk);
    int r = prepare(options, warp, failure);
    if (r == 0 && !reopen(options, warp))
        r = create(options, warp, failure);
    if (r == 0) {
        warp->counts.tiles_resumed = tile_journal_n_had(warp->journal);
        progress_span(options->progress, 0,
                      warp->n_levels > 0 || warp->fits_paths[0] ? painted_share : 1);
        r = paint(options, warp, failure);
    }
    if (r == 0)
        r = derive(options, warp, failure);
    if (r == 0) {
        *ret = warp;
        return 0;
    }
    if (r == -ECANCELED)
        suspend(warp);
    warp_abandon(warp);
    return r;
}

struct warp_counts warp_get_counts(const struct warp *warp) {
    return warp->counts;
}

static int publish_path(const char *path, struct failure *failure) {
    CLEANUP_FREE char *temporary = atomic_file_temporary_name(path);
    return temporary ? atomic_file_publish(temporary, path, failure)
                     : failure_set(failure, -ENOMEM, "no memory to publish %s", path);
}

int warp_publish(struct warp *warp, struct failure *failure) {
    int r = 0;
    for (size_t i = 0; i < json_array_size(warp->ready) && r == 0; i++)
        r = publish_path(json_string_value(json_array_get(warp->ready, i)), failure);
    for (size_t i = 0; i < PICTURE_MOST && warp->fits_paths[i] && r == 0; i++)
        r = publish_path(warp->fits_paths[i], failure);
    for (size_t i = 0; i < warp->n_writers && r == 0 && warp->keeps_tiff; i++)
        r = tiff_writer_publish(STEAL_PTR(warp->writers[i]), failure);
    warp_abandon(warp);
    return r;
}

/* Some may have their names already. */
static void remove_fits(char *path) {
    CLEANUP_FREE char *owned = path;
    CLEANUP_FREE char *temporary = path ? atomic_file_temporary_name(path) : NULL;
    if (temporary)
        (void)unlink(temporary); /* whoever writes it next removes it too */
}

void warp_abandon(struct warp *warp) {
    if (!warp)
        return;
    for (size_t i = 0; i < warp->n_writers; i++)
        tiff_writer_abandon(warp->writers[i]);
    for (size_t i = 0; i < PICTURE_MOST; i++)
        remove_fits(warp->fits_paths[i]);
    tile_journal_close(warp->journal);
    json_decref(warp->ready);
    free(warp);
}

static bool is_kept(const json_t *keep, const char *name) {
    for (size_t i = 0; i < json_array_size(keep); i++)
        if (strcmp(json_string_value(json_array_get(keep, i)), name) == 0)
            return true;
    return false;
}

static void cleanup_closedir(DIR **folder) {
    if (*folder)
        (void)closedir(*folder); /* only read */
}

int warp_remove_others(const char *folder, const json_t *keep, struct failure *failure) {
    CLEANUP(cleanup_closedir) DIR *entries = opendir(folder);
    if (!entries)
        return failure_set_errno(failure, -errno, "cannot read the folder %s", folder);
    const struct dirent *entry;
    while ((entry = readdir(entries))) {
        if (!picture_is_name(entry->d_name) || is_kept(keep, entry->d_name))
            continue;
        if (unlinkat(dirfd(entries), entry->d_name, 0) < 0 && errno != ENOENT)
            return failure_set_errno(failure, -errno, "cannot remove the outdated %s/%s", folder,
                                     entry->d_name);
    }
    return 0;
}
