#!/usr/bin/env python3
# timeout: 120
"""registrar apply --points: tables there and back, byte for byte but for x and y, and what is said
of those that cannot be moved."""
import csv
import math
import os
import random
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

SIZE = (1500, 1200)
AFFINE = [[1.01, 0.03, -20], [-0.03, 0.99, 31], [0, 0, 1]]


def transform(t, name="transform.json", **changes):
    """A transform.json of the case's folder; its path."""
    path = t.folder / name
    path.write_text(json.dumps({"version": 1, "status": "aligned", "reason": "", "model": "affine",
                                "post_to_pre": AFFINE, "pre_size": SIZE, "post_size": SIZE,
                                **changes}))
    return path


def grid(most):
    """Displacements of up to `most` px over 8 cells."""
    numbers = random.Random(5)
    step, columns, rows = (SIZE[0] - 1) / 8, 11, math.ceil((SIZE[1] - 1) / ((SIZE[0] - 1) / 8)) + 3
    some = lambda: [[numbers.uniform(-most, most) for _ in range(columns)] for _ in range(rows)]
    return {"origin": [-step, -step], "spacing": step, "columns": columns, "rows": rows,
            "dx": some(), "dy": some()}


def apply(t, *arguments, stdin=None):
    """registrar apply with the real worker."""
    t.use_real_worker()
    return subprocess.run([REGISTRAR, "apply", *map(str, arguments)], env=t.env, cwd=t.folder,
                          input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                          capture_output=True, text=True, errors="surrogateescape", check=False)


def refused(t, status, sentence, *arguments, stdin=None):
    ran = apply(t, *arguments, stdin=stdin)
    expect((ran.returncode, ran.stderr), (status, f"registrar: {sentence}\n"), f"{arguments}")


def spread(n):
    numbers = random.Random(9)
    return [(numbers.uniform(0, SIZE[0] - 1), numbers.uniform(0, SIZE[1] - 1)) for _ in range(n)]


def round_trip(t, path):
    """The farthest that a point ends from where it began, there and back; both ways round."""
    points = spread(2000)
    (t.folder / "a.csv").write_text("x,y\n" + "".join(f"{x!r},{y!r}\n" for x, y in points))
    worst = 0
    for first, second in (((), ("--inverse",)), (("--inverse",), ())):
        for arguments in ((*first, "--points", "a.csv", "-o", "b.csv"),
                          (*second, "--points", "b.csv", "-o", "c.csv")):
            ran = apply(t, path, *arguments)
            expect(ran.returncode, 0, f"exit status; {ran.stderr}")
        with open(t.folder / "c.csv", newline="") as file:
            back = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
        expect(len(back), len(points), "rows")
        worst = max(worst, *(math.dist(p, q) for p, q in zip(points, back)))
    return worst


@test("points come back to their places through an affine map, a homography and a grid")
def _(t):
    leaning = [[1.02, 0.1, -31], [-0.09, 0.97, 44], [2e-5, -3e-5, 1]]
    for what, changes, limit in (("affine", {}, 0.01), ("homography", {"post_to_pre": leaning}, 0.01),
                                 ("grid", {"grid": grid(20)}, 0.05)):
        worst = round_trip(t, transform(t, **changes))
        assert worst < limit, f"{what}: {worst} px"


@test("a point of the post image goes where the map says, and one of the pre image comes from there")
def _(t):
    path = transform(t)
    ran = apply(t, path, "--inverse", "--points", "-", stdin="x,y\n100,200\n")
    expect(ran.stdout, "x,y\n87.0000,226.0000\n", "post to pre")
    ran = apply(t, path, "--points", "-", stdin="x,y\n87,226\n")
    expect(ran.stdout, "x,y\n100.0000,200.0000\n", "pre to post")


