#!/usr/bin/env python3
"""Help and man pages tell the same: every option, parameter, command and exit status, both ways."""
import os, re, shutil, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

MAN = ROOT / "man"
PAGES = {"registrar.1": "registrar", "registrar-worker.1": "registrar-worker",
         "registrar-ledger.5": None, "registrar-manifest.5": None, "registrar.conf.5": None,
         "registrar-daemon.8": None, "registrar-protocol.5": None}
COMMANDS = ("run", "plan", "ledger", "explain", "model", "daemon", "doctor", "submit", "status",
            "watch", "cancel", "retry", "pause", "resume", "drain", "priority", "logs", "apply",
            "report")
DAEMON = ("daemon", "doctor")  # those whose options stand in registrar-daemon(8)


def help_of(*arguments):
    ran = subprocess.run([*map(str, arguments), "--help"], text=True, capture_output=True,
                         stdin=subprocess.DEVNULL, timeout=10, check=False)
    expect(ran.returncode, 0, f"exit status of {arguments} --help")
    expect(ran.stderr, "", f"stderr of {arguments} --help")
    return ran.stdout


def options_in_help(text):
    """Options that a help text lists: lines that begin with them."""
    found = set()
    for line in text.splitlines():
        match = re.match(r" {2,6}(?:-(\w), )?--([a-z][a-z-]*)", line)
        if match:
            found.add("--" + match[2])
            if match[1]:
                found.add("-" + match[1])
    return found


def options_in_page(name):
    """Options that a page lists: .It Fl o , Fl -out Ar OUT"""
    found = set()
    for line in (MAN / name).read_text().splitlines():
        if line.startswith(".It Fl "):
            for option in re.findall(r"Fl (-?[a-z][a-z-]*)", line):
                found.add("-" + option)
    return found


def section(name, title):
    """The source of one section of a page."""
    text = (MAN / name).read_text()
    match = re.search(rf"^\.Sh {title}\n(.*?)(?=^\.Sh |\Z)", text, re.M | re.S)
    assert match, f"{name} has no section {title}"
    return match[1]


def rendered(name):
    if not shutil.which("mandoc"):
        skip("no mandoc")
    ran = subprocess.run(["mandoc", "-T", "ascii", "-O", "width=250", MAN / name], capture_output=True, text=True,
                         check=True)
    return re.sub(".\x08", "", ran.stdout)


@test("every option in the help stands in the man page, and the other way round")
def _(t):
    in_help = set()
    for command in COMMANDS:
        if command not in DAEMON:
            in_help |= options_in_help(help_of(REGISTRAR, command))
    assert len(in_help) > 20, in_help
    expect(sorted(options_in_page("registrar.1")), sorted(in_help), "options in registrar(1)")


@test("the daemon's options likewise")
def _(t):
    in_help = set()
    for command in DAEMON:
        in_help |= options_in_help(help_of(REGISTRAR, command))
    expect(sorted(options_in_page("registrar-daemon.8") | {"--help", "-h"}), sorted(in_help),
           "options in registrar-daemon(8)")


@test("every setting stands in registrar.conf(5) with its default, and the other way round")
def _(t):
    (t.folder / "empty.conf").touch()
    shown = t.run("daemon", "--show-config", "--config", t.folder / "empty.conf").stdout
    settings = dict(line.split(" = ") for line in shown.splitlines())
    assert len(settings) > 15, shown
    entries = re.findall(r"^\.It Cm (\S+) No = .*?^The default is\n\.Li (\S+) \.$",
                         (MAN / "registrar.conf.5").read_text(), re.M | re.S)
    expect(dict(entries), settings, "keys and defaults in registrar.conf(5)")


@test("the worker's options and modes likewise")
def _(t):
    text = help_of(WORKER)
    page = (MAN / "registrar-worker.1").read_text()
    expect(sorted(set(re.findall(r"\bFl -([a-z-]+)", page))),
           sorted(set(re.findall(r"(?<!\w)--([a-z-]+)", text))), "options in registrar-worker(1)")
    modes = set(re.findall(r"registrar-worker (\w+) +<", text))
    expect(modes, {"align", "apply", "probe", "hash"}, "modes in the worker's help")
    for mode in modes:
        assert re.search(rf"\bCm {mode}\b", page), f"registrar-worker(1) lacks {mode}"


