#!/usr/bin/env python3
"""The fake worker misbehaves exactly as its name for it says: other tests build on that."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *


def start(t, behaviour, **options):
    """As a command, with its reports in t.folder/reports."""
    with open(t.folder / "reports", "ab") as reports:
        process = subprocess.Popen([FAKE_WORKER, behaviour], env=t.env, stdout=reports,
                                   start_new_session=True, **options)
    t.processes.append(process)
    return process


def reports(t):
    return (t.folder / "reports").read_bytes()


@test("exits and deaths are those asked for")
def _(t):
    for behaviour, status in (("ok", 0), ("exit-3", 3), ("exit-75", 75), ("silent", 0),
                              ("failed", 1), ("input", 1), ("signal-9", -9), ("signal-11", -11),
                              ("signal-6", -6), ("late-crash", -11)):
        expect(start(t, behaviour).wait(), status, behaviour)


@test("a polite one ends at SIGTERM with 75, a stubborn one at SIGKILL only")
def _(t):
    polite = start(t, "polite")
    expect(t.wait_worker("polite"), polite.pid, "who said so")
    polite.terminate()
    expect(polite.wait(), 75, "exit status")
    stubborn = start(t, "stubborn")
    t.wait_worker("stubborn")
    stubborn.terminate()
    expect(stubborn.poll(), None, "after SIGTERM")
    stubborn.kill()
    expect(stubborn.wait(), -9, "after SIGKILL")


@test("one behind the gate goes on when the gate opens")
def _(t):
    process = start(t, "gate")
    t.wait_worker("gate")
    expect(process.poll(), None, "before")
    t.open_gate()
    expect(process.wait(), 0, "after")


@test("an orphan lives on in a session of its own, with its environment or without")
def _(t):
    t.env["REGISTRAR_ATTEMPT"] = "ledger:1"
    for behaviour, visible in (("orphan", True), ("bare-orphan", False)):
        process = start(t, behaviour)
        orphan = t.wait_worker("grandchild")
        expect(process.wait(), 0, behaviour)
        assert alive(orphan) and os.getsid(orphan) != process.pid
        expect(orphan in with_token("ledger:"), visible, f"{behaviour} is found by its token")
        os.kill(orphan, signal.SIGKILL)
        wait_gone(orphan)


@test("it grows to the size asked for")
def _(t):
    process = start(t, "grow-100")
    peak_kib = os.wait4(process.pid, 0)[2].ru_maxrss
    process.returncode = 0
    assert 100 * 1024 < peak_kib < 130 * 1024, f"{peak_kib} KiB"


@test("garbage, half a line, NULs and a gigabyte come out as such")
def _(t):
    for behaviour, part in (("garbage", b"\xff\xfe{"), ("half", b'"status":"ali'),
                            ("nul", b"\0" * 4096)):
        (t.folder / "reports").unlink(missing_ok=True)
        expect(start(t, behaviour).wait(), 0, behaviour)
        expect_in(part, reports(t), behaviour)
    counted = subprocess.run(f"{FAKE_WORKER} flood 3>&- | wc -c", shell=True, env=t.env,
                             capture_output=True, check=True)
    expect(int(counted.stdout), 1 << 30, "bytes of a flood")


@test("probe and hash answer for a list of files, and fall where a name says so")
def _(t):
    def ask(mode, *names):
        request = json.dumps({"v": 1, "files": [str(t.folder / name) for name in names]})
        ran = subprocess.run([FAKE_WORKER, mode], input=request, env=t.env, text=True,
                             capture_output=True, check=False)
        return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()]

    status, said = ask("probe", "a.tif", "x_probe-640x480.tif", "probe-error.tif")
    expect(status, 0, "probe")
    expect([(line["event"], line["index"], line.get("width")) for line in said],
           [("begin", 0, None), ("file", 0, 1000), ("begin", 1, None), ("file", 1, 640),
            ("begin", 2, None), ("file", 2, None)], "answers")
    expect_in("float pixels", said[5]["error"])
    status, said = ask("probe", "a.tif", "probe-crash.tif", "b.tif")
    expect((status, said[-1]), (-signal.SIGABRT, {"event": "begin", "index": 1}), "the crash")
    status, said = ask("hash", "a.tif", "probe-crash.tif")
    expect((status, len(said[3]["hash"])), (0, 32), "hash")


run_tests()