@test("everything but x and y stays byte for byte")
def _(t):
    path = transform(t, post_to_pre=[[1, 0, 1], [0, 1, 2], [0, 0, 1]])
    for table, wanted in (
            ("id,y,x\r\n7,20,10\r\n", "id,y,x\r\n7,18.0000,9.0000\r\n"),
            ("\ufeffX;Y;n\n10,5;20;\"a;b\"\n", "\ufeffX;Y;n\n9,5000;18.0000;\"a;b\"\n"),
            ("x\ty\n1e1\t 20 ", "x\ty\n9.0000\t 18.0000 "),
            ('"x","y","a ""b""\nc"\n"10","20","é"\n\n,,\n',
             '"x","y","a ""b""\nc"\n"9.0000","18.0000","é"\n\n,,\n'),
            ("x,y\r10,20\r", "x,y\r9.0000,18.0000\r"),
            ("x,y\n", "x,y\n")):
        (t.folder / "in.csv").write_bytes(table.encode())
        ran = apply(t, path, "--points", "in.csv", "-o", "out.csv")
        expect(ran.returncode, 0, f"exit status; {ran.stderr}")
        expect((t.folder / "out.csv").read_bytes(), wanted.encode(), "the moved table")
    expect(sorted(p.name for p in t.folder.glob("*out.csv*")), ["out.csv"], "files left")


@test("columns by name and by number, with and without a first line of names")
def _(t):
    path = transform(t, post_to_pre=[[1, 0, 1], [0, 1, 2], [0, 0, 1]])
    named = "cell,Centroid X,Centroid Y\n1,10,20\n"
    moved = "cell,Centroid X,Centroid Y\n1,9.0000,18.0000\n"
    for columns in ("Centroid X,Centroid Y", "2,3"):
        ran = apply(t, path, "--points", "-", "--columns", columns, stdin=named)
        expect((ran.returncode, ran.stdout), (0, moved), columns)
    ran = apply(t, path, "--points", "-", "--columns", "2,1", stdin="20,10\n2,1\n")
    expect(ran.stdout, "18.0000,9.0000\n0.0000,0.0000\n", "no names, y before x")


@test("a folder stands for the map in it, and the summary says what was done")
def _(t):
    transform(t)
    ran = apply(t, t.folder, "--points", "-", "-o", "o.csv", stdin="x,y\n5,6\n700,800\n")
    assert ran.stderr.startswith("2 points from the pre image (1500 x 1200 px) to the post image "
                                 "(1500 x 1200 px) in "), ran.stderr
    expect_in(": o.csv\n1 of them lands beyond its edges\n", ran.stderr, "summary")
    ran = apply(t, t.folder, "--points", "-", "-o", "o.csv", "--quiet", stdin="x,y\n5,600\n")
    expect((ran.stdout, ran.stderr), ("", ""), "with --quiet")
    ran = apply(t, t.folder, "--points", "-", "-o", "o.csv", "--json", "-q", stdin="x,y\n5,600\n")
    shown = json.loads(ran.stdout)
    expect((shown["version"], shown["points"], shown["outside"], shown["status"]),
           (1, 1, 0, "aligned"), "with --json")


@test("what may be wrong is told, with --quiet too: a doubtful map, points outside, points nowhere")
def _(t):
    path = transform(t, status="doubtful", reason="few tiles agree")
    ran = apply(t, path, "--points", "-", "-q", stdin="x,y\n5,600\n5,601\n-3,4\n1500,9\n")
    expect(ran.returncode, 0, "exit status")
    expect(ran.stderr, "registrar: the map is doubtful (few tiles agree); look at it before you use "
           "this\nregistrar: 2 points lie outside the pre image (1500 x 1200 px), the first in line "
           "4; coordinates are full-resolution pixels\n", "stderr")
    path = transform(t, post_to_pre=[[1, 0, 0], [0, 1, 0], [1e-4, 0, 1]])
    ran = apply(t, path, "--points", "-", "-q", stdin="x,y,n\n100,100,a\n10000,100,b\n")
    expect(ran.stdout, "x,y,n\n101.0101,101.0101,a\n,,b\n", "beyond the horizon")
    expect(ran.stderr, "registrar: 1 point lies outside the pre image (1500 x 1200 px), the first in "
           "line 3; coordinates are full-resolution pixels\nregistrar: 1 point has no place in the "
           "post image, the first in line 3; left empty\n", "stderr")


