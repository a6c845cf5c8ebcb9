/* See page_source.h. The assembler takes the files in as they are (.incbin), by paths from the
 * root, where the build runs; the Makefile knows that this object depends on them. */
#include "supervisor/page/page_source.h"

#include <stddef.h>

#define TAKE_IN(symbol, path)                                                                      \
    __asm__(".pushsection .rodata\n"                                                               \
            ".globl " #symbol "\n" #symbol ":\n"                                                   \
            ".incbin \"supervisor/page/" path "\"\n"                                               \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char symbol[]

TAKE_IN(page_source_html, "page.html");
TAKE_IN(page_source_css, "page.css");
TAKE_IN(page_source_words_js, "words.js");
TAKE_IN(page_source_plots_js, "plots.js");
TAKE_IN(page_source_table_js, "table.js");
TAKE_IN(page_source_viewer_js, "viewer.js");
TAKE_IN(page_source_task_js, "task.js");
TAKE_IN(page_source_page_js, "page.js");

const char *page_source_script(unsigned n) {
    static const char *const scripts[] = {
        page_source_words_js,  page_source_plots_js, page_source_table_js,
        page_source_viewer_js, page_source_task_js,  page_source_page_js,
    };
    return n < sizeof(scripts) / sizeof(scripts[0]) ? scripts[n] : NULL;
}
