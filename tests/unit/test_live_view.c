/* The live view on a real pseudo-terminal whose output is replayed into a small screen model, on
 * pipes, and on a terminal that somebody stopped. */
#include "supervisor/report/live_frame.h"
#include "supervisor/report/live_view.h"
#include "supervisor/report/text.h"

#include "common/clock.h"
#include "tests/unit/screen_model.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <termios.h>
/* cmocka wants them first */
#include <cmocka.h>

static const uint64_t MIB = 1 << 20;

/* ---- the lines of one moment ---- */

static const struct live_view_task two_tasks[] = {
    {.id = "CD070/DAPI",
     .stage = "refine",
     .fraction = 0.52,
     .memory_bytes = 401 << 20,
     .elapsed_ms = 65000,
     .attempt = 1},
    {.id = "CD070/SYTO13", .stage = "", .fraction = -1, .elapsed_ms = 1200, .attempt = 1},
};

static const struct live_view_snapshot two_running = {.running = two_tasks,
                                                      .n_running = 2,
                                                      .total = 30,
                                                      .ok = 11,
                                                      .problems = 1,
                                                      .left = 16,
                                                      .elapsed_ms = 485000,
                                                      .eta_ms = 720000};

/* Prints a frame and plays it into a fresh screen that is wide enough. */
static char *frame_text(const struct live_view_snapshot *snapshot, struct terminal_size size,
                        struct live_frame *frame) {
    char *bytes = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&bytes, &length);
    assert_non_null(stream);
    live_frame_print(stream, snapshot, size, false, frame);
    assert_int_equal(fclose(stream), 0);
    static struct screen screen;
    screen_init(&screen, SCREEN_MAX_COLUMNS, 100);
    screen_feed(&screen, bytes, length);
    assert_int_equal(screen.row, frame->n_lines - 1);
    assert_int_equal(screen.column, 0);
    free(bytes);
    return screen_text(&screen);
}

