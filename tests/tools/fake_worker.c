/* fake_worker: a worker that behaves as badly as it is told to.
 *
 * In place of registrar-worker (REGISTRAR_WORKER): `align` takes its behaviour from the last part
 * of the task's id, so a pair of files named S_pre_signal-11.tif is a task that kills itself with
 * SIGSEGV. As a command: `fake_worker BEHAVIOUR`. A number after the last "-" is its argument;
 * "first-BEHAVIOUR" misbehaves in the first attempt only; an unknown behaviour is "ok".
 *
 * With FAKE_WORKER_EVENTS (a FIFO) it writes a line "PID TASK BEHAVIOUR" there on reaching the
 * state that it is asked for, and "PID TASK grandchild" for each process it leaves: what tests wait
 * for. `gate` goes on when FAKE_WORKER_GATE (another FIFO) is opened for writing.
 */
#include "common/protocol.h"
#include "tests/tools/fake/fake.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

__attribute__((noreturn)) static void wait_for_ever(void) {
    for (;;)
        (void)pause();
}

static void reached(const struct fake *fake) {
    fake_say_progress(fake, 0.5);
    fake_announce(fake, fake->behaviour);
}

static int be_ok(const struct fake *fake) {
    fake_announce(fake, fake->behaviour);
    fake_say_result(fake, "aligned", "");
    return 0;
}

static int be_doubtful(const struct fake *fake) {
    fake_say_result(fake, "doubtful", "only 3 of 24 tiles agree");
    return 0;
}

static int be_failed(const struct fake *fake) {
    fake_say_result(fake, "failed", "the images share no structure");
    return fake->request ? 0 : PROTOCOL_EXIT_ERROR;
}

static int say_error(const struct fake *fake, const char *cause, const char *reason) {
    fake_say_json(fake,
                  json_pack("{s:s, s:s, s:s}", "event", "error", "cause", cause, "reason", reason));
    return PROTOCOL_EXIT_ERROR;
}

static int be_input_error(const struct fake *fake) {
    return say_error(fake, "input", "float pixels are not supported");
}

static int be_environment_error(const struct fake *fake) {
    return say_error(fake, "environment", "No space left on device");
}

static int be_exit(const struct fake *fake) { return (int)fake->argument; }

static int be_silent(const struct fake *fake) {
    (void)fake;
    return 0;
}

static int be_hang(const struct fake *fake) {
    reached(fake);
    wait_for_ever();
}

static void stop_at_checkpoint(int signal) {
    (void)signal;
    _exit(PROTOCOL_EXIT_STOPPED);
}

/* As the real worker: SIGTERM stops it at a checkpoint. */
static int be_polite(const struct fake *fake) {
    (void)signal(SIGTERM, stop_at_checkpoint);
    return be_hang(fake);
}

static int be_stubborn(const struct fake *fake) {
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    return be_hang(fake);
}

static int be_signal(const struct fake *fake) {
    fake_announce(fake, fake->behaviour);
    (void)signal((int)fake->argument, SIG_DFL);
    (void)raise((int)fake->argument);
    wait_for_ever();
}

static int be_stop(const struct fake *fake) {
    reached(fake);
    (void)raise(SIGSTOP);
    return be_ok(fake);
}

/* Touches MiB after MiB: resident, not only promised. */
static int be_grow(const struct fake *fake) {
    size_t length = (size_t)fake->argument << 20;
    char *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        return say_error(fake, "environment", "out of memory");
    memset(bytes, 1, length);
    return be_ok(fake);
}

/* As the real worker: tells what will stand in memory before it touches it. */
static int be_telling(const struct fake *fake) {
    const json_int_t all = (json_int_t)fake->argument << 20, cache = all / 4 * 3;
    fake_say_progress(fake, 0.5);
    fake_say_json(fake, json_pack("{s:s, s:I, s:s, s:[{s:s, s:I}, {s:s, s:I}]}", "event", "memory",
                                  "peak_bytes", all, "stage", fake->behaviour, "buffers", "label",
                                  "tile cache", "bytes", cache, "label", "map", "bytes", all / 8));
    return be_grow(fake);
}

