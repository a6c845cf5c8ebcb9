/* A scanner for attributes, and no XML parser: of a document that may be megabytes of annotations
 * a few attributes of one element are wanted. See pixel_size.h. */
#include "worker/tiff/pixel_size.h"

#include "common/cleanup.h"

#include <string.h>

enum {
    VALUE_BYTES = 64, /* longer ones are no numbers or units */
    TAG_BYTES = 4096, /* and longer tags are none that anybody writes */
};

static const double least_um = 1e-5, most_um = 1e5;

static const struct {
    const char *name;
    double um;
} units[] = {
    {"um", 1},          {"\xc2\xb5m", 1}, {"\xce\xbcm", 1}, {"&#181;m", 1},  {"&#xB5;m", 1},
    {"&#956;m", 1},     {"micron", 1},    {"microns", 1},   {"\\u00B5m", 1}, {"nm", 1e-3},
    {"\xc3\x85", 1e-4}, {"pm", 1e-6},     {"mm", 1e3},      {"cm", 1e4},     {"m", 1e6},
    {"in", 25400},      {"inch", 25400},
};

/* 0: a unit that tells nothing ("pixel"). */
static double unit_um(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(units[i].name, name) == 0)
            return units[i].um;
    return 0;
}

static bool is_size(double um) { return um >= least_um && um <= most_um; }

static bool read_number(const char *text, double *ret) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || (*end != '\0' && !strchr(" \t\r\n|", *end)))
        return false;
    *ret = value;
    return true;
}

/* --- OME-XML --- */

/* The value of an attribute of a tag. */
static bool read_attribute(const char *tag, const char *name, char ret[VALUE_BYTES]) {
    size_t length = strlen(name);
    for (const char *at = tag; (at = strstr(at, name)); at += length) {
        const char *quote = at + length;
        if (at == tag || !strchr(" \t\r\n", at[-1]) || quote[0] != '=' ||
            (quote[1] != '"' && quote[1] != '\''))
            continue;
        const char *value = quote + 2, *stop = strchr(value, quote[1]);
        if (!stop || stop - value >= VALUE_BYTES)
            return false;
        memcpy(ret, value, (size_t)(stop - value));
        ret[stop - value] = '\0';
        return true;
    }
    return false;
}

static bool has_side(const char *tag, const char *name, uint32_t px) {
    char text[VALUE_BYTES];
    double value;
    return read_attribute(tag, name, text) && read_number(text, &value) && value == (double)px;
}

static bool read_length(const char *tag, const char *name, const char *unit_name, double *ret_um) {
    char text[VALUE_BYTES], unit[VALUE_BYTES] = "um";
    double value;
    if (!read_attribute(tag, name, text) || !read_number(text, &value))
        return false;
    (void)read_attribute(tag, unit_name, unit); /* micrometres where none is given */
    *ret_um = value * unit_um(unit);
    return is_size(*ret_um);
}

static bool read_ome(const char *text, const struct pixel_size_image *image, double *ret_x_um,
                     double *ret_y_um) {
    char tag[TAG_BYTES];
    for (const char *at = strstr(text, "Pixels"); at; at = strstr(at + 1, "Pixels")) {
        size_t length = 0;
        if (at == text || (at[-1] != '<' && at[-1] != ':'))
            continue;
        while (length < sizeof(tag) - 1 && at[length] && at[length] != '>')
            length++;
        memcpy(tag, at, length);
        tag[length] = '\0';
        if (has_side(tag, "SizeX", image->width) && has_side(tag, "SizeY", image->height))
            return read_length(tag, "PhysicalSizeX", "PhysicalSizeXUnit", ret_x_um) &&
                   read_length(tag, "PhysicalSizeY", "PhysicalSizeYUnit", ret_y_um);
    }
    return false;
}

/* --- others --- */

static bool read_aperio(const char *text, double *ret_x_um, double *ret_y_um) {
    static const char name[] = "|MPP = ";
    const char *at = strstr(text, name);
    if (!at || !read_number(at + strlen(name), ret_x_um))
        return false;
    *ret_y_um = *ret_x_um;
    return is_size(*ret_x_um);
}

static bool read_imagej(const char *text, const struct pixel_size_image *image, double *ret_x_um,
                        double *ret_y_um) {
    static const char name[] = "\nunit=";
    const char *at = strstr(text, name);
    char unit[VALUE_BYTES];
    size_t length = at ? strcspn(at + strlen(name), "\n") : VALUE_BYTES;
    if (length >= VALUE_BYTES || image->x_resolution <= 0 || image->y_resolution <= 0)
        return false;
    memcpy(unit, at + strlen(name), length);
    unit[length] = '\0';
    *ret_x_um = unit_um(unit) / image->x_resolution;
    *ret_y_um = unit_um(unit) / image->y_resolution;
    return is_size(*ret_x_um) && is_size(*ret_y_um);
}

bool pixel_size_read(const char *description, const struct pixel_size_image *image,
                     double *ret_x_um, double *ret_y_um) {
    double x_um = 0, y_um = 0;
    bool found = false;
    if (strncmp(description, "Aperio", strlen("Aperio")) == 0)
        found = read_aperio(description, &x_um, &y_um);
    else if (strncmp(description, "ImageJ=", strlen("ImageJ=")) == 0)
        found = read_imagej(description, image, &x_um, &y_um);
    else if (strstr(description, "<OME") || strstr(description, ":OME"))
        found = read_ome(description, image, &x_um, &y_um);
    if (found) {
        *ret_x_um = x_um;
        *ret_y_um = y_um;
    }
    return found;
}
