#!/usr/bin/env python3
# timeout: 120
"""make install and uninstall below a DESTDIR: the programs find each other, nothing stays behind."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from registrar_test import *


def make(t, *arguments):
    # the make that runs the tests has its own flags and job server in the environment
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", "-s", "-C", ROOT, f"BUILD={BUILD}", "PREFIX=/usr",
                           f"DESTDIR={t.folder / 'root'}", "-o", "all", *arguments], env=env,
                          capture_output=True, text=True, check=False)


def installed(t):
    root = t.folder / "root"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@test("install puts programs, units and man pages where they belong, uninstall takes them away")
def _(t):
    ran = make(t, "install")
    expect(ran.returncode, 0, "make install: " + ran.stderr)
    pages = [f"usr/share/man/man{page.suffix[1:]}/{page.name}"
             for page in (ROOT / "man").glob("*.[1-9]")]
    pages.append("usr/share/bash-completion/completions/registrar")
    service = ["sysusers.d/registrar.conf", "tmpfiles.d/registrar.conf"]
    service += [f"systemd/{manager}/registrar.{kind}" for manager in ("system", "user")
                for kind in ("service", "socket")]
    expect(installed(t), sorted(["usr/bin/registrar", "usr/bin/registrar-worker"] + pages +
                                [f"usr/lib/{name}" for name in service]),
           "installed")
    unit = (t.folder / "root/usr/lib/systemd/system/registrar.service").read_text()
    expect_in("\nExecStart=/usr/bin/registrar daemon\n", unit, "the unit")
    ran = make(t, "uninstall")
    expect(ran.returncode, 0, "make uninstall: " + ran.stderr)
    expect(installed(t), [], "after uninstall")


@test("the installed registrar finds its worker beside it")
def _(t):
    make(t, "install")
    t.generate("S", "D", "--grey", "--size", "400x300")
    env = {name: value for name, value in t.env.items() if name != "REGISTRAR_WORKER"}
    ran = subprocess.run([t.folder / "root/usr/bin/registrar", "plan", t.raw, "-o", t.out],
                         env=env, capture_output=True, text=True, check=False)
    expect(ran.returncode, 0, "plan: " + ran.stderr)
    expect_in("=== Pre-flight ===", ran.stdout + ran.stderr)


run_tests()
