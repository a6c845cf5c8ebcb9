#!/usr/bin/env python3
"""registrar ledger show, verify and csv, on ledgers written here by the published format."""
import csv
import fcntl
import io
import os
import resource
import sys
import zlib
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

BOOT = "23f65cdd-9487-4132-a024-7d0aa85d23f7"
ODD_ID = 'S"1,2/DA PI'  # CSV must quote it


def line(seq, event, synced=None, time="2026-01-15T20:00:00.123Z", **members):
    head = {"v": 1, "seq": seq, "time": time, "boot": BOOT, "event": event,
            "synced": seq - 1 if synced is None else synced, **members}
    covered = json.dumps(head, separators=(",", ":"))[:-1].encode()
    return covered + b',"crc":"%08x"}\n' % zlib.crc32(covered)


def attempt_end(seq, task, attempt, verdict, peak_mib, **members):
    return line(seq, "attempt_end", task=task, attempt=attempt, verdict=verdict, wall_s=12.25,
                cpu_s=20.5, peak_rss_bytes=int(peak_mib * 2**20), min_rss_bytes=50 * 2**20,
                evidence={"code": 1, "status": 0, "x": 0.1}, **members)


def lines():
    return [
        line(1, "note", text="a new ledger", ledger_id="0123456789abcdef0123456789abcdef"),
        line(2, "batch", state="start", id="b1", tasks=3),
        line(3, "attempt_start", task="S1/DAPI", attempt=1, pid=77),
        attempt_end(4, "S1/DAPI", 1, "ok", 401.53125),
        line(5, "task_end", task="S1/DAPI", verdict="ok", attempts=1, reason=""),
        line(6, "attempt_start", task=ODD_ID, attempt=1, pid=78),
        attempt_end(7, ODD_ID, 1, "crashed", 100, stage="warp"),
        line(8, "task_end", task=ODD_ID, verdict="crashed", attempts=1,
             reason="it died of SIGSEGV in warp"),
        line(9, "task_end", task="S2/SYTO", verdict="failed", attempts=0,
             reason="the post image is missing"),
        line(10, "attempt_start", task="S3/DAPI", attempt=2, pid=79),
    ]


def write(t, content):
    t.out.mkdir(exist_ok=True)
    path = t.out / "ledger.jsonl"
    path.write_bytes(b"".join(content) if isinstance(content, list) else content)
    return path


@test("verify counts the records of a sound ledger")
def _(t):
    path = write(t, lines())
    for arguments in (["-o", t.out], [path], [t.out], ["--out", t.out]):
        ran = t.run("ledger", "verify", *arguments)
        expect(ran.returncode, 0, "exit status")
        expect(ran.stdout, f"{path}: 10 records, seq 1 to 10, no damage\n", "stdout")
        expect(ran.stderr, "", "stderr")


@test("verify names the damaged line and says how to go on")
def _(t):
    content = lines()
    content[3] = content[3].replace(b'"ok"', b'"no"')
    path = write(t, content)
    before = path.read_bytes()
    ran = t.run("ledger", "verify", "-o", t.out)
    expect(ran.returncode, 5, "exit status")
    expect(ran.stdout, "", "stdout")
    for part in (f"{path}, line 4: damaged in the middle", "expected record 4", "checksum",
                 "up to 9 had been safely on disk", "nothing was changed", "head -n 3"):
        expect_in(part, ran.stderr, "stderr")
    expect(path.read_bytes(), before, "the file")


@test("the remedy in the sentence works as it stands")
def _(t):
    content = lines()
    content[3] = b"\n"
    path = write(t, content)
    ran = t.run("ledger", "verify", path)
    remedy = ran.stderr.partition("with: ")[2].strip().replace("OTHER-NAME", f"'{path}.old'")
    path.rename(f"{path}.old")
    subprocess.run(["sh", "-c", remedy], check=True)
    expect(t.run("ledger", "verify", path).stdout, f"{path}: 3 records, seq 1 to 3, no damage\n",
           "afterwards")


