#!/usr/bin/env python3
"""What the command line says: help, wrong words, wrong folders. Each wrong way exits 2, with one
line on stderr, nothing on stdout, and nothing made."""
import os, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *


def refused(t, *arguments):
    """The one line that such a call gets."""
    ran = t.run(*arguments)
    expect(ran.returncode, 2, f"exit status of {arguments}")
    expect(ran.stdout, "", "stdout")
    assert ran.stderr.startswith("registrar: ") and ran.stderr.endswith("\n"), ran.stderr
    expect(t.out.exists(), False, "the output folder")
    return ran.stderr


@test("help is there for everybody, in 80 columns")
def _(t):
    ran = t.run()
    expect(ran.returncode, 2, "exit status without a word")
    expect_in("registrar run RAW -o OUT", ran.stderr)
    for words in (["--help"], ["-h"], ["help"], ["run", "--help"], ["help", "run"], ["plan", "-h"],
                  ["run", "raw", "--help", "--nonsense"], ["ledger", "--help"]):
        ran = t.run(*words)
        expect(ran.returncode, 0, f"exit status of {words}")
        expect(ran.stderr, "", "stderr")
        assert max(map(len, ran.stdout.splitlines())) <= 80, words
    expect(t.run("help", "run").stdout, t.run("run", "--help").stdout, "two ways to one page")
    expect_in("registrar 0.", t.run("--version").stdout)


@test("the man page has the options and parameters of --help, and no others")
def _(t):
    page = (ROOT / "man" / "registrar.1").read_text()
    ran = t.run("run", "--help")
    in_help = set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)",
                             ran.stdout + t.run("plan", "--help").stdout, re.M))
    sections = {part.partition("\n")[0]: part for part in page.split("\n.Ss ")}
    options = sections["Options of run and plan"]
    expect(set(re.findall(r"^\.It .*?Fl -([a-z-]+)", options, re.M)), in_help, "options")
    parameters = ran.stdout[ran.stdout.index("for --set:"):ran.stdout.index("Examples:")]
    names = set(re.findall(r"^  ([a-z_]+) ", parameters, re.M))
    described = re.findall(r"^\.It Cm (.*)$", sections["Alignment parameters"], re.M)
    expect({name for line in described for name in re.findall(r"[a-z_]{3,}", line)}, names,
           "parameters")


@test("unknown words get the nearest known one")
def _(t):
    expect_in('unknown command "rnu", did you mean run?', refused(t, "rnu"))
    expect_in('unknown command "frobnicate"; registrar --help lists all', refused(t, "frobnicate"))
    expect_in('unknown option "--frobnicate"; registrar --help lists all', refused(t, "--frobnicate"))
    expect_in('unknown command "plna", did you mean plan?', refused(t, "help", "plna"))
    for command in ("run", "plan"):
        expect_in("unknown option --stall-timout; did you mean --stall-timeout?",
                  refused(t, command, t.raw, "-o", t.out, "--stall-timout", "5m"))


@test("wrong values and wrong combinations")
def _(t):
    t.pair("S1", "DAPI")
    for words, sentence in (
            (("--jobs", "none"), '--jobs: "none" is not allowed; give auto or a number from 1'),
            (("--timeout=never",), '--timeout: "never" is not allowed; give a duration above 0'),
            (("--memory", "12X"), "a size like 4G or 900M, or a share from 1% to 100%"),
            (("--worker-memory", "1M"), "give a size of at least "),
            (("--set", "modle=affine"), 'unknown parameter "modle"; known are pad, channel,'),
            (("--manifest", "m.json"), "cannot go together; leave one out"),
            (("--samples", "S1,S9,S8"), ": S9, S8; there are: S1 (--skip-missing goes on without)"),
            (("--dyes", "DAPI,Cy5"), ": S1/Cy5; there are: DAPI (--skip-missing goes on without)")):
        for command in ("run", "plan"):
            expect_in(sentence, refused(t, command, t.raw, "-o", t.out, *words))


