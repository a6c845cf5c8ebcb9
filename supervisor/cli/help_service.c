/* See help_service.h. */
#include "supervisor/cli/help_service.h"

#include "common/cleanup.h"
#include "supervisor/cli/client_words.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/options.h"

#define STATUSES                                                                                   \
    "Exit status:\n"                                                                               \
    "  0   done\n"                                                                                 \
    "  2   wrong usage, not yours to do, no such batch or task, or no service there\n"             \
    "  70  a fault of registrar itself, or the service does not answer\n"

static const struct help_page pages[] = {
    {
        .command = "daemon",
        .meaning = "the service: a queue that goes on by itself, for one user or for all",
        .usage = "  registrar daemon [OPTION]...\n",
        .text =
            "Usually systemd starts it. As root it serves all users of this machine, each with\n"
            "his own rights; as anybody else it serves that user. Batches are submitted by\n"
            "registrar submit. After a crash or a power cut the queue goes on by itself.\n"
            "\n"
            "                 as root                  as a user\n"
            "  --state-dir    /var/lib/registrar       ~/.local/state/registrar\n"
            "  --socket       /run/registrar/socket    $XDG_RUNTIME_DIR/registrar/socket\n"
            "  --config       /etc/registrar.conf      ~/.config/registrar.conf\n",
        .row = command_daemon_row,
        .more =
            "SIGTERM stops it at the next checkpoints, twice at once; SIGHUP reads the settings\n"
            "again. registrar-daemon(8) tells all about it.\n"
            "\n"
            "Exit status:\n"
            "  0   it was told to stop\n"
            "  2   wrong usage, or settings that are not allowed\n"
            "  5   another daemon is there already, or the ledger is damaged\n"
            "  70  a fault of registrar itself\n",
    },
    {
        .command = "submit",
        .meaning = "hand to the service what run would do",
        .usage = "  registrar submit RAW -o OUT [OPTION]...\n"
                 "  registrar submit --manifest FILE -o OUT [OPTION]...\n",
        .text = "Takes the same words as run. The tasks are found and the images' headers read\n"
                "here, with your rights; then the service has them: they run as you, when their\n"
                "turn comes, and go on by themselves after a restart, a crash or a power cut. The\n"
                "batch's name is printed. What waits, runs or is done already is not done twice.\n",
        .row = options_row,
        .is_batch = true,
        .more = "Examples:\n"
                "  registrar submit /data/raw -o /data/aligned --name NIGHT --not-before 20:00\n"
                "  registrar submit --manifest jobs.json -o /data/out --wait --quiet\n"
                "  registrar submit /data/raw -o /data/out --on-finish 'mail -s done ada'\n"
                "\n"
                "Exit status, with --wait that of run:\n"
                "  0   handed in; with --wait: every task is ok\n"
                "  1   --wait: some task failed, is doubtful or was cancelled\n"
                "  2   wrong usage, nothing to align, or no service there\n"
                "  3   it could never run: too little memory or disk (see --force)\n"
                "  4   --wait: interrupted; the batch goes on\n"
                "  70  a fault of registrar itself, or the service does not answer\n",
    },
    {
        .command = "status",
        .meaning = "the queue, or one batch with its tasks",
        .usage = "  registrar status [NAME] [OPTION]...\n",
        .text = "Without NAME a line for each batch: how far it is, what failed, and when it ends\n"
                "or why it waits. With NAME its tasks; of a large batch those that run, that\n"
                "failed, and the next ones. --json prints what summary.json holds, with tasks\n"
                "that are \"waiting\" or \"running\" among them.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = STATUSES,
    },
    {
        .command = "watch",
        .meaning = "what happens in the service, as it happens",
        .usage = "  registrar watch [NAME] [OPTION]...\n",
        .text = "A line as each task starts and ends, until the batch has ended or Ctrl-C.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = STATUSES,
    },
    {
        .command = "cancel",
        .meaning = "end a batch, or some tasks of it",
        .usage = "  registrar cancel NAME [TASK]... [OPTION]...\n",
        .text = "What waits is cancelled at once; what runs stops at its next checkpoint. Results\n"
                "that are there stay. registrar retry NAME takes it up again.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = STATUSES,
    },
    {
        .command = "retry",
        .meaning = "do again what ended other than ok",
        .usage = "  registrar retry NAME [TASK]... [OPTION]...\n",
        .text = "Without TASK all that failed, is doubtful or was cancelled. Stages that were\n"
                "finished are not repeated.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = STATUSES,
    },
    {
        .command = "pause",
        .meaning = "start nothing more of a batch",
        .usage = "  registrar pause [NAME] [OPTION]...\n",
        .text = "What runs goes on to its end. Without NAME the whole queue, which is the\n"
                "administrators' to do. A pause outlasts restarts.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = STATUSES,
    },
    {
        .command = "resume",
        .meaning = "let a paused batch go on",
        .usage = "  registrar resume [NAME] [OPTION]...\n",
        .text = "Without NAME the whole queue, after a pause or a drain.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = STATUSES,
    },
    {
        .command = "drain",
        .meaning = "start nothing new, before work on the machine",
        .usage = "  registrar drain [OPTION]...\n",
        .text = "What runs goes on to its end, and what is submitted waits, until registrar\n"
                "resume or the next start of the service. For administrators.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = STATUSES,
    },
    {
        .command = "priority",
        .meaning = "put one of your batches before others of yours",
        .usage = "  registrar priority NAME N [OPTION]...\n",
        .text =
            "N is a number from -100 to 100; more comes earlier, and 0 is where batches begin.\n"
            "Above 0 is for administrators. Between users the service shares by itself.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = STATUSES,
    },
    {
        .command = "logs",
        .meaning = "what a task said",
        .usage = "  registrar logs TASK [OPTION]...\n",
        .text = "The log is read with your own rights.\n",
        .row = client_words_row,
        .is_shared = true,
        .more = "Example:\n"
                "  registrar logs CD070/DAPI -f\n"
                "\n" STATUSES,
    },
};

const struct help_page *help_service_page(size_t n) {
    return n < ARRAY_LEN(pages) ? &pages[n] : NULL;
}