@test("every alignment parameter of the help stands in the man page, and the other way round")
def _(t):
    text = help_of(REGISTRAR, "run").partition("Alignment parameters")[2].partition("\n\n")[0]
    in_help = set(re.findall(r"^  ([a-z][a-z_]*) ", text, re.M))
    page = (MAN / "registrar.1").read_text().partition(".Ss Alignment parameters")[2]
    page = page.partition("\n.Ss ")[0]
    in_page = set()
    for line in re.findall(r"^\.It (Cm .*)$", page, re.M):
        in_page |= set(re.findall(r"Cm ([a-z_]+)", line))
    assert len(in_help) >= 12, in_help
    expect(sorted(in_page), sorted(in_help), "parameters in registrar(1)")


@test("every command has its place in the overview, the man page and its own help")
def _(t):
    overview = help_of(REGISTRAR)
    listed = re.findall(r"^  (\w+) +\S", overview.partition("Commands:")[2], re.M)
    expect(sorted(listed), sorted(COMMANDS), "commands in the overview")
    page = (MAN / "registrar.1").read_text()
    for command in COMMANDS:
        assert re.search(rf"^\.It Cm {command}\b", page, re.M), f"registrar(1) lacks {command}"
        expect_in(f"registrar {command}", help_of(REGISTRAR, command), "help")
    for action in ("show", "verify", "csv"):
        expect_in(f".It Cm ledger {action}", page, "registrar(1)")
        expect_in(action, help_of(REGISTRAR, "ledger"), "help of ledger")


@test("exit statuses are the same in help and man page")
def _(t):
    in_help = re.findall(r"^  (\d+)  ", help_of(REGISTRAR, "run"), re.M)
    expect(in_help, ["0", "1", "2", "3", "4", "5", "70"], "exit statuses in the help")
    in_page = re.findall(r"^\.It (\d+)$", section("registrar.1", "EXIT STATUS"), re.M)
    expect(in_page, in_help, "exit statuses in registrar(1)")


@test("defaults that both tell agree")
def _(t):
    page = rendered("registrar.1")
    text = help_of(REGISTRAR, "run").partition("Alignment parameters")[0]
    text = re.sub(r"\s+", " ", text)
    page = re.sub(r"\s+", " ", page)
    for option, default in re.findall(r"--([a-z-]+) [^()]*?\(default: (\d+[a-zA-Z%]*)", text):
        entry = re.search(rf"--{option} .*?default is (\S+?)[.;]? ", page)
        assert entry, f"registrar(1) tells no default of --{option}"
        expect(entry[1], default, f"default of --{option} in registrar(1)")


@test("every program and file format has a page, and every page is clean")
def _(t):
    expect(sorted(page.name for page in MAN.iterdir()), sorted(PAGES), "pages")
    if not shutil.which("mandoc"):
        skip("no mandoc")
    for name in PAGES:
        ran = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", MAN / name],
                             capture_output=True, text=True, check=False)
        expect((ran.returncode, ran.stdout), (0, ""), f"mandoc on {name}")


@test("pages refer only to pages that exist")
def _(t):
    for name in PAGES:
        for page, number in re.findall(r"^\.Xr (registrar\S*) (\d)", (MAN / name).read_text(),
                                       re.M):
            assert (MAN / f"{page}.{number}").exists(), f"{name} refers to {page}({number})"


@test("the ledger's page names every event and every member that is promised")
def _(t):
    page = (MAN / "registrar-ledger.5").read_text()
    for word in ("batch", "attempt_start", "attempt_end", "task_end", "note", "seq", "time", "boot",
                 "crc", "verdict", "evidence", "started", "wall_s", "cpu_s", "peak_rss_bytes",
                 "min_rss_bytes", "predicted_bytes", "reserved_bytes", "stage"):
        assert re.search(rf"\b{word}\b", page), f"registrar-ledger(5) lacks {word}"


@test("the manifest's page names every key that is allowed")
def _(t):
    page = (MAN / "registrar-manifest.5").read_text()
    for key in ("tasks", "id", "pre", "post", "params", "timeout", "command", "kind", "inputs",
                "memory", "cwd", "env"):
        assert re.search(rf"\b{key}\b", page), f"registrar-manifest(5) lacks {key}"


run_tests()
