/* Variants of one pair that wait or run here, over all lines. What they share is removed when the
 * last of them has come to its end; where one comes back unfinished, the next run goes on with it.
 */
#include "common/params.h"
#include "common/protocol.h"
#include "supervisor/engine/engine_state.h"
#include "supervisor/engine/shared_store.h"

#include <errno.h>
#include <string.h>

struct engine_variants {
    struct engine_variants *next;
    char *out, *shared;
    struct engine_slot **slots; /* in order of their joining */
    size_t n_tasks, capacity, n_running;
    bool is_needed; /* one came back unfinished */
};

static void remove_store(struct engine_slot *slot) {
    const struct engine_line_settings *settings = &slot->line->settings;
    struct failure failure = {0};
    if (shared_store_remove(settings->out, slot->task->shared, settings->credentials, &failure) < 0)
        engine_tell(engine_of(slot), slot, "%s", failure.text);
}

static void free_one(struct engine_variants *variants) {
    free(variants->slots);
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

static struct engine_variants *open_one(const struct engine_slot *slot) {
    struct engine_variants *variants = calloc(1, sizeof(*variants));
    if (!variants)
        return NULL;
    variants->out = strdup(slot->line->settings.out);
    variants->shared = strdup(slot->task->shared);
    if (variants->out && variants->shared)
        return variants;
    free_one(variants);
    return NULL;
}

static int add(struct engine_variants *variants, struct engine_slot *slot) {
    if (variants->n_tasks == variants->capacity) {
        size_t capacity = variants->capacity ? 2 * variants->capacity : 4;
        struct engine_slot **slots =
            realloc(variants->slots, capacity * sizeof(struct engine_slot *));
        if (!slots)
            return -ENOMEM;
        variants->slots = slots;
        variants->capacity = capacity;
    }
    variants->slots[variants->n_tasks++] = slot;
    slot->variants = variants;
    return 0;
}

int engine_variants_join(struct engine_slot *slot) {
    struct engine *engine = engine_of(slot);
    const struct engine_line_settings *settings = &slot->line->settings;
    if (!slot->task->shared)
        return 0;
    struct engine_variants *variants = find(engine, settings->out, slot->task->shared);
    if (variants)
        return add(variants, slot);
    variants = open_one(slot);
    if (!variants)
        return -ENOMEM;
    if (add(variants, slot) < 0) {
        free_one(variants);
        return -ENOMEM;
    }
    variants->next = engine->variants;
    engine->variants = variants;
    if (settings->is_redo) /* from the images on */
        remove_store(slot);
    return 0;
}

void engine_variants_leave(struct engine_slot *slot, bool is_over) {
    struct engine_variants *variants = slot->variants;
    struct engine_variants **at = &engine_of(slot)->variants;
    if (!variants)
        return;
    variants->is_needed |= !is_over;
    slot->variants = NULL;
    size_t i = 0;
    while (variants->slots[i] != slot)
        i++;
    variants->n_tasks--;
    memmove(&variants->slots[i], &variants->slots[i + 1],
            (variants->n_tasks - i) * sizeof(struct engine_slot *));
    if (variants->n_tasks > 0)
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

json_t *engine_variants_params(const struct engine_slot *slot) {
    const struct engine_variants *variants = slot->variants;
    json_t *list = variants && variants->n_tasks > 1 ? json_array() : NULL;
    size_t i = 0;
    while (list && variants->slots[i] != slot)
        i++;
    for (i++; list && i < variants->n_tasks && json_array_size(list) < PROTOCOL_MOST_VARIANTS;
         i++) {
        const struct engine_slot *other = variants->slots[i];
        if (!other->attempt &&
            params_agree(other->task->params, slot->task->params, PARAMS_EFFECT_PICTURE))
            (void)json_array_append(list, other->task->params); /* else it makes its own */
    }
    return list;
}

bool engine_variants_are_busy(const struct engine_slot *slot) {
    return slot->variants && slot->variants->n_running > 0;
}
