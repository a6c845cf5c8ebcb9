"""Generated pairs and worker processes for the tests of registrar-worker align."""
import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from registrar_test import *
from tiff_file import TiffFile

STAGES = ["survey-pre", "survey-post", "search", "refine", "verify", "scale", "warp", "qc"]
SIZE = (700, 560)
PAIR = ["--rotation", "8", "--scale", "1.04", "--shift", "25,-40", "--gain", "1.3", "--objects",
        "0.02", "--noise", "0.004"]
# the search is the aligner's own affair: here it is kept short
NARROW = {"angle_range": 15, "scale_min": 0.95, "scale_max": 1.1}

_pairs = {}


class Pair:
    def __init__(self, folder, truth):
        self.pre = folder / "raw" / "S" / "S_pre_D.tif"
        self.post = folder / "raw" / "S" / "S_post_D.tif"
        self.truth = truth


def pair(*options, size=SIZE):
    """A generated pair; the same options give the same files, made once."""
    key = (size, *map(str, options))
    if key not in _pairs:
        folder = Path(tempfile.mkdtemp(prefix="registrar-pairs-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run([GENERATE, "--size", "%dx%d" % size, *map(str, options), "--truth",
                        folder / "truth.json", folder / "raw", "S", "D"], check=True)
        _pairs[key] = Pair(folder, json.loads((folder / "truth.json").read_text()))
    return _pairs[key]


class Run:
    """One worker process; reports come on stdout since descriptor 3 is closed."""

    def __init__(self, out, images, memory=512 << 20, threads=2, shared=None, variants=None,
                 **params):
        task = {"v": 1, "task": "S/D", "pre": str(images.pre), "post": str(images.post),
                "out": str(out), "threads": threads, "memory_bytes": memory,
                "params": {**NARROW, **params}}
        if shared:
            task["shared"] = str(shared)
        if variants:
            task["variants"] = [{**NARROW, **variant} for variant in variants]
        self.out = Path(out)
        self.process = subprocess.Popen([WORKER, "align"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.process.stdin.write(json.dumps(task))
        self.process.stdin.close()
        self.reports = []

    def read(self):
        """The next report; None at the end."""
        line = self.process.stdout.readline()
        if line:
            self.reports.append(json.loads(line))
        return self.reports[-1] if line else None

    def until(self, stage):
        """Reads up to the stage's first report."""
        while report := self.read():
            if report.get("stage") == stage and report["event"] == "progress":
                return
        raise AssertionError(f"no report from {stage}: {self.reports[-3:]}")

    def end(self, status=0):
        while self.read():
            pass
        self.stderr = self.process.stderr.read()
        self.process.stderr.close()
        self.process.stdout.close()
        _, ended, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(ended)
        self.peak_bytes = usage.ru_maxrss * 1024
        expect(self.process.returncode, status,
               f"exit status ({self.stderr} {self.reports[-2:]})")
        return self

    def last(self, event):
        return next(report for report in reversed(self.reports) if report["event"] == event)

    def stage(self, name):
        """What the end of the stage told."""
        return next(report for report in self.reports
                    if report["event"] == "stage_end" and report["stage"] == name)

    def resumed(self):
        return [report["stage"] for report in self.reports
                if report["event"] == "stage_end" and report["resumed"]]

    def json(self, name):
        return json.loads((self.out / name).read_text())

    def tiff(self, name):
        return TiffFile(self.out / name)


def align(out, images, **options):
    """Runs to the end; the pair must come out aligned."""
    run = Run(out, images, **options).end()
    expect(run.last("result")["status"], "aligned", f"status ({run.last('result')['reason']})")
    return run


def made_by(folder):
    """Stages of a result of which no part is another variant's."""
    stages = json.loads((folder / "result.json").read_text())["stages"]
    return [entry["stage"] for entry in stages if not entry.get("shared")]


@contextlib.contextmanager
def small_tmpfs(t, size):
    """A folder with that much room."""
    if os.geteuid() != 0:
        skip("needs root to mount a small tmpfs")
    small = t.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", small],
                      check=False, capture_output=True).returncode:
        skip("cannot mount a tmpfs here")
    try:
        yield small
    finally:
        subprocess.run(["umount", small], check=True)


def begin(out, images, whole=None):
    """A folder in which the pair is aligned already, all but the pictures: as in `whole`, else
    aligned once."""
    whole = whole or Path(images.pre).parent / "aligned"
    if not whole.exists():
        align(whole, images)
    shutil.copytree(whole / "checkpoints", out / "checkpoints")
    (out / "checkpoints" / "warp.json").unlink()
    return out


def pictures(out):
    return {name: (Path(out) / name).read_bytes()
            for name in sorted(os.listdir(out)) if name.endswith((".tiff", ".fits"))}


def quality_pictures(out):
    return {path.name: path.read_bytes() for path in sorted((Path(out) / "qc").iterdir())}


def expect_same(out, other, what):
    same = pictures(out) == pictures(other)
    assert same, f"{what}: the pictures differ"
    same = quality_pictures(out) == quality_pictures(other)
    assert same, f"{what}: the quality pictures differ"
    expect((Path(out) / "transform.json").read_bytes(),
           (Path(other) / "transform.json").read_bytes(), f"{what}: transform.json")
