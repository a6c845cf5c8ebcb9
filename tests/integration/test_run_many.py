#!/usr/bin/env python3
# timeout: 120
"""registrar run: a thousand tasks in a small supervisor."""
import os
import resource
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

COUNT = 1000
LIMIT_KIB = 16 * 1024


@test(f"{COUNT} commands: all recorded once, and the supervisor stays below 16 MiB")
def _(t):
    path = t.manifest(*({"id": f"c/{i}", "command": ["true"], "memory": "1M"}
                        for i in range(COUNT)))
    process = t.start("run", "--manifest", path, "-o", t.out, "--quiet", "--jobs", 4)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    expect(process.returncode, 0, "exit status")
    expect(t.summary()["counts"], {"ok": COUNT}, "counts")
    expect(len({end["task"] for end in t.ledger("task_end")}), COUNT, "tasks in the ledger")
    expect(len(t.ledger("attempt_start")), COUNT, "attempts")
    if b"__asan_init" not in REGISTRAR.read_bytes():
        assert usage.ru_maxrss < LIMIT_KIB, f"{usage.ru_maxrss} KiB"
    expect((t.folder / "stderr").read_text(), "", "--quiet says nothing")


@test("more jobs than the limit of open files allows: it is raised, though not for the tasks")
def _(t):
    soft, count = 64, 60
    gate = os.open(t.gate, os.O_RDWR)
    command = ["sh", "-c", f'read line < "$FAKE_WORKER_GATE"; test "$(ulimit -Sn)" = {soft}']
    path = t.manifest(*({"id": f"c/{i}", "command": command, "memory": "1M"}
                        for i in range(count)))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    process = t.start("run", "--manifest", path, "-o", t.out, "--quiet", "--jobs", count,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))
    starts = iter(range(count - 1))
    t.wait_ledger(lambda record: record["event"] == "attempt_start" and next(starts, None) is None)
    os.write(gate, b"\n" * count)
    expect(process.wait(), 0, "exit status")
    os.close(gate)


run_tests()
