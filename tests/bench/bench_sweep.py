"""Three variants of a pair beside one run of each of them: what is shared is made once."""
import json
import os
import shutil
import subprocess
import time

from bench_common import QUICK, REGISTRAR, fresh, generate

SIZES = ("1000x800",) if QUICK else ("4000x3000", "8000x6000")
LARGEST = "2000x1600" if QUICK else "30000x25000"
SCENE = ["--rgb", "--rotation", 7, "--scale", 1.03, "--shift", "1.3%,-1.2%", "--gain", 1.3,
         "--objects", 0.02]
LIMIT = 1.5
LATE = {"manual_scale": ("0.9", "1", "1.1"), "scale_percentile": ("40", "50", "60"),
        "compression": ("none", "deflate", "zstd"), "interpolation": ("cubic", "linear", "lanczos")}
EARLY = {"max_residual": ("1.5", "2", "3"), "scale_max": ("1.1", "1.2", "1.3")}


def _fastest(raw, out, *options):
    """Of two: what else the machine does only adds. Returns (wall seconds, processor seconds of
    registrar and its workers)."""
    return tuple(map(min, zip(_run(raw, out, *options), _run(raw, out, *options))))


def _run(raw, out, *options):
    shutil.rmtree(out, ignore_errors=True)
    os.sync()  # what another run wrote is not this one's affair
    begin = time.monotonic()
    process = subprocess.Popen([REGISTRAR, "run", raw, "-o", out, "--quiet", *map(str, options)],
                               stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"exit status {process.returncode}"
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime


def _made(out):
    """How often each stage was made, over all variants."""
    count = {}
    for path in out.rglob("result.json"):
        for stage in json.loads(path.read_text())["stages"]:
            if not stage["resumed"] and not stage.get("shared"):
                count[stage["stage"]] = count.get(stage["stage"], 0) + 1
    return ", ".join(f"{name} {n}" for name, n in count.items())


def _row(table, raw, size, jobs, name, values):
    out = raw.parent / "out"
    ones = [_fastest(raw, out, "--jobs", jobs, "--set", f"{name}={value}") for value in values]
    one = [sum(times) / len(times) for times in zip(*ones)]
    words = f"--jobs {jobs} --sweep {name}={','.join(values)}"
    three = _fastest(raw, out, *words.split())
    wall, cpu = three[0] / one[0], three[1] / one[1]
    table.row(f"{size}, {words}",
              f"x {wall:.2f} in time, x {cpu:.2f} in processor time (one run, the mean of three: "
              f"{one[0]:.1f} s, {one[1]:.1f} s; made: {_made(out)})",
              f"below x {LIMIT}" if name in LATE else "",
              max(wall, cpu) < LIMIT if name in LATE else None,
              f"registrar run RAW -o OUT {words}")


def _draw(size):
    folder = fresh("sweep")
    generate(folder / "raw", "S", "D", "--size", size, *SCENE)
    return folder / "raw"


def sweep(table):
    """Sweeps over three values: time and processor time, relative to the mean of one run of each.
    Each is run twice, and the faster time counts."""
    for size in SIZES:
        raw = _draw(size)
        for jobs in (1, 2):
            for name, values in {**LATE, **(EARLY if size == SIZES[0] else {})}.items():
                if not QUICK or (name == "manual_scale" and jobs == 1):
                    _row(table, raw, size, jobs, name, values)


def sweep_large(table):
    """The same of the largest scans, where a difference image is 3 GB."""
    raw = _draw(LARGEST)
    for name in ("scale_percentile",) if QUICK else ("scale_percentile", "manual_scale"):
        _row(table, raw, LARGEST, 1, name, LATE[name])


PARTS = (sweep, sweep_large)