@test("a bad row is named, and leaves no file behind; an old one stays")
def _(t):
    path = transform(t)
    (t.folder / "o.csv").write_text("old")
    for rows, sentence in (
            ("1,2\n3,abc\n", 'stdin, line 3: y is "abc", which is no number'),
            ("1,\n", 'stdin, line 2: y is "", which is no number'),
            ("nan,2\n", 'stdin, line 2: x is "nan", which is no number'),
            ("1,2\n3\n", "stdin, line 3: it has 1 field, and y is the 2nd"),
            ('1,"2\n', "stdin, line 2: a quote that is opened there is never closed"),
            ('"1,5",2\n', 'stdin, line 2: x is "1,5", which is no number'),
            ("1\x1b[31m,2\n", 'stdin, line 2: x is "1\\x1b[31m", which is no number'),
            ("1,2\0\n", "stdin holds bytes that are no text; save it as CSV in UTF-8, not as UTF-16 "
             "or a spreadsheet")):
        refused(t, 1, sentence, path, "--points", "-", "-o", "o.csv", stdin="x,y\n" + rows)
    expect((t.folder / "o.csv").read_text(), "old", "the old file")
    expect(sorted(p.name for p in t.folder.glob("o.csv*")), ["o.csv"], "files left")


@test("a table without the columns is told what it has")
def _(t):
    path = transform(t)
    how = ('name the columns of x and y, as in --columns "Centroid X,Centroid Y", or number them, as '
           "in --columns 1,2")
    refused(t, 1, f'stdin: no column is named "x" in its first line (a,b); {how}', path, "--points",
            "-", stdin="a,b\n1,2\n")
    refused(t, 1, f'stdin: no column is named "Y" in its first line (X,b); {how}', path, "--points",
            "-", stdin="X,b\n1,2\n")
    refused(t, 1, f'stdin: no column is named "c" in its first line (a,b); {how}', path, "--points",
            "-", "--columns", "a,c", stdin="a,b\n1,2\n")
    refused(t, 1, 'stdin: two columns are named "x"; choose by their numbers, as in --columns 3,4',
            path, "--points", "-", stdin="x,y,x\n1,2,3\n")
    refused(t, 1, "stdin: there is no column 3; its first line has 2", path, "--points", "-",
            "--columns", "1,3", stdin="a,b\n1,2\n")
    refused(t, 1, '--columns: "a" and "a" are the same column', path, "--points", "-", "--columns",
            "a,a", stdin="a,b\n1,2\n")
    refused(t, 1, "stdin is empty; its first line must name the columns", path, "--points", "-",
            stdin="")


@test("maps that cannot be used are refused by name")
def _(t):
    points = ("--points", "-")
    wrong = ('must be [width, height] in px, each from 1 to 1000000; is it a transform.json of '
             "registrar run?")
    for changes, sentence in (
            ({"status": "failed", "reason": "nothing matches"},
             "of a pair that failed (nothing matches): there is no map to apply"),
            ({"status": "fine"}, '"status" is "fine"; it must be aligned, doubtful or failed'),
            ({"pre_size": [0, 5]}, f'"pre_size" {wrong}'),
            ({"post_size": "big"}, f'"post_size" {wrong}'),
            ({"post_to_pre": [[1, 0], [0, 1]]}, "a map must be three rows of three finite numbers"),
            ({"post_to_pre": [[1, 2, 0], [2, 4, 0], [0, 0, 1]]},
             "its map cannot be inverted (it folds, or is flat somewhere); only --inverse can be done "
             "with it"),
            ({"grid": grid(500)},
             "its map cannot be inverted (it folds, or is flat somewhere); only --inverse can be done "
             "with it"),
            ({"grid": {"columns": 10 ** 9}}, None), ({"grid": grid(1e300)}, None)):
        path = transform(t, **changes)
        ran = apply(t, path, *points, stdin="x,y\n1,2\n")
        expect((ran.returncode, ran.stdout), (1, ""), f"{changes}; {ran.stderr}")
        start = f"registrar: {path}{' is' if changes.get('status') == 'failed' else ':'} "
        assert ran.stderr.startswith(start), ran.stderr
        if sentence:
            expect(ran.stderr, f"{start}{sentence}\n", "stderr")
        expect(ran.stderr.count("\n"), 1, "sentences")
    for text in ("", "[1,2]", "{\"version\":1}", "{\"a\":1,\"a\":2}", "[" * 5000, "x" * (2 << 20)):
        path.write_text(text)
        ran = apply(t, path, *points, stdin="x,y\n1,2\n")
        expect((ran.returncode, ran.stdout, ran.stderr.count("\n")), (1, "", 1), ran.stderr)
        expect_in(str(path), ran.stderr, f"the sentence on {text[:20]}")


