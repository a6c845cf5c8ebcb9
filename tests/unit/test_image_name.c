/* The rule for raw images' names, as a table. */
#include "supervisor/batch/image_name.h"

#include "tests/unit/folder_fixture.h"

static void the_rule(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool is_image;
        enum image_role role;
        bool has_underscore;
        const char *dye;
    } cases[] = {
        {"CD070pre_DAPI.tif", true, IMAGE_PRE, true, "DAPI"},
        {"CD070_post_DAPI.TIFF", true, IMAGE_POST, true, "DAPI"},
        {"POSTstain_scan_2_Cy5.Tif", true, IMAGE_POST, true, "Cy5"},
        {"my scan PRE of CD070_DAPI.tif", true, IMAGE_PRE, true, "DAPI"},
        {"x_pre_DAPI.ome.tif", true, IMAGE_PRE, true, "DAPI"},
        {"x_pre_DAPI.OME.TIFF", true, IMAGE_PRE, true, "DAPI"},
        {"x_pre_a.b.tif", true, IMAGE_PRE, true, "a.b"},
        {"Prepared_DAPI.tif", true, IMAGE_PRE, true, "DAPI"},
        {"Prepost_DAPI.tif", true, IMAGE_BOTH, true, "DAPI"},
        {"CD070_DAPI.tif", true, IMAGE_NEITHER, true, "DAPI"},
        {"CD070_DAPI_pre.tif", true, IMAGE_NEITHER, true, "pre"}, /* behind the last underscore */
        {"CD070post.tif", true, IMAGE_POST, false, NULL},
        {"CD070pre_.tif", true, IMAGE_PRE, true, NULL},
        {"_.tif", true, IMAGE_NEITHER, true, NULL},
        {"pre_D.tif.tif", true, IMAGE_PRE, true, "D.tif"},
        {".tif", false, 0, false, NULL},
        {"._CD070pre_DAPI.tif", false, 0, false, NULL}, /* macOS leaves these behind */
        {"CD070pre_DAPI.png", false, 0, false, NULL},
        {"CD070pre_DAPI.tif.bak", false, 0, false, NULL},
        {"tif", false, 0, false, NULL},
        {"", false, 0, false, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct image_name parsed;
        print_message("%s\n", cases[i].name);
        assert_int_equal(image_name_parse(cases[i].name, &parsed), cases[i].is_image);
        if (!cases[i].is_image)
            continue;
        assert_int_equal(parsed.role, cases[i].role);
        assert_int_equal(parsed.has_underscore, cases[i].has_underscore);
        assert_int_equal(parsed.dye != NULL, cases[i].dye != NULL);
        if (!parsed.dye)
            continue;
        assert_int_equal(parsed.dye_length, strlen(cases[i].dye));
        assert_memory_equal(parsed.dye, cases[i].dye, parsed.dye_length);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_rule)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
