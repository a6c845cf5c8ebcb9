"""Control groups for tests: fresh ones that registrar is started in.

    group = make_group(t, limit=150 << 20)      # or the test is skipped, with the reason
    t.preexec = group.enter
    ran = t.run(...)                            # registrar divides `group`
    expect(group.leftovers(), [], "groups left")

On v1 a group is made below our own. On v2 one needs a group without processes that passes its memory
controller on: REGISTRAR_TEST_CGROUP names its folder (as tests/system makes it); without, only the
hierarchy's root serves.
"""
import ctypes
import os
import time
from pathlib import Path

from registrar_test import signal, skip, wait_gone


def hide_cgroups():
    """No cgroup file system to be seen, as in a minimal container."""
    libc = ctypes.CDLL(None, use_errno=True)
    private, mine = 0x44000, 0x20000  # MS_REC | MS_PRIVATE, CLONE_NEWNS
    if libc.unshare(mine) < 0 or libc.mount(b"none", b"/", None, private, None) < 0 or \
       libc.mount(b"none", b"/sys/fs/cgroup", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "no mount namespace")


def _memberships():
    """{"memory": path, ...} of v1 and {"": path} of v2."""
    found = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _mounts():
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        yield kind, options.split(","), before.split()[3], Path(before.split()[4])


def _own_folder(is_v1):
    group = _memberships()["memory" if is_v1 else ""]
    for kind, options, root, point in _mounts():
        if kind == ("cgroup" if is_v1 else "cgroup2") and (not is_v1 or "memory" in options):
            inner = group if root == "/" else group.removeprefix(root)
            if (point / inner.lstrip("/")).exists():
                return point / inner.lstrip("/")
    return skip("no cgroup file system is mounted")


class Group:
    """A folder of the cgroup file system."""

    def __init__(self, folder, level):
        self.folder, self.level = folder, level

    def enter(self):
        """For preexec_fn."""
        self.write("cgroup.procs", 0)

    def leftovers(self):
        """What registrar left in it."""
        return [str(path) for path in self.folder.iterdir() if path.is_dir()]

    def write(self, name, value):
        (self.folder / name).write_text(str(value))

    def remove(self):
        """Whatever a failed test left running in it goes too."""
        for path in [*sorted(self.folder.rglob("*/"), reverse=True), self.folder]:
            for pid in map(int, (path / "cgroup.procs").read_text().split()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                wait_gone(pid)
            path.rmdir()


def make_group(t, limit=None):
    """A fresh group, gone with the test t; or the test is skipped."""
    is_v1 = "memory" in _memberships()
    place = os.environ.get("REGISTRAR_TEST_CGROUP")
    parent = Path(place) if place else _own_folder(is_v1)
    if not os.access(parent, os.W_OK):
        skip(f"{parent} cannot be written")
    if not is_v1 and "memory" not in (parent / "cgroup.subtree_control").read_text().split():
        skip("cgroup v2 without REGISTRAR_TEST_CGROUP, a group that passes memory on")
    group = Group(parent / f"test-{os.getpid()}-{time.monotonic_ns()}", "v1" if is_v1 else "v2")
    group.folder.mkdir()
    t.undo.append(group.remove)
    if limit:
        group.write("memory.limit_in_bytes" if is_v1 else "memory.max", limit)
        if (group.folder / "memory.swap.max").exists():
            group.write("memory.swap.max", 0)
    if not is_v1 and Path("/run/systemd/system").exists():
        os.setxattr(group.folder, "user.delegate", b"1")  # as systemd marks what it gives away
    return group
