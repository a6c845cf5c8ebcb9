#!/usr/bin/env python3
# timeout: 120
"""What the service runs when something has happened: a batch's own --on-finish, and on-failure and
on-batch-end of registrar.conf."""
import os
import socket
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

WAIT_S = 30 * float(os.environ.get("TIMEOUT_FACTOR", "1"))


def serve(t, settings):
    """A daemon with these settings, that is ready."""
    config = t.folder / "registrar.conf"
    config.write_text(settings)
    config.chmod(0o644)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.settimeout(WAIT_S)
    manager.bind(str(t.folder / "notify"))
    t.undo.append(manager.close)
    t.env["NOTIFY_SOCKET"] = str(t.folder / "notify")
    t.env["REGISTRAR_SOCKET"] = str(t.folder / "socket")
    process = t.start("daemon", "--state-dir", t.folder / "state", "--socket", t.folder / "socket",
                      "--config", config)
    while b"READY=1" not in manager.recv(65536):
        pass
    return process


def submit(t, *arguments, tasks):
    path = t.manifest(*tasks)
    return t.run("submit", "--manifest", path, "-o", t.out, "--name", "night", "--wait", *arguments)


def wait_note(t, beginning):
    """The note that begins so, as soon as the service's ledger has it."""
    t.out, kept = t.folder / "state", t.out
    record = t.wait_ledger(lambda record: record["event"] == "note" and
                           record["text"].startswith(beginning))
    t.out = kept
    return record["text"]


@test("--on-finish gets the summary, in the batch's folder, and what it prints is kept there")
def _(t):
    serve(t, "")
    ran = submit(t, "--on-finish", "cat >got.json; echo \"$REGISTRAR_EVENT of $REGISTRAR_BATCH\"",
                 tasks=[{"id": "a", "command": ["true"]}, {"id": "b", "command": ["false"]}])
    expect(ran.returncode, 1, f"exit status: {ran.stderr}")
    wait_note(t, "on-finish of night ended well after ")
    got = json.loads((t.out / "got.json").read_text())
    expect({row["id"]: row["verdict"] for row in got["tasks"]}, {"a": "ok", "b": "failed"}, "tasks")
    expect(got["counts"], {"ok": 1, "failed": 1}, "counts")
    expect((got["event"], got["batch"], got["out"]), ("on-finish", "night", str(t.out)), "the rest")
    expect((t.out / "on-finish.log").read_text(), "on-finish of night\n", "its log")


@test("on-failure for each task that failed for good, on-batch-end once")
def _(t):
    said = t.folder / "said"
    serve(t, f"on-failure = cat >{t.folder}/failure.json\n"
             f"on-batch-end = echo $REGISTRAR_BATCH >>{said}\n")
    submit(t, tasks=[{"id": "a", "command": ["true"]}, {"id": "b", "command": ["sh", "-c", "exit 7"]}])
    wait_note(t, "on-failure of night ended well after ")
    wait_note(t, "on-batch-end of night ended well after ")
    got = json.loads((t.folder / "failure.json").read_text())
    expect([(row["id"], row["verdict"]) for row in got["tasks"]], [("b", "failed")], "the task")
    expect_in("exit status 7", got["tasks"][0]["reason"], "reason")
    expect(said.read_text(), "night\n", "on-batch-end")


@test("one that does not end is ended after hook-timeout, and the service goes on")
def _(t):
    serve(t, "on-batch-end = sleep 1000\nhook-timeout = 10ms\n")
    submit(t, tasks=[{"id": "a", "command": ["true"]}])
    wait_note(t, "on-batch-end of night was ended: it had not come to its end after ")
    ran = t.run("status", "night", "--json")
    expect(json.loads(ran.stdout)["counts"], {"ok": 1}, "counts")


run_tests()
