#!/usr/bin/env python3
# timeout: 180
"""The commands that talk to the service, with a service in a folder of the test's own."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
import socket


def serve(t):
    """Starts a service; returns when it answers."""
    t.env["REGISTRAR_SOCKET"] = str(t.folder / "socket")
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    left.close()
    right.close()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(t.folder / "notify"))
    notify.settimeout(30)
    t.env["NOTIFY_SOCKET"] = str(t.folder / "notify")
    process = t.start("daemon", "--state-dir", t.folder / "state", "--socket", t.folder / "socket")
    del t.env["NOTIFY_SOCKET"]
    while b"READY=1" not in notify.recv(4096):
        pass
    notify.close()
    return process


def commands(t, **tasks):
    """A manifest of shell commands by id."""
    return t.manifest(*({"id": name, "command": ["sh", "-c", line], "memory": "16M"}
                        for name, line in tasks.items()))


def done(t, *arguments, status=0):
    ran = t.run(*arguments)
    expect(ran.returncode, status, f"exit status of {arguments}: {ran.stderr}")
    return ran.stdout


def status_of(t, name):
    return {task["id"]: task["verdict"]
            for task in json.loads(done(t, "status", name, "--json"))["tasks"]}


@test("without a service each command says so, and how to start one")
def _(t):
    t.env["REGISTRAR_SOCKET"] = str(t.folder / "nowhere")
    for words in (["status"], ["watch"], ["cancel", "X"], ["retry", "X"], ["pause"], ["resume"],
                  ["drain"], ["priority", "X", "-1"], ["logs", "x"],
                  ["submit", "--manifest", commands(t, a="true"), "-o", t.out]):
        ran = t.run(*words)
        expect((ran.returncode, ran.stdout), (2, ""), f"{words}")
        expect_in("no service is running: there is no socket", ran.stderr)
        expect_in("registrar daemon", ran.stderr)
    expect(t.out.exists(), False, "OUT")
    expect(json.loads(t.run("status", "--json").stdout)["error"]["exit"], 2, "exit in JSON")


@test("what is submitted runs, and status tells what came of it")
def _(t):
    serve(t)
    name = done(t, "submit", "--manifest", commands(t, good="echo said", bad="exit 3"), "-o", t.out,
                "--name", "NIGHT", "--quiet").strip()
    expect(name, "NIGHT", "the name")
    done(t, "watch", "NIGHT")
    told = json.loads(done(t, "status", "NIGHT", "--json"))
    expect((told["version"], told["counts"]), (1, {"ok": 1, "failed": 1}), "counts")
    expect({task["id"]: task["verdict"] for task in told["tasks"]}, {"good": "ok", "bad": "failed"},
           "verdicts")
    expect_in("status 3", next(task["reason"] for task in told["tasks"] if task["id"] == "bad"))
    table = done(t, "status", "NIGHT")
    expect_in("NIGHT of ", table)
    expect_in("2 of 2 tasks done, 1 failed", table)
    assert max(map(len, done(t, "status").splitlines())) <= 80, done(t, "status")
    expect_in("said", done(t, "logs", "good"))
    story = done(t, "explain", "bad")
    expect_in("status 3", story)
    expect_in("registrar retry NIGHT bad", story)
    expect(json.loads(done(t, "explain", "good", "--json", "--batch", "NIGHT"))["id"], "good",
           "the story's task")
    expect_in("bad", done(t, "ledger", "show"))
    rows = done(t, "ledger", "csv").splitlines()
    expect(sorted(row.split(",")[0] for row in rows[1:]), ["bad", "good"], "rows of csv")
    summary = t.summary()
    expect(summary["counts"], told["counts"], "summary.json")


@test("the same batch again is the same batch")
def _(t):
    serve(t)
    manifest = commands(t, good="true")
    for _ in range(2):
        expect(done(t, "submit", "--manifest", manifest, "-o", t.out, "--wait", "--quiet")
               .splitlines()[0], "out", "the batch's name")
    told = json.loads(done(t, "status", "--json"))
    expect([batch["name"] for batch in told["batches"]], ["out"], "batches")
    expect(len([record for record in map(json.loads, (t.folder / "state" / "ledger.jsonl")
                .read_text().splitlines()) if record["event"] == "attempt_end"]), 1, "attempts")


@test("submit --wait exits as run would, and shows what came of it")
def _(t):
    serve(t)
    ran = t.run("submit", "--manifest", commands(t, good="true"), "-o", t.out, "--wait")
    expect(ran.returncode, 0, f"all ok: {ran.stderr}")
    expect_in("registrar: 1 task waits in the batch out", ran.stderr)
    expect_in("1 of 1 task done", ran.stdout)
    ran = t.run("submit", "--manifest", commands(t, bad="false"), "-o", t.folder / "b", "--wait",
                "--json", "--quiet")
    expect((ran.returncode, ran.stderr), (1, ""), "one failed")
    expect(json.loads(ran.stdout)["counts"], {"failed": 1}, "--json")


@test("cancel ends what waits and what runs; retry takes it up again")
def _(t):
    serve(t)
    gate = t.folder / "open"
    os.mkfifo(gate)
    done(t, "submit", "--manifest", commands(t, long=f"echo there; read x < {gate}", other="true"),
         "-o", t.out, "--jobs", "1", "--name", "N", "--quiet")
    watch = subprocess.Popen([REGISTRAR, "logs", "long", "-f"], env=t.env, stdout=subprocess.PIPE)
    t.processes.append(watch)
    while watch.stdout.readline() != b"there\n":
        assert watch.poll() is None, "the log ended"
    expect(status_of(t, "N")["long"], "running", "a task that runs")
    other = subprocess.Popen([REGISTRAR, "watch", "N", "--json"], env=t.env, stdout=subprocess.PIPE)
    t.processes.append(other)
    told = json.loads(other.stdout.readline())
    expect((told["event"], told["task"]), ("running", "long"), "what watch begins with")
    expect_in("paused", done(t, "pause", "N"))
    expect_in("2 tasks cancelled", done(t, "cancel", "N"))
    expect(watch.wait(30), 0, "logs -f")
    expect(other.wait(30), 0, "watch")
    done(t, "watch", "N")
    expect(set(status_of(t, "N").values()), {"cancelled"}, "verdicts")
    expect_in("nothing to cancel", done(t, "cancel", "N"))
    expect_in("N: 1 task waits again", done(t, "retry", "N", "other"))
    expect_in("N goes on", done(t, "resume", "N"))
    done(t, "watch", "N")
    expect(status_of(t, "N"), {"long": "cancelled", "other": "ok"}, "verdicts")


@test("a paused, a drained and a postponed batch wait, and say why")
def _(t):
    serve(t)
    done(t, "drain")
    done(t, "submit", "--manifest", commands(t, a="true"), "-o", t.out, "--name", "A", "--quiet")
    done(t, "submit", "--manifest", commands(t, b="true"), "-o", t.folder / "b", "--name", "B",
         "--not-before", "+2h", "--priority", "-3", "--quiet")
    done(t, "pause", "A")
    told = {batch["name"]: batch for batch in json.loads(done(t, "status", "--json"))["batches"]}
    expect_in("paused", told["A"]["why"])
    expect(told["B"]["priority"], -3, "priority")
    assert "not_before" in told["B"], told["B"]
    assert told["B"]["why"], told["B"]
    expect_in("no attempt was made", done(t, "explain", "b"))
    done(t, "resume")
    done(t, "resume", "A")
    done(t, "watch", "A")
    expect(status_of(t, "A"), {"a": "ok"}, "what was drained")
    expect(status_of(t, "B"), {"b": "waiting"}, "what is postponed")


@test("wrong words and unknown names are refused with a sentence")
def _(t):
    serve(t)
    for words, sentence in (
            (["cancel"], "say which batch"), (["status", "X"], "there is no batch X"),
            (["cancel", "X"], "there is no batch X"), (["priority", "X", "ten"], "no priority"),
            (["logs", "x"], "none of your batches has a task x"),
            (["drain", "X"], "one word too many"), (["status", "--follow"], "does not go with"),
            (["submit", "--manifest", commands(t, a="true"), "-o", t.out, "--name", "a/b"], "a/b"),
            (["submit", "--manifest", commands(t, a="true"), "-o", t.out, "--not-before", "noon"],
             "noon")):
        ran = t.run(*words)
        expect((ran.returncode, ran.stdout), (2, ""), f"{words}")
        expect_in(sentence, ran.stderr)


@test("200 clients at once, half of them rude: the others do not notice")
def _(t):
    serve(t)
    rudeness = [b'{"v":1,"do":', b"\xff\xfe{{{\n", b'{"v":1,"do":"status"}\n' * 500, b"",
                b'{"v":1,"do":"submit","out":"/x","tasks":9}\n{"id":"a"', b"[" * 100000 + b"\n"]
    clients = []
    for i in range(200):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(30)
        client.connect(t.env["REGISTRAR_SOCKET"])
        clients.append(client)
        if i % 2:
            client.sendall(rudeness[i // 2 % len(rudeness)])
        if i % 14 == 13:
            client.close()
    for _ in range(3):
        for polite in clients[::2]:
            polite.sendall(b'{"v":1,"do":"hello"}\n')
        for polite in clients[::2]:
            expect(json.loads(polite.makefile().readline())["ok"], True, "an answer")
    done(t, "status")
    for client in clients:
        client.close()


run_tests()
