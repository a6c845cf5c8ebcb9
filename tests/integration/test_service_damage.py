#!/usr/bin/env python3
# timeout: 300
"""registrar daemon with what a night can do to its state folder: submits that were killed half-way, a
damaged batch file, a damaged ledger, no room, a ledger that has grown too large."""
import os
import shutil
import socket
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from registrar_test import WAIT_S
from service_daemon import Daemon, add_notes

TRUE = ["true"]


def spoil(path, place, bit=1):
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= bit
    path.write_bytes(content)
    return bytes(content)


def batch_files(daemon):
    return sorted(path.name for path in (daemon.state / "batches").iterdir())


def refused(daemon, name, n):
    """The answer to a submit of so many tasks, which may be given before all of them were sent."""
    out = daemon.t.folder / name
    out.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(WAIT_S)
        client.connect(str(daemon.path))
        lines = [{"v": 1, "do": "submit", "out": str(out), "tasks": n}]
        lines += [{"id": f"task{i:05}", "kind": "c", "command": TRUE, "cwd": "/"} for i in range(n)]
        try:
            client.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())
        except BrokenPipeError:
            pass  # it has said why
        return json.loads(client.makefile("rb").readline())


@test("a submit that was killed half-way leaves nothing behind")
def _(t):
    daemon = Daemon(t).ready()
    expect(daemon.submit("one", TRUE)["ok"], True, "answer")
    daemon.await_end("one")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.path))
        head = {"v": 1, "do": "submit", "tasks": 3, "out": str(t.folder)}
        task = {"id": "x", "kind": "c", "command": TRUE, "cwd": "/"}
        client.sendall(f"{json.dumps(head)}\n{json.dumps(task)}\n".encode())
        expect(daemon.ask({"do": "hello"})["ok"], True, "answer to another")
        while len(batch_files(daemon)) == 1:  # its header is still on the way
            expect(daemon.ask({"do": "hello"})["ok"], True, "answer to another")
        daemon.kill()
    assert len(batch_files(daemon)) == 2, batch_files(daemon)
    daemon = Daemon(t).ready()
    expect(batch_files(daemon), ["one.jsonl"], "batch files")
    daemon.stop()


@test("the folder of the batches is taken away: what runs goes on, and new ones are taken in")
def _(t):
    daemon = Daemon(t).ready()
    expect(daemon.submit("one", *[TRUE] * 20)["ok"], True, "answer")
    shutil.rmtree(daemon.state / "batches")
    expect(daemon.submit("two", TRUE)["ok"], True, "answer")
    daemon.await_end("one", "two")
    expect(daemon.summary("one")["counts"], {"ok": 20}, "counts")
    daemon.stop()


@test("a damaged batch file is told; other batches go on, and what it held can be submitted again")
def _(t):
    daemon = Daemon(t).ready()
    expect(daemon.ask({"do": "pause"})["ok"], True, "answer")
    for name in ("two", "three"):
        expect(daemon.submit(name, TRUE, TRUE)["ok"], True, "answer")
    daemon.kill()
    spoil(daemon.state / "batches" / "two.jsonl", 0.5, 0x20)
    daemon = Daemon(t).ready()
    expect(daemon.ask({"do": "resume"})["ok"], True, "answer")
    daemon.await_end("three")
    ran = t.run("status", "two", "--socket", daemon.path)
    expect_in("damaged", ran.stdout, "status of the damaged one")
    expect(daemon.ask({"do": "cancel", "batch": "two"})["ok"], True, "answer")
    out = t.folder / "two"
    answer = daemon.ask({"do": "submit", "out": str(out), "tasks": 1},
                        {"id": "t/0", "kind": "c", "command": TRUE, "cwd": "/"})
    expect((answer["ok"], answer["batch"]), (True, "two-2"), "answer")
    daemon.await_end("two-2")
    daemon.stop()


@test("a damaged ledger is refused by name, with exit status 5, and nothing is touched")
def _(t):
    daemon = Daemon(t).ready()
    expect(daemon.submit("one", TRUE)["ok"], True, "answer")
    daemon.await_end("one")
    daemon.stop()
    path = daemon.state / "ledger.jsonl"
    content = spoil(path, 0.3)
    ran = t.run("daemon", "--state-dir", daemon.state, "--socket", daemon.path)
    expect(ran.returncode, 5, "exit status")
    expect_in(f"{path}, line", ran.stderr, "stderr")
    expect_in("damaged in the middle", ran.stderr, "stderr")
    expect(path.read_bytes(), content, "the ledger")


