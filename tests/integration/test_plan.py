#!/usr/bin/env python3
"""registrar plan: what it shows, what it refuses, and that it changes nothing."""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *


def below(folder):
    """Every path with what a change would change."""
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


@test("a plan shows every task, the pre-flight, and touches nothing")
def _(t):
    t.pair("S1", "DAPI")
    t.pair("S2", "Cy5")
    before = below(t.raw)
    ran = t.run("plan", t.raw, "-o", t.out / "deep" / "below")
    expect(ran.returncode, 0, "exit status")
    expect(ran.stderr, "", "stderr")
    lines = ran.stdout.splitlines()
    expect(lines[0].split(), ["TASK", "KIND", "MEMORY", "TIME", "DISK"], "heading")
    expect([line.split()[0] for line in lines[1:3]], ["S1/DAPI", "S2/Cy5"], "tasks")
    expect_in("2 tasks to do, ", ran.stdout)
    block = lines[lines.index("=== Pre-flight ==="):]
    assert block[1].startswith("RAM:  ") and block[1].endswith("    ok"), block
    assert block[2].startswith("Disk: ") and block[2].endswith("    ok"), block
    expect(len(block[1]), len(block[2]), "the verdicts' column")
    expect(below(t.raw), before, "the raw folder")
    expect(t.out.exists(), False, "the output folder")


@test("broken pairs are listed with their reasons; the exit status is 1")
def _(t):
    t.pair("S1", "DAPI")
    (t.raw / "S1" / "S1_pre_Cy5.tif").touch()
    (t.raw / "stray.tif").touch()
    ran = t.run("plan", t.raw, "-o", t.out)
    expect(ran.returncode, 1, "exit status")
    expect_in("2 tasks cannot be done:\n  S1/Cy5\n", ran.stdout)
    expect_in("half a pair: S1 has S1_pre_Cy5.tif but no post image of Cy5", ran.stdout)
    expect_in("stray.tif lies directly in", ran.stdout)
    ran = t.run("plan", t.raw, "-o", t.out, "--json")
    expect(ran.returncode, 1, "exit status")
    tasks = {task["id"]: task for task in json.loads(ran.stdout)["tasks"]}
    expect_in("half a pair", tasks["S1/Cy5"]["problem"])
    assert tasks["S1/DAPI"]["memory_bytes"] > 0 and "problem" not in tasks["S1/DAPI"], tasks


@test("a file that kills the probe costs that file alone")
def _(t):
    t.pair("S1", "DAPI")
    t.pair("S1", "gone")
    worker = t.folder / "worker"
    worker.write_text("#!/bin/sh\nread -r list\nlist=${list#*[}\nIFS=,\ni=0\nfor file in $list; do\n"
                      "echo '{\"event\":\"begin\",\"index\":'$i'}' >&3\n"
                      "case $file in *pre_gone*) kill -SEGV $$;; esac\n"
                      "echo '{\"event\":\"file\",\"index\":'$i',\"width\":9,\"height\":9,"
                      "\"samples\":1,\"bits\":8,\"size\":1,\"scratch\":false}' >&3\n"
                      "i=$((i+1))\ndone\n")
    worker.chmod(0o755)
    t.env["REGISTRAR_WORKER"] = str(worker)
    ran = t.run("plan", t.raw, "-o", t.out, "--json")
    expect(ran.returncode, 1, "exit status")
    tasks = {task["id"]: task for task in json.loads(ran.stdout)["tasks"]}
    expect_in("the worker died (SIGSEGV) when it read", tasks["S1/gone"]["problem"])
    expect("problem" in tasks["S1/DAPI"], False, "a problem of the other pair")


@test("what does not fit is refused with remedies; --force is answered")
def _(t):
    for sample in ("S1", "S2", "S3"):
        t.pair(sample, "DAPI")
    ran = t.run("plan", t.raw, "-o", t.out, "--memory", "1M", "--jobs", "2")
    expect(ran.returncode, 3, "exit status")
    expect_in("refused", ran.stdout)
    expect_in("Too little memory.", ran.stdout)
    expect_in("  - --memory ", ran.stdout)
    expect_in("Or --force: ", ran.stdout)
    ran = t.run("plan", t.raw, "-o", t.out, "--memory", "1M", "--jobs", "2", "--force")
    expect(ran.returncode, 0, "exit status with --force")
    expect_in("--force was given", ran.stdout)
    ran = t.run("run", t.raw, "-o", t.out, "--memory", "1M")
    expect(ran.returncode, 3, "exit status of run")
    expect_in("Too little memory.", ran.stderr)


