#!/usr/bin/env python3
# timeout: 480
"""registrar run when memory is short: second chances after an out-of-memory death, and the watch
that makes room before the kernel does. Needs a control group that may be divided
(tests/lib/cgroups.py)."""
import ctypes
import os
import select
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from cgroups import make_group
from worker_run import NARROW, PAIR, STAGES, pair

MIB = 1 << 20
FAKE = str(FAKE_WORKER)
SANITIZED = b"__asan_init" in REGISTRAR.read_bytes()  # its shadow memory counts


def in_group(t, limit=None):
    if SANITIZED:
        skip("a sanitized program does not fit these limits")
    group = make_group(t, limit)
    t.preexec = group.enter
    return group


def expect_reserved(t, task_id, *wanted_mib):
    """A peak, and with it the next reservation, is some pages above the limit that it met."""
    got = [record["reserved_bytes"] for record in t.ledger("attempt_start")
           if record["task"] == task_id]
    expect([bytes // (8 * MIB) * 8 for bytes in got], list(wanted_mib), "reservations, in MiB")


def expect_gone(t, group):
    expect(group.leftovers(), [], "groups left")
    expect(t.leftovers(), [], "processes left")


@test("out of memory: again with a larger reservation, which may exceed what is declared")
def _(t):
    group = in_group(t)
    path = t.manifest({"id": "c/more", "command": [FAKE, "grow-80"], "memory": "64M"},
                      {"id": "c/fits", "command": [FAKE, "grow-20"], "memory": "64M"})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory", "300M", "--jobs", 2)
    expect(ran.returncode, 0, "exit status")
    expect(t.attempts("c/more"), ["oom-limit", "ok"], "verdicts")
    expect_reserved(t, "c/more", 64, 96)
    expect_in(" MiB (the manifest declares 64 MiB)", ran.stderr)
    first = next(end for end in t.ledger("attempt_end") if end["verdict"] == "oom-limit")
    second = [start for start in t.ledger("attempt_start") if start["task"] == "c/more"][1]
    expect(first["evidence"]["next"],
           {"step": "larger", "reserved_bytes": second["reserved_bytes"]}, "evidence")
    expect_gone(t, group)


@test("out of memory twice: alone, with all that the batch may use")
def _(t):
    group = in_group(t)
    path = t.manifest({"id": "c/most", "command": [FAKE, "grow-200"], "memory": "64M"},
                      *({"id": f"c/{i}", "command": [FAKE, "grow-20"], "memory": "64M"}
                        for i in range(4)))
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory", "300M", "--jobs", 3)
    expect(ran.returncode, 0, "exit status")
    expect(t.attempts("c/most"), ["oom-limit", "oom-limit", "ok"], "verdicts")
    expect_reserved(t, "c/most", 64, 96, 296)
    expect_in("; trying again alone, with all 300 MiB", ran.stderr)
    expect(t.task("c/most").get("reason") or "", "", "the last time alone it was enough")
    running, alone = set(), False
    for record in t.ledger():
        if record["event"] == "attempt_start":
            running.add(record["task"])
            if record["reserved_bytes"] == 300 * MIB:
                expect(running, {"c/most"}, "what runs beside it")
                alone = True
            else:
                assert not alone or "c/most" not in running, record
        elif record["event"] == "attempt_end":
            running.discard(record["task"])
    assert alone
    expect_gone(t, group)


@test("out of memory alone, too: failed, with the story; the same without second chances")
def _(t):
    group = in_group(t)
    path = t.manifest({"id": "c/never", "command": [FAKE, "grow-400"], "memory": "64M"},
                      {"id": "c/crash", "command": [FAKE, "signal-11"], "memory": "64M"})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory", "300M", "--jobs", 1)
    expect(ran.returncode, 1, "exit status")
    expect(t.attempts("c/never"), ["oom-limit"] * 3, "verdicts")
    expect(t.attempts("c/crash"), ["crashed"] * 2, "--retries 1 is another count")
    expect_in("it ran out of memory 3 times, the last time alone, with all 300 MiB",
              t.task("c/never")["reason"], "reason")
    t.out = t.folder / "once"
    ran = t.run("run", "--manifest", path, "-o", t.out, "--memory", "300M", "--retries", 0)
    expect(ran.returncode, 1, "exit status")
    expect(t.attempts("c/never"), ["oom-limit"], "verdicts")
    expect_gone(t, group)


HOG = """
import pathlib, select, sys
folder, left, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
is_v1 = (folder / "memory.usage_in_bytes").exists()
def room():
    usage = int((folder / ("memory.usage_in_bytes" if is_v1 else "memory.current")).read_text())
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    inactive, active = (int(stat[("total_" if is_v1 else "") + name])
                        for name in ("inactive_file", "active_file"))
    return limit - usage + inactive + active // 2
held = []
while room() > left:
    held.append(b"x" * (1 << 20))
print("full", flush=True)
if len(sys.argv) > 4:  # and reads a file that does not fit beside it again and again
    file = open(sys.argv[4], "rb", buffering=0)
    while not select.select([sys.stdin], [], [], 0)[0]:
        file.seek(0)
        while file.read(1 << 20):
            pass
sys.stdin.readline()
"""


class Hog:
    """Another user of the group, in one below it (v2 wants that once registrar has divided it): takes
    all but so much of it, until let go of."""

    def __init__(self, t, group, left_mib, limit, *file):
        self.folder = group.folder / "other"
        self.folder.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOG, group.folder, str(left_mib * MIB), str(limit), *file],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=lambda: (self.folder / "cgroup.procs").write_text("0"))
        t.processes.append(self.process)
        expect(self.process.stdout.readline(), b"full\n", "the hog")

    def let_go(self):
        self.process.communicate(b"\n")
        self.folder.rmdir()


