/* What a raw image's file name says (contract: "Input"): pre or post, and the dye.
 *
 *     <anything>pre|post<anything>_<dye>.tif|.tiff|.ome.tif|.ome.tiff      any case
 */
#ifndef SUPERVISOR_BATCH_IMAGE_NAME_H
#define SUPERVISOR_BATCH_IMAGE_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum image_role { IMAGE_PRE, IMAGE_POST, IMAGE_BOTH, IMAGE_NEITHER, IMAGE_ROLE_COUNT };

struct image_name {
    enum image_role role; /* by what stands before the last underscore, or in all without one */
    bool has_underscore;
    size_t stem_length; /* bytes before the last underscore, or before the extension */
    const char *dye;    /* borrowed from the name; not terminated; NULL: none or empty */
    size_t dye_length;
};

/* False when the name is no visible TIFF's: another extension, or it begins with a dot. */
bool image_name_parse(const char *name, struct image_name *ret);

#endif