static int be_garbage(const struct fake *fake) {
    fake_say_text(fake,
                  "no json\n{\"event\":\n[]\n\"text\"\n{\"event\":7}\n{\"event\":\"unheard of\"}\n"
                  "\xff\xfe{\x01\n{\"event\":\"progress\",\"stage\":[],\"fraction\":\"a\"}\n"
                  "{\"event\":\"progress\",\"stage\":\"x\",\"fraction\":-1e300}\n"
                  "{\"event\":\"result\"}\n{\"event\":\"result\",\"status\":\"splendid\"}\n");
    fake_announce(fake, fake->behaviour);
    return 0;
}

static int be_half(const struct fake *fake) {
    fake_say_text(fake, "{\"event\":\"result\",\"status\":\"ali");
    return 0;
}

static int be_nul(const struct fake *fake) {
    static const char zeros[4096];
    fake_say(fake, zeros, sizeof(zeros));
    fake_say_text(fake, "\n");
    return 0;
}

/* A gigabyte, in one line or many, as fast as it is taken. */
static int say_gigabyte(const struct fake *fake, bool lines) {
    static char block[1 << 20];
    memset(block, 'x', sizeof(block));
    for (size_t i = 99; lines && i < sizeof(block); i += 100)
        block[i] = '\n';
    for (int i = 0; i < 1024; i++)
        fake_say(fake, block, sizeof(block));
    fake_announce(fake, fake->behaviour);
    return 0;
}

static int be_flood(const struct fake *fake) { return say_gigabyte(fake, true); }
static int be_endless_line(const struct fake *fake) { return say_gigabyte(fake, false); }

static int be_closed(const struct fake *fake) {
    reached(fake);
    (void)close(fake->report_fd);
    wait_for_ever();
}

/* Leaves a process in a session of its own. Returns only in the parent. */
static void leave_grandchild(const struct fake *fake, bool bare, bool holds_report) {
    int ready[2];
    if (pipe(ready) < 0)
        exit(PROTOCOL_EXIT_ERROR);
    pid_t child = fork();
    if (child < 0)
        exit(PROTOCOL_EXIT_ERROR);
    if (child > 0) {
        char byte;
        (void)close(ready[1]);
        (void)!read(ready[0], &byte, 1); /* ends when the grandchild is in its state */
        (void)close(ready[0]);
        return;
    }
    (void)setsid();
    if (fork() != 0)
        _exit(0);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    fake_announce(fake, "grandchild");
    if (!holds_report)
        (void)close(fake->report_fd);
    (void)close(ready[0]);
    if (bare) {
        /* exec with no environment: nothing tells any more whose it was */
        (void)fcntl(ready[1], F_SETFD, FD_CLOEXEC);
        char *const no_environment[] = {NULL};
        (void)execle("/bin/sleep", "sleep", "600", (char *)NULL, no_environment);
        _exit(127);
    }
    (void)close(ready[1]);
    wait_for_ever();
}

static int be_orphan(const struct fake *fake) {
    leave_grandchild(fake, false, false);
    return be_ok(fake);
}

static int be_bare_orphan(const struct fake *fake) {
    leave_grandchild(fake, true, false);
    return be_ok(fake);
}

/* The leader hangs too: what a killed supervisor leaves behind. */
static int be_orphan_hang(const struct fake *fake) {
    leave_grandchild(fake, false, false);
    return be_hang(fake);
}

static int be_hold(const struct fake *fake) {
    leave_grandchild(fake, false, true);
    return be_ok(fake);
}

/* Forks N processes, each of which forks once more; none ends by itself. */
static int be_forks(const struct fake *fake) {
    long count = fake->argument < 200 ? fake->argument : 200;
    for (long i = 0; i < count; i++)
        if (fork() == 0) {
            if (i % 2)
                (void)setsid();
            (void)fork();
            wait_for_ever();
        }
    return be_hang(fake);
}

/* MiB of text for the log. */
static int be_chatter(const struct fake *fake) {
    for (long i = 0; i < fake->argument * 1024; i++)
        for (int line = 0; line < 16; line++)
            (void)fprintf(stderr, "%-62s.\n", "The quick brown fox jumps over the lazy dog");
    return be_ok(fake);
}

