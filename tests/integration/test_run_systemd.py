#!/usr/bin/env python3
# timeout: 120
"""registrar run under systemd: the ways that plan advises lead to control groups, and no other does.
Needs systemd as pid 1, cgroup v2 and root, and for the user's own manager somebody in
REGISTRAR_TEST_USER; make check-system has them."""
import os
import pwd
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

DELEGATED = ["-p", "Delegate=yes"]
SCOPE = ["--scope"]
SERVICE = ["--wait", "--pipe", "-p", "User=nobody"]
FAKE = str(FAKE_WORKER)

# name, how it is started, the level, what plan says
WAYS = [
    ("scope", SCOPE + DELEGATED, "v2", "cgroup v2: each task has a memory group of its own"),
    ("service", SERVICE + DELEGATED, "v2", "cgroup v2: each task has a memory group of its own"),
    ("user's scope", ["--user", *SCOPE, *DELEGATED], "v2",
     "cgroup v2: each task has a memory group of its own"),
    ("user's bare scope", ["--user", *SCOPE], "none",
     "belongs to systemd and was not delegated; start it by "
     "`systemd-run --user --scope -p Delegate=yes registrar ...`"),
    ("bare scope", SCOPE, "none", "belongs to systemd and was not delegated; start it by "
                                  "`systemd-run --scope -p Delegate=yes registrar ...`"),
    ("bare service", SERVICE, "none", "is not ours to divide; start it by `systemd-run --user "
                                      "--scope -p Delegate=yes registrar ...`"),
]


def as_user():
    """What stands before a command of REGISTRAR_TEST_USER, whose own manager runs then."""
    name = os.environ.get("REGISTRAR_TEST_USER") or skip("REGISTRAR_TEST_USER is not set")
    uid = pwd.getpwnam(name).pw_uid
    subprocess.run(["systemctl", "start", f"user@{uid}.service"], check=True)
    return ["runuser", "-u", name, "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid}"]


def run_in_unit(options, *arguments):
    """registrar alone in a unit of its own."""
    before = as_user() if "--user" in options else []
    return subprocess.run(
        [*before, "systemd-run", "--quiet", *options, REGISTRAR, *map(str, arguments)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


for name, options, level, sentence in WAYS:
    @test(f"{name}: {level}")
    def _(t, options=options, level=level, sentence=sentence):
        if not Path("/run/systemd/system").exists() or os.geteuid() != 0:
            skip("needs systemd and root")
        if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
            skip("needs cgroup v2")
        t.folder.chmod(0o777)
        path = t.manifest({"id": "c/large", "command": [FAKE, "grow-200"], "memory": "64M"},
                          {"id": "c/small", "command": [FAKE, "grow-20"], "memory": "64M"})
        told = run_in_unit(options, "plan", "--manifest", path, "-o", t.out).stdout
        expect_in(sentence, " ".join(told.split()), "plan")
        ran = run_in_unit(options, "run", "--manifest", path, "-o", t.out, "--retries", 0)
        expect(ran.returncode, 1 if level == "v2" else 0, f"exit status: {ran.stderr}")
        expect(t.ledger("batch")[0]["cgroup"]["level"], level, "the batch record")
        expect(t.task("c/large")["verdict"], "oom-limit" if level == "v2" else "ok", "verdict")
        expect(t.task("c/small")["verdict"], "ok", "the other one")
        expect(t.leftovers(), [], "processes left")


run_tests()
