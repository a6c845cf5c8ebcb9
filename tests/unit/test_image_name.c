/* The rule for raw images' names, as a table. */
#include "supervisor/batch/image_name.h"

#include "tests/unit/folder_fixture.h"

static void the_rule(void **state) {
    (void)state;
    static const struct {
        const char *name, *dye;
        enum image_role role;
        bool is_image, has_underscore;
    } cases[] = {
        {"CD070pre_DAPI.tif", "DAPI", IMAGE_PRE, true, true},
        {"CD070_post_DAPI.TIFF", "DAPI", IMAGE_POST, true, true},
        {"POSTstain_scan_2_Cy5.Tif", "Cy5", IMAGE_POST, true, true},
        {"my scan PRE of CD070_DAPI.tif", "DAPI", IMAGE_PRE, true, true},
        {"x_pre_DAPI.ome.tif", "DAPI", IMAGE_PRE, true, true},
        {"x_pre_DAPI.OME.TIFF", "DAPI", IMAGE_PRE, true, true},
        {"x_pre_a.b.tif", "a.b", IMAGE_PRE, true, true},
        {"Prepared_DAPI.tif", "DAPI", IMAGE_PRE, true, true},
        {"Prepost_DAPI.tif", "DAPI", IMAGE_BOTH, true, true},
        {"CD070_DAPI.tif", "DAPI", IMAGE_NEITHER, true, true},
        {"CD070_DAPI_pre.tif", "pre", IMAGE_NEITHER, true, true}, /* behind the last underscore */
        {"CD070post.tif", NULL, IMAGE_POST, true, false},
        {"CD070pre_.tif", NULL, IMAGE_PRE, true, true},
        {"_.tif", NULL, IMAGE_NEITHER, true, true},
        {"pre_D.tif.tif", "D.tif", IMAGE_PRE, true, true},
        {".tif", NULL, 0, false, false},
        {"._CD070pre_DAPI.tif", NULL, 0, false, false}, /* macOS leaves these behind */
        {"CD070pre_DAPI.png", NULL, 0, false, false},
        {"CD070pre_DAPI.tif.bak", NULL, 0, false, false},
        {"tif", NULL, 0, false, false},
        {"", NULL, 0, false, false},
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
