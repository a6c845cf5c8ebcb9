"""What supervision costs: trivial tasks, and the plan of a long night."""
import json
import shutil
import subprocess

from bench_common import QUICK, REGISTRAR, fresh, generate, load, timed


def overhead(table):
    """A thousand times `true`, two at once."""
    count = 200 if QUICK else 1000
    folder = fresh("overhead")
    manifest = folder / "tasks.json"
    manifest.write_text(json.dumps(
        {"tasks": [{"id": f"t/{i:04}", "command": ["true"], "memory": "16M"}
                   for i in range(count)]}))
    script = folder / "pool.py"
    script.write_text("import subprocess, concurrent.futures as f\n"
                      "with f.ThreadPoolExecutor(2) as pool:\n"
                      f"    list(pool.map(lambda i: subprocess.run(['true']), range({count})))\n")
    run = f"{REGISTRAR} run --manifest {manifest} -o {folder / 'out'} --jobs 2 --force --quiet"
    commands = {
        "registrar run, durable ledger": run,
        "GNU parallel": f"parallel --will-cite -j2 -n0 true ::: $(seq {count})",
        "GNU parallel --joblog": f"parallel --will-cite -j2 -n0 --joblog {folder / 'joblog'} true "
                                 f"::: $(seq {count})",
        "xargs -P2": f"seq {count} | xargs -P2 -n1 true",
        "Python subprocess, 2 threads": f"python3 {script}",
    }
    report = folder / "hyperfine.json"
    arguments = ["hyperfine", "--style", "none", "--warmup", "1", "--runs", "3" if QUICK else "5",
                 "--prepare", f"rm -rf {folder / 'out'} {folder / 'joblog'}",
                 "--export-json", report]
    for name, command in commands.items():
        arguments += ["-n", name, command]
    subprocess.run(list(map(str, arguments)), check=True)
    results = {entry["command"]: entry["mean"] / count * 1000 for entry in load(report)["results"]}
    parallel = results["GNU parallel"]
    for name, ms in results.items():
        ours = name.startswith("registrar")
        table.row(f"ms per trivial task: {name}", f"{ms:.2f}",
                  "< 5, ahead of GNU parallel" if ours else "",
                  ms < 5 and ms < parallel if ours else None, f"hyperfine over {count} x true")
    shutil.rmtree(folder / "out", ignore_errors=True)
    status, _, peak, stderr = timed(*run.split())
    assert status == 0, stderr
    table.row(f"supervisor's peak RSS, {count} tasks", f"{peak / 1024:.1f} MiB", "< 16 MiB",
              peak < 16 * 1024, "/usr/bin/time -v registrar run --manifest FILE")
    shutil.rmtree(folder)


def plan(table):
    """The pre-flight of a long night, from headers alone."""
    folder = fresh("plan")
    generate(folder / "one", "S", "D", "--grey", "--size", "1000x800")
    for i in range(200):
        sample = folder / "raw" / f"S{i:03}"
        sample.mkdir(parents=True)
        for which in ("pre", "post"):
            shutil.copy(folder / "one" / "S" / f"S_{which}_D.tif", sample / f"S_{which}_D.tif")
    report = folder / "hyperfine.json"
    command = f"{REGISTRAR} plan {folder / 'raw'} -o {folder / 'out'} --force"
    subprocess.run(["hyperfine", "--style", "none", "--warmup", "1", "--runs", "5",
                    "--export-json", report, command], check=True)
    mean = load(report)["results"][0]["mean"]
    table.row("plan of 200 pairs", f"{mean:.2f} s", "< 1 s", mean < 1,
              "hyperfine 'registrar plan RAW -o OUT'")
    shutil.rmtree(folder)


PARTS = (overhead, plan)