static void frames(void **state) {
    (void)state;
    static const struct {
        size_t columns, rows;
        const char *text;
    } cases[] = {
        {120, 24,
         "CD070/DAPI    refine       [#####-----]   52 %   401 MiB   1 min 05 s\n"
         "CD070/SYTO13  starting     [          ]      -         -        1.2 s\n"
         "[####------]  12 of 30 done, 1 problem; 8 min 05 s, about 12 min left\n"},
        {60, 24,
         "CD070/DAPI    refine        52 %   401 MiB   1 min 05 s\n"
         "CD070/SYTO13  starting         -         -        1.2 s\n"
         "12 of 30 done, 1 problem; 8 min 05 s, about 12 min left\n"},
        {30, 24,
         "CD070/DAPI     52 %\n"
         "CD070/SYTO13      -\n"
         "12/30 done, 1 problem\n"},
        {80, 2, "[####------]  12 of 30 done, 1 problem; 8 min 05 s, about 12 min left\n"},
        {15, 2, "12/30 done,...\n"},
        {120, 3,
         "and 2 more running\n"
         "[####------]  12 of 30 done, 1 problem; 8 min 05 s, about 12 min left\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct live_frame frame;
        struct terminal_size size = {cases[i].columns, cases[i].rows};
        CLEANUP_FREE char *text = frame_text(&two_running, size, &frame);
        assert_string_equal(text, cases[i].text);
    }
}

/* Whatever the size, every line is narrower than the terminal and the frame lower. */
/* What is held of what is reserved; in a narrow window the bars go first. */
static void reservations(void **state) {
    (void)state;
    struct live_view_task tasks[] = {two_tasks[0], two_tasks[1]};
    tasks[0].reserved_bytes = 480ULL << 20;
    tasks[1].reserved_bytes = 1434ULL << 20;
    struct live_view_snapshot snapshot = two_running;
    snapshot.running = tasks;
    snapshot.reserved_bytes = 3348ULL << 20;
    snapshot.budget_bytes = 4ULL << 30;
    struct live_frame frame;
    CLEANUP_FREE char *wide = frame_text(&snapshot, (struct terminal_size){120, 24}, &frame);
    assert_string_equal(wide,
                        "CD070/DAPI    refine       [#####-----]   52 %  401/480 MiB   1 min 05 s\n"
                        "CD070/SYTO13  starting     [          ]      -    -/1.4 GiB        1.2 s\n"
                        "[####------]  12 of 30 done, 1 problem; 8 min 05 s, about 12 min left\n");
    snapshot.problems = 0;
    snapshot.eta_ms = -1;
    snapshot.elapsed_ms = 5000;
    CLEANUP_FREE char *brief = frame_text(&snapshot, (struct terminal_size){120, 24}, &frame);
    assert_non_null(strstr(brief, "11 of 30 done; 5.0 s, time left: -; RAM 3.3/4.0 GiB\n"));
}

static void frames_fit(void **state) {
    (void)state;
    struct live_view_task tasks[40];
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        tasks[i] = (struct live_view_task){.id = "a/very-long-sample-name-indeed/and-its-dye",
                                           .stage = "a-stage-with-a-long-name",
                                           .fraction = 7,
                                           .memory_bytes = 999 * MIB,
                                           .elapsed_ms = 360000000,
                                           .attempt = 12};
    struct live_view_snapshot snapshot = {.running = tasks,
                                          .n_running = ARRAY_LEN(tasks),
                                          .total = 1000000,
                                          .ok = 900000,
                                          .problems = 1000,
                                          .eta_ms = -1,
                                          .notice = "the disk is full: 3 MiB are left in out"};
    for (size_t columns = 1; columns < SCREEN_MAX_COLUMNS; columns++)
        for (size_t rows = 1; rows < 60; rows += 7) {
            struct live_frame frame;
            struct terminal_size size = {columns, rows};
            CLEANUP_FREE char *text = frame_text(&snapshot, size, &frame);
            assert_true(frame.n_lines <= rows);
            for (size_t i = 0; i < frame.n_lines; i++)
                assert_true(frame.columns[i] < columns || columns == 1);
            if (rows >= 8 && rows < 40 && columns > 20)
                assert_non_null(strstr(text, "more running"));
        }
}

static void etas(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-1, "time left: -"},
        {0, "less than a minute left"},
        {50000, "about 1 min left"},
        {720000, "about 12 min left"},
        {3600000, "about 1 h 00 min left"},
        {7980000, "about 2 h 15 min left"},
        {40000000, "about 11 h left"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[LIVE_FRAME_ETA_BYTES];
        assert_string_equal(live_frame_eta(cases[i].ms, text), cases[i].text);
    }
}

static void rows_up(void **state) {
    (void)state;
    struct live_frame frame = {.n_lines = 3, .columns = {79, 20, 79}};
    struct terminal_size wide = {80, 24}, narrow = {30, 24}, low = {30, 3};
    assert_int_equal(live_frame_rows_up(&frame, wide, true), 2);
    assert_int_equal(live_frame_rows_up(&frame, narrow, true), 4);
    assert_int_equal(live_frame_rows_up(&frame, narrow, false), 2);
    assert_int_equal(live_frame_rows_up(&frame, low, true), 2);
    frame.n_lines = 0;
    assert_int_equal(live_frame_rows_up(&frame, wide, true), 0);
}

/* ---- on descriptors ---- */

struct rig {
    uv_loop_t loop;
    uv_timer_t guard; /* keeps the loop alive, and ends a test that waits in vain */
    struct live_view *view;
    int master, fd; /* what the person sees; what the view writes to */
    bool unseen;    /* what was read is not played into the screen */
    size_t n_snapshots;
    struct live_view_snapshot snapshot;
    struct screen screen;
};

static void on_guard(uv_timer_t *timer) {
    (void)timer;
    fail_msg("waited in vain for the live view");
}

static void take_snapshot(void *context, struct live_view_snapshot *ret) {
    struct rig *rig = context;
    rig->n_snapshots++;
    *ret = rig->snapshot;
}

