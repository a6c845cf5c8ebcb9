/* The live view; see live_view.h.
 *
 * On a terminal the live lines stand below everything else. Each drawing is one message: go up to
 * their first line, print the events that came since (they scroll away above), print the lines
 * anew, erase what is left below. While it is drawn the cursor is hidden and wrapping is off; both
 * are on again at its end, so a registrar that is killed leaves a usable terminal. A terminal that
 * does not take output (Ctrl-S) gets no new frames until it has taken the last. */
#include "supervisor/report/live_view.h"

#include "supervisor/report/live_frame.h"
#include "supervisor/report/sink.h"
#include "supervisor/report/text.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

enum {
    LIVE_VIEW_FIRST_MS = 100, /* from an event to its drawing, at most */
    LIVE_VIEW_PERIOD_MS = 220,
    LIVE_VIEW_IDLE_PERIOD_MS = 1000, /* while nothing runs: only the clock moves */
    LIVE_VIEW_EVENTS_LIMIT = 64 * 1024,
    LIVE_VIEW_CLOSE_WAIT_MS = 1000,
    EVENT_INDENT = 10 /* where an event goes on in its next line: below the id */
};

static const char begin_drawing[] = "\033[?25l\033[?7l\r";
static const char end_drawing[] = "\033[?7h\033[?25h";
/* All from the cursor's line down. Not one "erase below" there: at the top left tmux takes that for
 * clearing the screen, and saves what it erases into the scrollback. */
static const char erase_down[] = "\0337\033[K\033[B\r\033[J\0338";

struct live_view {
    int fd;
    bool quiet, redraws, colour;
    bool has_events; /* at least one was shown */
    live_view_snapshot_cb snapshot;
    void *context;
    struct sink sink;
    struct live_frame frame; /* what stands on the terminal; no lines: nothing */
    char *events;            /* waiting for the next drawing; owns */
    size_t n_events, n_lost; /* bytes; lines that found no room */
    uint64_t period_ms;
    uv_timer_t timer;
    uv_signal_t resized, continued;
    size_t n_handles; /* of the three above that libuv knows, in that order */
};

static void draw(struct live_view *view, bool last);

static void on_timer(uv_timer_t *timer) { draw(timer->data, false); }

static void on_resize(uv_signal_t *handle, int number) {
    (void)number;
    draw(handle->data, false);
}

/* After Ctrl-Z and fg the shell's lines stand where ours were: begin anew below them. */
static void on_continue(uv_signal_t *handle, int number) {
    (void)number;
    struct live_view *view = handle->data;
    view->frame = (struct live_frame){0};
    draw(view, false);
}

/* xterm, rxvt and screen cut lines when they become narrower; the others wrap them anew. tmux does
 * too, whatever it calls itself. */
static bool terminal_reflows(void) {
    const char *term = getenv("TERM");
    if (getenv("TMUX"))
        return true;
    if (getenv("XTERM_VERSION") || !term)
        return false;
    return strncmp(term, "rxvt", 4) != 0 && strncmp(term, "screen", 6) != 0 &&
           strcmp(term, "linux") != 0;
}

/* The terminal belongs to another job (registrar was sent to the background): drawing would write
 * into what the user does there. Not our controlling terminal at all: nobody can take it away. */
static bool in_background(int fd) {
    pid_t foreground = tcgetpgrp(fd);
    return foreground >= 0 && foreground != getpgrp();
}

/* Events that came since the last drawing stay for good, so they are whole; words longer than a
 * line wrap. */
static void print_events(struct live_view *view, FILE *stream) {
    if (view->n_events == 0 && view->n_lost == 0)
        return;
    (void)fprintf(stream, "%s\033[?7h", erase_down);
    (void)fwrite(view->events, 1, view->n_events, stream);
    view->has_events = true;
    if (view->n_lost > 0)
        (void)fprintf(stream, "(%zu lines were not shown; the ledger has them)\r\n", view->n_lost);
    (void)fputs("\033[?7l", stream);
}

/* Prints one drawing and notes in view->frame what then stands on the terminal. last: no lines. */
static void print_drawing(struct live_view *view, FILE *stream, bool last) {
    struct terminal_size size = terminal_size(view->fd);
    size_t up = live_frame_rows_up(&view->frame, size, terminal_reflows());
    view->frame = (struct live_frame){0};
    (void)fputs(begin_drawing, stream);
    if (up > 0)
        (void)fprintf(stream, "\033[%zuA", up);
    print_events(view, stream);
    if (last) { /* an empty line between the events and what follows them */
        (void)fprintf(stream, "%s%s", erase_down, view->has_events ? "\r\n" : "");
    } else {
        struct live_view_snapshot snapshot = {.eta_ms = -1};
        view->snapshot(view->context, &snapshot);
        live_frame_print(stream, &snapshot, size, view->colour, &view->frame);
        view->period_ms = snapshot.n_running > 0 ? LIVE_VIEW_PERIOD_MS : LIVE_VIEW_IDLE_PERIOD_MS;
    }
    (void)fputs(end_drawing, stream);
}