/* Progress for that many ms, a hundred steps. */
static int be_slow(const struct fake *fake) {
    fake_announce(fake, fake->behaviour);
    struct timespec step = {fake->argument / 100000, fake->argument % 100000 * 10000};
    for (int i = 0; i < 100; i++) {
        fake_say_progress(fake, i / 100.0);
        (void)nanosleep(&step, NULL);
    }
    return be_ok(fake);
}

static int be_gate(const struct fake *fake) {
    (void)signal(SIGTERM, stop_at_checkpoint);
    reached(fake);
    const char *path = getenv("FAKE_WORKER_GATE");
    CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    return be_ok(fake);
}

/* For what another process makes, until the gate was open once. */
static int be_waiting(const struct fake *fake) {
    const char *path = getenv("FAKE_WORKER_GATE");
    CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    struct pollfd gate = {.fd = fd, .events = POLLIN};
    reached(fake);
    while (poll(&gate, 1, 100) == 0)
        fake_say_json(fake, json_pack("{s:s, s:s}", "event", "waiting", "stage", "search"));
    return be_ok(fake);
}

static int be_late_crash(const struct fake *fake) {
    (void)be_ok(fake);
    (void)signal(SIGSEGV, SIG_DFL);
    return raise(SIGSEGV);
}

static int be_late_hang(const struct fake *fake) {
    fake_say_result(fake, "aligned", "");
    return be_hang(fake);
}

static int be_two_faced(const struct fake *fake) {
    fake_say_result(fake, "aligned", "");
    fake_say_result(fake, "doubtful", "changed its mind");
    return 0;
}

static const struct {
    const char *name;
    int (*be)(const struct fake *fake);
} behaviours[] = {
    {"ok", be_ok},
    {"doubtful", be_doubtful}, /* a result that it does not trust */
    {"failed", be_failed},     /* a result: nothing to align */
    {"input", be_input_error}, /* an error that will come again */
    {"environment", be_environment_error},
    {"exit", be_exit},         /* -N, without a result */
    {"silent", be_silent},     /* exits 0 without a result */
    {"hang", be_hang},         /* SIGTERM ends it */
    {"polite", be_polite},     /* SIGTERM: exit 75 */
    {"stubborn", be_stubborn}, /* only SIGKILL ends it */
    {"signal", be_signal},     /* -N to itself */
    {"stop", be_stop},         /* SIGSTOP to itself */
    {"grow", be_grow},         /* -MIB resident, then ok */
    {"tell", be_telling},      /* -MIB told of, then as grow */
    {"garbage", be_garbage},   /* on fd 3 */
    {"half", be_half},         /* a line */
    {"nul", be_nul},
    {"flood", be_flood},             /* 1 GiB of lines */
    {"endless", be_endless_line},    /* 1 GiB without a newline */
    {"closed", be_closed},           /* fd 3, and hangs */
    {"orphan", be_orphan},           /* ok, and leaves a setsid grandchild */
    {"bare-orphan", be_bare_orphan}, /* the same with an empty environment */
    {"orphan-hang", be_orphan_hang}, /* a grandchild, and hangs */
    {"hold", be_hold},               /* ok, and a grandchild holds fd 3 */
    {"forks", be_forks},             /* -N processes twice over */
    {"chatter", be_chatter},         /* -MIB in the log */
    {"slow", be_slow},               /* -MS */
    {"gate", be_gate},
    {"waiting", be_waiting},
    {"late-crash", be_late_crash}, /* after its result */
    {"late-hang", be_late_hang},
    {"two-faced", be_two_faced}, /* two results */
};

/* "signal-11" is signal with 11. */
static int behave(struct fake *fake) {
    CLEANUP_FREE char *name = strdup(fake->behaviour);
    char *dash = name ? strrchr(name, '-') : NULL;
    if (dash && dash[1] >= '0' && dash[1] <= '9') {
        fake->argument = strtol(dash + 1, NULL, 10);
        *dash = '\0';
    }
    for (size_t i = 0; i < ARRAY_LEN(behaviours); i++)
        if (name && strcmp(behaviours[i].name, name) == 0)
            return behaviours[i].be(fake);
    return be_ok(fake);
}

