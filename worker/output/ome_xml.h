/* The OME-XML of an OME-TIFF (schema 2016-06, openmicroscopy.org), which stands in the description
 * of its first image.
 *
 * Pre and post are the two channels of one image where they have the same samples and depth, as a
 * viewer lays channels over one another; else, and differences always, each is an image of its own.
 * Planes stand in the file in the order of the channels.
 */
#ifndef WORKER_OUTPUT_OME_XML_H
#define WORKER_OUTPUT_OME_XML_H

#include "worker/output/picture.h"

/* Borrows everything. */
struct ome_xml_parts {
    const struct picture_set *set;
    const char *name;               /* of the task */
    const char *key;                /* 32 hex digits, for the file's UUID; else it has none */
    uint32_t width, height;         /* px */
    const struct image_info *frame; /* whose pixel size is that of the pictures */
};

/* Caller owns the text; NULL when out of memory. */
char *ome_xml_make(const struct ome_xml_parts *parts);

#endif
