#!/usr/bin/env python3
# timeout: 120
"""registrar report: one page that stands alone, tells what the ledger tells, and lets nothing that
comes from files become markup. What browsers make of it: tests/browser."""
import base64, re, resource, sys, os
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from html.parser import HTMLParser
from drawn_night import MIB, Night, png
from registrar_test import *

VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """The page in the file: every element closed in order, and the JSON blocks by their id."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.text = Path(path).read_bytes().decode("utf-8")
        self.open, self.blocks, self.scripts, self.policy, self.title = [], {}, [], "", ""
        self.tags, self.attributes, self.nonces = set(), [], set()
        self.feed(self.text)
        self.close()
        expect(self.open, [], "elements left open")
        self.data = json.loads(self.blocks["data"])
        self.tasks = {task["id"]: task for task in self.data["tasks"]}

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        attrs = dict(attrs)
        self.attributes.append((tag, attrs))
        if attrs.get("http-equiv") == "Content-Security-Policy":
            self.policy = attrs["content"]
        if tag in ("script", "style") and attrs.get("type") != "application/json":
            self.nonces.add(attrs["nonce"])
        if tag not in VOID:
            self.open.append((tag, attrs))

    def handle_endtag(self, tag):
        expect(self.open.pop()[0], tag, f"element closed at {self.getpos()}")

    def handle_data(self, data):
        tag, attrs = self.open[-1] if self.open else ("", {})
        if tag == "script" and attrs.get("type") == "application/json":
            self.blocks[attrs["id"]] = data
        elif tag == "script":
            self.scripts.append(data)
        elif tag == "title":
            self.title = data

    def details(self, task_id):
        number = [task["id"] for task in self.data["tasks"]].index(task_id)
        return json.loads(self.blocks[f"task-{number}"])


def report(t, night, *options, status=0):
    ran = t.run("report", night.folder, *options)
    expect(ran.returncode, status, f"exit status ({ran.stderr})")
    return Page(Path(night.folder) / "report.html") if status == 0 else ran


@test("the page is well-formed, and its data are those of the ledger and the tasks' files")
def _(t):
    night = Night(t.out, jobs=2)
    night.task("S1/DAPI", residual=0.25, scale=0.8, pictures={"overlay.png": png(20, 10)})
    night.task("S1/SYTO", verdict="failed", reason="no common structure", wall=4.0)
    night.task("S2/DAPI", verdict="oom-limit", reason="at its limit", peak=500 * MIB, evidence={
        "signal": "SIGKILL", "cgroup": {"limit_bytes": 500 * MIB, "oom_before": 0, "oom_after": 1,
                                        "oom_kill_before": 0, "oom_kill_after": 1}})
    night.waiting("S2/SYTO")
    night.close()
    page = report(t, night)
    expect(list(page.tasks), ["S1/DAPI", "S1/SYTO", "S2/DAPI", "S2/SYTO"], "tasks")
    expect({task["verdict"] for task in page.tasks.values()}, {"ok", "failed", "oom-limit", "waiting"},
           "verdicts")
    task = page.tasks["S1/DAPI"]
    expect((task["residual"], task["scale"], task["wall_s"], task["peak_bytes"], task["predicted_bytes"]),
           (0.25, 0.8, 30.0, 400 * MIB, 410 * MIB), "figures")
    expect([run["jobs"] for run in page.data["runs"]], [2], "runs")
    expect(page.data["runs"][0]["budget_bytes"], 8 << 30, "budget")
    expect(sorted((attempt[0], attempt[5]) for attempt in page.data["attempts"]),
           [(0, "ok"), (1, "failed"), (2, "oom-limit")], "attempts")
    expect([problem["title"] for problem in page.data["problems"]], ["failed", "over the memory limit"],
           "problems, what needs a person most first")
    expect_in("--worker-memory 1024M", page.data["problems"][1]["command"], "command")
    killed = next(attempt for attempt in page.data["attempts"] if attempt[0] == 2)
    expect_in("oom_kill 0 -> 1", " ".join(killed[11]), "evidence in words")
    details = page.details("S1/DAPI")
    expect([stage["stage"] for stage in details["result"]["stages"]], ["search", "refine", "warp"], "stages")
    expect(base64.b64decode(details["pictures"][0]["data"].split(",")[1]), png(20, 10), "the picture")
    expect((details["pictures"][0]["width"], details["pictures"][0]["height"]), (20, 10),
           "its size, by its own header")
    expect(page.details("S1/SYTO")["log"][-1], "failed", "end of the log")
    expect_in("1 ok, 1 failed, 1 oom-limit, 1 left", page.title, "title")


@test("memory is drawn from few points, and the highest sample is among them")
def _(t):
    night = Night(t.out)
    night.task("S1/DAPI", peak=777 * MIB)
    night.close()
    page = report(t, night)
    (number, ((attempt, points),)), = page.data["memory"]
    expect((number, attempt), (0, 1), "whose it is")
    expect(max(points[1::2]), 777 * MIB, "the peak")
    assert 8 < len(points) // 2 <= 96, f"{len(points) // 2} points"
    expect(points[0], 0.0, "the first sample")
    expect(points[-2], 30.0, "the last sample")
    expect(points[0::2], sorted(points[0::2]), "the order of time")


HOSTILE = ["</script><script>alert(1)</script>", "<!-- <script>", "a&b\"c'd", "tab\there", "line\u2028end",
           "\u202eesrever", "\u0001\u001b[31m", "]]>", "\U0001f600", "javascript:alert(1)", "{{data}}"]


@test("names and texts that look like markup stay text")
def _(t):
    night = Night(t.out, command="registrar run '</script><img src=x onerror=alert(1)>' -o out")
    for i, text in enumerate(HOSTILE):
        night.task(f"S{i}/{text}".replace("</", "<_") if "/" in text else f"S{i}/{text}",
                   verdict="failed", reason=text, files=False)
    night.task("S/DAPI", pictures={"overlay.png": png(8, 8)})
    Path(night.path("S/DAPI", "qc/qc.json")).write_text(json.dumps({"pictures": [
        {"name": "overlay.png", "title": "</script><b>", "says": "<!--"}]}))
    Path(night.path("S/DAPI", "log.txt")).write_bytes(b"\xff\xfe</script>\x00\x1b[2J\n")
    night.close()
    page = report(t, night)
    reasons = [task["reason"] for task in page.data["tasks"]]
    for text in HOSTILE:
        shown = "".join(c if c.isprintable() or c in "\u2028\u202e" else f"\\x{ord(c):02x}" for c in text)
        assert any(reason in (text, shown) or reason.lower() == shown.lower() for reason in reasons), \
            f"{text!r} is not in {reasons!r}"
    expect(len(page.scripts), 1, "scripts that run")
    expect(len([tag for tag, attrs in page.attributes if tag in ("img", "b")]), 0, "elements from texts")
    expect(page.details("S/DAPI")["pictures"][0]["title"], "</script><b>", "title")
    body = page.text[page.text.index('id="data"'):page.text.index("</script>")]
    assert "<" not in body[body.index(">") + 1:], "a bare < in the data"


@test("nothing in the page can fetch anything")
def _(t):
    night = Night(t.out)
    night.task("S1/DAPI", pictures={"overlay.png": png(8, 8)})
    night.close()
    page = report(t, night)
    for directive in ("default-src 'none'", "base-uri 'none'", "form-action 'none'"):
        expect_in(directive, page.policy, "policy")
    for word in ("http:", "https:", "unsafe", "*"):
        assert word not in page.policy, f"{word} in {page.policy}"
    nonce, = page.nonces
    assert re.fullmatch("[0-9a-f]{32}", nonce), nonce
    expect_in(f"script-src 'nonce-{nonce}'", page.policy, "policy")
    for tag, attrs in page.attributes:
        for name in ("src", "href", "srcset", "action", "data"):
            assert name not in attrs, f"<{tag} {name}={attrs[name]}>"
    style_and_script = page.text[page.text.index("<style"):page.text.index('id="data"')] + page.scripts[0]
    places = re.findall(r"\b(?:https?:)?//[a-z][^\s\"']+", style_and_script)
    expect([place for place in places if place != "http://www.w3.org/2000/svg"], [], "addresses")
    for call in ("fetch(", "XMLHttpRequest", "WebSocket", "import(", "innerHTML", "eval(", "@import", "url("):
        assert call not in style_and_script, f"{call} in the page"
    other = report(t, night)
    assert other.nonces != page.nonces, "the same nonce twice"


@test("pictures stay within --embed: problems first, then the few of each task")
def _(t):
    night = Night(t.out)
    few = {"overlay.png": png(64, 64), "blink_pre.png": png(64, 64), "blink_post.png": png(64, 64)}
    rest = {f"other{i}.png": png(200, 200, lambda x, y: x * y * 7919 >> 3) for i in range(3)}
    night.task("S1/ok", pictures={**few, **rest})
    night.task("S2/ok", pictures={**few, **rest})
    night.task("S3/doubtful", verdict="doubtful", reason="not sure", pictures={**few, **rest})
    night.close()

    def embedded(*options):
        page = report(t, night, *options)
        return page, {task_id: [picture["name"] for picture in page.details(task_id)["pictures"]
                                if "data" in picture] for task_id in page.tasks}
    size = {name: (len(data) + 2) // 3 * 4 for name, data in {**few, **rest}.items()}
    all_of_one, few_of_one = sum(size.values()), sum(size[name] for name in few)
    page, shown = embedded()
    expect({len(names) for names in shown.values()}, {6}, "with room for all")
    page, shown = embedded("--embed", all_of_one + 2 * few_of_one)
    expect(len(shown["S3/doubtful"]), 6, "of the problem")
    expect([set(shown[ok]) for ok in ("S1/ok", "S2/ok")], [set(few)] * 2, "of the others")
    expect(page.data["about"]["embedded_bytes"], all_of_one + 2 * few_of_one, "bytes")
    page, shown = embedded("--embed", "0")
    expect(shown, {"S1/ok": [], "S2/ok": [], "S3/doubtful": []}, "without room")
    expect(len(page.details("S1/ok")["pictures"]), 6, "pictures that are listed all the same")
    told = json.loads(t.run("report", night.folder, "--embed", "0", "--json").stdout)
    expect((told["tasks_with_pictures_beside"], told["embedded_bytes"], told["pictures"]), (3, 0, 18), "--json")
    expect(told["bytes"], (Path(night.folder) / "report.html").stat().st_size, "bytes")


@test("what is no picture, no file, or lies elsewhere is left out")
def _(t):
    night = Night(t.out)
    night.task("S1/DAPI", pictures={"overlay.png": png(8, 8)})
    qc = Path(night.path("S1/DAPI", "qc"))
    (t.folder / "secret.png").write_bytes(png(5, 5))
    (qc / "text.png").write_text("no picture")
    os.symlink(t.folder / "secret.png", qc / "link.png")
    os.mkfifo(qc / "fifo.png")
    (qc / "huge.png").write_bytes(png(8, 8)[:16] + b"\xff" * 8)
    names = ["../../../secret.png", "/etc/passwd.png", "text.png", "link.png", "fifo.png", "huge.png",
             "missing.png", ".png", "overlay.png", 7, None]
    (qc / "qc.json").write_text(json.dumps({"pictures": [{"name": name} for name in names] + ["overlay.png"]}))
    for name in ("result.json", "memory.csv"):
        Path(night.path("S1/DAPI", name)).unlink()
        os.mkfifo(night.path("S1/DAPI", name))
    Path(night.path("S1/DAPI", "transform.json")).write_text("[" * 100000)
    night.task("../outside", files=False)
    night.close()
    page = report(t, night)
    details = page.details("S1/DAPI")
    expect([picture["name"] for picture in details["pictures"]], ["overlay.png"], "pictures")
    expect([name for name in ("result", "transform", "memory") if name in details], [], "other members")


@test("a thousand tasks take few bytes of memory")
def _(t):
    if "libasan" in subprocess.run(["ldd", REGISTRAR], capture_output=True, text=True, check=True).stdout:
        skip("under AddressSanitizer memory is another's")
    night = Night(t.out, jobs=16)
    picture = {"overlay.png": png(160, 120, lambda x, y: x * y * 7919 >> 3)}
    for i in range(1000):
        night.task(f"S{i // 8}/dye{i % 8}", verdict="ok" if i % 9 else "failed", pictures=picture)
    night.close()
    most = 12 * MIB  # of what it writes to: heap, stacks, data
    ran = subprocess.run([REGISTRAR, "report", night.folder], capture_output=True, text=True, check=False,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (most, most)))
    expect((ran.returncode, ran.stderr), (0, ""), "exit status, stderr")
    page = Page(t.out / "report.html")
    expect((len(page.tasks), len(page.data["attempts"])), (1000, 1000), "tasks, attempts")


@test("a run ends by writing it, and what is said of it is on the last line")
def _(t):
    t.pair("S1", "ok")
    t.pair("S1", "signal-11")
    ran = t.run("run", t.raw, "-o", t.out)
    expect(ran.stdout.splitlines()[-1], f"To look at it all: {t.out}/report.html", "the last line")
    page = Page(t.out / "report.html")
    expect({task: page.tasks[task]["verdict"] for task in page.tasks}, {"S1/ok": "ok", "S1/signal-11": "crashed"},
           "verdicts")
    assert page.data["runs"][0]["budget_bytes"] > 0, page.data["runs"]
    told = t.run("run", t.raw, "-o", t.out, "--json")
    expect(len(json.loads(told.stdout)["tasks"]), 2, "--json stays JSON")


@test("that it cannot be written is told and changes no exit status")
def _(t):
    t.pair("S1", "ok")
    (t.out / "report.html.tmp").mkdir(parents=True)
    ran = t.run("run", t.raw, "-o", t.out)
    expect(ran.returncode, 0, "exit status of the run")
    expect_in("there is no report: cannot write", ran.stderr, "stderr")
    expect_in("report.html.tmp", ran.stderr, "stderr")
    ran = t.run("report", t.out)
    expect(ran.returncode, 2, "exit status of report")


@test("wrong use is answered with a sentence")
def _(t):
    for arguments, sentence, status in (
            ((), "say of which results", 2), ((t.folder, t.folder), "one too many", 2),
            ((t.folder / "none",), "cannot read", 2), ((t.folder, "--embed", "many"), "a size", 2),
            ((t.folder,), "no task to report", 2)):
        ran = t.run("report", *arguments)
        expect(ran.returncode, status, f"exit status of {arguments}")
        expect_in(sentence, ran.stderr, "stderr")
    night = Night(t.out)
    night.task("S1/DAPI")
    night.close()
    ledger = t.out / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("S1/DAPI", "S1/DAPX", 1))
    ran = t.run("report", t.out)
    expect(ran.returncode, 5, "exit status with a damaged ledger")
    assert not (t.out / "report.html").exists(), "a report of a damaged ledger"


@test("a folder without a ledger, as the service leaves it, has its report too")
def _(t):
    night = Night(t.out)
    night.task("S1/DAPI", residual=0.5)
    night.task("S1/SYTO", verdict="failed", reason="no common structure")
    night.close()
    (t.out / "ledger.jsonl").unlink()
    page = report(t, night)
    expect([task["verdict"] for task in page.tasks.values()], ["ok", "failed"], "verdicts")
    expect(page.data["attempts"], [], "attempts")
    expect(page.tasks["S1/DAPI"]["residual"], 0.5, "residual")


run_tests()
