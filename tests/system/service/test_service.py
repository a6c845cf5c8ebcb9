#!/usr/bin/env python3
# timeout: 90
"""The service on a machine of its own, under systemd: installed, used by two people, and then
restarted, killed and stopped in mid-batch."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from registrar_test import *
from service_machine import *

DROP_IN = Path("/etc/systemd/system/registrar.service.d/test.conf")
IS_V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()

needs_own_machine()


@test("install: the unit starts, is ready, and says so in a sentence")
def _(t):
    sh("cp", "-aT", "/registrar/root", "/")
    sh("systemd-sysusers")
    sh("systemd-tmpfiles", "--create", "registrar.conf")
    sh("systemctl", "daemon-reload")
    sh("systemctl", "enable", "--now", "registrar.socket", "registrar.service")
    expect(property_of("ActiveState"), "active", "state")
    assert property_of("StatusText"), "no status sentence"
    expect_in("registrar-admin:", sh("getent", "group", "registrar-admin").stdout)
    expect(sh("stat", "-c", "%U %a", "/var/lib/registrar").stdout, "root 700\n", "state folder")
    doctor = json.loads(sh("registrar", "doctor", "--json", check=False).stdout)
    wrong = {row["name"] for row in doctor["checks"] if not row["ok"]}
    assert wrong <= {"clock", "journal", "landlock", "state folder"}, doctor


@test("a user's own service, under his own service manager")
def _(t):
    uid = sh("id", "-u", "ada").stdout.strip()
    sh("systemctl", "start", f"user@{uid}.service")
    own = ["env", f"XDG_RUNTIME_DIR=/run/user/{uid}"]
    sh(*own, "systemctl", "--user", "start", "registrar.service", user="ada")
    path = folder_of("ada") / "own.json"
    path.write_text(json.dumps({"tasks": [{"id": "t", "command": ["cat", "/proc/self/cgroup"]}]}))
    socket = f"/run/user/{uid}/registrar/socket"
    sh("registrar", "submit", "--manifest", path, "-o", path.parent / "own", "--socket", socket,
       "--wait", user="ada")
    said = (path.parent / "own" / "t" / "log.txt").read_text()
    expect_in(f"user@{uid}.service", said, "its control group")
    own_ledger = Path("/home/ada/.local/state/registrar/ledger.jsonl").read_text().splitlines()
    starts = [record["cgroup"] for record in map(json.loads, own_ledger) if "cgroup" in record]
    expect((starts[0]["level"], "/task-" in said), ("v2", True) if IS_V2 else ("none", False),
           f"limits: {starts[0]['text']}")  # v1 cannot be handed to a user safely
    expect(records("batch", "own"), [], "what the system's service knows of it")
    refused = sh("registrar", "status", "--socket", socket, user="ben", check=False)
    assert refused.returncode != 0, "ben came to ada's own service"
    sh(*own, "systemctl", "--user", "stop", "registrar.service", user="ada")
    sh("systemctl", "stop", f"user@{uid}.service")


@test("tasks run as their own users, in control groups of their own, without what the daemon has")
def _(t):
    script = ("id -u; id -un; id -Gn; sed -nE 's/^(0:|[0-9]+:memory)://p' /proc/self/cgroup | "
              "grep registrar; "
              "sed -n 's/NoNewPrivs:.//p' /proc/self/status; echo \"$HOME ${NOTIFY_SOCKET-none}\"")
    for user in ("ada", "ben"):
        out, ran = submit(user, f"who-{user}", {"id": "who", "command": ["sh", "-c", script]},
                          options=["--wait"])
        expect(ran.returncode, 0, f"exit status: {ran.stderr}")
        said = (out / "who" / "log.txt").read_text().splitlines()[1:]
        uid = sh("id", "-u", user).stdout.strip()
        expect(said[:3], [uid, user, user], "who ran it")
        assert "/registrar.service/" in said[3] and "/task-" in said[3], said[3]
        expect(said[4:], ["1", f"/home/{user} none"], "no new privileges, home, environment")
        expect(sh("stat", "-c", "%U", out / "who" / "log.txt", out / "summary.json").stdout,
               f"{user}\n{user}\n", "owner of what was written")


@test("a task over its limit is oom-limit, and the daemon lives")
def _(t):
    before = main_pid()
    out, ran = submit("ada", "hog",
                      {"id": "hog", "command": [str(FAKE_WORKER), "grow-200"], "memory": "64M"},
                      {"id": "small", "command": ["true"]}, options=["--retries", "0", "--wait"])
    expect(ran.returncode, 1, f"exit status: {ran.stderr}")
    expect(ends("hog"), {"hog": ["oom-limit"], "small": ["ok"]}, "verdicts")
    expect((main_pid(), property_of("NRestarts")), (before, "0"), "the daemon")
    expect(json.loads((out / "summary.json").read_text())["counts"], {"ok": 1, "oom-limit": 1},
           "summary.json")


@test("the journal can be asked for a task's verdict")
def _(t):
    said = sh("journalctl", "-o", "json", "-u", "registrar", "TASK=hog", "BATCH=hog").stdout
    record = json.loads(said.splitlines()[-1])
    expect((record["VERDICT"], record["USER"]), ("oom-limit", "ada"), "fields")


@test("one user sees the other's batch, and can neither cancel it nor read its logs; an admin can")
def _(t):
    out = submit("ada", "private", {"id": "wait", "command": ["sh", "-c", "echo secret; sleep 600"]})
    wait_start("private")
    expect_in("private", sh("registrar", "status", user="ben").stdout, "what ben sees")
    refused = sh("registrar", "cancel", "private", user="ben", check=False)
    assert refused.returncode != 0, "ben cancelled ada's batch"
    expect_in("belongs to ada", refused.stderr, "what ben is told")
    out.parent.parent.chmod(0o755)
    logs = sh("registrar", "logs", "private/wait", user="ben", check=False)
    logs_too = sh("registrar", "logs", "wait", user="ben", check=False)
    assert logs.returncode != 0 and logs_too.returncode != 0, "ben read ada's log"
    assert "secret" not in logs.stdout + logs_too.stdout, "ben read ada's log"
    expect(ends("private"), {}, "ends of the batch")
    sh("usermod", "-aG", "registrar-admin", "ben")
    try:
        sh("registrar", "cancel", "private", user="ben")
    finally:
        sh("gpasswd", "-d", "ben", "registrar-admin")
    wait_ends("private", 1)
    expect(ends("private"), {"wait": ["cancelled"]}, "ends of the batch")
    by = [record["by"] for record in records("batch", "private") if record["state"] == "cancel"]
    expect(by, ["ben"], "who cancelled it, by the ledger")


@test("nobody writes through the service where he may not write himself")
def _(t):
    ada = folder_of("ada")
    theirs, roots = ada / "notes", Path("/etc/registrar-notes")
    for path in (theirs, roots):
        path.write_text("untouched")
        path.chmod(0o644)
    home = folder_of("ben")
    refused = sh("registrar", "submit", "--manifest", ada / "hog.json", "-o", ada / "ben",
                 user="ben", check=False)
    expect(refused.returncode, 2, "a folder of ada's as output")
    for name, target in (("through-ada", theirs), ("through-root", roots)):
        sh("mkdir", "-p", home / name / "t", user="ben")
        sh("ln", "-s", target, home / name / "t" / "log.txt", user="ben")
        sh("ln", "-s", target, home / name / "summary.json", user="ben")
        submit("ben", name, {"id": "t", "command": ["echo", "mine"]}, options=["--wait"])
        expect(target.read_text(), "untouched", str(target))


@test("systemctl restart in mid-batch: the queue goes on by itself")
def _(t):
    out = submit("ada", "restarted", *many(24))
    wait_ends("restarted", 3)
    before = main_pid()
    sh("systemctl", "restart", "registrar.service")
    assert main_pid() != before, "not restarted"
    wait_ends("restarted", 24)
    expect_all_once("restarted", 24)
    wait_batch("ada", "restarted", out)


@test("SIGKILL of the daemon in mid-batch: systemd starts it again, and the queue goes on")
def _(t):
    out = submit("ben", "killed", *many(24))
    wait_ends("killed", 3)
    before = main_pid()
    sh("systemctl", "kill", "--kill-who=main", "-s", "KILL", "registrar.service")
    wait_gone(before)
    wait_ends("killed", 24)
    expect_all_once("killed", 24)
    wait_batch("ben", "killed", out)
    verify = sh("registrar", "ledger", "verify", LEDGER)
    expect_in("no damage", verify.stdout)


@test("a daemon that is stopped is restarted by the watchdog")
def _(t):
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text("[Service]\nWatchdogSec=10\nTimeoutAbortSec=5\n")
    sh("systemctl", "daemon-reload")
    sh("systemctl", "restart", "registrar.service")
    submit("ada", "stopped", *many(6))
    wait_ends("stopped", 1)
    before = main_pid()
    os.kill(before, signal.SIGSTOP)
    wait_gone(before)
    wait_ends("stopped", 6)
    expect_all_once("stopped", 6)
    expect_in("watchdog", sh("journalctl", "-u", "registrar.service").stdout.lower(), "the journal")
    DROP_IN.unlink()
    sh("systemctl", "daemon-reload")
    sh("systemctl", "restart", "registrar.service")


run_tests()
