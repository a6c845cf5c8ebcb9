/* registrar daemon: the service. What it does is supervisor/service's; here its words are read. */
#include "common/names.h"
#include "supervisor/cli/commands.h"
#include "supervisor/report/command_line.h"
#include "supervisor/service/daemon.h"
#include "supervisor/service/places.h"

#include <errno.h>
#include <string.h>

struct arguments {
    char *state_dir, *socket, *config; /* owned; absolute; NULL: not given */
    bool show_config;
};

enum { OPTION_STATE_DIR, OPTION_SOCKET, OPTION_CONFIG, OPTION_SHOW_CONFIG };

#define GROUP "Options"

static const struct option_row rows[] = {
    [OPTION_STATE_DIR] = {"state-dir", "DIR", NULL, "where queue and ledger are kept", GROUP, 0,
                          "daemon"},
    [OPTION_SOCKET] = {"socket", "PATH", NULL, "where clients find it", GROUP, 0, "daemon"},
    [OPTION_CONFIG] = {"config", "FILE", NULL, "the settings; see registrar.conf(5)", GROUP, 0,
                       "daemon"},
    [OPTION_SHOW_CONFIG] = {"show-config", NULL, NULL,
                            "print every setting with its value, and stop", GROUP, 0, "daemon"},
};

const struct option_row *command_daemon_row(size_t n) {
    return n < ARRAY_LEN(rows) ? &rows[n] : NULL;
}

static void free_arguments(struct arguments *arguments) {
    free(arguments->state_dir);
    free(arguments->socket);
    free(arguments->config);
}

static int set_path(char **slot, const char *name, const char *text, struct failure *failure) {
    CLEANUP_FREE char *here = *text == '/' ? strdup("") : getcwd(NULL, 0);
    if (!here)
        return failure_set_errno(failure, -errno, "the current folder cannot be read");
    if (*text == '\0' || !names_is_clean(text)) {
        CLEANUP_FREE char *shown = names_escape(text);
        return failure_set(failure, -EINVAL,
                           "--%s: \"%.500s\" is not allowed; give a path without control "
                           "characters",
                           name, shown ? shown : "?");
    }
    free(*slot);
    *slot = names_format("%s%s%s", here, *text == '/' ? "" : "/", text);
    return *slot ? 0 : failure_set(failure, -ENOMEM, "out of memory");
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    struct arguments *arguments = context;
    if (n == OPTION_STATE_DIR)
        return set_path(&arguments->state_dir, rows[n].name, value, failure);
    if (n == OPTION_SOCKET)
        return set_path(&arguments->socket, rows[n].name, value, failure);
    if (n == OPTION_CONFIG)
        return set_path(&arguments->config, rows[n].name, value, failure);
    arguments->show_config = true;
    return 0;
}

static int refuse_word(void *context, const char *word, struct failure *failure) {
    (void)context;
    return failure_set(failure, -EINVAL, "\"%.200s\" is one word too many: daemon takes options",
                       word);
}

/* What was not given has its usual place. */
static int fill_places(struct arguments *arguments, bool is_system, struct failure *failure) {
    int r = 0;
    if (!arguments->config)
        r = places_config(is_system, &arguments->config, failure);
    if (r == 0 && !arguments->state_dir && !arguments->show_config)
        r = places_state_dir(is_system, &arguments->state_dir, failure);
    if (r == 0 && !arguments->socket && !arguments->show_config)
        r = places_socket(is_system, &arguments->socket, failure);
    return r;
}

static int complain(int status, const struct failure *failure) {
    (void)fprintf(stderr, "registrar: %s\n", failure->text);
    return status;
}

static int show_config(const struct daemon_request *request) {
    struct failure failure = {0};
    struct conf conf;
    if (daemon_read_conf(request, &conf, &failure) < 0)
        return complain(EXIT_USAGE, &failure);
    conf_print(&conf, stdout); /* main checks stdout at the end */
    conf_free(&conf);
    return EXIT_ALL_OK;
}

static int exit_status(int code) {
    switch (code) {
    case -EWOULDBLOCK:
    case -EADDRINUSE:
    case -EBADMSG:
    case -EMEDIUMTYPE:
    case -EPROTONOSUPPORT:
        return EXIT_LEDGER;
    case -ENOMEM:
    case -EIO:
        return EXIT_INTERNAL;
    default:
        return EXIT_USAGE;
    }
}

int command_daemon(int argc, char **argv) {
    CLEANUP_FREE char *command = command_line_of_registrar(argc, argv);
    CLEANUP(free_arguments) struct arguments arguments = {0};
    const struct option_words words = {
        .row = command_daemon_row, .set = set_option, .word = refuse_word, .context = &arguments};
    const bool is_system = geteuid() == 0;
    struct failure failure = {0};
    uint32_t given = 0;
    int r = option_words_parse(argc, argv, &words, &given, &failure);
    if (r == 0)
        r = fill_places(&arguments, is_system, &failure);
    if (r < 0)
        return complain(r == -ENOMEM ? EXIT_INTERNAL : EXIT_USAGE, &failure);
    const struct daemon_request request = {
        .state_dir = arguments.state_dir,
        .socket = arguments.socket,
        .config = arguments.config,
        .must_have_config = (given & UINT32_C(1) << OPTION_CONFIG) != 0,
        .command = command ? command : "registrar daemon",
        .is_system = is_system,
    };
    if (arguments.show_config)
        return show_config(&request);
    r = daemon_run(&request, &failure);
    return r < 0 ? complain(exit_status(r), &failure) : EXIT_ALL_OK;
}