@test("wrong usage is told in one sentence")
def _(t):
    path = transform(t)
    (t.folder / "p.csv").write_text("x,y\n")
    for arguments, sentence in (
            ((), "which map? registrar apply OUT/<sample>/<dye>/transform.json --image FILE -o "
             "OUT.tiff"),
            ((path,), "what is to be moved? give --image FILE or --points FILE"),
            ((path, "--image", "a", "--points", "b"),
             "--image and --points are two runs: give one of them"),
            ((path, "--image", "p.csv"),
             "say where the image is to be written: -o OUT.tiff (not to stdout)"),
            ((path, "--image", "p.csv", "-o", "out.png"),
             "-o out.png: the image is written as TIFF; give a name that ends in .tiff"),
            ((path, "--points", "p.csv", "--labels"),
             "--labels is for images; points do without it"),
            ((path, "--image", "p.csv", "-o", "o", "--columns", "a,b"),
             "--columns is for points; an image does without it"),
            ((path, "--points", "p.csv", "--columns", "a"),
             '--columns: "a" is not allowed; give two names or numbers with one comma in between, like '
             "X,Y"),
            ((path, "--image", "p.csv", "-o", "o", "--labels", "--interpolation", "cubic"),
             "--labels takes the nearest pixel, and --interpolation says cubic; drop one of them"),
            ((path, "--points", "p.csv", "--json"), "--json and the points cannot both go to stdout; "
             "write the points to a file with -o OUT.csv"),
            ((path, "--points", "p.csv", "-o", "p.csv"),
             "-o p.csv is the input itself; give another name"),
            ((path, "--points", "p.csv", "-o", "."),
             ". is a folder; give the name of a file in it"),
            ((path, "--points", "none.csv"), "cannot read none.csv: No such file or directory"),
            (("none.json", "--points", "p.csv"), "cannot read none.json: No such file or directory"),
            ((path, "--points", "p.csv", "-o", "none/o.csv"),
             "cannot create none/o.csv.tmp: No such file or directory"),
            ((path, path, "--points", "p.csv"),
             f'one transform at a time: "{path}" is one too many')):
        if "--json" in arguments:
            ran = apply(t, *arguments)
            expect(ran.returncode, 2, "exit status")
            expect(json.loads(ran.stdout)["error"]["sentence"], sentence, "JSON")
        else:
            refused(t, 2, sentence, *arguments)
    refused(t, 2, '--interpolation: interpolation is "best"; it must be one of nearest linear cubic '
            "lanczos", path, "--image", "p.csv", "-o", "o", "--interpolation", "best")


@test("a reader that has seen enough is no fault")
def _(t):
    t.use_real_worker()
    table = "x,y\n" + "5,600\n" * 200000
    (t.folder / "p.csv").write_text(table)
    ran = subprocess.run(["sh", "-c", f"{REGISTRAR} apply {transform(t)} --points p.csv; echo $? >&2"],
                         stdout=(head := subprocess.Popen(["head", "-1"], stdin=subprocess.PIPE,
                                                          stdout=subprocess.PIPE, text=True)).stdin,
                         stderr=subprocess.PIPE, env=t.env, cwd=t.folder, text=True, check=False)
    head.stdin.close()
    expect((head.stdout.read(), ran.stderr), ("x,y\n", "0\n"), "head's line; what was said")
    expect(head.wait(), 0, "head")
    head.stdout.close()


@test("Ctrl-C keeps nothing: exit status 4, and an old file stays")
def _(t):
    t.use_real_worker()
    (t.folder / "o.csv").write_text("old")
    process = t.start("apply", transform(t), "--points", "-", "-o", t.folder / "o.csv",
                      stdin=subprocess.PIPE)
    process.stdin.write(b"x,y\n" + b"5,600\n" * 100000)  # more than a pipe holds: it is being read
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")
    process.stdin.close()
    expect((t.folder / "stderr").read_text(), "registrar: interrupted; nothing was kept\n", "stderr")
    expect((t.folder / "o.csv").read_text(), "old", "the old file")
    expect(sorted(p.name for p in t.folder.glob("o.csv*")), ["o.csv"], "files left")


run_tests()
