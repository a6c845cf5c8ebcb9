/* The commands: each parses its own arguments (argv[0] is the command's name), prints, and returns
 * the exit status. */
#ifndef SUPERVISOR_CLI_COMMANDS_H
#define SUPERVISOR_CLI_COMMANDS_H

#include "supervisor/cli/option_words.h"

/* Exit statuses (contract). */
enum {
    EXIT_ALL_OK = 0,
    EXIT_SOME_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3,
    EXIT_INTERRUPTED = 4,
    EXIT_LEDGER = 5,
    EXIT_INTERNAL = 70,
};

int command_run(int argc, char **argv);
int command_apply(int argc, char **argv);
int command_plan(int argc, char **argv);
int command_ledger(int argc, char **argv);
int command_model(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_report(int argc, char **argv);
int command_submit(int argc, char **argv);
int command_status(int argc, char **argv);
int command_watch(int argc, char **argv);
int command_cancel(int argc, char **argv);
int command_retry(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_drain(int argc, char **argv);
int command_priority(int argc, char **argv);
int command_logs(int argc, char **argv);
int command_daemon(int argc, char **argv);
int command_doctor(int argc, char **argv);

/* The options of ledger; NULL past the end. */
const struct option_row *command_ledger_row(size_t n);
const struct option_row *command_model_row(size_t n);
const struct option_row *command_explain_row(size_t n);
const struct option_row *command_report_row(size_t n);
const struct option_row *command_daemon_row(size_t n);
const struct option_row *command_doctor_row(size_t n);

#endif
