#!/usr/bin/env python3
# timeout: 240
"""The service as a process: what is submitted is run, once, whatever happens to the daemon. With
REGISTRAR_ROUNDS=200 it is killed at as many instants."""
import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from service_daemon import Daemon

ROUNDS = int(os.environ.get("REGISTRAR_ROUNDS", "8"))


def verdicts(t, batch, task):
    return [record["verdict"] for record in t.ledger("attempt_end")
            if (record["batch"], record["task"]) == (batch, task)]


def page_data(t, batch):
    page = (t.folder / batch / "report.html").read_text()
    return json.loads(page.partition('id="data">')[2].partition("</script>")[0])


@test("a batch is run, told, and not done again by the next daemon")
def _(t):
    daemon = Daemon(t).ready()
    answer = daemon.submit("night", ["true"], ["sh", "-c", "echo said; exit 3"])
    expect((answer["ok"], answer["batch"], answer["queued"]), (True, "night", 2), "answer")
    daemon.await_end("night")
    expect(daemon.summary("night")["counts"], {"ok": 1, "failed": 1}, "counts")
    expect_in("said", (t.folder / "night" / "t/1" / "log.txt").read_text(), "log")
    data = page_data(t, "night")
    expect([(task["id"], task["verdict"]) for task in data["tasks"]], [("t/0", "ok"), ("t/1", "failed")],
           "the report's tasks")
    expect((len(data["attempts"]), data["about"]["batch"]), (2, "night"), "the report's attempts, batch")
    expect(data["problems"][0]["command"], "registrar retry night", "what to type")
    (t.folder / "night" / "report.html").unlink()
    (t.folder / "link").symlink_to(t.folder)
    anew = t.run("report", t.folder / "link" / "night", "--socket", daemon.path)
    expect((anew.returncode, anew.stderr), (0, ""), "made anew")
    for part in ("tasks", "attempts", "problems"):
        expect(page_data(t, "night")[part], data[part], f"its {part}")
    for record in t.ledger("attempt_end") + t.ledger("task_end"):
        expect(record["batch"], "night", "batch of a record")
        assert record["user"], "no user in a record"
    daemon.stop()
    alone = t.run("report", t.folder / "night", "--socket", daemon.path)
    expect(alone.returncode, 0, "without a service")
    expect_in("without the workers over time: no service is running", alone.stderr, "what it says")
    expect(page_data(t, "night")["attempts"], [], "attempts on its page")
    daemon = Daemon(t).ready()
    daemon.stop()
    expect(len(t.ledger("attempt_start")), 2, "attempts")
    expect([record["state"] for record in t.ledger("batch")],
           ["start", "submit", "end", "end", "start", "end"], "what became of it")


@test("the same again is the same batch, and is done already")
def _(t):
    daemon = Daemon(t).ready()
    daemon.submit("once", ["true"], ["true"])
    daemon.await_end("once")
    answer = daemon.submit("once", ["true"], ["true"])
    expect((answer["ok"], answer["batch"], answer["same"]), (True, "once", True), "answer")
    daemon.stop()
    expect(len(t.ledger("attempt_start")), 2, "attempts")


@test("SIGTERM: what runs stops, what waits stays, and both go on at the next start")
def _(t):
    daemon = Daemon(t).ready()
    gate = os.open(t.gate, os.O_RDWR)
    wait = ["sh", "-c", f"read line < {t.gate}"]
    daemon.submit("long", *[wait] * 30)
    t.wait_ledger(lambda record: record["event"] == "attempt_start")
    daemon.stop()
    expect(daemon.leftovers(), [], "processes")
    expect(t.ledger("task_end"), [], "ends")
    ends = t.ledger("attempt_end")
    expect({record["verdict"] for record in ends}, {"cancelled"}, "verdicts")
    expect_in("SIGTERM", ends[0]["reason"])
    os.write(gate, b"\n" * 30)
    daemon = Daemon(t).ready()
    daemon.await_end("long")
    os.close(gate)
    daemon.stop()
    expect(daemon.summary("long")["counts"], {"ok": 30}, "counts")


