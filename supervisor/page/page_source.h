/* The page's own files, which the program carries (page_source.c takes them in). Each ends with
 * NUL. */
#ifndef SUPERVISOR_PAGE_PAGE_SOURCE_H
#define SUPERVISOR_PAGE_PAGE_SOURCE_H

extern const char page_source_html[], page_source_css[];

/* The scripts in the order in which they are to stand; NULL past the end. */
const char *page_source_script(unsigned n);

#endif
