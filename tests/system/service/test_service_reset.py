#!/usr/bin/env python3
# timeout: 90
"""The machine is reset in mid-batch, as by a power cut: the service's queue goes on by itself. Runs
twice: the first time it resets the machine, and after the boot it looks what became of the batch.
test_service.py has installed the service."""
import os
import sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from registrar_test import *
from service_machine import *

RESET = Path("/var/lib/registrar-test.json")  # what was known before the reset
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

needs_own_machine()


def reset():
    submit("ada", "reset", *many(24))
    with open(folder_of("ada") / "reset.json", "rb") as manifest:
        os.fsync(manifest.fileno())  # the test's own, for after the reset
    wait_ends("reset", 5)
    known = {"boot": BOOT_ID.read_text(), "ended": sorted(ends("reset"))}
    with open(RESET, "w", encoding="utf-8") as file:
        json.dump(known, file)
        file.flush()
        os.fsync(file.fileno())
    os.fsync(os.open(RESET.parent, os.O_RDONLY))
    Path("/proc/sysrq-trigger").write_text("b")  # now: nothing is synced or ended
    signal.pause()


@test("hard reset in mid-batch: no finished result is lost or repeated, and the queue goes on")
def _(t):
    known = json.loads(RESET.read_text())
    assert known["boot"] != BOOT_ID.read_text(), "the machine was not reset"
    wait_ends("reset", 24)
    expect_all_once("reset", 24)
    assert set(known["ended"]) <= set(ends("reset")), "a finished result is lost"
    expect(property_of("ActiveState"), "active", "state")
    wait_batch("ada", "reset", folder_of("ada") / "reset")


@test("uninstall takes everything away")
def _(t):
    sh("systemctl", "disable", "--now", "registrar.socket", "registrar.service")
    for path in Path("/registrar/root").rglob("*"):
        if path.is_file():
            Path("/", path.relative_to("/registrar/root")).unlink()
    sh("systemctl", "daemon-reload")
    expect(property_of("LoadState"), "not-found", "the unit")


if not RESET.exists():
    reset()
run_tests()
