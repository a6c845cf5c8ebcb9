/* See help_apply.h. */
#include "supervisor/cli/help_apply.h"

#include "supervisor/cli/apply_words.h"

static const struct help_page page = {
    .command = "apply",
    .meaning = "another image, a label mask or points through a map that was found",
    .usage = "  registrar apply TRANSFORM.json --image FILE -o OUT.tiff [OPTION]...\n"
             "  registrar apply TRANSFORM.json --points FILE [-o OUT.csv] [OPTION]...\n",
    .text = "TRANSFORM.json is what run wrote for the pair, or the folder it stands in. What\n"
            "lies in the pre image's frame comes to lie in the post image's; --inverse takes\n"
            "the other way. An image must have the size of the frame that it lies in, and gets\n"
            "that of the other one: the pair's own pre image becomes aligned_pre.tiff again.\n"
            "\n"
            "A table has a line per point, and names its columns in the first line. Only x and\n"
            "y are replaced: pixels at full resolution, of which whole numbers are the centres,\n"
            "with 0,0 at the top left. Points with no place in the other image are left empty.\n"
            "\n"
            "The map of a failed pair is refused; a doubtful one is used, and told of.\n",
    .row = apply_words_row,
    .more = "Examples:\n"
            "  registrar apply out/CD070/DAPI --image CD070pre_FITC.tif -o FITC.tiff\n"
            "  registrar apply out/CD070/DAPI --image cells.tif --labels -o cells_post.tiff\n"
            "  registrar apply out/CD070/DAPI --points cells.csv -o cells_post.csv\n"
            "  registrar apply out/CD070/DAPI --inverse --points - < marks.csv > in_pre.csv\n"
            "\n"
            "Exit status:\n"
            "  0   done\n"
            "  1   it failed: the map, the image or the table cannot be used; the disk is full\n"
            "  2   wrong usage, or a file that is not there\n"
            "  4   interrupted; nothing was kept\n"
            "  70  a fault of registrar itself\n",
};

const struct help_page *help_apply_page(void) { return &page; }
