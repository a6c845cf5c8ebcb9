#!/usr/bin/env python3
# timeout: 480
"""The service is killed while it compacts its ledger, with nothing to do and in its work: nothing is
lost and nothing done twice. REGISTRAR_ROUNDS sets how often (4)."""
import os
import shutil
import sys
from collections import Counter
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from service_daemon import Daemon, add_notes

ROUNDS = int(os.environ.get("REGISTRAR_ROUNDS", "4"))
TASKS = 300  # with so many attempts of what is done there is enough to gain


def start(t):
    settings = t.folder / "registrar.conf"
    settings.write_text("[registrar]\nledger-size = 1M\n")
    settings.chmod(0o644)
    return Daemon(t, "--config", settings)


def submit(t, daemon, name):
    lines = [["sh", "-c", f"echo {name}/t/{i} >> ran"] for i in range(TASKS)]
    expect(daemon.submit(name, *lines)["ok"], True, f"answer for {name}")


def wait_compaction(daemon):
    """Whether its file was seen before it took the ledger's name."""
    ledger = daemon.state / "ledger.jsonl"
    before = ledger.stat().st_ino
    while not (daemon.state / "ledger.jsonl.compacting").exists():
        if ledger.stat().st_ino != before:
            return False
    return True


def finished(t):
    return {f"{record['batch']}/{record['task']}" for record in t.ledger("task_end")}


def expect_all_once(t, name, done):
    """The next daemon has lost nothing, does nothing again that was done, and takes new work."""
    daemon = start(t).ready()
    daemon.submit("last", ["true"])
    daemon.await_end(name, "last")
    daemon.stop()
    expect(t.run("ledger", "verify", t.out / "ledger.jsonl").returncode, 0, "verify")
    runs = Counter((t.folder / "ran").read_text().split())
    expect(len(runs), TASKS, "tasks that ran")
    expect([key for key in done if runs[key] != 1], [], "done again, or never")
    expect([key for key in runs if runs[key] > 2], [], "what was lost ran once more")
    expect(daemon.summary(name)["counts"], {"ok": TASKS}, "counts")
    expect(Counter(record["batch"] for record in t.ledger("task_end"))[name], TASKS, "ends")
    expect(daemon.leftovers(), [], "processes")


@test(f"killed {ROUNDS} times while it compacts the ledger after its start: nothing lost, nothing twice")
def _(t):
    daemon, hits = start(t).ready(), 0
    submit(t, daemon, "night")
    daemon.await_end("night")
    daemon.stop()
    done = finished(t)
    expect(len(done), TASKS, "ends")
    for _ in range(ROUNDS):
        add_notes(t.out / "ledger.jsonl", 200, 20000)
        daemon = start(t)
        hits += wait_compaction(daemon)
        daemon.kill()
        start(t).ready().stop()
    print(f"# {hits} of {ROUNDS} were hit")
    expect_all_once(t, "night", done)


@test(f"killed {ROUNDS} times while it compacts the ledger in the middle of a batch: the same")
def _(t):
    hits = 0
    for number in range(ROUNDS):
        if number > 0:
            shutil.rmtree(t.out)
        start(t).ready().stop()
        add_notes(t.out / "ledger.jsonl", 60, 17000)  # so many are kept
        daemon = start(t).ready()
        (t.folder / "ran").unlink(missing_ok=True)
        submit(t, daemon, f"r{number}")
        hits += wait_compaction(daemon)
        daemon.kill()
        expect_all_once(t, f"r{number}", finished(t))
    print(f"# {hits} of {ROUNDS} were hit")


run_tests()