static void set_size(struct rig *rig, unsigned short columns, unsigned short rows) {
    struct winsize size = {.ws_col = columns, .ws_row = rows};
    assert_int_equal(ioctl(rig->fd, TIOCSWINSZ, &size), 0);
}

static void open_rig(struct rig *rig, bool quiet) {
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    assert_int_equal(uv_timer_init(&rig->loop, &rig->guard), 0);
    assert_int_equal(uv_timer_start(&rig->guard, on_guard, 30000, 0), 0);
    assert_int_equal(fcntl(rig->master, F_SETFL, O_NONBLOCK), 0);
    rig->snapshot = two_running;
    assert_int_equal(
        live_view_open(&rig->loop, rig->fd, quiet, take_snapshot, rig, &rig->view, NULL), 0);
}

static struct rig *terminal_rig(const char *term, unsigned short columns, unsigned short rows) {
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    assert_int_equal(setenv("TERM", term, 1), 0);
    (void)unsetenv("TMUX");
    (void)unsetenv("XTERM_VERSION");
    assert_int_equal(openpty(&rig->master, &rig->fd, NULL, NULL, NULL), 0);
    set_size(rig, columns, rows);
    screen_init(&rig->screen, columns, rows);
    open_rig(rig, false);
    return rig;
}

static struct rig *pipe_rig(bool quiet) {
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    rig->master = ends[0];
    rig->fd = ends[1];
    open_rig(rig, quiet);
    return rig;
}

/* Reads what there is now. Caller owns the text. */
static char *read_all(struct rig *rig) {
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    size_t length = 0;
    ssize_t n = 0;
    while ((n = read(rig->master, text + length, (1 << 20) - 1 - length)) > 0)
        length += (size_t)n;
    return text;
}

static void show(struct rig *rig) {
    CLEANUP_FREE char *text = read_all(rig);
    if (!rig->unseen)
        screen_feed(&rig->screen, text, strlen(text));
}

/* Runs the loop until the view has drawn that many times more. */
static void wait_drawings(struct rig *rig, size_t count) {
    size_t wanted = rig->n_snapshots + count;
    while (rig->n_snapshots < wanted) {
        (void)uv_run(&rig->loop, UV_RUN_ONCE);
        show(rig);
    }
}

static void close_view(struct rig *rig) {
    live_view_close(rig->view);
    uv_close((uv_handle_t *)&rig->guard, NULL);
    while (uv_run(&rig->loop, UV_RUN_DEFAULT) != 0)
        ;
    assert_int_equal(uv_loop_close(&rig->loop), 0); /* nothing was left in it */
}

static void free_rig(struct rig *rig) {
    (void)close(rig->master);
    (void)close(rig->fd);
    free(rig);
}

static const char events_only[] = "ok        CD070/A  12.1 s\n"
                                  "failed    CD070/B  no\n"
                                  "ok        CD070/C  9.0 s\n";

static void leaves_events_only(void **state) {
    (void)state;
    struct rig *rig = terminal_rig("xterm-256color", 100, 8);
    live_view_event(rig->view, "ok        %s  12.1 s", "CD070/A");
    wait_drawings(rig, 2);
    CLEANUP_FREE char *during = screen_text(&rig->screen);
    assert_string_equal(during,
                        "ok        CD070/A  12.1 s\n"
                        "CD070/DAPI    refine       [#####-----]   52 %   401 MiB   1 min 05 s\n"
                        "CD070/SYTO13  starting     [          ]      -         -        1.2 s\n"
                        "[####------]  12 of 30 done, 1 problem; 8 min 05 s, about 12 min left\n");
    assert_true(rig->screen.cursor_shown && rig->screen.wraps && rig->screen.coloured);
    rig->snapshot.n_running = 1;
    live_view_event(rig->view, "failed    CD070/B  no");
    wait_drawings(rig, 3);
    assert_int_equal(screen_count(&rig->screen, "CD070/DAPI"), 1);
    assert_int_equal(screen_count(&rig->screen, "CD070/SYTO13"), 0);
    live_view_event(rig->view, "ok        CD070/C  9.0 s");
    close_view(rig); /* the last event is shown although no drawing came */
    show(rig);
    CLEANUP_FREE char *after = screen_text(&rig->screen);
    assert_string_equal(after, events_only);
    assert_true(rig->screen.cursor_shown && rig->screen.wraps);
    assert_int_equal(rig->screen.row, 4); /* an empty line below the events */
    assert_int_equal(rig->screen.column, 0);
    free_rig(rig);
}

