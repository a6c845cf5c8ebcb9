#!/usr/bin/env python3
# timeout: 180
"""registrar run in control groups: limits, what tells an out-of-memory kill from another, and that
no group is left. Needs a group that may be divided (tests/lib/cgroups.py)."""
import os
import shlex
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from cgroups import hide_cgroups, make_group
from refused_calls import refuse_call

MIB = 1 << 20
SLOWNESS = float(os.environ.get("TIMEOUT_FACTOR", "1"))
FAKE = str(FAKE_WORKER)
SANITIZED = b"__asan_init" in REGISTRAR.read_bytes()  # its shadow memory counts


def end_of(t, task_id):
    return [record for record in t.ledger("attempt_end") if record["task"] == task_id][-1]


def start_of_batch(t):
    return next(record for record in t.ledger("batch") if record["state"] == "start")


def in_group(t, limit=None, is_tight=True):
    if SANITIZED and is_tight:
        skip("a sanitized program does not fit these limits")
    group = make_group(t, limit)
    t.preexec = group.enter
    return group


def expect_gone(t, group):
    expect(group.leftovers(), [], "groups left")
    expect(t.leftovers(), [], "processes left")


def hold(mib, seconds):
    """For the shell: a process that holds so much for a while."""
    code = f"import signal; x = b'x' * ({mib} << 20); signal.sigtimedwait([12], {seconds})"
    return shlex.join(["python3", "-c", code])


@test("plan and the ledger say which level holds, in one line")
def _(t):
    group = in_group(t, is_tight=False)
    path = t.manifest({"id": "c/ok", "command": ["true"]})
    line = f"Limits: cgroup {group.level}: each task has a memory group of its own"
    expect_in(line, t.run("plan", "--manifest", path, "-o", t.out).stdout.splitlines(), "plan")
    limits = json.loads(t.run("plan", "--manifest", path, "-o", t.out, "--json").stdout)["limits"]
    expect(limits["level"], group.level, "plan --json")
    expect(t.run("run", "--manifest", path, "-o", t.out).returncode, 0, "exit status")
    told = start_of_batch(t)["cgroup"]
    expect(told["level"], group.level, "the batch record")
    assert told["folder"].startswith(f"{group.folder}/registrar-"), told
    expect_gone(t, group)


@test("a task that meets its own limit is oom-limit, and so is one that lost a process to it")
def _(t):
    group = in_group(t)
    path = t.manifest(
        {"id": "c/one", "command": [FAKE, "grow-200"], "memory": "64M"},
        {"id": "c/child", "command": ["sh", "-c", f"{FAKE} grow-200; exit 7"], "memory": "64M"},
        {"id": "c/made-up", "command": ["sh", "-c", f"{FAKE} grow-200; exit 0"], "memory": "64M"},
        {"id": "c/sum", "memory": "100M", "command": [
            "sh", "-c", f"{hold(60, 9)} & one=$!; {hold(60, 9)} & wait $one && wait $!"]},
        {"id": "c/fits", "command": [FAKE, "grow-200"], "memory": "256M"})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--retries", 0, "--jobs", 2, timeout_s=90 * SLOWNESS)
    expect(ran.returncode, 1, "exit status")
    expect(t.task("c/one")["verdict"], "oom-limit", "c/one")
    expect_in("the kernel killed it at its memory limit of 64 MiB", t.task("c/one")["reason"])
    evidence = end_of(t, "c/one")["evidence"]["cgroup"]
    expect((evidence["level"], evidence["limit_bytes"]), (group.level, 64 * MIB), "evidence")
    assert evidence["oom_after"] > evidence["oom_before"], evidence
    assert evidence["oom_kill_after"] > evidence["oom_kill_before"], evidence
    expect(t.task("c/child")["verdict"], "oom-limit", "c/child")
    expect(t.task("c/sum")["verdict"], "oom-limit", "c/sum")
    if group.level == "v1":  # the group is not killed as a whole
        expect_in("killed a process of it at its memory limit of 64 MiB; it then exited with "
                  "status 7", t.task("c/child")["reason"])
        expect(t.task("c/made-up")["verdict"], "ok", "it made up for it")
    expect(t.task("c/fits")["verdict"], "ok", "c/fits")
    expect_gone(t, group)


