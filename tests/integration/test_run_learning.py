#!/usr/bin/env python3
# timeout: 180
"""Admission by forecast, with real processes: a kind of which nothing is known is learned, nothing
is killed, and what runs at once never holds more than the batch may have."""
import os, random, select, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *
from cgroups import make_group

MIB = 1 << 20
FAKE = str(FAKE_WORKER)
MORE = 300 if b"__asan_init" in FAKE_WORKER.read_bytes() else 40  # MiB that it holds besides


def growing(t, kind, sizes, needs):
    """A manifest of commands that touch needs(size) MiB; their inputs have size MiB."""
    tasks = []
    for number, size in enumerate(sizes):
        path = t.folder / f"{kind}{number}"
        with open(path, "wb") as file:
            file.truncate(int(size * MIB))
        tasks.append({"id": f"{kind}/{number}", "kind": kind, "inputs": [str(path)],
                      "command": [FAKE, f"grow-{round(needs(size))}"]})
    return t.manifest(*tasks)


def ends(t):
    return t.ledger("attempt_end")


def expect_all_ok(t, ran, n):
    expect(ran.returncode, 0, f"exit status ({ran.stderr})")
    expect([end["verdict"] for end in ends(t)], ["ok"] * n, "verdicts")


def most_at_once(t):
    """The largest sum of the peaks of what ran at one time, by the ledger's order of starts and
    ends: an end is recorded after its process is gone."""
    peaks = {end["task"]: end["peak_rss_bytes"] for end in ends(t)}
    running, most = 0, 0
    for record in t.ledger():
        if record["event"] == "attempt_start":
            running += peaks[record["task"]]
            most = max(most, running)
        elif record["event"] == "attempt_end":
            running -= peaks[record["task"]]
    return most


@test("40 commands of 50 MiB + k x size, k unknown: learned after five, none is killed")
def _(t):
    chance = random.Random(7)
    slope = chance.uniform(2, 6)
    sizes = [chance.uniform(2, 40) for _ in range(40)]
    manifest = growing(t, "linear", sizes, lambda size: 50 + slope * size)
    ran = t.run("run", "--manifest", manifest, "-o", t.out, "--jobs", "6", "--memory", "1G")
    expect_all_ok(t, ran, 40)
    for end in ends(t)[5:]:
        error = abs(end["predicted_bytes"] - end["peak_rss_bytes"]) / end["peak_rss_bytes"]
        assert error < 0.1, end
        assert end["reserved_bytes"] > end["peak_rss_bytes"], end
    expect(ends(t)[0]["predicted_bytes"], 0, "the first forecast")
    first_end = t.ledger().index(ends(t)[0])
    started = [record for record in t.ledger()[:first_end] if record["event"] == "attempt_start"]
    expect(len(started), 1, "tasks that ran while nothing was known")
    assert most_at_once(t) <= 1 << 30, most_at_once(t)
    model = json.loads(t.run("model", "-o", t.out, "--json").stdout)["kinds"]
    expect([(kind["kind"], kind["attempts"]) for kind in model], [("linear", 40)], "the model")
    memory = model[0]["memory"]
    expect(memory["shape"], "linear", "shape")
    assert abs(memory["slope"] - slope) < 0.05 * slope, (memory, slope)
    said = t.run("model", "-o", t.out).stdout
    expect_in("linear\n  memory  linear: ", said)
    expect_in("40 attempts; inputs of ", " ".join(said.split()))


@test("a kind that grows with the square is named so; no surprise after eight tasks")
def _(t):
    chance = random.Random(8)
    sizes = [chance.uniform(2, 40) for _ in range(24)]
    manifest = growing(t, "square", sizes, lambda size: 50 + size * size / 8)
    ran = t.run("run", "--manifest", manifest, "-o", t.out, "--jobs", "4", "--memory", "1G")
    expect_all_ok(t, ran, 24)
    for end in ends(t)[8:]:
        assert end["peak_rss_bytes"] <= end["reserved_bytes"], end
    expect_in("faster than linear", " ".join(t.run("model", "-o", t.out).stdout.split()))
    plan = t.run("plan", "--manifest", manifest, "-o", t.out, "--redo").stdout
    expect_in("Note: square: memory grows faster than linear with the size of the inputs.", plan)


@test("24 tasks that cannot all fit at once stay below --memory, and all are ok")
def _(t):
    chance = random.Random(9)
    tasks = []
    for number in range(24):
        need = chance.randint(40, 110)
        tasks.append({"id": f"h/{number}", "command": [FAKE, f"grow-{need}"], "kind": "hold",
                      "memory": f"{need + MORE}M"})
    manifest = t.manifest(*tasks)
    ran = t.run("run", "--manifest", manifest, "-o", t.out, "--jobs", "24", "--memory", "512M")
    expect_all_ok(t, ran, 24)
    expect_in("Note: not all of --jobs 24 fit at once; the others wait for room.", ran.stderr)
    assert most_at_once(t) <= 512 << 20, most_at_once(t)