enum { MANY_EVENTS = 60 };

/* More events than the window has rows: they scroll away above, complete and in order. */
static void events_scroll(void **state) {
    (void)state;
    struct rig *rig = terminal_rig("xterm-256color", 40, 6);
    char *expected = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&expected, &length);
    assert_non_null(stream);
    for (int i = 0; i < MANY_EVENTS; i++) {
        live_view_event(rig->view, "ok  S%02d/DAPI", i);
        (void)fprintf(stream, "ok  S%02d/DAPI\n", i);
        if (i % 7 == 0)
            wait_drawings(rig, 1);
    }
    /* longer than a line: whole all the same */
    live_view_event(rig->view, "failed  %s", "x123456789y123456789z123456789a123456789b1");
    (void)fputs("failed  x123456789y123456789z123456789a1\n23456789b1\n", stream);
    assert_int_equal(fclose(stream), 0);
    wait_drawings(rig, 1);
    close_view(rig);
    show(rig);
    CLEANUP_FREE char *after = screen_text(&rig->screen);
    assert_string_equal(after, expected);
    free(expected);
    free_rig(rig);
}

static void resize(struct rig *rig, unsigned short columns, unsigned short rows) {
    set_size(rig, columns, rows);
    screen_resize(&rig->screen, columns, rows);
    size_t before = rig->n_snapshots;
    assert_int_equal(raise(SIGWINCH), 0);
    while (rig->n_snapshots == before) {
        (void)uv_run(&rig->loop, UV_RUN_ONCE);
        show(rig);
    }
}

static void survives_resizing(void **state) {
    (void)state;
    static const unsigned short widths[] = {60, 31, 17, 90, 45, 100, 20};
    struct rig *rig = terminal_rig("xterm-256color", 100, 20);
    live_view_event(rig->view, "ok        CD070/A  12.1 s");
    wait_drawings(rig, 1);
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        resize(rig, widths[i], 20);
        CLEANUP_FREE char *text = screen_text(&rig->screen);
        size_t lines = 0;
        for (const char *at = text; *at; at++)
            lines += *at == '\n';
        size_t event_lines = (25 + widths[i] - 1u) / widths[i];
        if (lines != event_lines + 3)
            fail_msg("at %u columns:\n%s", widths[i], text);
    }
    resize(rig, 100, 20);
    live_view_event(rig->view, "failed    CD070/B  no");
    live_view_event(rig->view, "ok        CD070/C  9.0 s");
    close_view(rig);
    show(rig);
    CLEANUP_FREE char *after = screen_text(&rig->screen);
    /* the model joins what it wrapped, so the first event is one line again */
    assert_string_equal(after, events_only);
    free_rig(rig);
}

static void low_window(void **state) {
    (void)state;
    struct rig *rig = terminal_rig("xterm-256color", 80, 2);
    wait_drawings(rig, 2);
    CLEANUP_FREE char *during = screen_text(&rig->screen);
    assert_int_equal(strncmp(during, "[####------]  12 of 30", 22), 0);
    close_view(rig);
    show(rig);
    CLEANUP_FREE char *after = screen_text(&rig->screen);
    assert_string_equal(after, "");
    free_rig(rig);
}