@test("files that are read and written do not count")
def _(t):
    group = in_group(t, is_tight=False)
    big = t.folder / "big"
    path = t.manifest({"id": "c/files", "memory": "32M", "command": [
        "sh", "-c", f"dd if=/dev/zero of={big} bs=1M count=200 2>&1; cat {big} > /dev/null; "
                    f"rm {big}"]})
    expect(t.run("run", "--manifest", path, "-o", t.out).returncode, 0, "exit status")
    end = end_of(t, "c/files")
    if group.level == "v2":  # v1 lets nobody wait who writes faster than the disk: tried again
        expect(end["evidence"]["cgroup"]["oom_kill_after"], 0, "kills")
    assert end["peak_rss_bytes"] < 16 * MIB, end["peak_rss_bytes"]
    expect_gone(t, group)


@test("a group above that is full is the machine's shortage, not the task's")
def _(t):
    group = in_group(t, limit=100 * MIB)
    path = t.manifest({"id": "c/large", "command": [FAKE, "grow-300"], "memory": "1G"},
                      {"id": "c/small", "command": [FAKE, "grow-20"], "memory": "64M"})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--retries", 0, "--force", "--jobs", 1)
    expect(ran.returncode, 1, "exit status")
    expect(t.task("c/large")["verdict"], "oom-machine", "verdict")
    expect_in("the machine, or a control group above, ran out of memory", t.task("c/large")["reason"])
    expect(t.task("c/small")["verdict"], "ok", "the next one")
    expect_gone(t, group)


