#!/usr/bin/env python3
# timeout: 90
"""registrar run: Ctrl-C once and twice, and what a closed terminal does."""
import os
import pwd
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

USER = pwd.getpwuid(os.getuid()).pw_name


def wait_said(t, words):
    """Until registrar has said so on stderr."""
    tail = subprocess.Popen(["tail", "-n", "+1", "-F", t.folder / "stderr"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    t.processes.append(tail)
    assert any(words in line for line in tail.stdout), "it never said so"
    tail.kill()


@test("once: workers stop at a checkpoint, exit 4, and the same command goes on")
def _(t):
    t.pair("A", "gate")
    t.pair("B", "ok")
    process = t.start("run", t.raw, "-o", t.out, "--jobs", 1)
    worker = t.wait_worker("gate")
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")
    expect(alive(worker), False, "the worker lives")
    expect_in("Run the same command again to continue", (t.folder / "stdout").read_text(), "stdout")
    end = t.ledger("attempt_end")[-1]
    expect(end["verdict"], "cancelled", "verdict")
    expect(end["evidence"]["exit_status"], 75, "stopped at a checkpoint")
    expect(end["evidence"]["user"], f"{USER} (Ctrl-C)", "user")
    expect_in(f"stopped by {USER} (Ctrl-C)", end["reason"], "reason")
    expect(t.ledger("task_end"), [], "finished tasks")
    expect({row["verdict"] for row in t.summary()["tasks"]}, {"waiting"}, "summary")

    process = t.start("run", t.raw, "-o", t.out)
    t.wait_worker("gate")
    t.open_gate()
    expect(process.wait(), 0, "exit status of the second run")
    expect(t.attempts("A/gate"), ["cancelled", "ok"], "verdicts")
    expect(t.task("A/gate")["attempts"], 2, "attempts")


@test("SIGTERM asks like Ctrl-C; a command is asked too")
def _(t):
    path = t.manifest({"id": "c/long", "command": [str(FAKE_WORKER), "hang"]})
    process = t.start("run", "--manifest", path, "-o", t.out)
    t.wait_worker("hang")
    process.send_signal(signal.SIGTERM)
    expect(process.wait(), 4, "exit status")
    expect(t.attempts("c/long"), ["cancelled"], "verdicts")
    expect_in("(SIGTERM to registrar)", t.ledger("attempt_end")[-1]["reason"], "reason")


@test("before anything started: exit 4 too, and the probe ends with it")
def _(t):
    t.pair("A", "probe-hang")
    process = t.start("run", t.raw, "-o", t.out)
    probe = t.wait_worker("probe")
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")
    expect_in("interrupted; run the same command again", (t.folder / "stderr").read_text(), "stderr")
    wait_gone(probe)


@test("twice: everything is killed at once")
def _(t):
    t.pair("A", "stubborn")
    process = t.start("run", t.raw, "-o", t.out)
    worker = t.wait_worker("stubborn")
    process.send_signal(signal.SIGINT)
    wait_said(t, "press Ctrl-C again")
    process.send_signal(signal.SIGINT)
    expect(process.wait(timeout=8), 4, "exit status, sooner than the grace period")
    expect(alive(worker), False, "the worker lives")
    end = t.ledger("attempt_end")[-1]
    expect((end["verdict"], end["evidence"]["sent"]), ("cancelled", "SIGTERM, SIGKILL"), "end")


@test("a closed terminal asks once, however often it says so")
def _(t):
    t.pair("A", "gate")
    process = t.start("run", t.raw, "-o", t.out)
    t.wait_worker("gate")
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    expect(process.wait(), 4, "exit status")
    end = t.ledger("attempt_end")[-1]
    expect(end["evidence"]["sent"], "SIGTERM", "what was sent")
    expect_in("terminal closed", end["reason"], "reason")


@test("what nohup ignores stays ignored")
def _(t):
    t.pair("A", "gate")
    process = t.start("run", t.raw, "-o", t.out,
                      preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    t.wait_worker("gate")
    process.send_signal(signal.SIGHUP)
    t.open_gate()
    expect(process.wait(), 0, "exit status")


run_tests()
