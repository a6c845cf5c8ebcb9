/* The fake worker's voice: well-formed lines of the protocol, and any bytes at all. */
#ifndef TESTS_TOOLS_FAKE_FAKE_H
#define TESTS_TOOLS_FAKE_FAKE_H

#include "common/cleanup.h"

struct fake {
    const char *behaviour; /* as asked for */
    const char *task;      /* the id */
    json_t *request;       /* of align; NULL as a command */
    int report_fd;
    long argument;
};

/* Bytes as they are on the report descriptor. Nobody listening is no error. */
void fake_say(const struct fake *fake, const void *bytes, size_t length);
void fake_say_text(const struct fake *fake, const char *text);
/* One line. Takes event. */
void fake_say_json(const struct fake *fake, json_t *event);
void fake_say_progress(const struct fake *fake, double fraction);
/* Writes made-up outputs and reports them; nothing as a command. */
void fake_say_result(const struct fake *fake, const char *status, const char *reason);

/* "PID TASK what" to FAKE_WORKER_EVENTS: the state asked for is reached. */
void fake_announce(const struct fake *fake, const char *what);

/* {"path","size","mtime_ns","hash"}; the caller owns it. */
json_t *fake_describe_input(const char *path);

#endif