@test("peak memory is what was allocated, of several processes too")
def _(t):
    group = in_group(t)
    one = hold(60, 3 * SLOWNESS)
    several = f"{one} & {one} & {one} & wait"
    alone = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    python = int(subprocess.run(["python3", "-c", alone], capture_output=True, check=True).stdout)
    path = t.manifest(*({"id": f"c/{mib}", "command": [FAKE, f"grow-{mib}"], "memory": "500M"}
                        for mib in (20, 100, 400)),
                      {"id": "c/several", "command": ["sh", "-c", several], "memory": "500M"})
    expect(t.run("run", "--manifest", path, "-o", t.out, "--jobs", 1).returncode, 0, "exit status")
    for mib in (20, 100, 400):
        peak = t.task(f"c/{mib}")["peak_rss_bytes"]
        assert 0 <= peak - mib * MIB <= max(4 * MIB, mib * MIB // 100), f"{mib}: {peak}"
    peak = t.task("c/several")["peak_rss_bytes"]
    assert 180 * MIB <= peak <= 180 * MIB + 3 * python * 1024 + 4 * MIB, peak
    expect_gone(t, group)


@test("with clone3 refused a task writes itself into its group")
def _(t):
    group = in_group(t)

    def prepare():
        group.enter()
        refuse_call(435)  # clone3
    t.preexec = prepare
    path = t.manifest({"id": "c/large", "command": [FAKE, "grow-200"], "memory": "64M"},
                      {"id": "c/orphan", "command": [FAKE, "bare-orphan"], "memory": "64M"},
                      {"id": "c/where", "command": ["cat", "/proc/self/cgroup"]})
    ran = t.run("run", "--manifest", path, "-o", t.out, "--retries", 0)
    expect(ran.returncode, 1, "exit status")
    expect(t.task("c/large")["verdict"], "oom-limit", "verdict")
    expect_in("/task-", (t.out / "c/where/log.txt").read_text(), "its group")
    expect_gone(t, group)


def be_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


@test("without control groups everything works but the limit, and plan says what is missing")
def _(t):
    if os.geteuid() != 0:
        skip("needs root")
    t.folder.chmod(0o777)
    (t.folder / "events").chmod(0o666)
    path = t.manifest({"id": "c/large", "command": [FAKE, "grow-200"], "memory": "64M"},
                      {"id": "c/orphan", "command": [FAKE, "bare-orphan"]},
                      {"id": "c/killed", "command": ["sh", "-c", "kill -9 $$"]})
    for name, prepare, why in (
            ("hidden", hide_cgroups, "no cgroup file system that shows our control group"),
            ("nobody", be_nobody, "is not ours to divide; start")):
        t.preexec = prepare
        t.out = t.folder / name
        told = t.run("plan", "--manifest", path, "-o", t.out).stdout
        expect_in("Limits: no limits by the kernel: ", told, name)
        expect_in(why, " ".join(told.split()), name)
        ran = t.run("run", "--manifest", path, "-o", t.out, "--retries", 0, "--jobs", 1)
        expect(ran.returncode, 1, f"exit status, {name}")
        expect({task["id"]: task["verdict"] for task in t.summary()["tasks"]},
               {"c/large": "ok", "c/orphan": "ok", "c/killed": "killed"}, name)
        expect_in("likely_oom", end_of(t, "c/killed")["evidence"], "evidence")
        expect(start_of_batch(t)["cgroup"]["level"], "none", "the batch record")
        expect(t.leftovers(), [], "processes left")


@test("when the machine itself runs out it is oom-machine; without groups, killed and likely so")
def _(t):
    if "REGISTRAR_TEST_OWN_MACHINE" not in os.environ:
        skip("REGISTRAR_TEST_OWN_MACHINE is not set: nobody else's memory is to be exhausted")
    total = int(Path("/proc/meminfo").read_text().split()[1]) >> 10
    path = t.manifest({"id": "c/large", "command": [FAKE, f"grow-{total * 98 // 100}"],
                       "memory": f"{4 * total}M"},
                      {"id": "c/small", "command": [FAKE, "grow-20"], "memory": "64M"})
    for prepare, verdict in ((None, "oom-machine"), (hide_cgroups, "killed")):
        group = None if prepare else in_group(t)
        t.preexec = prepare or group.enter
        t.out = t.folder / verdict
        ran = t.run("run", "--manifest", path, "-o", t.out, "--retries", 0, "--force", "--jobs", 1)
        expect(ran.returncode, 1, f"exit status: {ran.stderr}")
        expect(t.task("c/large")["verdict"], verdict, t.task("c/large")["reason"])
        expect(t.task("c/small")["verdict"], "ok", "the other one")
        evidence = end_of(t, "c/large")["evidence"]
        assert evidence["machine"]["oom_kill_after"] > evidence["machine"]["oom_kill_before"]
        if group:
            expect_in("because the machine", t.task("c/large")["reason"])
            expect_gone(t, group)
        else:
            expect(evidence["likely_oom"], True, evidence["why"])


@test("what shows no token is ended with its own task, while others run")
def _(t):
    group = in_group(t, is_tight=False)
    path = t.manifest({"id": "c/long", "command": [FAKE, "gate"], "memory": "64M"},
                      {"id": "c/bare", "command": [FAKE, "bare-orphan"], "memory": "64M"})
    process = t.start("run", "--manifest", path, "-o", t.out, "--jobs", 2, "--force")
    grandchild = t.wait_worker("grandchild")
    t.wait_ledger(lambda record: record["event"] == "task_end" and record["task"] == "c/bare")
    expect(alive(grandchild), False, "the grandchild lives")
    expect(process.poll(), None, "the other task runs")
    t.open_gate()
    expect(process.wait(), 0, "exit status")
    expect_gone(t, group)


@test("the groups of a supervisor that was killed are gone after the next start")
def _(t):
    path = t.manifest({"id": "c/hang", "command": [FAKE, "orphan-hang"], "memory": "64M"})
    groups = []
    for _ in range(2):
        groups.append(group := in_group(t, is_tight=False))
        process = t.start("run", "--manifest", path, "-o", t.out)
        t.wait_worker("orphan-hang")
        t.wait_ledger(lambda record: record["event"] == "attempt_start")
        expect(len(group.leftovers()), 1, "groups of one supervisor")
        process.kill()
        process.wait()
    t.preexec = None  # elsewhere: the ledger knows where they were
    path = t.manifest({"id": "c/ok", "command": ["true"]})
    expect(t.run("run", "--manifest", path, "-o", t.out).returncode, 0, "exit status")
    for group in groups:
        expect_gone(t, group)


run_tests()
