#!/usr/bin/env python3
"""The house rules that a machine can check: what links what, what includes what, sizes, names."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

PARTS = ("common", "supervisor", "worker")


def sources(*folders, suffixes=(".c", ".h", ".cpp")):
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))
             if path.suffix in suffixes and path.is_file()]
    assert found, f"no sources in {folders}"
    return found


def place(path):
    return str(path.relative_to(ROOT))


def none_of(complaints):
    assert not complaints, "\n".join(complaints)


def libraries(program):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    assert "libc.so" in listed, listed
    return listed


@test("the supervisor links neither libtiff nor OpenCV")
def _(t):
    listed = libraries(REGISTRAR)
    none_of([f"registrar links {name}" for name in ("libtiff", "libopencv")
             if name in listed])


@test("the worker does not link libuv, and no OpenCV module beyond the five")
def _(t):
    listed = libraries(WORKER)
    expect_in("libtiff", listed, "the worker's libraries")
    allowed = {"core", "imgproc", "features2d", "calib3d", "flann"}
    none_of(["registrar-worker links libuv"] * ("libuv" in listed) +
            [f"registrar-worker links libopencv_{name}"
             for name in set(re.findall(r"libopencv_(\w+)", listed)) - allowed])


@test("includes point down only: supervisor -> common <- worker")
def _(t):
    forbidden = {"common": r"(supervisor|worker|tests)/|uv\.h|tiff|opencv",
                 "supervisor": r"(worker|tests)/|tiff|opencv",
                 "worker": r"(supervisor|tests)/|uv\.h", "tests/tools/scene": r"(supervisor|worker)/"}
    complaints = []
    for folder, pattern in forbidden.items():
        for path in sources(folder):
            for header in re.findall(r'^#include [<"]([^>"]+)', path.read_text(), re.M):
                own = header.startswith(folder + "/")
                if not own and re.match(pattern, header):
                    complaints.append(f"{place(path)} includes {header}")
    none_of(complaints)


@test("C++ and OpenCV's headers live in worker/opencv alone")
def _(t):
    none_of([f"{place(path)}" for path in sources(*PARTS)
             if path.parent.name != "opencv" and
             (path.suffix == ".cpp" or "<opencv2/" in path.read_text())])


@test("a file has at most 500 lines, and opens by saying what it is for")
def _(t):
    complaints = []
    for path in sources(*PARTS, "tests") + sources("tests", suffixes=(".py",)):
        text = path.read_text()
        if text.count("\n") > 500:
            complaints.append(f"{place(path)} has {text.count(chr(10))} lines")
        if path.suffix != ".py" and not text.startswith("/*"):
            complaints.append(f"{place(path)} does not open with a comment")
    none_of(complaints)


@test("a header's guard is its path")
def _(t):
    none_of([place(path) for path in sources(*PARTS, "tests", suffixes=(".h",))
             if f"#ifndef {re.sub('[^A-Z0-9]', '_', place(path).upper())}\n"
             not in path.read_text()])


@test("a file exports only names that begin with its own, its module's or its folder's and its own")
def _(t):
    complaints = []
    for path in sources(*PARTS, suffixes=(".c",)):
        if path.stem.startswith("make_"):  # a program that runs while registrar is built
            continue
        symbols = subprocess.run(["nm", "-g", "--defined-only", BUILD / (place(path) + ".o")],
                                 capture_output=True, text=True, check=True).stdout
        # a module in several files has one header: summary.h, summary_json.c
        stems = [path.stem, f"{path.parent.name}_{path.stem}"]
        stems += [header.stem for header in path.parent.glob("*.h")
                  if path.stem.startswith(header.stem + "_")]
        for symbol in (line.split()[2] for line in symbols.splitlines()):
            # the sanitizers and target_clones add names of their own
            if not re.match(rf"(__|main$|({'|'.join(stems)})(_|\.|$))", symbol):
                complaints.append(f"{place(path)} exports {symbol}")
    none_of(complaints)


@test("nothing is left behind: notes to self, dead code, tabs, machines' own paths")
def _(t):
    slips = {r"\b(TODO|FIXME|XXX)\b": "a note to self", r"^\s*#if 0\b": "dead code",
             r"[ \t]+$": "trailing space", r"^ *\t": "a tab", r"/(?:work|root)/": "a machine's path"}
    complaints = []
    texts = sources(*PARTS, "tests", suffixes=(".c", ".h", ".cpp", ".py"))
    for path in texts + [ROOT / "README.md"] * (ROOT / "README.md").exists():
        if path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            complaints += [f"{place(path)}:{number}: {what}" for pattern, what in slips.items()
                           if re.search(pattern, line)]
    none_of(complaints)


@test("tests wait for events and never sleep")
def _(t):
    pattern = r"\b(time\.sleep|usleep|nanosleep|sleep) ?\(\s*[^)]"
    allowed = {"tests/tools/fake_worker.c"}  # its slow progress is a behaviour, not a wait
    none_of([f"{place(path)}: {line.strip()}"
             for path in sources("tests", suffixes=(".c", ".h", ".py"))
             if place(path) not in allowed and path != Path(__file__).resolve()
             for line in path.read_text().splitlines() if re.search(pattern, line)])


run_tests()
