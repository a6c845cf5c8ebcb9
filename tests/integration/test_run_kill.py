#!/usr/bin/env python3
# timeout: 240
"""registrar run: SIGKILL of the supervisor at random instants, and the same command again.

REGISTRAR_KILL_ROUNDS sets how many kills there are; REGISTRAR_KILL_SEED repeats a run.
"""
import os
import random
import sys
import time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

ROUNDS = int(os.environ.get("REGISTRAR_KILL_ROUNDS", "40"))
SEED = int(os.environ.get("REGISTRAR_KILL_SEED", time.time_ns() % 1000000))
LONGEST_S = 0.4


def batch(t):
    """Tasks of all sorts: trivial ones, some that take a while, some that leave helpers, pairs."""
    fake = str(FAKE_WORKER)
    commands = [["true"]] * 10 + [[fake, "slow-20"]] * 4 + [[fake, "orphan"]] * 4 + \
        [["sh", "-c", "(setsid sleep 600 &) ; exit 0"]] * 4
    t.pair("S", "any")
    pair = {which: str(t.raw / "S" / f"S_{which}_any.tif") for which in ("pre", "post")}
    return t.manifest(*({"id": f"c/{i}", "command": command, "memory": "1M"}
                        for i, command in enumerate(commands)),
                      *({"id": f"p{i}/{behaviour}", **pair}
                        for i, behaviour in enumerate(["ok", "slow-20", "orphan", "ok"])))


def told(text):
    """What registrar has told on stderr as done."""
    return {line.split()[1] for line in text.splitlines() if line.startswith("ok ")}


def records(t):
    """The ledger's whole lines; a torn tail is what the next run heals."""
    path = t.out / "ledger.jsonl"
    found = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            found.append(json.loads(line.strip(b"\0")))
        except ValueError:
            continue
    return found


def finished(t):
    return {record["task"] for record in records(t) if record["event"] == "task_end"}


def check_history(t):
    """One task_end per task, and no attempt after it."""
    done = set()
    for record in t.ledger():
        if record["event"] in ("attempt_start", "task_end"):
            assert record["task"] not in done, f"{record['task']} was done: {record}"
        if record["event"] == "task_end":
            done.add(record["task"])
    return done


@test(f"SIGKILL at {ROUNDS} random instants (seed {SEED}): nothing lost, repeated or left")
def _(t):
    chance = random.Random(SEED)
    kills = batches = 0
    path = batch(t)
    count = len(json.loads(path.read_text())["tasks"])
    while kills < ROUNDS:
        t.out = t.folder / f"out{batches}"
        batches += 1
        before, ledger_ids = set(), set()
        (t.folder / "stderr").write_bytes(b"")
        while True:
            process = t.start("run", "--manifest", path, "-o", t.out, "--jobs", 3)
            try:
                status = process.wait(timeout=chance.uniform(0, LONGEST_S))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                now = finished(t)
                assert before <= now, f"lost: {before - now}"
                said = told((t.folder / "stderr").read_text())
                assert said <= now, f"told but not recorded: {said - now}"
                before = now
                continue
            expect(status, 0, "exit status")
            break
        expect(len(check_history(t)), count, "tasks done")
        expect(t.leftovers(), [], "processes left")
        verified = t.run("ledger", "verify", "-o", t.out)
        expect(verified.returncode, 0, f"ledger verify: {verified.stdout}{verified.stderr}")
        expect(t.summary()["counts"], {"ok": count}, "summary")


@test("an attempt that died with its supervisor is lost, and is run again")
def _(t):
    t.pair("A", "gate")
    process = t.start("run", t.raw, "-o", t.out)
    worker = t.wait_worker("gate")
    t.wait_ledger(lambda record: record["event"] == "attempt_start")
    process.kill()
    wait_gone(worker)  # it dies with its parent
    process.wait()
    process = t.start("run", t.raw, "-o", t.out)
    t.wait_worker("gate")
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    expect(t.attempts("A/gate"), ["lost", "ok"], "verdicts")
    expect(t.task("A/gate")["attempts"], 2, "attempts")


@test("a setsid grandchild of a killed supervisor is ended by the next start")
def _(t):
    t.pair("A", "orphan-hang")
    process = t.start("run", t.raw, "-o", t.out)
    grandchild = t.wait_worker("grandchild")
    t.wait_worker("orphan-hang")
    t.wait_ledger(lambda record: record["event"] == "attempt_start")
    process.kill()
    process.wait()
    expect(alive(grandchild), True, "the grandchild outlives the supervisor")
    process = t.start("run", t.raw, "-o", t.out)
    wait_gone(grandchild)
    t.wait_worker("orphan-hang")
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")
    notes = [record["text"] for record in t.ledger("note")]
    expect_in("ended 1 process(es) that an earlier run left behind", " ".join(notes), "note")
    expect(t.attempts("A/orphan-hang"), ["lost", "cancelled"], "verdicts")


@test("somebody else's processes are left alone")
def _(t):
    path = t.manifest({"id": "c/hang", "command": [str(FAKE_WORKER), "hang"]})
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True,
                                 env={"REGISTRAR_ATTEMPT": "0123:4-5"})
    t.processes.append(bystander)
    process = t.start("run", "--manifest", path, "-o", t.out)
    t.wait_worker("hang")
    process.kill()
    process.wait()
    process = t.start("run", "--manifest", path, "-o", t.out)
    t.wait_worker("hang")
    expect(bystander.poll(), None, "the bystander")
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")


run_tests()
