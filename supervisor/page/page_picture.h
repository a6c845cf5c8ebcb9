/* A task's pictures (OUT/<task>/qc): which there are, and which are put into the page.
 *
 * qc.json lists them; what it says is checked against the files, for both may be anything. The page
 * holds at most so many bytes of pictures: first those of problems, then of every task the few that
 * judge an alignment at a glance, then the rest. The others the page takes from the folder beside
 * it.
 */
#ifndef SUPERVISOR_PAGE_PAGE_PICTURE_H
#define SUPERVISOR_PAGE_PAGE_PICTURE_H

#include "supervisor/page/page_tasks.h"

enum page_picture_choice {
    PAGE_PICTURE_NONE,
    PAGE_PICTURE_CORE, /* the overlay and the two of the blink comparator */
    PAGE_PICTURE_ALL,
};

/* Fills core_bytes, all_bytes and n_pictures of the task. */
void page_picture_look(const char *out, struct page_task *task);
/* Fills `embedded` of all of them. Pure. Returns the bytes that the pictures take in the page. */
uint64_t page_picture_choose(struct page_tasks *tasks, uint64_t budget_bytes);
/* Writes the array of pictures: {"name","title","says","width","height"[,"data"]}. -ENOMEM. */
MUST_USE int page_picture_put(FILE *stream, const char *out, const struct page_task *task);

#endif