static int align(struct fake *fake) {
    const char *id = json_string_value(json_object_get(fake->request, "task"));
    if (!id)
        return PROTOCOL_EXIT_USAGE;
    fake->task = id;
    static char behaviour[256]; /* a variant's is its pair's */
    const char *dye = strrchr(id, '/') ? strrchr(id, '/') + 1 : id;
    (void)snprintf(behaviour, sizeof(behaviour), "%.*s", (int)strcspn(dye, "@"), dye);
    fake->behaviour = behaviour;
    if (strncmp(fake->behaviour, "first-", 6) == 0) {
        bool first = json_integer_value(json_object_get(fake->request, "attempt")) == 1;
        fake->behaviour = first ? fake->behaviour + 6 : "ok";
    }
    return behave(fake);
}

/* "probe-1200x900" in a file's name is the size it is said to have. */
static json_t *describe_image(json_int_t index, const char *path) {
    long width = 1000;
    long height = 800;
    const char *said = strstr(path, "probe-");
    if (said && said[6] >= '1' && said[6] <= '9') {
        char *end;
        width = strtol(said + 6, &end, 10);
        height = *end == 'x' ? strtol(end + 1, NULL, 10) : height;
    }
    struct stat status = {0};
    (void)stat(path, &status);
    return json_pack("{s:s, s:I, s:i, s:i, s:i, s:i, s:I, s:b}", "event", "file", "index", index,
                     "width", (int)width, "height", (int)height, "samples", 1, "bits", 8, "size",
                     (json_int_t)status.st_size, "scratch", 0);
}

/* Misbehaves where a file's name says "probe-crash", "hash-hang" and so on. */
static int read_list(const struct fake *fake, const char *mode) {
    json_t *files = json_object_get(fake->request, "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *path = json_string_value(json_array_get(files, i));
        if (!path)
            return PROTOCOL_EXIT_USAGE;
        fake_say_json(fake, json_pack("{s:s, s:I}", "event", "begin", "index", (json_int_t)i));
        const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        const char *at = strstr(base, mode);
        const char *how = at ? at + strlen(mode) : "";
        if (strncmp(how, "-crash", 6) == 0)
            abort();
        if (strncmp(how, "-hang", 5) == 0) {
            fake_announce(fake, mode);
            wait_for_ever();
        }
        if (strncmp(how, "-exit", 5) == 0)
            return PROTOCOL_EXIT_ERROR;
        else if (strncmp(how, "-garbage", 8) == 0)
            (void)be_garbage(fake);
        else if (strncmp(how, "-error", 6) == 0)
            fake_say_json(fake,
                          json_pack("{s:s, s:I, s:s+}", "event", "file", "index", (json_int_t)i,
                                    "error", path, ": float pixels are not supported"));
        else if (strcmp(mode, "probe") == 0)
            fake_say_json(fake, describe_image((json_int_t)i, path));
        else {
            json_t *answer = fake_describe_input(path);
            (void)json_object_set_new(answer, "event", json_string("file"));
            (void)json_object_set_new(answer, "index", json_integer((json_int_t)i));
            (void)json_object_del(answer, "path");
            fake_say_json(fake, answer);
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return PROTOCOL_EXIT_USAGE;
    (void)signal(SIGPIPE, SIG_IGN); /* nobody has to listen to it */
    const char *task = getenv("REGISTRAR_TASK");
    struct fake fake = {.behaviour = argv[1], .task = task ? task : "-"};
    fake.report_fd = fcntl(PROTOCOL_REPORT_FD, F_GETFD) >= 0 ? PROTOCOL_REPORT_FD : STDOUT_FILENO;
    bool lists = strcmp(argv[1], "probe") == 0 || strcmp(argv[1], "hash") == 0;
    if (!lists && strcmp(argv[1], "align") != 0)
        return behave(&fake);
    CLEANUP_JSON json_t *request = json_loadf(stdin, 0, NULL);
    if (!request)
        return PROTOCOL_EXIT_USAGE;
    fake.request = request;
    return lists ? read_list(&fake, argv[1]) : align(&fake);
}