@test("missing, doubled and swapped lines are told apart")
def _(t):
    for change, said in (
            (lambda c: c[:4] + c[5:], "line 5: damaged in the middle: expected record 5, found "
                                      "record 6 (lines are missing)"),
            (lambda c: c[:5] + c[4:], "line 6: damaged in the middle: expected record 6, found "
                                      "record 5 a second time"),
            (lambda c: c[:4] + [c[5], c[4]] + c[6:], "expected record 5, found record 6"),
            (lambda c: c[1:], "line 1: damaged: expected record 1, found record 2")):
        write(t, change(lines()))
        ran = t.run("ledger", "verify", "-o", t.out)
        expect(ran.returncode, 5, "exit status")
        expect_in(said, ran.stderr, "stderr")


@test("a torn tail is no damage, and reading leaves it")
def _(t):
    for tail in (b"\0" * 70000, lines()[9][:20], b"garbage\nand more\n"):
        whole = b"".join(lines()[:9])
        path = write(t, whole + tail)
        ran = t.run("ledger", "verify", "-o", t.out)
        expect(ran.returncode, 0, "exit status")
        expect_in("9 records, seq 1 to 9, behind them a torn tail", ran.stdout, "stdout")
        expect_in(f"its last {len(tail)} bytes are no whole record", ran.stderr, "stderr")
        expect_in("next run sets them aside", ran.stderr, "stderr")
        expect(path.read_bytes(), whole + tail, "the file")


