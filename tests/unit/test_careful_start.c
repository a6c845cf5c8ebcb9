/* timeout: 300
 *
 * The careful start, played: batches of a kind of which nothing is known, with the real model,
 * forecast and admission, and clocks that are only numbers. What is promised: after five finished
 * tasks every forecast is within 10 % of the peak, no reservation is ever exceeded, the budget
 * holds, and batches end on average within 1.15 times the best packing that is found with
 * everything known beforehand, although in most of them the budget is what there is too little of.
 * A kind that grows with the square is found out before the eighth task has ended. */
#include "supervisor/engine/admission.h"
#include "supervisor/engine/enforce.h"
#include "supervisor/engine/packing.h"
#include "supervisor/memory/forecast.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants setjmp, stdarg and stddef first */
#include <cmocka.h>

#define MIB 1048576.0

enum { MAX_TASKS = 40, MAX_JOBS = 8 };

enum pace { PACE_EQUAL, PACE_BY_SIZE, PACE_RANDOM, PACE_COUNT };

struct play_task {
    double size, peak, wall;
    double end, predicted, foretold;         /* foretold: how long */
    size_t n_before;                         /* tasks that had finished when it started */
    double reserved, counted, margin, limit; /* limit: of the kernel, 0: none */
    bool is_running, is_done;
};

struct play {
    struct play_task tasks[MAX_TASKS];
    size_t n;
    int jobs;
    double budget, now;
    size_t n_done, n_running;
    int exceeded;       /* reservations, of tasks that started when eight had finished */
    int killed;         /* of these, by the kernel's limit */
    double worst_error; /* of forecasts made with five finished tasks */
    double most;        /* sum of the peaks that ran at once */
};

static uint64_t random_state = 1;