def is_stop(record):
    return record["event"] == "attempt_end" and \
        record["evidence"].get("stopped_for") == "memory-pressure"


@test("others take the memory: nothing new starts, the youngest stops and continues later")
def _(t):
    limit = 400 * MIB
    group = in_group(t, limit)
    t.pair("S1", "gate")
    t.pair("S2", "first-polite")
    t.pair("S3", "ok")
    process = t.start("run", t.raw, "-o", t.out, "--jobs", 2, "--force")
    t.wait_worker("polite")
    hog = Hog(t, group, 12, limit)
    end = t.wait_ledger(is_stop)
    expect((end["task"], end["verdict"]), ("S2/first-polite", "cancelled"), "who was stopped")
    expect_in("stopped at a checkpoint because memory ran short: ", end["reason"], "reason")
    expect_in(" left of 400 MiB, in stage ", end["reason"], "reason")
    expect_in("; it continues when there is room", end["reason"], "reason")
    expect([record["task"] for record in t.ledger("attempt_start")],
           ["S1/gate", "S2/first-polite"], "what was started")
    hog.let_go()
    t.wait_ledger(lambda record: record["event"] == "task_end" and record["task"] == "S3/ok")
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    expect(t.attempts("S1/gate"), ["ok"], "the older one")
    expect(t.attempts("S2/first-polite"), ["cancelled", "ok"], "verdicts")
    told = (t.folder / "stderr").read_text()
    expect(told.count(": nothing new is started"), 1, "notices")
    expect(told.count(": S2/first-polite stops at its checkpoint and continues when"), 1, "notices")
    expect(told.count("there is memory again: the batch continues"), 1, "notices")
    note = next(record["text"] for record in t.ledger("note") if "runs short" in record["text"])
    expect_in("; others have: python", note, "the ledger's note: only they are in the group")
    expect(note.count("; others have: "), 1, "who is told")
    assert ", " not in note.split("; others have: ")[1], note
    told = " ".join((t.folder / "stdout").read_text().split())
    expect_in("memory ran short 1 time, at worst ", told, "summary")
    expect_in(" were left; 1 time a task gave way to be done later. Others had: ", told, "summary")
    expect_gone(t, group)


