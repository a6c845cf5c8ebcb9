"""What the benches share: programs, a scratch folder, generated pairs and measured runs."""
import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
REGISTRAR = BUILD / "registrar"
GENERATE = BUILD / "tools" / "generate"
FLOOR = BUILD / "bench" / "floor"
SHARED = ROOT.parent / "shared"  # real images, where they are at hand
SCRATCH = Path(os.environ.get("BENCH_DIR") or BUILD / "bench" / "scratch")
QUICK = os.environ.get("QUICK", "") not in ("", "0")

_loader = importlib.machinery.SourceFileLoader("map_error", str(ROOT / "tests/tools/map_error"))
_spec = importlib.util.spec_from_loader("map_error", _loader)
_map_error = importlib.util.module_from_spec(_spec)
sys.dont_write_bytecode = True
_loader.exec_module(_map_error)
map_error, place = _map_error.map_error, _map_error.place


_made = set()


def fresh(name):
    """An empty folder for a part's images."""
    folder = SCRATCH / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _made.add(folder)
    return folder


def remove_made():
    """What a part that failed has left: it may be many GiB."""
    while _made:
        shutil.rmtree(_made.pop(), ignore_errors=True)


def load(path):
    return json.loads(Path(path).read_text())


def mib(kib):
    return f"{kib / 1024:.0f} MiB"


def timed(*command):
    """Runs a command under time(1). Returns (exit status, wall seconds, peak KiB, stderr)."""
    report = SCRATCH / "time"
    ran = subprocess.run(["/usr/bin/time", "-o", report, "-f", "%e %M", *map(str, command)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    wall, peak = report.read_text().split("\n")[-2].split()
    return ran.returncode, float(wall), int(peak), ran.stderr


def generate(raw, sample, dye, *options):
    """Draws a pair; returns the truth."""
    subprocess.run([GENERATE, *map(str, options), raw, sample, dye], check=True)
    return load(raw / ".." / "truth" / sample / f"{dye}.truth.json")


def run_quietly(raw, out, *options):
    """registrar run to its end, whatever becomes of the tasks. Returns the exit status."""
    ran = subprocess.run([REGISTRAR, "run", raw, "-o", out, "--force", "--quiet",
                          *map(str, options)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode in (0, 1), ran.stderr.strip()
    return ran.returncode


def align_all(folder, pairs, *options):
    """Generates pairs (name: options), aligns them; returns name: (report, reason)."""
    truths = {name: generate(folder / "raw", name, "D", *words) for name, words in pairs.items()}
    run_quietly(folder / "raw", folder / "out", *options)
    reports = {}
    for name, truth in truths.items():
        task = folder / "out" / name / "D"
        if not (task / "transform.json").exists():
            reports[name] = ({"status": "none"}, "no transform.json")
            continue
        transform = load(task / "transform.json")
        result = load(task / "result.json") if (task / "result.json").exists() else None
        reports[name] = (map_error(transform, truth, result), transform["reason"])
    return reports


def ledger(out, event):
    """The ledger's records of one event."""
    records = (json.loads(line) for line in
               (out / "ledger.jsonl").read_bytes().rstrip(b"\0").splitlines())
    return [record for record in records if record["event"] == event]
