/* See image_name.h. "Prepared" holds "pre" and so counts as pre: the rule is what people can check
 * with their eyes, and a name that holds both is refused rather than guessed at. */
#include "supervisor/batch/image_name.h"

#include "common/cleanup.h"

#include <string.h>
#include <strings.h>

/* The length of the extension, or 0. The longer ones come first: the dye of x_DAPI.ome.tif is DAPI.
 */
static size_t extension_length(const char *name, size_t length) {
    static const char *const extensions[] = {".ome.tiff", ".ome.tif", ".tiff", ".tif"};
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
        const size_t n = strlen(extensions[i]);
        if (length >= n && strcasecmp(name + length - n, extensions[i]) == 0)
            return n;
    }
    return 0;
}

static bool holds(const char *text, size_t length, const char *word) {
    const size_t n = strlen(word);
    for (size_t i = 0; i + n <= length; i++)
        if (strncasecmp(text + i, word, n) == 0)
            return true;
    return false;
}

static enum image_role role_of(const char *stem, size_t length) {
    const bool pre = holds(stem, length, "pre"), post = holds(stem, length, "post");
    if (pre && post)
        return IMAGE_BOTH;
    if (pre)
        return IMAGE_PRE;
    return post ? IMAGE_POST : IMAGE_NEITHER;
}

bool image_name_parse(const char *name, struct image_name *ret) {
    const size_t extension = extension_length(name, strlen(name));
    if (extension == 0 || name[0] == '.')
        return false;
    const size_t bare = strlen(name) - extension;
    const char *underscore = memrchr(name, '_', bare);
    *ret = (struct image_name){
        .has_underscore = underscore != NULL,
        .stem_length = underscore ? (size_t)(underscore - name) : bare,
    };
    ret->role = role_of(name, ret->stem_length);
    if (underscore && (size_t)(underscore + 1 - name) < bare) {
        ret->dye = underscore + 1;
        ret->dye_length = bare - ret->stem_length - 1;
    }
    return true;
}