@test("a ledger in use is read, and its writer is named")
def _(t):
    path = write(t, b"".join(lines()) + b'{"v":1,"se')
    with open(path, "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        ran = t.run("ledger", "show", "-o", t.out)
        expect(ran.returncode, 0, "exit status")
        expect_in(f"process {os.getpid()} is writing to it", ran.stderr, "stderr")


@test("what is no ledger is refused by name")
def _(t):
    for content in (b"\xff\xd8\xff\xe0JFIF\0\0", b"task_key,min_memory_mb,max_memory_mb\n", b"{}\n",
                    b"[" * 100000):
        path = write(t, content)
        for action in ("verify", "show", "csv"):
            ran = t.run("ledger", action, path)
            expect(ran.returncode, 5, "exit status")
            expect_in(f"{path} is not a ledger", ran.stderr, "stderr")


@test("an empty ledger has nothing to show")
def _(t):
    path = write(t, b"")
    expect(t.run("ledger", "show", path).stdout, "", "show")
    expect(t.run("ledger", "verify", path).stdout, f"{path}: no records, no damage\n", "verify")
    expect(t.run("ledger", "csv", path).stdout, "task_key,min_memory_mb,max_memory_mb\n", "csv")


@test("show tells a person what was done, in their time zone")
def _(t):
    write(t, lines())
    t.env["TZ"] = "CET-1"
    ran = t.run("ledger", "show", "-o", t.out)
    expect(ran.returncode, 0, "exit status")
    rows = [row.split() for row in ran.stdout.splitlines()]
    expect(rows[0], ["WHEN", "TASK", "TRY", "VERDICT", "TIME", "MEMORY", "REASON"], "heading")
    when = ["2026-01-15", "21:00:00"]
    expect(rows[1:], [
        when + "a new ledger".split(),
        when + "batch start, 3 tasks".split(),
        when + "S1/DAPI 1 ok 12 s 402 MiB".split(),
        when + f"{ODD_ID} 1 crashed 12 s 100 MiB it died of SIGSEGV in warp".split(),
        when + "S2/SYTO 0 failed the post image is missing".split(),
        when + "S3/DAPI 2 no end".split(),
    ], "rows")
    ran = t.run("ledger", "show", "-o", t.out, "--all")
    expect(len(ran.stdout.splitlines()), 11, "lines with --all")


@test("show --task shows one task, --json its records as they stand")
def _(t):
    path = write(t, lines())
    ran = t.run("ledger", "show", "-o", t.out, "--task", ODD_ID)
    expect(len(ran.stdout.splitlines()), 2, "lines")
    ran = t.run("ledger", "show", "-o", t.out, "--task", "no/such")
    expect(ran.stdout, "", "of an unknown task")
    expect_in("ledger.jsonl: nothing about the task no/such\n", ran.stderr, "of an unknown task")
    ran = t.run("ledger", "show", "-o", t.out, "--task", ODD_ID, "--json")
    expect(ran.stdout.encode(), b"".join(lines()[5:8]), "records")
    ran = t.run("ledger", "show", "-o", t.out, "--json")
    expect(ran.stdout.encode(), path.read_bytes(), "the whole ledger")


@test("show prints what stands before damage")
def _(t):
    content = lines()
    content[7] = b"x" * 50 + b"\n"
    write(t, content)
    ran = t.run("ledger", "show", "-o", t.out)
    expect(ran.returncode, 5, "exit status")
    expect_in("S1/DAPI", ran.stdout, "stdout")
    expect_in("line 8", ran.stderr, "stderr")


@test("csv has dask-memusage's columns, and --wide all of an attempt")
def _(t):
    write(t, lines() + [line(11, "attempt_end", task="x", attempt=1, verdict="lost"),
                        line(12, "attempt_end", task="S1/DAPI", attempt=2, verdict="ok",
                             min_rss_bytes=3 * 2**20, peak_rss_bytes=5 * 2**20),
                        line(13, "attempt_end", task="S1/DAPI", attempt=3, verdict="ok",
                             min_rss_bytes=0, peak_rss_bytes=500 * 2**20)])
    ran = t.run("ledger", "csv", "-o", t.out)
    expect(ran.stdout.splitlines()[0], "task_key,min_memory_mb,max_memory_mb", "heading")
    rows = list(csv.reader(io.StringIO(ran.stdout)))
    expect(rows[1:], [["S1/DAPI", "3", "500"], [ODD_ID, "50", "100"], ["x", "0", "0"]],
           "a row per task")
    ran = t.run("ledger", "csv", "-o", t.out, "--wide")
    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    expect(len(rows), 5, "a row per attempt")
    expect(rows[1]["verdict"], "crashed", "verdict")
    expect(rows[1]["stage"], "warp", "stage")
    expect(rows[1]["peak_rss_bytes"], str(100 * 2**20), "peak")
    expect(json.loads(rows[1]["evidence"]), {"code": 1, "status": 0, "x": 0.1}, "evidence")
    t.out = t.folder / "real"
    t.run("run", "--manifest", t.manifest({"id": "c/true", "command": ["true"]}), "-o", t.out)
    members = set(next(r for r in t.ledger() if r["event"] == "attempt_end"))
    heading = set(t.run("ledger", "csv", "-o", t.out, "--wide").stdout.splitlines()[0].split(","))
    expect(members - heading, {"v", "event", "task", "synced", "crc"}, "what has no column")


@test("compact leaves out what is done with; a resume finds all it needs")
def _(t):
    manifest = t.manifest({"id": "c/true", "command": ["true"]}, {"id": "c/no", "command": ["false"]})
    for _ in range(3):
        t.run("run", "--manifest", manifest, "-o", t.out, "--redo")
    before = (t.out / "ledger.jsonl").stat().st_size
    ran = t.run("ledger", "compact", "-o", t.out)
    expect(ran.returncode, 0, "exit status")
    expect_in("records still count", ran.stdout, "stdout")
    assert (t.out / "ledger.jsonl").stat().st_size < before, "it is not smaller"
    ends = [r["task"] for r in t.ledger() if r["event"] == "task_end"]
    expect(sorted(ends), ["c/no", "c/true"], "the ends that are kept")
    expect(t.run("ledger", "verify", "-o", t.out).returncode, 0, "exit status of verify")
    ran = t.run("run", "--manifest", manifest, "-o", t.out)
    expect(ran.returncode, 1, "exit status of the resume")
    starts = [r for r in t.ledger() if r["event"] == "attempt_start"][-1]
    expect((starts["task"], starts["attempt"]), ("c/no", 4), "the one that runs again")
    with open(t.out / "ledger.jsonl", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ran = t.run("ledger", "compact", "-o", t.out)
    expect(ran.returncode, 5, "exit status while it is in use")


@test("wrong usage is explained")
def _(t):
    path = write(t, lines())
    for arguments, said in (
            ([], "show, verify, csv or compact"),
            (["show"], "-o OUT for the run"),
            (["count", path], 'registrar ledger can show, verify, csv or compact, not "count"'),
            (["show", "-o", t.out, path], "not both"),
            (["show", path, path], "one ledger at a time"),
            (["show", "--frob", path], "unknown option --frob; registrar ledger --help lists all"),
            (["show", "--tsak", "x", path], "did you mean --task?"),
            (["show", path, "--task"], "--task needs a value: --task ID"),
            (["csv", path, "--all"], "--all does not go with registrar ledger csv; it is for show"),
            (["show", t.folder / "nowhere.jsonl"], "there is no ledger"),
            (["verify", "-o", t.folder / "nowhere"], "there is no ledger")):
        ran = t.run("ledger", *arguments)
        expect(ran.returncode, 2, f"exit status of {arguments}")
        expect_in(said, ran.stderr, "stderr")
        expect(ran.stdout, "", "stdout")
    ran = t.run("ledger", "--help")
    expect(ran.returncode, 0, "exit status of --help")
    expect_in("--wide", ran.stdout, "help")


@test("a full disk stops the batch, loses nothing, and the batch goes on when there is room")
def _(t):
    # a limit on the size of files: the kernel refuses what it refuses on a full disk
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    manifest = t.manifest(*({"id": f"c/t{i}", "command": ["true"]} for i in range(60)))
    process = t.start("run", "--manifest", manifest, "-o", t.out, stderr=subprocess.PIPE,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                            (20000, resource.RLIM_INFINITY)))
    said = []
    for row in process.stderr:
        said.append(row.decode())
        if "is full" in said[-1]:
            break
    expect_in(str(t.out), said[-1], "what it says of the full disk")
    expect_in("continues by itself", said[-1], "what it says of the full disk")
    told = [row.split()[1] for row in said if row.startswith("ok ")]
    recorded = [record["task"] for record in t.ledger("task_end")]
    expect([task for task in told if task not in recorded], [], "told and not recorded")
    assert len(recorded) < 60, "the disk was full too late"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
    rest = process.stderr.read().decode()
    expect(process.wait(), 0, "exit status")
    expect_in("room on the disk again", rest, "stderr")
    ends = [record["task"] for record in t.ledger("task_end")]
    expect(sorted(ends), sorted(f"c/t{i}" for i in range(60)), "finished tasks, each once")
    expect(t.run("ledger", "verify", "-o", t.out).returncode, 0, "verify")


@test("a long ledger is read in bounded memory")
def _(t):
    t.out.mkdir()
    count = 200_000
    with open(t.out / "ledger.jsonl", "wb") as stream:
        stream.write(lines()[0])
        for seq in range(2, count + 1):
            stream.write(attempt_end(seq, f"S{seq}/DAPI", 1, "ok", 401))
    process = t.start("ledger", "verify", "-o", t.out)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    expect(process.returncode, 0, "exit status")
    expect_in(f"{count} records", (t.folder / "stdout").read_text(), "stdout")
    if "ASAN_OPTIONS" in os.environ:  # its shadow and quarantine are not ours
        return
    assert usage.ru_maxrss < 32 * 1024, f"{usage.ru_maxrss} KiB for reading"
    print(f"# {count} records in {usage.ru_utime + usage.ru_stime:.2f} s")


run_tests()
