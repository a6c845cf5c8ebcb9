/* Printed into memory, element by element; see ome_xml.h. TiffData says where the first plane of an
 * image stands and that the others follow: all readers agree on what this means. */
#include "worker/output/ome_xml.h"

#include "common/version.h"

#include <string.h>

#define SCHEMA "http://www.openmicroscopy.org/Schemas/OME/2016-06"

/* Red, green, blue, opacity, as one signed number: complementary, so that what is the same in both
 * images is grey, and told apart by the colour-blind. The quality pictures have the same. */
static const int32_t pre_colour = 0x00FF00FF, post_colour = (int32_t)0xFF00FFFF;

static void put_text(FILE *to, const char *text) {
    for (; *text; text++)
        switch (*text) {
        case '&':
            (void)fputs("&amp;", to);
            break;
        case '<':
            (void)fputs("&lt;", to);
            break;
        case '>':
            (void)fputs("&gt;", to);
            break;
        case '"':
            (void)fputs("&quot;", to);
            break;
        default:
            (void)fputc(*text, to);
        }
}

static void put_uuid(FILE *to, const char *key) {
    if (strlen(key) == 32) /* version 8: made in the writer's own way */
        (void)fprintf(to, " UUID=\"urn:uuid:%.8s-%.4s-8%.3s-a%.3s-%.12s\"", key, key + 8, key + 13,
                      key + 17, key + 20);
}

static const char *type_of(const struct picture *picture) {
    return picture->shape.is_float ? "float" : picture->shape.bits == 16 ? "uint16" : "uint8";
}

static void put_channel(FILE *to, size_t image, size_t channel, const struct picture *picture) {
    static const char *const names[] = {
        [PICTURE_PRE] = "pre", [PICTURE_POST] = "post", [PICTURE_DIFFERENCE] = "difference"};
    (void)fprintf(to, "      <Channel ID=\"Channel:%zu:%zu\" Name=\"%s\" SamplesPerPixel=\"%u\"",
                  image, channel, names[picture->kind], picture->shape.samples);
    if (picture->shape.samples == 1 && picture->kind != PICTURE_DIFFERENCE)
        (void)fprintf(to, " Color=\"%d\"", picture->kind == PICTURE_PRE ? pre_colour : post_colour);
    (void)fputs("/>\n", to);
}

static void put_pixel_size(FILE *to, const struct image_info *frame) {
    double x_um, y_um;
    if (image_pixel_size(frame, &x_um, &y_um))
        (void)fprintf(to,
                      " PhysicalSizeX=\"%.9g\" PhysicalSizeXUnit=\"µm\" PhysicalSizeY=\"%.9g\" "
                      "PhysicalSizeYUnit=\"µm\"",
                      x_um, y_um);
}

/* Pictures [first, first + n) are the channels of one image. */
static void put_image(FILE *to, const struct ome_xml_parts *parts, size_t image, size_t first,
                      size_t n) {
    const struct picture *pictures = &parts->set->pictures[first];
    const struct background_scale_difference *difference = pictures[0].difference;
    (void)fprintf(to, "  <Image ID=\"Image:%zu\" Name=\"", image);
    put_text(to, *parts->name ? parts->name : "pair");
    (void)fputs(difference ? " difference\">\n    <Description>" : "\">\n    <Description>", to);
    if (difference)
        (void)fprintf(to, "post - %.9g x aligned pre (%s)", difference->scale, difference->kind);
    else
        (void)fputs("pre-stain image in the post-stain frame", to);
    (void)fprintf(to,
                  "</Description>\n    <Pixels ID=\"Pixels:%zu\" DimensionOrder=\"XYCZT\" "
                  "Type=\"%s\" SizeX=\"%u\" SizeY=\"%u\" SizeZ=\"1\" SizeC=\"%zu\" SizeT=\"1\" "
                  "BigEndian=\"false\"",
                  image, type_of(pictures), parts->width, parts->height,
                  n * pictures[0].shape.samples);
    if (pictures[0].shape.samples > 1)
        (void)fputs(" Interleaved=\"true\"", to);
    put_pixel_size(to, parts->frame);
    (void)fputs(">\n", to);
    for (size_t i = 0; i < n; i++)
        put_channel(to, image, i, &pictures[i]);
    (void)fprintf(to,
                  "      <TiffData IFD=\"%u\" FirstZ=\"0\" FirstC=\"0\" FirstT=\"0\" "
                  "PlaneCount=\"%zu\"/>\n    </Pixels>\n  </Image>\n",
                  pictures[0].image, n);
}

static bool are_channels(const struct picture *a, const struct picture *b) {
    return a->kind == PICTURE_PRE && b->kind == PICTURE_POST &&
           a->shape.samples == b->shape.samples && a->shape.bits == b->shape.bits;
}

char *ome_xml_make(const struct ome_xml_parts *parts) {
    const struct picture *pictures = parts->set->pictures;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to)
        return NULL;
    (void)fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OME xmlns=\"" SCHEMA "\"\n"
                "    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"\n"
                "    xsi:schemaLocation=\"" SCHEMA " " SCHEMA "/ome.xsd\"\n"
                "    Creator=\"registrar " REGISTRAR_VERSION "\"",
                to);
    put_uuid(to, parts->key);
    (void)fputs(">\n", to);
    for (size_t i = 0, n, image = 0; i < parts->set->n; i += n, image++) {
        n = i + 1 < parts->set->n && are_channels(&pictures[i], &pictures[i + 1]) ? 2 : 1;
        put_image(to, parts, image, i, n);
    }
    (void)fputs("</OME>\n", to);
    bool failed = ferror(to);
    failed = fclose(to) != 0 || failed;
    if (!failed)
        return text;
    free(text);
    return NULL;
}
