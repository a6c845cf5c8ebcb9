/* What options are when nobody says otherwise, and their end: for a command line, and for what a
 * batch of the service was submitted with. */
#include "supervisor/cli/options.h"

#include "common/names.h"
#include "common/params.h"

#include <errno.h>

int options_defaults(struct options *ret) {
    json_t *params = params_defaults();
    if (!params)
        return -ENOMEM;
    *ret = (struct options){
        .timeout_ms = OPTIONS_DEFAULT_TIMEOUT_MS,
        .stall_timeout_ms = OPTIONS_DEFAULT_STALL_TIMEOUT_MS,
        .worker_memory_bytes = (uint64_t)OPTIONS_DEFAULT_WORKER_MEMORY_MIB << 20,
        .retries = OPTIONS_DEFAULT_RETRIES,
        .sample_interval_ms = OPTIONS_DEFAULT_SAMPLE_INTERVAL_MS,
        .params = params,
    };
    return 0;
}

void options_free(struct options *options) {
    free(options->raw);
    free(options->out);
    free(options->manifest);
    free(options->socket);
    free(options->name);
    free(options->not_before);
    free(options->on_finish);
    names_free(options->samples);
    names_free(options->dyes);
    json_decref(options->params);
    sweep_free(&options->sweep);
    *options = (struct options){0};
}
