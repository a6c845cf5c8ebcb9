/* What descriptions say of the size of a pixel, and what they say in vain. */
#include "worker/tiff/pixel_size.h"

#include "common/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static const struct pixel_size_image image = {
    .width = 640, .height = 480, .x_resolution = 4, .y_resolution = 2};

#define PIXELS "<OME><Image><Pixels SizeX=\"640\" SizeY=\"480\" "
#define END "/></Image></OME>"

static void sizes_are_found(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double x_um, y_um;
    } cases[] = {
        {PIXELS "PhysicalSizeX=\"0.325\" PhysicalSizeY=\"0.65\"" END, 0.325, 0.65},
        {PIXELS "PhysicalSizeX='325' PhysicalSizeXUnit='nm' PhysicalSizeY='1e-3' "
                "PhysicalSizeYUnit='mm'" END,
         0.325, 1},
        {PIXELS "PhysicalSizeXUnit=\"\xc2\xb5m\" PhysicalSizeX=\"2\" PhysicalSizeY=\"3\" "
                "PhysicalSizeYUnit=\"&#181;m\"" END,
         2, 3},
        /* another image's comes first; a prefix; attributes on lines of their own */
        {"<o:OME><o:Pixels SizeX=\"64\" SizeY=\"48\" PhysicalSizeX=\"9\" PhysicalSizeY=\"9\"/>"
         "<o:Pixels\n  SizeY=\"480\"\n  SizeX=\"640\"\n  PhysicalSizeY=\"0.5\"\n "
         "PhysicalSizeX=\"0.25\">",
         0.25, 0.5},
        {"Aperio Image Library v11\r\n640x480 [0,0]|AppMag = 40|MPP = 0.2520|Left = 2", 0.252,
         0.252},
        {"Aperio|MPP = 0.5", 0.5, 0.5},
        {"ImageJ=1.53t\nunit=micron\nmin=0", 0.25, 0.5},
        {"ImageJ=1.53t\nimages=1\nunit=\\u00B5m\n", 0.25, 0.5},
        {"ImageJ=1.53t\nunit=nm", 0.00025, 0.0005},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double x = 0, y = 0;
        if (!pixel_size_read(cases[i].text, &image, &x, &y))
            fail_msg("nothing found in %s", cases[i].text);
        assert_float_equal(x, cases[i].x_um, 1e-9);
        assert_float_equal(y, cases[i].y_um, 1e-9);
    }
}

static void nothing_is_found(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        "a scan, MPP = 0.25, PhysicalSizeX=\"0.25\"",
        PIXELS "PhysicalSizeX=\"0.325\"" END,
        PIXELS "PhysicalSizeX=\"0\" PhysicalSizeY=\"0\"" END,
        PIXELS "PhysicalSizeX=\"-1\" PhysicalSizeY=\"1\"" END,
        PIXELS "PhysicalSizeX=\"nan\" PhysicalSizeY=\"inf\"" END,
        PIXELS "PhysicalSizeX=\"1 2\" PhysicalSizeY=\"x\"" END,
        PIXELS "PhysicalSizeX=\"1\" PhysicalSizeY=\"1\" PhysicalSizeXUnit=\"pixel\"" END,
        PIXELS "PhysicalSizeX=\"1",
        PIXELS "PhysicalSizeX=",
        PIXELS "xPhysicalSizeX=\"1\" xPhysicalSizeY=\"1\"" END,
        "<OME><Pixels SizeX=\"641\" SizeY=\"480\" PhysicalSizeX=\"1\" PhysicalSizeY=\"1\"/>",
        "<OME>Pixels SizeX=\"640\" SizeY=\"480\" PhysicalSizeX=\"1\" PhysicalSizeY=\"1\"/>",
        "<OME><Pixels",
        "Pixels:OME",
        "Aperio|MPP = ",
        "Aperio|MPP = 0.25x",
        "ImageJ=1.53t\nunit=pixel\n",
        "ImageJ=1.53t\nunit=",
        "ImageJ=1.53t\n",
    };
    double x = 77, y = 78;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (pixel_size_read(cases[i], &image, &x, &y))
            fail_msg("%g x %g um found in %s", x, y, cases[i]);
    assert_true(x == 77 && y == 78);
    const struct pixel_size_image untagged = {.width = 640, .height = 480};
    assert_false(pixel_size_read("ImageJ=1\nunit=micron\n", &untagged, &x, &y));
}

/* A tag without an end, as long as a file can make it. */
static void long_tags_end_somewhere(void **state) {
    (void)state;
    enum { BYTES = 1 << 20 };
    char *text = malloc(BYTES + 1);
    assert_non_null(text);
    for (size_t i = 0; i < BYTES; i++)
        text[i] = "<OME:Pixels "[i % 12];
    text[BYTES] = '\0';
    double x, y;
    assert_false(pixel_size_read(text, &image, &x, &y));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_found),
        cmocka_unit_test(nothing_is_found),
        cmocka_unit_test(long_tags_end_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
