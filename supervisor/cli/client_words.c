/* See client_words.h. getopt puts the words behind the options, so they are one piece of argv. */
#include "supervisor/cli/client_words.h"

#include <errno.h>

enum { OPTION_SOCKET, OPTION_BATCH, OPTION_FOLLOW, OPTION_ALL, OPTION_JSON };

#define GROUP "Options"
#define EVERY "status, watch, cancel, retry, pause, resume, drain, priority, logs"

static const struct option_row rows[] = {
    [OPTION_SOCKET] = {"socket", "PATH", NULL,
                       "where the service is; else REGISTRAR_SOCKET, the system's, yours", GROUP, 0,
                       EVERY},
    [OPTION_BATCH] = {"batch", "NAME", "the newest that has such a task", "the task's batch", GROUP,
                      'b', "logs"},
    [OPTION_FOLLOW] = {"follow", NULL, NULL, "go on with what is written, until the task has ended",
                       GROUP, 'f', "logs"},
    [OPTION_ALL] = {"all", NULL, NULL, "what ended long ago, and each of many tasks, too", GROUP,
                    'a', "status"},
    [OPTION_JSON] = {"json", NULL, NULL, "as JSON", GROUP, 0, EVERY},
};

const struct option_row *client_words_row(size_t n) {
    return n < ARRAY_LEN(rows) ? &rows[n] : NULL;
}

static int set_option(void *context, size_t n, const char *value, struct failure *failure) {
    struct client_words *words = context;
    if (n == OPTION_SOCKET)
        words->socket = value;
    else if (n == OPTION_BATCH)
        words->batch = value;
    else if (n == OPTION_FOLLOW)
        words->follow = true;
    else if (n == OPTION_ALL)
        words->all = true;
    else
        words->json = true;
    (void)failure; /* the service judges values */
    return 0;
}

static int count_word(void *context, const char *word, struct failure *failure) {
    struct client_words *words = context;
    (void)word, (void)failure;
    words->n_words++;
    return 0;
}

int client_words_parse(int argc, char **argv, size_t least, size_t most, const char *missing,
                       struct client_words *ret, struct failure *failure) {
    struct client_words words = {0};
    const struct option_words taken = {
        .row = client_words_row, .set = set_option, .word = count_word, .context = &words};
    uint32_t given;
    int r = option_words_parse(argc, argv, &taken, &given, failure);
    if (r == 0)
        r = option_words_check(&taken, given, "", argv[0], failure);
    if (r < 0)
        return r;
    words.words = argv + argc - (int)words.n_words;
    if (words.n_words < least)
        return failure_set(failure, -EINVAL, "%s", missing);
    if (words.n_words > most)
        return failure_set(failure, -EINVAL,
                           "\"%.200s\" is one word too many; registrar %s --help tells how it is "
                           "written",
                           words.words[most], argv[0]);
    *ret = words;
    return 0;
}
