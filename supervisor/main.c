/* registrar: finds the command and hands over. What every command shares, --help and a checked
 * stdout, is done here once. */
#include "common/cleanup.h"
#include "common/names.h"
#include "common/version.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/help.h"
#include "supervisor/cli/nearest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"ledger", command_ledger},     {"run", command_run},         {"plan", command_plan},
    {"model", command_model},       {"explain", command_explain}, {"daemon", command_daemon},
    {"doctor", command_doctor},     {"submit", command_submit},   {"status", command_status},
    {"watch", command_watch},       {"cancel", command_cancel},   {"retry", command_retry},
    {"pause", command_pause},       {"resume", command_resume},   {"drain", command_drain},
    {"priority", command_priority}, {"logs", command_logs},       {"apply", command_apply},
    {"report", command_report},
};

static int refuse_command(const char *typed) {
    CLEANUP_FREE char *shown = names_escape(typed);
    const char *names[ARRAY_LEN(commands) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        names[i] = commands[i].name;
    const char *nearest = nearest_word(typed, names);
    (void)fprintf(stderr, "registrar: unknown %s \"%s\"%s%s%s; registrar --help lists all\n",
                  typed[0] == '-' ? "option" : "command", shown ? shown : "?",
                  nearest ? ", did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return EXIT_USAGE;
}

static int print_help(const char *command) {
    const struct help_page *page = command ? help_find(command) : NULL;
    if (command && !page)
        return refuse_command(command);
    if (page)
        help_print_page(page, stdout);
    else
        help_print_overview(stdout);
    return EXIT_ALL_OK;
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        help_print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return printf("registrar " REGISTRAR_VERSION "\n") < 0 ? EXIT_INTERNAL : EXIT_ALL_OK;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return print_help(argc > 2 ? argv[2] : NULL);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, word) != 0)
            continue;
        if (help_is_asked(argc - 1, argv + 1))
            return print_help(word);
        return commands[i].run(argc - 1, argv + 1);
    }
    return refuse_command(word);
}

/* A standard descriptor that is closed would become the next file that is opened: the ledger, and
 * the summary would be printed into it. Opened the wrong way round, each fails as if closed. */
static int fill_standard_descriptors(void) {
    static const int flags[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd < (int)ARRAY_LEN(flags); fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags[fd]) != fd)
            return -EBADF;
    return 0;
}

/* As in "registrar ledger show | head": no fault. */
static bool has_reader_left(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

int main(int argc, char **argv) {
    if (fill_standard_descriptors() < 0)
        return EXIT_INTERNAL;
    /* a reader that went away shows as EPIPE where it is written, not as a dead supervisor */
    (void)signal(SIGPIPE, SIG_IGN);
    /* and a file size limit (ulimit -f) as EFBIG, which is met like a full disk */
    (void)signal(SIGXFSZ, SIG_IGN);
    const int status = dispatch(argc, argv);
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && !has_reader_left()) {
        (void)fprintf(stderr, "registrar: cannot write to stdout%s%s\n", errno ? ": " : "",
                      errno ? strerror(errno) : "");
        return status == EXIT_ALL_OK ? EXIT_INTERNAL : status;
    }
    return status;
}