@test("wrong folders")
def _(t):
    for command in ("run", "plan"):
        expect_in("the raw folder is missing", refused(t, command, "-o", t.out))
        expect_in("the folder for the results is missing", refused(t, command, t.raw))
        expect_in("there is no folder", refused(t, command, t.raw, "-o", t.out))
    t.raw.mkdir()
    expect_in("holds no sample folder", refused(t, "run", t.raw, "-o", t.out))
    (t.raw / "empty").mkdir()
    expect_in("empty holds no .tif or .tiff file", refused(t, "run", t.raw, "-o", t.out))
    (t.raw / "CD1pre_DAPI.tif").touch()
    (t.raw / "empty").rmdir()
    expect_in("images lie directly in", refused(t, "run", t.raw, "-o", t.out))
    t.pair("S1", "DAPI")
    expect_in("is the raw folder itself", refused(t, "run", t.raw, "-o", t.raw))
    expect_in("is the raw folder of sample S1", refused(t, "run", t.raw, "-o", t.raw / "S1"))
    expect_in("is a file; give a folder", refused(t, "run", t.raw, "-o", t.raw / "CD1pre_DAPI.tif"))
    expect_in("is not a folder", refused(t, "run", t.raw / "CD1pre_DAPI.tif", "-o", t.out))


@test("a wrong manifest starts nothing")
def _(t):
    marker = t.folder / "started"
    good = {"id": "good", "command": ["touch", str(marker)]}
    expect_in('task 2 (bad): unknown key "comand"',
              refused(t, "run", "--manifest",
                      t.manifest(good, {"id": "bad", "comand": ["true"]}), "-o", t.out))
    expect_in('tasks 1 and 2 have the same id "good"',
              refused(t, "run", "--manifest", t.manifest(good, good), "-o", t.out))
    expect(marker.exists(), False, "what the good task makes")


@test("no option is left unheard: each command takes its own and refuses all others")
def _(t):
    t.pair("S1", "DAPI")
    expect(t.run("run", t.raw, "-o", t.out, "--quiet").returncode, 0, "a run")
    values = {"ID": "S1/DAPI", "A,B": "S1", "X,Y": "DAPI", "OUT": t.out, "FILE": t.manifest(),
              "NAME=VALUE": "pad=1", "SIZE|PERCENT": "50%", "SIZE": "1G", "DURATION": "1h",
              "N|auto": "1", "N": "1", "KIND": "align", "COMMAND": "true", "PATH": t.folder / "socket",
              "FORMAT": "fits", "NAME=A,B,C": "pad=1,2"}
    taken = {}  # (command, ...): {option: its argument}
    for words in (("run",), ("plan",), ("ledger",), ("model",)):
        page = t.run(*words, "--help").stdout.partition("Alignment parameters")[0]
        taken[words] = dict(re.findall(r"^ +(?:-\w, )?--([a-z-]+) ?(\S*)", page, re.M))
        del taken[words]["help"]
    page = t.run("ledger", "--help").stdout
    for action in ("show", "verify", "csv"):
        belongs = re.findall(r"--([a-z-]+) ?\S* +((?:\w+, )*\w+): ", page)
        taken["ledger", action] = {name: taken["ledger",][name] for name, actions in belongs
                                   if action in actions.split(", ")}
    del taken["ledger",]
    options = {name: argument for own in taken.values() for name, argument in own.items()}
    assert len(options) >= 20, options
    for words, own in taken.items():
        for name, argument in sorted(options.items()):
            value = [values[argument]] if argument else []
            where = [] if name == "out" else ["-o", t.out]
            raw = [t.raw] if words[0] in ("run", "plan") and name != "manifest" else []
            ran = t.run(*words, *raw, *where, f"--{name}", *value)
            if name in own:
                assert f"--{name}" not in ran.stderr, ran.stderr
                continue
            expect((ran.returncode, ran.stdout), (2, ""), f"{words} --{name}")
            assert re.search(f"^registrar: (unknown option --{name};|--{name} does not go with )",
                             ran.stderr), ran.stderr


def told_as_json(t, status, *arguments):
    """The error's sentence on stdout, which is also on stderr."""
    ran = t.run(*arguments, "--json")
    expect(ran.returncode, status, f"exit status of {arguments}")
    told = json.loads(ran.stdout)
    expect((told["version"], told["error"]["exit"]), (1, status), "the object")
    return told, ran.stderr


@test("--json tells on stdout why nothing was done")
def _(t):
    t.pair("S1", "DAPI")
    for command in ("run", "plan"):
        told, stderr = told_as_json(t, 2, command, t.raw, "-o", t.out, "--jobs", "none")
        expect_in('--jobs: "none" is not allowed', told["error"]["sentence"])
        expect_in(told["error"]["sentence"], stderr)
        told, _ = told_as_json(t, 2, command, t.raw / b"caf\xe9".decode(errors="surrogateescape"),
                               "-o", t.out)
        expect_in(r"caf\xe9", told["error"]["sentence"])
    told, _ = told_as_json(t, 3, "run", t.raw, "-o", t.out, "--memory", "1M")
    expect_in("the pre-flight refused: too little memory, ", told["error"]["sentence"])
    expect_in("; --memory ", told["error"]["sentence"])
    expect(told["plan"]["memory"]["level"], "refused", "the plan's level")
    (t.out / "ledger.jsonl").write_text("no ledger\n")
    for command in ("run", "plan"):
        told, _ = told_as_json(t, 5, command, t.raw, "-o", t.out)
        expect_in("ledger.jsonl", told["error"]["sentence"])


