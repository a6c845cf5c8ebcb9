#!/usr/bin/env python3
# timeout: 240
"""The service is killed while it compacts its ledger, at its start and in its work: nothing is lost
and nothing done twice. REGISTRAR_ROUNDS sets how often (4)."""
import os
import select
import shutil
import sys
import time
from collections import Counter
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from service_daemon import Daemon, add_notes

ROUNDS = int(os.environ.get("REGISTRAR_ROUNDS", "4"))
TASKS = 130  # with so many attempts of what is done there is enough to gain
MISSED_S = 2  # after the end of a batch: then it was over before it was seen


def start(t):
    settings = t.folder / "registrar.conf"
    settings.write_text("[registrar]\nledger-size = 1M\n")
    settings.chmod(0o644)
    return Daemon(t, "--config", settings)


def submit(t, daemon, name):
    lines = [["sh", "-c", f"echo {name}/t/{i} >> ran"] for i in range(TASKS)]
    expect(daemon.submit(name, *lines)["ok"], True, f"answer for {name}")


def wait_compaction(daemon, is_over):
    """Whether its file was seen before it was over."""
    while not (daemon.state / "ledger.jsonl.compacting").exists():
        if is_over():
            return False
    return True


def expect_all_once(t, names):
    """The next daemon has lost nothing, does nothing again and takes new work."""
    daemon = start(t).ready()
    daemon.submit("last", ["true"])
    daemon.await_end("last")
    daemon.stop()
    expect(t.run("ledger", "verify", t.out / "ledger.jsonl").returncode, 0, "verify")
    runs = Counter((t.folder / "ran").read_text().split())
    expect(dict(runs), {f"{name}/t/{i}": 1 for name in names for i in range(TASKS)}, "runs")
    ends = Counter(record["batch"] for record in t.ledger("task_end"))
    for name in names:
        expect(daemon.summary(name)["counts"], {"ok": TASKS}, f"counts of {name}")
        expect(ends[name], TASKS, f"ends of {name}")
    expect(daemon.leftovers(), [], "processes")


@test(f"killed {ROUNDS} times while its start compacts the ledger: nothing lost, nothing twice")
def _(t):
    daemon, hits = start(t).ready(), 0
    submit(t, daemon, "night")
    daemon.await_end("night")
    daemon.stop()
    for _ in range(ROUNDS):
        add_notes(t.out / "ledger.jsonl", 200, 20000)
        daemon = start(t)
        hits += wait_compaction(daemon, lambda: select.select([daemon.manager], [], [], 0)[0] and
                                b"READY=1" in daemon.manager.recv(65536))
        daemon.kill()
        start(t).ready().stop()
    print(f"# {hits} of {ROUNDS} were hit")
    expect_all_once(t, ["night"])


@test(f"killed {ROUNDS} times while it compacts the ledger between batches: the same")
def _(t):
    hits, names = 0, []
    for number in range(ROUNDS):
        if number > 0:
            shutil.rmtree(t.out)
        start(t).ready().stop()
        add_notes(t.out / "ledger.jsonl", 60, 20000)  # so many are kept
        daemon, ended = start(t).ready(), []
        names = [f"r{number}"]
        (t.folder / "ran").unlink(missing_ok=True)
        submit(t, daemon, names[0])
        summary = t.folder / names[0] / "summary.json"

        def is_over():
            if not ended and summary.exists():
                ended.append(time.monotonic())
            return ended and time.monotonic() > ended[0] + MISSED_S
        hits += wait_compaction(daemon, is_over)
        daemon.kill()
        expect_all_once(t, names)
    print(f"# {hits} of {ROUNDS} were hit")


run_tests()
