/* Which pictures there are, by format; see picture.h. */
#include "worker/output/picture.h"

#include <string.h>

#define ALIGNED "aligned_pre"
#define ALIGNED_OME "aligned.ome"
#define DIFFERENCE "difference"

static struct picture describe(enum picture_kind kind, uint32_t samples, uint32_t bits) {
    return (struct picture){.kind = kind,
                            .shape = {.width = TIFF_WRITER_TILE_PX,
                                      .height = TIFF_WRITER_TILE_PX,
                                      .samples = samples,
                                      .bits = bits,
                                      .is_float = kind == PICTURE_DIFFERENCE}};
}

static void add(struct picture_set *set, const struct picture *picture) {
    bool together = set->format == PARAMS_FORMAT_OME_TIFF;
    struct picture *added = &set->pictures[set->n];
    *added = *picture;
    added->image = together ? (uint32_t)set->n : 0;
    added->file = together ? 0 : set->n;
    set->n++;
    set->n_files = added->file + 1;
    char *name = set->files[added->file];
    if (together)
        (void)snprintf(name, PICTURE_NAME_BYTES, ALIGNED_OME ".tiff");
    else if (picture->kind == PICTURE_PRE)
        (void)snprintf(name, PICTURE_NAME_BYTES, ALIGNED ".tiff");
    else if (picture->difference->in_use)
        (void)snprintf(name, PICTURE_NAME_BYTES, DIFFERENCE ".tiff");
    else
        (void)snprintf(name, PICTURE_NAME_BYTES, DIFFERENCE "_%s.tiff", picture->difference->kind);
}

struct picture_set picture_set_make(enum params_format format, const struct tile_render_task *task,
                                    const struct background_scale_difference *differences,
                                    size_t n_differences) {
    const struct image_info *pre = image_get_info(task->pre), *post = image_get_info(task->post);
    struct picture_set set = {.format = format};
    struct picture picture = describe(PICTURE_PRE, pre->samples, pre->bits);
    add(&set, &picture);
    if (format == PARAMS_FORMAT_OME_TIFF) {
        picture = describe(PICTURE_POST, post->samples, post->bits);
        add(&set, &picture);
    }
    for (size_t i = 0; i < n_differences; i++) {
        picture = describe(PICTURE_DIFFERENCE, 1, 32);
        picture.difference = &differences[i];
        add(&set, &picture);
    }
    return set;
}

void picture_set_add_ahead(struct picture_set *set,
                           const struct background_scale_difference *difference, const char *folder,
                           const char *name) {
    struct picture *added = &set->pictures[set->n++];
    *added = describe(PICTURE_DIFFERENCE, 1, 32);
    added->difference = difference;
    added->file = set->n_files;
    set->folders[set->n_files] = folder;
    (void)snprintf(set->files[set->n_files++], PICTURE_NAME_BYTES, "%s", name);
}

void picture_set_drop_ahead(struct picture_set *set, size_t n) {
    set->n -= n;
    set->n_files -= n;
}

void picture_set_remove(struct picture_set *set, size_t i) {
    set->n_files--;
    for (size_t k = set->pictures[i].file; k < set->n_files; k++)
        memcpy(set->files[k], set->files[k + 1], PICTURE_NAME_BYTES);
    set->n--;
    for (size_t k = i; k < set->n; k++) {
        set->pictures[k] = set->pictures[k + 1];
        set->pictures[k].file--;
    }
}

bool picture_set_keeps_tiff(const struct picture_set *set) {
    return set->format != PARAMS_FORMAT_FITS;
}

bool picture_set_has_fits(const struct picture_set *set) {
    return set->format == PARAMS_FORMAT_FITS || set->format == PARAMS_FORMAT_BOTH;
}

const char *picture_fits_name(const char *tiff_name, char name[PICTURE_NAME_BYTES]) {
    int stem = (int)(strlen(tiff_name) - strlen(".tiff"));
    (void)snprintf(name, PICTURE_NAME_BYTES, "%.*s.fits", stem, tiff_name);
    return name;
}

json_t *picture_set_names(const struct picture_set *set) {
    CLEANUP_JSON json_t *names = json_array();
    for (size_t i = 0; i < set->n_files; i++) {
        char fits[PICTURE_NAME_BYTES];
        if (picture_set_keeps_tiff(set) &&
            json_array_append_new(names, json_string(set->files[i])) < 0)
            return NULL;
        if (picture_set_has_fits(set) &&
            json_array_append_new(names, json_string(picture_fits_name(set->files[i], fits))) < 0)
            return NULL;
    }
    return STEAL_PTR(names);
}

/* Unfinished ones ("difference.tiff.tmp", left by a kill) count too. */
bool picture_is_name(const char *name) {
    static const char *const stems[] = {ALIGNED, ALIGNED_OME, DIFFERENCE};
    static const char *const ends[] = {".tiff", ".fits", ".tiff.tmp", ".fits.tmp"};
    for (size_t i = 0; i < ARRAY_LEN(stems); i++) {
        size_t length = strlen(stems[i]);
        if (strncmp(name, stems[i], length) != 0)
            continue;
        const char *rest = name + length;
        if (strcmp(stems[i], DIFFERENCE) == 0 && *rest == '_')
            rest = strchr(rest, '.');
        for (size_t k = 0; rest && k < ARRAY_LEN(ends); k++)
            if (strcmp(rest, ends[k]) == 0)
                return true;
    }
    return false;
}