@test("what can never fit is refused by name, as soon as that is known")
def _(t):
    manifest = growing(t, "k", [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 30],
                       lambda size: 50 + 10 * size)
    ran = t.run("run", "--manifest", manifest, "-o", t.out, "--memory", "300M", "--jobs", "3")
    expect(ran.returncode, 1, f"exit status ({ran.stderr})")
    expect([end["verdict"] for end in ends(t)], ["ok"] * 10, "verdicts of what was started")
    row = t.task("k/10")
    expect((row["verdict"], row["attempts"]), ("failed", 0), "the large one")
    expect_in("it can never fit: by ", row["reason"])
    expect_in("and all tasks together may use 300 MiB; raise --memory", row["reason"])
    ran = t.run("run", "--manifest", manifest, "-o", t.out, "--memory", "900M")
    expect(ran.returncode, 0, f"exit status with room ({ran.stderr})")
    expect(t.task("k/10")["verdict"], "ok", "the large one, with room")


def wait_said(t, text):
    """Waits until registrar has said so on stderr."""
    tail = subprocess.Popen(["tail", "-n", "+1", "-F", t.folder / "stderr"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    t.processes.append(tail)
    said = b""
    while text.encode() not in said:
        assert select.select([tail.stdout], [], [], 30)[0], f"never said {text!r}: {said}"
        said += os.read(tail.stdout.fileno(), 65536)
    tail.kill()


@test("what other programs take is waited for")
def _(t):
    group = make_group(t, 900 * MIB)
    if group.level != "v1":
        skip("on v2 no other program can be in a group that is divided")
    t.preexec = group.enter
    manifest = t.manifest({"id": "t/first", "command": [FAKE, "gate"], "memory": "400M"},
                          {"id": "t/second", "command": [FAKE, "grow-100"], "memory": "350M",
                           "kind": "another"})
    process = t.start("run", "--manifest", manifest, "-o", t.out, "--jobs", "1")
    t.wait_worker("gate")
    code = f"x = b'x' * {650 * MIB}; print('held', flush=True); open(0).read()"
    hog = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True,
                           stdout=subprocess.PIPE, preexec_fn=group.enter)
    t.processes.append(hog)
    expect(hog.stdout.readline(), "held\n", "the other program")
    t.open_gate()
    wait_said(t, "other programs have the memory: t/second needs 350 MiB, ")
    hog.stdin.close()
    wait_said(t, "there is memory again: the batch continues")
    expect(process.wait(), 0, "exit status")
    expect([end["verdict"] for end in ends(t)], ["ok", "ok"], "verdicts")


@test("the next run plans by what the last one learned")
def _(t):
    sizes = [2, 6, 10, 14, 18, 22]
    manifest = growing(t, "k", sizes, lambda size: 20 + 2 * size)
    expect_all_ok(t, t.run("run", "--manifest", manifest, "-o", t.out), 6)
    manifest = growing(t, "k", sizes + [20, 400, 4000], lambda size: 20 + 2 * size)
    tasks = {task["id"]: task for task in json.loads(t.run(
        "plan", "--manifest", manifest, "-o", t.out, "--json").stdout)["tasks"]}
    expect(tasks["k/6"]["from"], "history", "what the forecast is made from")
    assert 60 * MIB < tasks["k/6"]["predicted_bytes"] < (60 + MORE) * MIB, tasks["k/6"]
    assert tasks["k/7"]["memory_bytes"] > 1.1 * 820 * MIB, tasks["k/7"]
    ran = t.run("plan", "--manifest", manifest, "-o", t.out, "--memory", "2G")
    expect(ran.returncode, 3, "exit status")
    expect_in("\nk/8 can never fit: alone it needs ", ran.stdout)
    expect_in("Note: 2 tasks are larger than any of the kind so far", ran.stdout)
    ran = t.run("plan", "--manifest", manifest, "-o", t.out, "--assume-memory", "64G",
                "--assume-cpus", "3")
    expect(ran.returncode, 0, "exit status for a larger machine")
    expect_in("Note: for a machine with 64 GiB and 3 cores, all of it free.", ran.stdout)
    expect_in("9 tasks to do", ran.stdout)


@test("model says what it cannot tell")
def _(t):
    ran = t.run("model", "-o", t.out)
    expect(ran.returncode, 2, "exit status without a ledger")
    expect_in("ledger.jsonl", ran.stderr)
    expect(t.run("run", "--manifest", t.manifest({"id": "a", "command": ["true"]}), "-o",
                 t.out).returncode, 0, "a run")
    ran = t.run("model", "-o", t.out, "--kind", "false")
    expect((ran.returncode, ran.stdout), (2, ""), "a kind that is not there")
    expect_in("has no attempts of the kind false; it has: true", ran.stderr)
    expect_in("there are no inputs to go by", " ".join(t.run("model", t.out).stdout.split()))
    expect_in("say which ledger", t.run("model").stderr)


run_tests()