@test("--json tells of an interruption before anything was started")
def _(t):
    t.pair("S1", "DAPI")
    worker = t.folder / "worker"
    worker.write_text("#!/bin/sh\necho \"$$ - probing\" > \"$FAKE_WORKER_EVENTS\"\nexec sleep 600\n")
    worker.chmod(0o755)
    t.env["REGISTRAR_WORKER"] = str(worker)
    process = t.start("run", t.raw, "-o", t.out, "--json")
    pid = t.wait_worker("probing")
    process.send_signal(signal.SIGINT)
    expect(process.wait(), 4, "exit status")
    told = json.loads((t.folder / "stdout").read_text())["error"]
    expect(told["exit"], 4, "exit in the object")
    expect_in(told["sentence"], (t.folder / "stderr").read_text())
    wait_gone(pid)


@test("a program that is no worker is wrong usage when REGISTRAR_WORKER names it")
def _(t):
    t.pair("S1", "DAPI")
    for program, sentence in (("/bin/false", "/bin/false, which is no registrar-worker of this"),
                              ("/nowhere/worker", "/nowhere/worker, which cannot be run; unset it"),
                              (str(t.raw), "which cannot be run; unset it, or name a"),
                              (str(t.manifest()), "which cannot be run; unset it, or name a")):
        t.env["REGISTRAR_WORKER"] = program
        for command in ("run", "plan"):
            ran = t.run(command, t.raw, "-o", t.out)
            expect(ran.returncode, 2, f"exit status with {program}")
            expect_in("registrar: REGISTRAR_WORKER names ", ran.stderr)
            expect_in(sentence, ran.stderr)
            expect(ran.stderr.count("\n"), 1, "lines on stderr")
    ran = t.run("run", "--manifest", t.manifest({"id": "a", "command": ["true"]}), "-o", t.out)
    expect(ran.returncode, 0, "exit status when no pair is to be aligned")


@test("names that no terminal should see are shown escaped")
def _(t):
    t.pair("S1", "DAPI")
    (t.raw / "S1" / "evil\033[2J\n_pre_x.tif").touch()
    (t.raw / os.fsdecode(b"caf\xe9")).mkdir()
    for arguments in (["plan", t.raw, "-o", t.out], ["plan", t.raw, "-o", t.out, "--json"]):
        ran = t.run(*arguments)
        expect(ran.returncode, 1, "exit status")
        expect("\033" in ran.stdout + ran.stderr, False, "an escape sequence")
    ids = [task["id"] for task in json.loads(ran.stdout)["tasks"]]
    expect(sorted(ids), sorted(["S1/DAPI", r"S1/evil\x1b[2J\x0a_pre_x.tif", r"caf\xe9"]), "ids")


@test("a full stdout is told")
def _(t):
    t.pair("S1", "DAPI")
    with open("/dev/full", "w") as full:
        process = t.start("plan", t.raw, "-o", t.out, stdout=full)
        expect(process.wait(), 70, "exit status")
    expect_in("cannot write to stdout", (t.folder / "stderr").read_text())


@test("a summary.json that cannot be written is told")
def _(t):
    t.pair("S1", "DAPI")
    (t.out / "summary.json").mkdir(parents=True)
    ran = t.run("run", t.raw, "-o", t.out)
    expect(ran.returncode, 70, "exit status")
    expect_in("summary.json: Is a directory", ran.stderr, "stderr")
    expect(sorted(os.listdir(t.out)), ["S1", "ledger.jsonl", "summary.json"], "files")


@test("a closed stdout is told, and is not the ledger by mistake; a reader that left is no fault")
def _(t):
    t.pair("S1", "DAPI")
    process = t.start("run", t.raw, "-o", t.out, preexec_fn=lambda: os.closerange(0, 3))
    expect(process.wait(), 70, "exit status without stdout")
    ran = t.run("ledger", "verify", "-o", t.out)
    expect_in("no damage", ran.stdout, "the ledger")
    ends, left = os.pipe()
    os.close(ends)
    process = t.start("run", t.raw, "-o", t.out, "--redo", "--quiet", stdout=left)
    expect(process.wait(), 0, "exit status when the reader left")
    expect((t.folder / "stderr").read_text(), "", "stderr")


run_tests()
