"""What every part uses: saying how far the build is, running commands, and the tools tree."""

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path

IMAGE = Path(__file__).resolve().parent.parent
REPO = IMAGE.parent
STARTED = time.monotonic()

# In the tools tree "/" must be a mount point, or mkosi cannot make its own: pivot_root does that, chroot does not. Whatever is written
# lies outside the tree, at the same path inside and outside.
ENTER = r"""
set -e
tree=$1; where=$2; count=$3; shift 3
mount --bind "$tree" "$tree"
mkdir -p "$tree/.old"
for d in dev proc sys; do mount --rbind "/$d" "$tree/$d"; done
mount -t tmpfs -o mode=1777 tmpfs "$tree/tmp"
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
while [ "$count" -gt 0 ]; do mkdir -p "$tree$1"; mount --bind "$1" "$tree$1"; shift; count=$((count - 1)); done
cd "$tree"
pivot_root . .old
umount -l /.old
cd "$where"
exec "$@"
"""


class Failed(Exception):
    """The build cannot go on; the text says what to do."""


def say(text):
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", flush=True)


def run(argv, log=None, **more):
    """Runs a command. Its output goes to the file `log`, whose end is shown if it fails."""
    argv = [str(a) for a in argv]
    try:
        if log is None:
            done = subprocess.run(argv, **more)
        else:
            with open(log, "wb") as out:
                done = subprocess.run(argv, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more)
    except FileNotFoundError as e:
        raise Failed(f"{e.filename} is missing") from e
    if done.returncode:
        if log is not None:
            sys.stderr.write("".join(open(log, errors="replace").readlines()[-30:]))
        shown = argv if argv[0] != "unshare" else argv[argv.index("--") + 1 :]
        raise Failed(f"{' '.join(shown[:6])} … ended with {done.returncode}" + (f"; all that it said: {log}" if log else ""))
    return done


def output(argv, **more):
    return run(argv, stdout=subprocess.PIPE, text=True, **more).stdout


def caller():
    """Who called by sudo, as the password database has them; nothing: root itself."""
    uid = os.environ.get("SUDO_UID")
    return pwd.getpwuid(int(uid)) if uid and int(uid) and os.geteuid() == 0 else None


def cargo_home():
    who = caller()
    return Path(os.environ.get("CARGO_HOME") or Path(who.pw_dir if who else Path.home()) / ".cargo")


def cargo(argv, **env):
    """What to run cargo with: as who called by sudo, for root has another toolchain or none, and would leave files in theirs."""
    who = caller()
    env, own = {**os.environ, **env}, f"{cargo_home()}/bin"
    env["PATH"] = f"{own}:{env['PATH']}" if who else f"{env['PATH']}:{own}"
    more = {}
    if who:
        env |= {"HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name}
        more = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": os.getgrouplist(who.pw_name, who.pw_gid)}
    program = shutil.which("cargo", path=env["PATH"])
    if not program:
        raise Failed("cargo is missing: install it, or give a built program with --binary")
    return {"argv": [program, *argv], "cwd": REPO, "env": env, **more}


class Tools:
    """The tools tree, and the folders that are seen inside it."""

    def __init__(self, tree, epoch, folders):
        self.tree, self.epoch = tree, epoch
        self.folders = [str(Path(f).resolve()) for f in folders]

    def argv(self, argv, cwd="/"):
        return [
            "unshare", "-m", "--propagation", "private", "bash", "-c", ENTER, "enter",
            self.tree, cwd, len(self.folders), *self.folders,
            "/usr/bin/env", "-i", "--",
            "PATH=/usr/sbin:/usr/bin", "HOME=/tmp", "LANG=C.UTF-8", "TERM=dumb", "TZ=UTC", f"SOURCE_DATE_EPOCH={self.epoch}",
            *argv,
        ]  # fmt: skip

    def run(self, argv, log=None, cwd="/", **more):
        return run(self.argv(argv, cwd), log, **more)

    def output(self, argv, cwd="/"):
        return output(self.argv(argv, cwd))


def digest(*inputs):
    """One hash of texts, files and whole folders: names, modes, contents."""
    h = hashlib.sha256()

    def add(name, mode, data):
        h.update(f"{name}\0{mode:o}\0{len(data)}\0".encode())
        h.update(data)

    for i in inputs:
        if not isinstance(i, Path):
            add("", 0, str(i).encode())
            continue
        for p in [i] if i.is_file() else sorted(i.rglob("*")):
            name = p.name if p == i else p.relative_to(i)
            if p.is_symlink():
                add(name, 0, os.readlink(p).encode())
            elif p.is_file():
                add(name, p.stat().st_mode & 0o777, p.read_bytes())
    return h.hexdigest()[:20]


def stage(folder, name, inputs, make):
    """A folder made once from its inputs: found again by their hash, made whole or not at all. What an older state of the inputs left is
    removed."""
    done = folder / f"{name}-{digest(*inputs)}"
    if done.is_dir():
        say(f"{name}: as it was")
        return done
    say(f"{name}: is made")
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{name}.new"
    remove(new)
    new.mkdir()
    before = time.monotonic()
    make(new)
    for old in folder.glob(f"{name}-*"):
        if len(old.name) == len(done.name):
            remove(old)
    new.rename(done)
    say(f"{name}: made in {time.monotonic() - before:.0f} s")
    return done


def remove(path):
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        # A build that was killed leaves mounts behind: they are let go of, and nothing that is another file system's is ever removed.
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            at = Path(line.split(" ")[1])
            if at != path and at.is_relative_to(path.resolve()):
                run(["umount", at])
        run(["rm", "-rf", "--one-file-system", "--", path])


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()
