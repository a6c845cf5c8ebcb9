#!/usr/bin/env python3
# timeout: 180
"""The worker's sandbox: what a worker that was taken over tries is stopped, and the verdict says so.

tools/captured_worker enters the sandbox by the worker's own code, and then misbehaves."""
import ctypes
import os
import shutil
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from refused_calls import refuse_call

CAPTURED_WORKER = BUILD / "tools" / "captured_worker"
SANITIZED = b"__asan_init" in CAPTURED_WORKER.read_bytes()  # its leak check needs some calls
LANDLOCK = max(0, ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1))  # its version
SECCOMP = "Seccomp:" in Path("/proc/self/status").read_text()

# what it tries, the system call that this ends with, what that means
CALLS = [
    ("connect", "socket", "reach the network"),
    ("execute", "execve", "execute a program"),
    ("link", "symlink", "make a link"),
    ("ring", "io_uring_setup", "taken-over program"),
    ("chmod", "chmod", "change who may use a file"),
] + [
    ("fork", "clone", "start another process"),
    ("kill", "kill", "signal another process"),
    ("stay", "prctl", "outlive its supervisor"),
] * (not SANITIZED)


def run(t, *dyes, target="/etc/shadow"):
    """registrar run with a captured worker for each dye."""
    t.generate("S", dyes[0], "--size", "400x300")
    for dye in dyes[1:]:
        for which in ("pre", "post"):
            shutil.copy(t.raw / "S" / f"S_{which}_{dyes[0]}.tif",
                        t.raw / "S" / f"S_{which}_{dye}.tif")
    t.env["REGISTRAR_WORKER"] = str(CAPTURED_WORKER)
    t.env["CAPTURED_WORKER_TARGET"] = str(target)
    return t.run("run", t.raw, "-o", t.out, "--retries", "0")


def evidence(t, dye):
    return next(record["evidence"] for record in t.ledger("attempt_end")
                if record["task"] == f"S/{dye}")


@test("what is no part of the work goes on as ever: threads, its own process")
def _(t):
    ran = run(t, "usual")
    expect((ran.returncode, t.task("S/usual")["verdict"]), (0, "ok"), f"{ran.stderr}")


@test("network, processes, programs, links and signals: SIGSYS, and the verdict names the call")
def _(t):
    if not SECCOMP:
        skip("this kernel has no seccomp")
    ran = run(t, *(dye for dye, _, _ in CALLS))
    expect(ran.returncode, 1, "exit status")
    for dye, call, meaning in CALLS:
        task = t.task(f"S/{dye}")
        expect((dye, task["verdict"]), (dye, "crashed"), f"verdict ({task['reason']})")
        expect_in("SIGSYS", task["reason"], "reason")
        expect_in(f"the sandbox stopped the system call {call}, ", task["reason"], "reason")
        expect_in(meaning, task["reason"], "reason")
        expect(evidence(t, dye)["blocked"]["call"], call, "the raw evidence")
        assert not evidence(t, dye).get("core_dumped"), "a core file would hold the images"
    told = t.run("explain", "S/connect", "-o", t.out).stdout
    expect_in("its sandbox stopped the system call socket", told, "explain")


@test("a file that is none of the task's cannot be read, and the verdict says why")
def _(t):
    if not LANDLOCK:
        skip("this kernel has no Landlock")
    secret = t.folder / "secret"
    secret.write_text("a key\n")
    for target in [secret] + [Path("/etc/shadow")] * (os.geteuid() == 0):
        shutil.rmtree(t.out, ignore_errors=True)
        shutil.rmtree(t.raw, ignore_errors=True)
        run(t, "read", target=target)
        task = t.task("S/read")
        expect(task["verdict"], "failed", "verdict")
        expect_in(f"{target} cannot be opened: the sandbox refuses it", task["reason"], "reason")


@test("nothing is written outside the task's folder")
def _(t):
    if not LANDLOCK:
        skip("this kernel has no Landlock")
    target = t.folder / "planted"
    run(t, "write", target=target)
    expect(t.task("S/write")["reason"], "it was refused: Permission denied", "reason")
    assert not target.exists(), "it was written"


@test("what the kernel lacks is told once, and the rest of the sandbox holds")
def _(t):
    if not SECCOMP:
        skip("this kernel has no seccomp")
    t.preexec = lambda: refuse_call(444)  # landlock_create_ruleset
    ran = run(t, "usual", "connect")
    expect(ran.stderr.count("this kernel offers no Landlock"), 1, "told by registrar")
    expect(t.task("S/usual")["verdict"], "ok", "verdict")
    expect(t.task("S/connect")["verdict"], "crashed", "verdict")
    expect_in("without a part of the sandbox: this kernel offers no Landlock",
              (t.out / "S/usual/log.txt").read_text(), "log")


@test("the real worker, its threads too, is inside")
def _(t):
    if not SECCOMP:
        skip("this kernel has no seccomp")
    if SANITIZED:
        skip("a sanitized worker does not fit its memory limit, and ends before there are threads")
    t.generate("S", "D", "--size", "1200x900")
    t.use_real_worker()
    process = t.start("run", t.raw, "-o", t.out, "--threads", "2")
    pid = t.wait_ledger(lambda record: record["event"] == "attempt_start")["pid"]
    # it reports its first stage from within the sandbox; by its end there were threads
    seen = set()
    while not seen and process.poll() is None:
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            status = [(task / "status").read_text() for task in tasks]
        except OSError:
            continue  # a thread ended meanwhile, or all
        if len(tasks) > 1:
            seen = {line.split()[1] for text in status for line in text.splitlines()
                    if line.startswith(("Seccomp:", "NoNewPrivs:"))}
    process.wait()
    expect(seen, {"1", "2"}, "NoNewPrivs and Seccomp of its threads")
    expect(t.task("S/D")["verdict"], "ok", "verdict")


run_tests()
