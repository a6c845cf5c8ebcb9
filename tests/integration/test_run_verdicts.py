#!/usr/bin/env python3
# timeout: 120
"""registrar run: every verdict, with real processes and real signals."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

STALL_S = int(min(3, float(os.environ.get("TIMEOUT_FACTOR", "1"))))  # no start may take that long


def run_all(t, dyes, *options, timeout_s=2 * WAIT_S):
    for dye in dyes:
        t.pair("S", dye)
    return t.run("run", t.raw, "-o", t.out, "--force", "--jobs", 8, *options, timeout_s=timeout_s)


def end_of(t, task_id):
    return [record for record in t.ledger("attempt_end") if record["task"] == task_id][-1]


# dye, verdict, what the reason says, attempts (one retry is the default)
WORKERS = [
    ("ok", "ok", "", 1),
    ("doubtful", "doubtful", "only 3 of 24 tiles agree", 1),
    ("failed", "failed", "the images share no structure", 1),
    ("input", "failed", "float pixels are not supported", 1),
    ("environment", "failed", "No space left on device", 2),
    ("exit-3", "failed", "the worker exited with 3 without a result", 2),
    ("exit-2", "failed", "the worker could not read its task", 2),
    ("exit-75", "killed", "stopped at a checkpoint by SIGTERM from elsewhere", 2),
    ("silent", "failed", "the worker exited with 0 without a result", 2),
    ("half", "failed", "ended in half a line: '{\"event\":\"result\",\"status\":\"ali'", 2),
    ("nul", "failed", "not a JSON object: '\\x00\\x00", 2),
    ("garbage", "failed", "sent a line that is not a JSON object: 'no json'", 2),
    ("flood", "failed", "not a JSON object: 'xxxx", 2),
    ("endless", "failed", "a line longer than 64 KiB: 'xxxx", 2),
    ("signal-11", "crashed", "crashed with SIGSEGV", 2),
    ("signal-7", "crashed", "crashed with SIGBUS", 2),
    ("signal-6", "crashed", "crashed with SIGABRT", 2),
    ("signal-8", "crashed", "crashed with SIGFPE", 2),
    ("signal-4", "crashed", "crashed with SIGILL", 2),
    ("signal-31", "crashed", "crashed with SIGSYS", 2),
    ("signal-9", "killed", "SIGKILL from elsewhere, not likely for lack of memory", 2),
    ("signal-15", "killed", "SIGTERM from elsewhere", 2),
    ("signal-2", "killed", "ended by SIGINT, which registrar did not send", 2),
    ("late-crash", "crashed", "crashed with SIGSEGV", 2),
    ("two-faced", "doubtful", "changed its mind", 1),
    ("first-signal-11", "ok", "", 2),
]


@test("what a worker says, and how it dies, decides the verdict")
def _(t):
    ran = run_all(t, [row[0] for row in WORKERS])
    expect(ran.returncode, 1, "exit status")
    for dye, verdict, reason, attempts in WORKERS:
        task = t.task(f"S/{dye}")
        expect((dye, task["verdict"]), (dye, verdict), "verdict")
        expect_in(reason, task["reason"], f"reason of {dye}")
        expect((dye, task["attempts"]), (dye, attempts), "attempts")
        expect(len(t.attempts(f"S/{dye}")), attempts, f"attempts of {dye} in the ledger")
    expect(t.attempts("S/first-signal-11"), ["crashed", "ok"], "a crash, then ok")
    killed = end_of(t, "S/signal-9")["evidence"]
    expect(killed["likely_oom"], False, "likely_oom")
    expect_in("out-of-memory", killed["why"], "why")  # of its group or of the machine
    expect(killed["signal"], "SIGKILL", "the raw evidence")
    expect(t.leftovers(), [], "processes left")


# What needs time to show: all at once, for each takes the stall time and then the grace period.
HANGING = [
    ("hang", "stalled", f"no progress for {STALL_S}.0 s, in stage hang"),
    ("polite", "stalled", f"no progress for {STALL_S}.0 s, in stage polite"),
    ("stubborn", "stalled", "it ignored SIGTERM and got SIGKILL"),
    ("stop", "stalled", f"no progress for {STALL_S}.0 s"),
    ("closed", "stalled", f"no progress for {STALL_S}.0 s"),
    ("late-hang", "stalled", f"no progress for {STALL_S}.0 s"),
    ("forks-40", "stalled", f"no progress for {STALL_S}.0 s"),
]


@test("no progress for the stall time ends an attempt, and all of it")
def _(t):
    ran = run_all(t, [row[0] for row in HANGING], "--stall-timeout", f"{STALL_S}s", "--retries", 0)
    expect(ran.returncode, 1, "exit status")
    for dye, verdict, reason in HANGING:
        task = t.task(f"S/{dye}")
        expect((dye, task["verdict"]), (dye, verdict), "verdict")
        expect_in(reason, task["reason"], f"reason of {dye}")
    expect(end_of(t, "S/stubborn")["evidence"]["sent"], "SIGTERM, SIGKILL", "what was sent")
    expect(end_of(t, "S/hang")["evidence"]["sent"], "SIGTERM", "what was sent")
    expect(end_of(t, "S/polite")["evidence"]["exit_status"], 75, "stopped at a checkpoint")
    expect(t.leftovers(), [], "processes left")


@test("who makes progress is not stalled, however long it takes")
def _(t):
    ran = run_all(t, [f"slow-{5000 * STALL_S}"], "--stall-timeout", f"{2 * STALL_S}s")
    expect(ran.returncode, 0, "exit status")


@test("the time limit ends an attempt that makes progress; it is not retried")
def _(t):
    ran = run_all(t, ["slow-600000"], "--timeout", f"{STALL_S}s")
    expect(ran.returncode, 1, "exit status")
    task = t.task("S/slow-600000")
    expect((task["verdict"], task["attempts"]), ("timeout", 1), "verdict and attempts")
    expect_in(f"over its time limit of {STALL_S}.0 s, in stage slow-600000", task["reason"],
              "reason")


@test("nothing of a task outlives it, not even what called setsid")
def _(t):
    ran = run_all(t, ["orphan", "bare-orphan", "hold"])
    expect(ran.returncode, 0, "exit status")
    pids = [t.wait_worker("grandchild") for _ in range(3)]
    expect([pid for pid in pids if alive(pid)], [], "grandchildren alive")


@test("a holder of fd 3 outside the task is waited for only so long")
def _(t):
    path = t.manifest({"id": "c/held", "command": [str(FAKE_WORKER), "gate"]})
    process = t.start("run", "--manifest", path, "-o", t.out)
    worker = t.wait_worker("gate")
    with open(f"/proc/{worker}/fd/3", "wb", buffering=0):
        t.open_gate()
        expect(process.wait(), 0, "exit status")
    expect_in("outside the task that holds its fd 3", end_of(t, "c/held")["evidence"]["left_behind"],
              "evidence")


@test("a helper of a running task survives the end of another one")
def _(t):
    t.pair("S", "orphan-hang")
    t.pair("T", "ok")
    process = t.start("run", t.raw, "-o", t.out, "--jobs", 2, "--force")
    helper = t.wait_worker("grandchild")
    t.wait_ledger(lambda record: record["event"] == "task_end" and record["task"] == "T/ok")
    expect(alive(helper), True, "the helper lives")
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")
    expect(alive(helper), False, "the helper lives")


@test("SIGKILL from elsewhere is told from a crash, and tried again")
def _(t):
    t.pair("S", "gate")
    process = t.start("run", t.raw, "-o", t.out)
    os.kill(t.wait_worker("gate"), signal.SIGKILL)
    t.wait_worker("gate")
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    expect(t.attempts("S/gate"), ["killed", "ok"], "verdicts")
    first = t.ledger("attempt_end")[0]
    expect(first["evidence"]["likely_oom"], False, "likely_oom")


@test("peak memory is the kernel's figure, of a killed attempt too")
def _(t):
    path = t.manifest({"id": "c/grow", "command": [str(FAKE_WORKER), "grow-200"]},
                      {"id": "c/killed", "command": [
                          "sh", "-c", f"{FAKE_WORKER} grow-100; kill -9 $$"]})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--retries", 0)
    expect(ran.returncode, 1, "exit status")
    for task_id, mib in (("c/grow", 200), ("c/killed", 100)):
        peak = t.task(task_id)["peak_rss_bytes"]
        assert mib << 20 <= peak <= (mib + 40) << 20, f"{task_id}: {peak}"


@test("commands: exit status, log, environment, folder")
def _(t):
    (t.folder / "here").mkdir()
    path = t.manifest(
        {"id": "c/ok", "command": ["sh", "-c", "echo out; echo err >&2; pwd; "
                                               "echo $REGISTRAR_TASK $REGISTRAR_REPORT_FD $ADDED"],
         "cwd": "here", "env": {"ADDED": "yes"}},
        {"id": "c/seven", "command": ["sh", "-c", "exit 7"]},
        {"id": "c/shell", "command": ["sh", "-c", "sh -c 'kill -9 $$'"]},
        {"id": "c/none", "command": ["no-such-program"]},
        {"id": "c/noise", "command": ["sh", "-c", "echo garbage >&3; exit 0"]},
        {"id": "c/input", "command": ["sh", "-c", "cat; exit 3"]})
    ran = t.run("run", "--manifest", path, "-o", t.out)
    expect(ran.returncode, 1, "exit status")
    verdicts = {row["id"]: (row["verdict"], row["reason"]) for row in t.summary()["tasks"]}
    expect(verdicts["c/ok"], ("ok", ""), "c/ok")
    expect(verdicts["c/seven"], ("failed", "exit status 7"), "c/seven")
    expect(verdicts["c/noise"], ("ok", ""), "garbage on fd 3 is no command's duty")
    expect(verdicts["c/input"], ("failed", "exit status 3"), "stdin is empty")
    expect_in("perhaps ended by SIGKILL", verdicts["c/shell"][1], "c/shell")
    expect_in("no program of that name in PATH", verdicts["c/none"][1], "c/none")
    log = (t.out / "c/ok/log.txt").read_text().splitlines()
    expect_in("=== c/ok, attempt 1, ", log[0], "header of the log")
    expect(log[1:], ["out", "err", str(t.folder / "here"), "c/ok 3 yes"], "log")


@test("growth of its log is a command's progress")
def _(t):
    path = t.manifest({"id": "c/talks", "command": [
        "sh", "-c", f"for i in 1 2 3 4 5 6; do echo $i; sleep {0.4 * STALL_S}; done"]},
        {"id": "c/quiet", "command": ["sleep", "600"]})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--stall-timeout", f"{STALL_S}s",
                "--retries", 0, "--jobs", 2)
    expect(ran.returncode, 1, "exit status")
    expect(t.task("c/talks")["verdict"], "ok", "one that talks")
    expect(t.task("c/quiet")["verdict"], "stalled", "one that does not")


@test("a supervisor that was suspended does not take its own absence for a stall")
def _(t):
    slow = f"slow-{4000 * STALL_S}"
    t.pair("S", slow)
    process = t.start("run", t.raw, "-o", t.out, "--stall-timeout", f"{STALL_S}s")
    t.wait_worker(slow)
    process.send_signal(signal.SIGSTOP)
    try:
        process.wait(timeout=1.5 * STALL_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGCONT)
    expect(process.wait(), 0, "exit status")
    expect(t.attempts(f"S/{slow}"), ["ok"], "verdicts")


@test("a broken pair fails by itself, and is told once")
def _(t):
    t.pair("S", "ok")
    (t.raw / "S" / "S_pre_half.tif").write_bytes(b"")
    for round_ in (1, 2):
        ran = t.run("run", t.raw, "-o", t.out)
        expect(ran.returncode, 1, "exit status")
        expect(t.task("S/half")["verdict"], "failed", "verdict")
        expect(len([end for end in t.ledger("task_end") if end["task"] == "S/half"]), 1,
               f"records in round {round_}")
    expect(t.attempts("S/half"), [], "attempts")


@test("--json prints what summary.json holds, and nothing else")
def _(t):
    ran = run_all(t, ["ok", "doubtful"], "--json")
    expect(json.loads(ran.stdout), t.summary(), "stdout")
    expect(t.summary()["counts"], {"ok": 1, "doubtful": 1}, "counts")


@test("large tasks start first, and never more than fit")
def _(t):
    path = t.manifest(*({"id": f"c/{size}", "command": ["true"], "memory": f"{size}M"}
                        for size in (10, 30, 20, 40)))
    ran = t.run("run", "--manifest", path, "-o", t.out, "--jobs", 1)
    expect(ran.returncode, 0, "exit status")
    expect([start["task"] for start in t.ledger("attempt_start")],
           ["c/40", "c/30", "c/20", "c/10"], "order")


run_tests()