static void no_colour(void **state) {
    (void)state;
    assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
    struct rig *rig = terminal_rig("xterm-256color", 100, 8);
    rig->snapshot.notice = "the disk is full";
    wait_drawings(rig, 2);
    assert_false(rig->screen.coloured);
    assert_int_equal(screen_count(&rig->screen, "the disk is full"), 1);
    close_view(rig);
    free_rig(rig);
    assert_int_equal(unsetenv("NO_COLOR"), 0);
}

static void dumb_terminal(void **state) {
    (void)state;
    struct rig *rig = terminal_rig("dumb", 80, 8);
    live_view_event(rig->view, "ok  a/%s", "b\033[2J");
    close_view(rig);
    CLEANUP_FREE char *text = read_all(rig);
    assert_string_equal(text, "ok  a/b?[2J\r\n"); /* the \r is the terminal driver's */
    assert_int_equal(rig->n_snapshots, 0);
    free_rig(rig);
}

static void pipes(void **state) {
    (void)state;
    struct rig *rig = pipe_rig(false);
    live_view_event(rig->view, "ok  a/b");
    live_view_event(rig->view, "failed  a/c  two\nlines");
    close_view(rig);
    CLEANUP_FREE char *text = read_all(rig);
    assert_string_equal(text, "ok  a/b\nfailed  a/c  two lines\n");
    assert_int_equal(rig->n_snapshots, 0);
    free_rig(rig);

    rig = pipe_rig(true);
    live_view_event(rig->view, "ok  a/b");
    close_view(rig);
    CLEANUP_FREE char *nothing = read_all(rig);
    assert_string_equal(nothing, "");
    free_rig(rig);
}

/* Ctrl-S: the terminal takes nothing. Drawing goes on without waiting, closing waits a moment. */
static void stopped_terminal(void **state) {
    (void)state;
    struct rig *rig = terminal_rig("xterm-256color", 100, 8);
    rig->unseen = true;
    wait_drawings(rig, 1);
    assert_int_equal(tcflow(rig->fd, TCOOFF), 0);
    int64_t start_ms = clock_monotonic_ms();
    for (int i = 0; i < 20000; i++)
        live_view_event(rig->view, "ok  S%05d/DAPI", i);
    for (int i = 0; i < 4; i++) /* ticks that find the terminal stopped */
        (void)uv_run(&rig->loop, UV_RUN_ONCE);
    assert_int_equal(tcflow(rig->fd, TCOON), 0);
    wait_drawings(rig, 1);
    show(rig);
    assert_int_equal(tcflow(rig->fd, TCOOFF), 0);
    wait_drawings(rig, 1); /* this one stays pending */
    live_view_close(rig->view);
    assert_true(clock_monotonic_ms() - start_ms < 10000);
    uv_close((uv_handle_t *)&rig->guard, NULL);
    (void)uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    free_rig(rig);
}

/* A pager that reads nothing, and one that was closed. */
static void unread_pipe(void **state) {
    (void)state;
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    struct rig *rig = pipe_rig(false);
    for (int i = 0; i < 40000; i++)
        live_view_event(rig->view, "ok  S%05d/DAPI", i);
    free(read_all(rig));
    live_view_event(rig->view, "the last");
    int64_t start_ms = clock_monotonic_ms();
    close_view(rig);
    assert_true(clock_monotonic_ms() - start_ms < 5000);
    free_rig(rig);

    rig = pipe_rig(false);
    assert_int_equal(close(rig->master), 0);
    rig->master = -1;
    live_view_event(rig->view, "ok  a/b");
    live_view_event(rig->view, "ok  a/c");
    close_view(rig);
    free_rig(rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),           cmocka_unit_test(reservations),
        cmocka_unit_test(frames_fit),       cmocka_unit_test(etas),
        cmocka_unit_test(rows_up),          cmocka_unit_test(leaves_events_only),
        cmocka_unit_test(events_scroll),    cmocka_unit_test(survives_resizing),
        cmocka_unit_test(low_window),       cmocka_unit_test(no_colour),
        cmocka_unit_test(dumb_terminal),    cmocka_unit_test(pipes),
        cmocka_unit_test(stopped_terminal), cmocka_unit_test(unread_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
