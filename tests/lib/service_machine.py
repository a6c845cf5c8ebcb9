"""The installed service on a machine of its own, as tests in tests/system/service use it: commands as
some user, batches, and what the ledger has of them. Waiting is reading the ledger as it grows."""
import json
import os
import subprocess
from pathlib import Path

from registrar_test import expect

__all__ = ["LEDGER", "ends", "expect_all_once", "folder_of", "main_pid", "many", "needs_own_machine",
           "property_of", "records", "sh", "submit", "wait_batch", "wait_ends", "wait_start"]

WAIT_S = 30 * float(os.environ.get("TIMEOUT_FACTOR", "1"))
LEDGER = Path("/var/lib/registrar/ledger.jsonl")


def sh(*words, user=None, check=True):
    """A command as root or as that user, to its end."""
    before = ["runuser", "-u", user, "--"] if user else []
    ran = subprocess.run([*before, *map(str, words)], capture_output=True, text=True, cwd="/",
                         stdin=subprocess.DEVNULL, timeout=WAIT_S, check=False)
    if check:
        assert ran.returncode == 0, f"{words} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
    return ran


def property_of(name):
    return sh("systemctl", "show", "-P", name, "registrar.service").stdout.strip()


def main_pid():
    return int(property_of("MainPID"))


def records(event=None, batch=None):
    lines = LEDGER.read_bytes().split(b"\n")[:-1]
    found = [json.loads(line) for line in lines if line.strip(b"\0")]
    return [record for record in found if event in (None, record["event"]) and
            batch in (None, record.get("batch"))]


def ends(batch):
    """Verdicts of each task, in order: one per end that the ledger has."""
    found = {}
    for record in records("task_end", batch):
        found.setdefault(record["task"], []).append(record["verdict"])
    return found


def wait_ends(batch, count):
    """Returns as soon as the ledger has so many ends of the batch's tasks."""
    tail = subprocess.Popen(["tail", "-n", "+1", "-F", LEDGER], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    try:
        for line in tail.stdout:
            record = json.loads(line.strip(b"\0") or b"{}")
            count -= record.get("event") == "task_end" and record.get("batch") == batch
            if count <= 0:
                return
    finally:
        tail.kill()
        tail.wait()


def folder_of(user):
    home = Path("/home") / user / "work"
    if not home.exists():
        sh("mkdir", home, user=user)
    return home


def submit(user, name, *tasks, options=()):
    """Hands the tasks in as that user. Returns the batch's output folder."""
    home = folder_of(user)
    path = home / f"{name}.json"
    path.write_text(json.dumps({"tasks": list(tasks)}))
    path.chmod(0o644)
    ran = sh("registrar", "submit", "--manifest", path, "-o", home / name, "--name", name, *options,
             user=user, check="--wait" not in options)
    return home / name if "--wait" not in options else (home / name, ran)


def many(count):
    """Tasks of half a second that say when they were done."""
    return [{"id": f"t{n:02}", "command": ["sh", "-c", f"sleep 0.5; echo t{n:02} >>../done"]}
            for n in range(count)]


def wait_batch(user, name, out):
    """The same batch once more: nothing is queued twice, and its end is waited for."""
    ran = sh("registrar", "submit", "--manifest", folder_of(user) / f"{name}.json", "-o", out,
             "--wait", user=user, check=False)
    expect(ran.returncode, 0, f"end of {name}: {ran.stderr}")


def expect_all_once(name, count):
    found = ends(name)
    expect(len(found), count, f"tasks of {name} that came to an end")
    expect([task for task, verdicts in found.items() if verdicts != ["ok"]], [],
           f"tasks of {name} that ended otherwise than once, and well")


def wait_start(batch):
    tail = subprocess.Popen(["tail", "-n", "+1", "-F", LEDGER], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    try:
        for line in tail.stdout:
            record = json.loads(line.strip(b"\0") or b"{}")
            if record.get("event") == "attempt_start" and record.get("batch") == batch:
                return
    finally:
        tail.kill()
        tail.wait()


def needs_own_machine():
    """Skips the whole program elsewhere."""
    if "REGISTRAR_TEST_OWN_MACHINE" not in os.environ:
        print("1..0 # SKIP needs a machine that may be reset: make check-system")
        raise SystemExit(0)
