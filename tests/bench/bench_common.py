"""What the benches share: programs, a scratch folder, measured runs and the closing table."""
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
DATA = ROOT.parent / "shared"
SCRATCH = Path(os.environ.get("BENCH_DIR") or BUILD / "bench" / "scratch")
QUICK = os.environ.get("QUICK", "") not in ("", "0")

_loader = importlib.machinery.SourceFileLoader("map_error", str(ROOT / "tests/tools/map_error"))
_spec = importlib.util.spec_from_loader("map_error", _loader)
map_error = importlib.util.module_from_spec(_spec)
sys.dont_write_bytecode = True
_loader.exec_module(map_error)

ROWS = []


def row(what, figure, target, met, command):
    """One line of the closing table; met is None where there is no target."""
    ROWS.append((what, figure, target, {True: "met", False: "MISSED", None: ""}[met], command))
    print(f"  {what}: {figure}", flush=True)


def row_error(folder, sample, dye, what, command):
    task = folder / "out" / sample / dye
    report = map_error.map_error(load(task / "transform.json"),
                                 load(folder / "truth" / sample / f"{dye}.truth.json"))
    row(what, f"{report['mean_px']:.3f} px", "< 0.3 px", report["mean_px"] < 0.3, command)


def print_table():
    print()
    head = ("what", "figure", "target", "")
    widths = [max(len(entry[i]) for entry in ROWS + [head]) for i in range(4)]
    for entry in [head] + ROWS:
        print("  ".join(text.ljust(width) for text, width in zip(entry, widths)).rstrip())
    print("\nmeasured with:")
    for command in dict.fromkeys(entry[4] for entry in ROWS):
        print(f"  {command}")


def fresh(name):
    folder = SCRATCH / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def timed(*command):
    """Runs a command under time(1). Returns (exit status, wall seconds, peak KiB, stderr)."""
    report = SCRATCH / "time"
    ran = subprocess.run(["/usr/bin/time", "-o", report, "-f", "%e %M", *map(str, command)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    wall, peak = report.read_text().split("\n")[-2].split()
    return ran.returncode, float(wall), int(peak), ran.stderr


def generate(raw, sample, dye, *options):
    subprocess.run([GENERATE, *map(str, options), raw, sample, dye], check=True)
    return load(raw / ".." / "truth" / sample / f"{dye}.truth.json")


def load(path):
    return json.loads(Path(path).read_text())


def attempts(out):
    """The ledger's attempt_end records."""
    records = (json.loads(line) for line in
               (out / "ledger.jsonl").read_bytes().rstrip(b"\0").splitlines())
    return [record for record in records if record["event"] == "attempt_end"]


def mib(kib):
    return f"{kib / 1024:.0f} MiB"
