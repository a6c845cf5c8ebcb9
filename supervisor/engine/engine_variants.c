/* Variants of one pair that wait or run here, over all lines. What they share is removed when the
 * last of them has come to its end; where one comes back unfinished, the next run goes on with it.
 */
#include "supervisor/engine/engine_state.h"
#include "supervisor/engine/shared_store.h"

#include <errno.h>
#include <string.h>

struct engine_variants {
    struct engine_variants *next;
    char *out, *shared;
    size_t n_tasks, n_running;
    bool is_needed; /* one came back unfinished */
};

static void remove_store(struct engine_slot *slot) {
    const struct engine_line_settings *settings = &slot->line->settings;
    struct failure failure = {0};
    if (shared_store_remove(settings->out, slot->task->shared, settings->credentials, &failure) < 0)
        engine_tell(engine_of(slot), slot, "%s", failure.text);
}

static void free_one(struct engine_variants *variants) {
    free(variants->out);
    free(variants->shared);
    free(variants);
}

/* Newest first: those of a pair come one after the other. */
static struct engine_variants *find(const struct engine *engine, const char *out,
                                    const char *shared) {
    struct engine_variants *at = engine->variants;
    while (at && (strcmp(at->shared, shared) != 0 || strcmp(at->out, out) != 0))
        at = at->next;
    return at;
}

int engine_variants_join(struct engine_slot *slot) {
    struct engine *engine = engine_of(slot);
    const struct engine_line_settings *settings = &slot->line->settings;
    if (!slot->task->shared)
        return 0;
    struct engine_variants *variants = find(engine, settings->out, slot->task->shared);
    if (!variants) {
        variants = calloc(1, sizeof(*variants));
        if (!variants)
            return -ENOMEM;
        variants->out = strdup(settings->out);
        variants->shared = strdup(slot->task->shared);
        if (!variants->out || !variants->shared) {
            free_one(variants);
            return -ENOMEM;
        }
        variants->next = engine->variants;
        engine->variants = variants;
        if (settings->is_redo) /* from the images on */
            remove_store(slot);
    }
    variants->n_tasks++;
    slot->variants = variants;
    return 0;
}

void engine_variants_leave(struct engine_slot *slot, bool is_over) {
    struct engine_variants *variants = slot->variants;
    struct engine_variants **at = &engine_of(slot)->variants;
    if (!variants)
        return;
    variants->is_needed |= !is_over;
    slot->variants = NULL;
    if (--variants->n_tasks > 0)
        return;
    if (!variants->is_needed)
        remove_store(slot);
    while (*at != variants)
        at = &(*at)->next;
    *at = variants->next;
    free_one(variants);
}

void engine_variants_run(struct engine_slot *slot, bool is_running) {
    if (!slot->variants)
        return;
    slot->variants->n_running += is_running ? 1 : (size_t)-1;
    engine_of(slot)->is_stale = true; /* the others' turn is another one now */
}

bool engine_variants_are_busy(const struct engine_slot *slot) {
    return slot->variants && slot->variants->n_running > 0;
}
