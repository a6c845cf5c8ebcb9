/* registrar priority NAME N: which of one's own batches comes first. */
#include "common/units.h"
#include "supervisor/cli/client_call.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/complaint.h"

#include <errno.h>

enum { MOST = 100 };

static void print(const struct client_words *words, const json_t *answer) {
    (void)printf("%s %s\n", words->words[0],
                 client_call_number(answer, "changed") > 0 ? "has that priority now"
                                                           : "had that priority already");
}

/* The number may be negative, which getopt would take for an option: it is taken off first. */
static const char *take_number(int *argc, char **argv) {
    const char *last = *argc > 1 ? argv[*argc - 1] : "";
    if (last[0] != '-' || last[1] < '0' || last[1] > '9')
        return NULL;
    --*argc;
    return last;
}

int command_priority(int argc, char **argv) {
    struct client_words words;
    struct failure failure = {0};
    int64_t value = 0;
    const char *number = take_number(&argc, argv);
    const size_t n_wanted = number ? 1 : 2;
    int r = client_words_parse(argc, argv, n_wanted, n_wanted,
                               "say which batch, and a number from -100 to 100: registrar priority "
                               "NAME N",
                               &words, &failure);
    if (r == 0 && !number)
        number = words.words[1];
    if (r == 0 && units_parse_int(number, -MOST, MOST, &value) < 0)
        r = failure_set(&failure, -EINVAL,
                        "\"%.100s\" is no priority; give a number from -100 to 100", number);
    if (r < 0)
        return client_call_fail(complaint_wants_json(argc, argv), NULL, &failure);
    return client_call(&words, "priority",
                       json_pack("{s:s, s:i}", "batch", words.words[0], "priority", (int)value),
                       print);
}