static void draw(struct live_view *view, bool last) {
    uv_timer_set_repeat(&view->timer, view->period_ms);
    if (!last && in_background(view->fd)) {
        view->frame = (struct live_frame){0}; /* when it is ours again, other lines stand there */
        return;
    }
    if (!sink_flush(&view->sink) && !last)
        return;
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return; /* out of memory: the next tick tries again */
    struct live_frame before = view->frame;
    print_drawing(view, stream, last);
    if (fclose(stream) == 0) {
        sink_put(&view->sink, text, length);
        view->n_events = 0;
        view->n_lost = 0;
    } else {
        view->frame = before;
    }
    free(text);
}

static void on_closed(uv_handle_t *handle) {
    struct live_view *view = handle->data;
    if (--view->n_handles == 0)
        free(view);
}

static int open_signal(struct live_view *view, uv_loop_t *loop, uv_signal_t *handle,
                       uv_signal_cb callback, int number) {
    int r = uv_signal_init(loop, handle);
    if (r < 0)
        return r;
    handle->data = view;
    view->n_handles++;
    uv_unref((uv_handle_t *)handle);
    return uv_signal_start(handle, callback, number);
}

/* The view never keeps a loop alive that has nothing else to do. */
static int open_handles(struct live_view *view, uv_loop_t *loop) {
    int r = uv_timer_init(loop, &view->timer);
    if (r < 0)
        return r;
    view->timer.data = view;
    view->n_handles++;
    uv_unref((uv_handle_t *)&view->timer);
    r = open_signal(view, loop, &view->resized, on_resize, SIGWINCH);
    if (r == 0)
        r = open_signal(view, loop, &view->continued, on_continue, SIGCONT);
    if (r == 0)
        r = uv_timer_start(&view->timer, on_timer, LIVE_VIEW_FIRST_MS, view->period_ms);
    return r;
}

int live_view_open(uv_loop_t *loop, int fd, bool quiet, live_view_snapshot_cb snapshot,
                   void *context, struct live_view **ret, struct failure *failure) {
    struct live_view *view = calloc(1, sizeof(*view));
    if (!view)
        return failure_set(failure, -ENOMEM, "the live view: out of memory");
    view->fd = fd;
    view->quiet = quiet;
    view->redraws = !quiet && terminal_can_redraw(fd);
    view->colour = terminal_has_colour(fd);
    view->snapshot = snapshot;
    view->context = context;
    view->period_ms = LIVE_VIEW_PERIOD_MS;
    sink_open(&view->sink, fd);
    int r = view->redraws ? open_handles(view, loop) : 0;
    if (r < 0) {
        live_view_close(view);
        return failure_set(failure, r, "the live view: %s", uv_strerror(r));
    }
    *ret = view;
    return 0;
}

/* Appends cleaned text and a line break to the events of the next drawing. */
static void keep_event(struct live_view *view, const char *line, size_t length) {
    if (view->n_events + length > LIVE_VIEW_EVENTS_LIMIT) {
        view->n_lost++;
        return;
    }
    char *events = realloc(view->events, view->n_events + length);
    if (!events) {
        view->n_lost++;
        return;
    }
    view->events = events;
    memcpy(events + view->n_events, line, length);
    view->n_events += length;
    if (uv_timer_get_due_in(&view->timer) > LIVE_VIEW_FIRST_MS)
        (void)uv_timer_start(&view->timer, on_timer, LIVE_VIEW_FIRST_MS, view->period_ms);
}

void live_view_event(struct live_view *view, const char *format, ...) {
    if (view->quiet)
        return;
    CLEANUP_FREE char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int printed = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (printed < 0) {
        text = NULL;
        return;
    }
    CLEANUP_FREE char *line = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&line, &length);
    if (!stream)
        return;
    if (view->redraws)
        text_print_broken(stream, text, EVENT_INDENT, terminal_size(view->fd).columns, "\r\n");
    else
        (void)text_print(stream, text, TEXT_UNLIMITED, TEXT_CUT_END);
    (void)fputs(view->redraws ? "\r\n" : "\n", stream);
    if (fclose(stream) != 0)
        return;
    if (view->redraws)
        keep_event(view, line, length);
    else
        sink_put(&view->sink, line, length);
}

void live_view_close(struct live_view *view) {
    if (!view)
        return;
    if (view->n_handles > 0)
        draw(view, true);
    sink_close(&view->sink, LIVE_VIEW_CLOSE_WAIT_MS);
    free(view->events);
    uv_handle_t *handles[] = {(uv_handle_t *)&view->timer, (uv_handle_t *)&view->resized,
                              (uv_handle_t *)&view->continued};
    size_t n_handles = view->n_handles; /* opened in this order */
    for (size_t i = 0; i < ARRAY_LEN(handles) && i < n_handles; i++)
        uv_close(handles[i], on_closed);
    if (n_handles == 0)
        free(view);
}