@test("a state folder without room refuses batches by name, loses nothing, and goes on when it has")
def _(t):
    if os.geteuid() != 0:
        skip("needs root, to mount a small file system")
    state = t.folder / "state"
    state.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", state],
                             capture_output=True, check=False)
    if mounted.returncode != 0:
        skip("no mount here: " + mounted.stderr.decode().strip())
    t.undo.append(lambda: subprocess.run(["umount", "-l", state], check=False))
    daemon = Daemon(t).ready()
    answer = refused(daemon, "large", 60000)
    expect(answer["ok"], False, "whether a batch larger than the disk is taken")
    expect_in("No space left on device", answer["sentence"], "the refusal")
    expect(daemon.submit("small", TRUE)["ok"], True, "whether a small one is taken")
    daemon.await_end("small")
    expect(batch_files(daemon), ["small.jsonl"], "batch files")
    filler = state / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    answer = refused(daemon, "next", 2)
    expect_in("are kept there for results: nothing more is queued", answer.get("sentence", ""),
              "the refusal of a small one")
    filler.unlink()
    expect(daemon.submit("next", TRUE, TRUE)["ok"], True, "whether it is taken when there is room")
    daemon.await_end("next")
    daemon.stop()
    ends = sorted((r["batch"], r["task"]) for r in t.ledger("task_end"))
    expect(ends, [("next", "t/0"), ("next", "t/1"), ("small", "t/0")], "ends")


@test("a ledger that is too large is compacted after the start; the queue stays as it is")
def _(t):
    daemon = Daemon(t).ready()
    expect(daemon.submit("night", *[TRUE] * 100, ["false"])["ok"], True, "answer")
    daemon.await_end("night")
    status = t.run("status", "night", "--json", "--socket", daemon.path).stdout
    daemon.stop()
    path = daemon.state / "ledger.jsonl"
    add_notes(path, 200)
    before = path.stat().st_size
    settings = t.folder / "registrar.conf"
    settings.write_text("[registrar]\nledger-size = 1M\n")
    settings.chmod(0o644)
    daemon = Daemon(t, "--config", settings).ready()
    t.wait_ledger(lambda r: r.get("text", "").startswith("compacted"))
    assert path.stat().st_size < before / 2, "it is not smaller"
    after = t.run("status", "night", "--json", "--socket", daemon.path).stdout
    expect(json.loads(after), json.loads(status), "status")
    expect(daemon.ask({"do": "retry", "batch": "night"})["ok"], True, "answer")
    t.wait_ledger(lambda r: r["event"] == "attempt_start" and r["attempt"] == 2)
    daemon.kill()
    Daemon(t, "--config", settings).ready().stop()
    expect_in("the ledger is compacted", (t.folder / "stderr").read_text(), "what it says")
    expect(t.run("ledger", "verify", path).returncode, 0, "verify")


@test("a ledger that grows too large while the service runs is compacted while it works")
def _(t):
    Daemon(t).ready().stop()
    path = t.out / "ledger.jsonl"
    add_notes(path, 60, 17000)  # so many are kept
    settings = t.folder / "registrar.conf"
    settings.write_text("[registrar]\nledger-size = 1M\n")
    settings.chmod(0o644)
    daemon = Daemon(t, "--config", settings).ready()
    assert "compacted" not in (t.folder / "stderr").read_text(), "there was nothing to gain"
    expect(daemon.submit("night", *[TRUE] * 300)["ok"], True, "answer")
    t.wait_ledger(lambda r: r.get("text", "").startswith("compacted"))
    expect(daemon.submit("next", TRUE, ["false"])["ok"], True, "answer")
    daemon.await_end("next")
    status = t.run("status", "next", "--json", "--socket", daemon.path).stdout
    expect_in("exit status 1", status, "the reason, from the new ledger")
    daemon.kill()
    expect(t.run("ledger", "verify", path).returncode, 0, "verify")
    daemon = Daemon(t, "--config", settings).ready()
    after = t.run("status", "next", "--json", "--socket", daemon.path).stdout
    expect(json.loads(after), json.loads(status), "status after a restart")
    daemon.stop()


run_tests()