@test("SIGKILL: what ran is lost, its processes are ended, and it is done again")
def _(t):
    daemon = Daemon(t).ready()
    daemon.submit("hit", ["sh", "-c", "test -e go || exec sleep 1000"])
    t.wait_ledger(lambda record: record["event"] == "attempt_start")
    daemon.kill()
    (t.folder / "go").touch()
    daemon = Daemon(t).ready()
    daemon.await_end("hit")
    daemon.stop()
    expect(daemon.leftovers(), [], "processes")
    expect(verdicts(t, "hit", "t/0"), ["lost", "ok"], "attempts")
    expect(daemon.summary("hit")["tasks"][0]["attempts"], 2, "attempts in the summary")


@test("a cancelled task is ended by the user's name, the others go on")
def _(t):
    daemon = Daemon(t).ready()
    daemon.submit("some", ["sleep", "1000"], ["true"])
    t.wait_ledger(lambda record: record["event"] == "attempt_start" and record["task"] == "t/0")
    expect(daemon.ask({"do": "cancel", "batch": "some", "tasks": ["t/0"]})["ok"], True, "cancel")
    daemon.await_end("some")
    daemon.stop()
    expect(daemon.summary("some")["counts"], {"ok": 1, "cancelled": 1}, "counts")
    end = next(record for record in t.ledger("task_end") if record["task"] == "t/0")
    expect_in(f"stopped by {end['user']}", end["reason"])


@test("a batch runs no more at once than it asked for")
def _(t):
    daemon = Daemon(t).ready()
    daemon.submit("narrow", *[["true"]] * 6, options={"jobs": 1})
    daemon.await_end("narrow")
    daemon.stop()
    expect([record["event"] for record in t.ledger()
            if record["event"] in ("attempt_start", "attempt_end")],
           ["attempt_start", "attempt_end"] * 6, "one after the other")


@test("quiet hours hold everything back until a reload ends them")
def _(t):
    path = t.folder / "registrar.conf"
    path.write_text("quiet-hours = daily 00:00-24:00\n")
    path.chmod(0o644)
    daemon = Daemon(t, "--config", path).ready()
    daemon.submit("quiet", ["true"])
    expect_in("quiet hours", t.run("status", "quiet", "--socket", daemon.path).stdout)
    expect(t.ledger("attempt_start"), [], "attempts")
    path.write_text("jobs = 1\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.await_end("quiet")
    daemon.stop()
    expect(daemon.summary("quiet")["counts"], {"ok": 1}, "counts")


@test(f"killed at {ROUNDS} instants of a queue in motion: nothing lost, nothing twice, no orphan")
def _(t):
    commands = [["true"], ["sh", "-c", "sleep 0.01"], ["sh", "-c", "sleep 0.05 & wait"], ["true"]]
    names = []
    for number in range(ROUNDS):
        daemon = Daemon(t).ready()
        name = f"r{number}"
        if daemon.submit(name, *commands)["ok"]:
            names.append(name)
        records = iter(range(random.randrange(30)))
        seen = len(t.ledger())
        t.wait_ledger(lambda record: record["seq"] > seen and next(records, None) is None or
                      record.get("batch") == name and record.get("state") == "end")
        daemon.kill()
    daemon = Daemon(t).ready()
    daemon.await_end(*names)
    daemon.stop()
    expect(daemon.leftovers(), [], "processes")
    ends = [(record["batch"], record["task"]) for record in t.ledger("task_end")]
    expect(sorted(ends), sorted((name, f"t/{i}") for name in names for i in range(len(commands))),
           "ends")
    done = set()
    for record in t.ledger():
        task = (record.get("batch"), record.get("task"))
        if record["event"] == "task_end":
            done.add(task)
        assert record["event"] != "attempt_start" or task not in done, f"{task} was run again"
    for name in names:
        expect(daemon.summary(name)["counts"], {"ok": len(commands)}, f"counts of {name}")


run_tests()
