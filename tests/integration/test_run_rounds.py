#!/usr/bin/env python3
# timeout: 600
"""registrar run: every kind of violent end, many times over: the verdict is right every time, and
neither a process nor a control group is left. REGISTRAR_ROUNDS sets how many of each (100)."""
import os
import sys
import threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from cgroups import make_group

ROUNDS = int(os.environ.get("REGISTRAR_ROUNDS", "10"))
STALL_S = 3 * int(os.environ.get("TIMEOUT_FACTOR", "1"))  # no start may take that long
FAKE = str(FAKE_WORKER)
SANITIZED = b"__asan_init" in REGISTRAR.read_bytes()  # its shadow memory counts

# kind, command, what else the manifest says, verdict, what the reason says
KINDS = [
    ("limit", [FAKE, "grow-96"], {"memory": "32M"}, "oom-limit", "at its memory limit of 32 MiB"),
    ("segv", [FAKE, "signal-11"], {}, "crashed", "crashed with SIGSEGV"),
    ("timeout", [FAKE, "slow-600000"], {"timeout": "1s"}, "timeout", "over its time limit of 1.0 s"),
    ("wedge", [FAKE, "stop"], {}, "stalled", f"no progress for {STALL_S}"),
    ("orphan", [FAKE, "orphan"], {}, "ok", ""),
    ("bare-orphan", [FAKE, "bare-orphan"], {}, "ok", ""),
    ("shot", [FAKE, "hang"], {}, "killed", "SIGKILL from elsewhere in stage hang, not likely"),
]


def level_of(t):
    return next(record["cgroup"] for record in t.ledger("batch") if record["state"] == "start")


def shoot(t):
    """Somebody else's SIGKILL, for each that says it hangs."""
    for _ in range(ROUNDS):
        os.kill(t.wait_worker("hang", timeout_s=10 * WAIT_S), signal.SIGKILL)


@test(f"{ROUNDS} rounds of each: limit, SIGSEGV, timeout, SIGSTOP, orphans, SIGKILL from elsewhere")
def _(t):
    group = None
    try:
        group = make_group(t)
        t.preexec = group.enter
    except Skip:
        pass  # without groups all but the limit must hold
    kinds = [kind for kind in KINDS if not (SANITIZED and kind[0] == "limit")]
    path = t.manifest(*({"id": f"{kind}/{number}", "command": command, "memory": "64M", **more}
                        for number in range(ROUNDS) for kind, command, more, _, _ in kinds))
    hunter = threading.Thread(target=shoot, args=(t,), daemon=True)
    hunter.start()
    ran = t.run("run", "--manifest", path, "-o", t.out, "--retries", 0, "--jobs", 12, "--force",
                "--stall-timeout", f"{STALL_S}s", timeout_s=20 * WAIT_S)
    hunter.join(timeout=10)
    expect(ran.returncode, 1, "exit status")
    level = level_of(t)
    ends = {record["task"]: record for record in t.ledger("attempt_end")}
    expect(len(ends), ROUNDS * len(kinds), "attempts")
    for kind, _, _, verdict, reason in kinds:
        if level["level"] == "none" and kind == "limit":
            verdict, reason = "ok", ""  # nobody enforces it
        for number in range(ROUNDS):
            end = ends[f"{kind}/{number}"]
            expect((kind, number, end["verdict"]), (kind, number, verdict), end["reason"])
            expect_in(reason, end["reason"], f"reason of {kind}")
            assert "left_behind" not in end["evidence"], end
            expect("cgroup" in end["evidence"], level["level"] != "none", f"evidence of {kind}")
    expect(t.leftovers(), [], "processes left")
    if group:
        expect(level["level"], group.level, "the level")
        expect(group.leftovers(), [], "groups left")


run_tests()