def wait_file(path):
    """Until it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with changes_in(path.parent) as changed:
        while not path.exists():
            assert select.select([changed], [], [], 4 * WAIT_S)[0], f"{path} never came"
            changed.read()


@test("a real worker that gave way continues: what it had finished is not done again")
def _(t):
    limit = 400 * MIB
    group = in_group(t, limit)
    t.use_real_worker()
    images = pair(*PAIR, size=(1800, 1500))
    path = t.manifest({"id": "S/first", "command": [FAKE, "gate"], "memory": "64M"},
                      {"id": "S/D", "pre": str(images.pre), "post": str(images.post),
                       "params": NARROW})
    process = t.start("run", "--manifest", path, "-o", t.out, "--jobs", 2)
    t.wait_worker("gate")
    wait_file(t.out / "S/D/checkpoints/search.json")
    hog = Hog(t, group, 12, limit)
    end = t.wait_ledger(is_stop)
    expect((end["task"], end["evidence"]["exit_status"]), ("S/D", 75), "the end at a checkpoint")
    finished = [stage for stage in STAGES
                if (t.out / f"S/D/checkpoints/{stage}.json").exists()]
    expect(finished[:3], STAGES[:3], "finished stages")
    hog.let_go()
    t.wait_ledger(lambda record: record["event"] == "task_end" and record["task"] == "S/D",
                  timeout_s=10 * WAIT_S)
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    expect(t.attempts("S/D"), ["cancelled", "ok"], "verdicts")
    stages = json.loads((t.out / "S/D/result.json").read_text())["stages"]
    expect([stage["stage"] for stage in stages if stage["resumed"]][:len(finished)], finished,
           "stages taken over")
    expect_gone(t, group)


class StallWitness:
    """Our own trigger beside registrar's, for three times as much: whether there is anything to be
    told of depends on how fast this machine reads."""

    def __init__(self, group):
        own = group.folder / "memory.pressure"
        try:
            self.fd = os.open(own if own.exists() else "/proc/pressure/memory", os.O_RDWR)
            os.write(self.fd, b"some 450000 2000000\0")
        except OSError as error:
            skip(f"no memory stall events: {error.strerror}")

    def wait(self):
        poll = select.poll()
        poll.register(self.fd, select.POLLPRI)
        if not poll.poll(30_000):
            skip("this machine reads too fast to stall")
        os.close(self.fd)


@test("the kernel tells of stalls: nothing new starts before memory is all gone")
def _(t):
    limit = 400 * MIB
    group = in_group(t, limit)
    witness = StallWitness(group)
    large = t.folder / "large"
    with open(large, "wb") as file:
        for _ in range(250):
            file.write(bytes(MIB))
        file.flush()
        os.fsync(file.fileno())  # whoever reads it first has it as page cache: not we
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    t.pair("S1", "gate")
    process = t.start("run", t.raw, "-o", t.out, "--jobs", 1, "--force")
    t.wait_worker("gate")
    hog = Hog(t, group, 110, limit, large)
    witness.wait()
    note = t.wait_ledger(lambda record: "runs short" in record.get("text", ""))
    left = int(note["text"].split("runs short, ")[1].split(" MiB")[0])
    assert 32 < left < 128, note
    hog.let_go()
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    expect(t.attempts("S1/gate"), ["ok"], "the only one")
    expect_gone(t, group)


def hide_pressure():
    """No stall events to be seen, as with a kernel that has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    private, mine = 0x44000, 0x20000  # MS_REC | MS_PRIVATE, CLONE_NEWNS
    if libc.unshare(mine) < 0 or libc.mount(b"none", b"/", None, private, None) < 0 or \
       libc.mount(b"none", b"/proc/pressure", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "no mount namespace")


@test("without stall events the memory available is watched, and plan says so")
def _(t):
    if os.geteuid() != 0 or not os.path.isdir("/proc/pressure"):
        skip("needs root and /proc/pressure")
    limit = 400 * MIB
    group = in_group(t, limit)
    t.preexec = lambda: (group.enter(), hide_pressure())
    t.pair("S1", "gate")
    t.pair("S2", "first-polite")
    told = " ".join(t.run("plan", t.raw, "-o", t.out).stdout.split())
    if group.level == "v1":  # v2 has the group's own
        expect_in("; no memory stall events (/proc/pressure/memory: this kernel, or container, has "
                  "none), so that only the memory available is watched", told, "plan")
    process = t.start("run", t.raw, "-o", t.out, "--jobs", 2)
    t.wait_worker("polite")
    hog = Hog(t, group, 12, limit)
    expect(t.wait_ledger(is_stop)["task"], "S2/first-polite", "who was stopped")
    hog.let_go()
    t.wait_ledger(lambda record: record["event"] == "task_end")
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    expect_gone(t, group)


run_tests()