static double random_unit(void) {
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

static double between(double low, double high) { return low + (high - low) * random_unit(); }

/* ---- as registrar does it ---- */

static struct forecast forecast_one(const struct play *play, const struct model *model, size_t i) {
    const struct forecast_task task = {.size = play->tasks[i].size};
    (void)play;
    return forecast_make(&task, model, 1, 0);
}

static size_t queue(struct play *play, const struct model *model,
                    struct admission_candidate *waiting) {
    size_t n = 0;
    for (size_t i = 0; i < play->n; i++) {
        struct play_task *task = &play->tasks[i];
        if (task->is_done)
            continue;
        const struct forecast forecast = forecast_one(play, model, i);
        const bool unknown = forecast.basis == FORECAST_UNKNOWN;
        double reserved = unknown ? play->budget : (double)forecast.reserved_bytes;
        const double bound = (double)(forecast.counted_bytes - forecast.margin_bytes);
        if (reserved > play->budget && forecast.basis != FORECAST_ONE_SIZE &&
            (double)forecast.predicted_bytes <= play->budget &&
            (forecast.n_attempts >= 8 || bound <= play->budget))
            reserved = play->budget;
        const bool is_cut = reserved < (double)forecast.reserved_bytes;
        task->margin = is_cut ? 0 : (double)forecast.margin_bytes;
        task->counted = is_cut ? reserved : (double)forecast.counted_bytes;
        task->foretold = (double)forecast.time_ms / 1000;
        if (task->is_running) {
            task->reserved = reserved;
            task->predicted = (double)forecast.predicted_bytes;
            continue;
        }
        waiting[n++] = (struct admission_candidate){
            .task = i,
            .memory_bytes = (uint64_t)task->counted,
            .margin_bytes = (uint64_t)task->margin,
            .time_ms = forecast.time_ms,
            .size = task->size,
            .stage = unknown                               ? ADMISSION_UNKNOWN
                     : forecast.basis == FORECAST_ONE_SIZE ? ADMISSION_LEARNING
                                                           : ADMISSION_KNOWN,
        };
        task->predicted = (double)forecast.predicted_bytes;
        task->reserved = reserved;
        task->limit = (double)enforce_limit(&(struct enforce_facts){
            .reserved_bytes = (uint64_t)reserved,
            .is_assumed = forecast.is_guess,
            .is_uncertain = forecast.is_beyond || forecast.n_attempts < ENFORCE_FEW_ATTEMPTS,
        });
    }
    admission_sort(waiting, n);
    return n;
}

static struct admission_load load_of(const struct play *play) {
    struct admission_load load = {0};
    for (size_t i = 0; i < play->n; i++)
        if (play->tasks[i].is_running)
            admission_load_add(&load, (uint64_t)play->tasks[i].counted,
                               (uint64_t)play->tasks[i].margin);
    return load;
}

static ptrdiff_t pick(const struct play *play, const struct admission_candidate *waiting,
                      size_t count, int passed_over) {
    const struct admission_room room = {.jobs = play->jobs,
                                        .running = (int)play->n_running,
                                        .budget_bytes = (uint64_t)play->budget,
                                        .load = load_of(play),
                                        .passed_over = passed_over};
    const ptrdiff_t at = admission_pick(waiting, count, &room);
    const size_t n_known = admission_known(waiting, count);
    struct packing_running running[MAX_JOBS];
    size_t n = 0;
    if (at < 0 || (size_t)at >= n_known || admission_is_overdue(&room))
        return at;
    for (size_t i = 0; i < play->n; i++) {
        const struct play_task *task = &play->tasks[i];
        const double gone = play->now - (task->end - task->wall);
        if (task->is_running)
            running[n++] = (struct packing_running){
                (uint64_t)task->counted, (uint64_t)task->margin,
                (int64_t)(1000 * fmax(task->foretold - gone, task->foretold / 10))};
    }
    const ptrdiff_t better = packing_pick(waiting, n_known, running, &room);
    return better < 0 ? at : better;
}

static void look(struct play *play) {
    double sum = 0;
    for (size_t i = 0; i < play->n; i++)
        sum += play->tasks[i].is_running ? play->tasks[i].peak : 0;
    play->most = fmax(play->most, sum);
}

static void end_next(struct play *play, struct model *model, size_t kind) {
    struct play_task *next = NULL;
    for (size_t i = 0; i < play->n; i++)
        if (play->tasks[i].is_running && (!next || play->tasks[i].end < next->end))
            next = &play->tasks[i];
    assert_non_null(next);
    play->now = next->end;
    next->is_running = false;
    next->is_done = true;
    play->n_running--;
    play->exceeded += next->n_before >= 8 && next->peak > next->reserved;
    play->killed += next->n_before >= 8 && next->limit > 0 && next->peak > next->limit;
    if (play->n_done++ >= 5)
        play->worst_error =
            fmax(play->worst_error, fabs(next->predicted - next->peak) / next->peak);
    const struct model_observation seen = {
        .kind = kind,
        .size = next->size,
        .peak_bytes = (uint64_t)next->peak,
        .predicted_bytes = (uint64_t)next->predicted,
        .wall_ms = (int64_t)(next->wall * 1000),
        .is_whole = true,
        .is_first = true,
    };
    assert_int_equal(model_observe(model, &seen), 0);
    (void)model_refresh(model);
}

static double play_learning(struct play *play) {
    struct failure failure;
    struct model *model = NULL;
    assert_int_equal(model_open(&model, &failure), 0);
    const size_t kind = model_kind(model, "k", NULL, false);
    int passed_over = 0;
    while (play->n_done < play->n) {
        struct admission_candidate waiting[MAX_TASKS];
        for (;;) {
            const size_t n = queue(play, model, waiting);
            const ptrdiff_t at = pick(play, waiting, n, passed_over);
            if (at < 0)
                break;
            passed_over = at == 0 ? 0 : passed_over + 1;
            struct play_task *task = &play->tasks[waiting[at].task];
            task->is_running = true;
            task->n_before = play->n_done;
            task->end = play->now + task->wall;
            play->n_running++;
            look(play);
        }
        end_next(play, model, kind);
    }
    model_close(model);
    return play->now;
}

/* ---- the best packing that is found with everything known ---- */

static double play_order(const struct play *play, const size_t *order) {
    double ends[MAX_JOBS], peaks[MAX_JOBS], now = 0, used = 0;
    bool taken[MAX_TASKS] = {false};
    size_t n_running = 0, n_done = 0;
    while (n_done < play->n) {
        for (size_t i = 0; i < play->n && n_running < (size_t)play->jobs; i++) {
            const struct play_task *task = &play->tasks[order[i]];
            if (taken[i] || (n_running > 0 && used + task->peak > play->budget))
                continue;
            taken[i] = true;
            ends[n_running] = now + task->wall;
            peaks[n_running++] = task->peak;
            used += task->peak;
        }
        size_t next = 0;
        for (size_t i = 1; i < n_running; i++)
            next = ends[i] < ends[next] ? i : next;
        now = ends[next];
        used -= peaks[next];
        n_running--;
        ends[next] = ends[n_running];
        peaks[next] = peaks[n_running];
        n_done++;
    }
    return now;
}

static double key_of(const struct play_task *task, int rule) {
    switch (rule) {
    case 0:
        return task->wall;
    case 1:
        return task->peak;
    case 2:
        return task->wall * task->peak;
    default:
        return task->wall * task->peak * between(0.5, 2);
    }
}

static double best_packing(const struct play *play) {
    double best = INFINITY;
    for (int rule = 0; rule < 20; rule++) {
        size_t order[MAX_TASKS];
        double keys[MAX_TASKS];
        for (size_t i = 0; i < play->n; i++) {
            keys[i] = key_of(&play->tasks[i], rule);
            size_t at = i;
            for (; at > 0 && keys[order[at - 1]] < keys[i]; at--)
                order[at] = order[at - 1];
            order[at] = i;
        }
        best = fmin(best, play_order(play, order));
    }
    return best;
}

/* ---- batches ---- */

static struct play make_play(int jobs, enum pace pace, double exponent) {
    struct play play = {.n = MAX_TASKS, .jobs = jobs};
    const double largest = between(10, 400) * MIB, smallest = largest / between(2, 50);
    const double wanted = between(20, 500) * MIB; /* what the largest needs beside the fixed part */
    double sum = 0, most = 0;
    for (size_t i = 0; i < play.n; i++) {
        struct play_task *task = &play.tasks[i];
        task->size = between(smallest, largest);
        task->peak =
            50 * MIB + wanted * pow(task->size / largest, exponent) + between(-0.5, 0.5) * MIB;
        task->wall = pace == PACE_EQUAL     ? 10
                     : pace == PACE_BY_SIZE ? 1 + 20 * task->size / largest
                                            : between(5, 20);
        sum += task->peak;
        most = fmax(most, task->peak);
    }
    /* from "two of the largest" to "memory does not matter" */
    play.budget = fmax(2.3 * most, between(0.2, 1.3) * jobs * sum / (double)play.n);
    return play;
}

static void a_linear_kind(void **state) {
    (void)state;
    enum { ROUNDS = 30 };
    static const char *const names[] = {"equal", "by size", "random"};
    int n = 0, above = 0;
    double total = 0;
    for (int pace = 0; pace < PACE_COUNT; pace++)
        for (int jobs = 1; jobs <= MAX_JOBS; jobs++) {
            double mean = 0, worst = 0, worst_error = 0;
            for (int round = 0; round < ROUNDS; round++) {
                struct play play = make_play(jobs, (enum pace)pace, 1);
                const double best = best_packing(&play);
                const double ratio = play_learning(&play) / best;
                assert_int_equal(play.exceeded, 0);
                assert_true(play.most <= play.budget);
                worst = fmax(worst, ratio);
                worst_error = fmax(worst_error, play.worst_error);
                mean += ratio / ROUNDS;
                n++;
                above += ratio > 1.15;
            }
            total += mean;
            print_message("%-8s jobs %d: mean %.3f, worst %.3f, worst error %.3f\n", names[pace],
                          jobs, mean, worst, worst_error);
            assert_true(worst_error < 0.1);
            /* one of many workers alone is a loss that three of them hardly have */
            assert_true(mean < (jobs <= 3 ? 1.16 : 1.26));
        }
    const double average = total / PACE_COUNT / MAX_JOBS;
    print_message("%d of %d above 1.15, mean %.3f\n", above, n, average);
    assert_true(average < 1.15);
}

static void a_quadratic_kind(void **state) {
    (void)state;
    int exceeded = 0, killed = 0, above = 0;
    for (int round = 0; round < 200; round++) {
        struct play play = make_play(1 + round % MAX_JOBS, (enum pace)(round % PACE_COUNT), 2);
        play.budget *= 2;
        (void)play_learning(&play);
        exceeded += play.exceeded;
        killed += play.killed;
        above += play.most > play.budget;
    }
    print_message("%d reservations of 200 x %d exceeded; above the budget in %d\n", exceeded,
                  MAX_TASKS, above);
    assert_true(exceeded <= 16); /* of 8,000, by less than what the kernel's limit leaves */
    assert_true(above <= 8);     /* of 200, while it is learned */
    assert_int_equal(killed, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linear_kind),
        cmocka_unit_test(a_quadratic_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