@test("a manifest's commands are planned by what they declare")
def _(t):
    manifest = t.manifest({"id": "a", "command": ["true"], "memory": "300M"},
                          {"id": "b", "command": ["true"]})
    ran = t.run("plan", "--manifest", manifest, "-o", t.out, "--jobs", "2", "--memory", "1G")
    expect(ran.returncode, 0, "exit status")
    expect_in("2 workers, up to 300 MiB each = 556 MiB of 1.0 GiB for the batch (55 %)", ran.stdout)
    expect_in("Note: of 1 command nothing is known yet: one of a kind runs alone first", ran.stdout)
    expect(ran.stdout.splitlines()[1].split(), ["a", "true", "300", "MiB", "-", "-"], "row")


@test("a control group's limit is what is available")
def _(t):
    version_1 = Path("/sys/fs/cgroup/memory")
    root = version_1 if version_1.is_dir() else Path("/sys/fs/cgroup")
    group = root / f"registrar-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        skip(f"no control group can be made: {error}")
    try:
        limit = group / ("memory.limit_in_bytes" if root == version_1 else "memory.max")
        if not limit.exists():
            skip("no memory controller below the root")
        limit.write_text(str(400 << 20))
        manifest = t.manifest({"id": "a", "command": ["true"], "memory": "300M"},
                              {"id": "b", "command": ["true"], "memory": "500M"})
        ran = subprocess.run(["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh",
                              REGISTRAR, "plan", "--manifest", manifest, "-o", t.out, "--jobs", "2",
                              "--json"], env=t.env, text=True, capture_output=True, check=False)
        expect(ran.returncode, 3, f"exit status ({ran.stderr})")
        memory = json.loads(ran.stdout)["memory"]
        assert 300 << 20 < memory["available_bytes"] <= 400 << 20, memory
        expect_in(f"raise the limit of the control group {str(group)[len('/sys/fs/cgroup'):]} (400 MiB)",
                  memory["advice"][-1])
    finally:
        group.rmdir()


@test("finished tasks are left out, --redo takes them back")
def _(t):
    t.pair("S1", "ok")
    t.pair("S2", "ok")
    expect(t.run("run", t.raw, "-o", t.out).returncode, 0, "exit status of run")
    before = below(t.out)
    t.pair("S3", "ok")
    ran = t.run("plan", t.raw, "-o", t.out)
    expect(ran.returncode, 0, "exit status")
    expect_in("2 tasks are finished already (--redo does them again)\n\n1 task to do", ran.stdout)
    expect("S1/ok" in ran.stdout, False, "a finished task in the table")
    tasks = json.loads(t.run("plan", t.raw, "-o", t.out, "--json").stdout)["tasks"]
    expect([task.get("finished", False) for task in tasks], [True, True, False], "finished")
    expect_in("3 tasks to do", t.run("plan", t.raw, "-o", t.out, "--redo").stdout)
    expect(below(t.out), before, "the output folder")
    (t.out / "ledger.jsonl").write_text("this is no ledger\n" * 3)
    expect(t.run("plan", t.raw, "-o", t.out).returncode, 5, "exit status with a damaged ledger")


@test("200 pairs are planned in under a second by the real worker")
def _(t):
    t.use_real_worker()
    t.generate("S0", "DAPI", "--size", "64x64")
    images = {which: t.raw / "S0" / f"S0_{which}_DAPI.tif" for which in ("pre", "post")}
    for number in range(1, 200):
        (t.raw / f"S{number}").mkdir()
        for which, image in images.items():
            os.link(image, t.raw / f"S{number}" / f"{which}_DAPI.tif")
    start = time.monotonic()
    ran = t.run("plan", t.raw, "-o", t.out)
    wall_s = time.monotonic() - start
    expect(ran.returncode, 0, "exit status")
    expect_in("200 tasks to do", ran.stdout)
    limit_s = float(os.environ.get("TIMEOUT_FACTOR", "1"))
    assert wall_s < limit_s, f"{wall_s:.2f} s"


run_tests()
