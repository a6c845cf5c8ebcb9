#!/usr/bin/env python3
"""Bash completes what registrar takes: every command, and every option of each."""
import os, re, shutil, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *

SCRIPT = ROOT / "supervisor" / "cli" / "registrar.bash"


def complete(*words):
    """What bash offers for the last word."""
    if not shutil.which("bash"):
        skip("no bash")
    line = " ".join(words)
    script = (f'source {SCRIPT}; COMP_WORDS=({" ".join(map(repr, words))}); '
              f"COMP_CWORD={len(words) - 1}; COMP_LINE={line!r}; "
              f'_registrar {REGISTRAR} {words[-1]!r} {words[-2]!r}; printf "%s\\n" "${{COMPREPLY[@]}}"')
    ran = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True,
                         stdin=subprocess.DEVNULL, env=dict(os.environ, REGISTRAR_SOCKET="/none"))
    expect(ran.stderr, "", f"what bash says of {line}")
    return sorted(ran.stdout.split())


def help_of(*words):
    return subprocess.run([REGISTRAR, *words, "--help"], text=True, capture_output=True,
                          check=True).stdout


def commands():
    found = re.findall(r"^  (\w+) +\S", help_of().partition("Commands:")[2], re.M)
    assert len(found) >= 16, found
    return found


@test("every command is offered")
def _(t):
    expect(complete("registrar", ""), sorted(commands() + ["--help", "--version"]), "commands")
    expect(complete("registrar", "le"), ["ledger"], "what begins with le")


@test("every option of each command is offered, and no other")
def _(t):
    for command in commands():
        wanted = {"--help", "-h"}
        for letter, name in re.findall(r"^ {2,6}(?:(-\w), )?(--[a-z][a-z-]*)", help_of(command),
                                       re.M):
            wanted |= {name, letter} - {""}
        expect(complete("registrar", command, "-"), sorted(wanted), f"options of {command}")


@test("folders are offered where folders belong")
def _(t):
    (t.folder / "results").mkdir()
    (t.folder / "results.txt").touch()
    expect(complete("registrar", "run", "-o", f"{t.folder}/res"), [f"{t.folder}/results"], "OUT")
    expect(complete("registrar", "submit", "--manifest", f"{t.folder}/results."),
           [f"{t.folder}/results.txt"], "a manifest")
    expect(complete("registrar", "ledger", "v"), ["verify"], "what ledger does")


@test("apply is offered files, folders and kinds")
def _(t):
    (t.folder / "cells").mkdir()
    (t.folder / "cells.csv").touch()
    both = [f"{t.folder}/cells", f"{t.folder}/cells.csv"]
    expect(complete("registrar", "apply", f"{t.folder}/cell"), both, "a map, or its folder")
    expect(complete("registrar", "apply", "-o", f"{t.folder}/cell"), both, "OUT")
    expect(complete("registrar", "apply", "--points", f"{t.folder}/cells."), both[1:], "a table")
    expect(complete("registrar", "apply", "--interpolation", "l"), ["lanczos", "linear"], "kinds")


run_tests()
