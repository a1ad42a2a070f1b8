"""Whether a commit makes one image: it is built twice, in two folders, under two circumstances, and every byte is compared."""

import os
import subprocess
import sys
from pathlib import Path

from parts.host import REPO, Failed, output, remove, run, say

# What must not matter: where it is built, in which time zone and language and with which umask; and a few minutes between the two. Not varied: the
# day, the kernel, and what compiles the program.
CIRCUMSTANCES = [
    ("one", {"TZ": "UTC", "LANG": "C.UTF-8"}, 0o022),
    ("another/place", {"TZ": "Asia/Ho_Chi_Minh", "LANG": "vi_VN.UTF-8"}, 0o027),
]


def check(a):
    cache = a.cache.resolve()
    if output(["git", "-c", "safe.directory=*", "-C", REPO, "status", "--porcelain"]).strip():
        say("note: what is not committed is not part of this")
    commit = output(["git", "-c", "safe.directory=*", "-C", REPO, "rev-parse", "HEAD"]).strip()
    outs, trees = [], []
    for name, circumstances, umask in CIRCUMSTANCES:
        folder = cache / "check" / name
        remove(folder)
        folder.mkdir(parents=True)
        source = folder / "source"
        run(["git", "-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks", REPO, source])
        run(["git", "-C", source, "checkout", "--quiet", commit])
        # Downloads are checked against the lock, whoever has made them; the trees are made anew.
        (folder / "cache").mkdir()
        (cache / "debs").mkdir(exist_ok=True)
        (folder / "cache/debs").symlink_to(cache / "debs")
        argv = [source / "image/build", "--cache", folder / "cache", "--out", folder / "out", "--keys", a.keys.resolve(), *(["--mirror", a.mirror] if a.mirror else [])]
        argv += ["--binary", a.binary.resolve()] if a.binary else []
        argv += ["--version", a.version] if a.version else []
        say(f"builds in {folder}")
        env = {**os.environ, **circumstances}
        env.pop("CARGO_TARGET_DIR", None)
        done = subprocess.run([sys.executable, "-B", *map(str, argv)], env=env, umask=umask)
        if done.returncode:
            raise Failed(f"the build in {folder} has failed")
        outs.append(folder / "out")
        trees.append(next((folder / "cache").glob("assembled-*")) / "root")
    differ = compare(*outs)
    if differ:
        text = "\n".join(differ + [f"in the root: {d}" for d in compare(*trees)])
        raise Failed(f"two builds of one commit differ:\n{text}")
    say(f"two builds are the same, byte for byte: {len(names(outs[0]))} files")
    remove(cache / "check")


def names(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() or p.is_symlink()}


def compare(one, other):
    """What differs between two folders, and where it begins to."""
    differ = [f"only in {one if n in names(one) else other}: {n}" for n in sorted(names(one) ^ names(other))]
    for name in sorted(names(one) & names(other)):
        a, b = one / name, other / name
        if a.is_symlink() or b.is_symlink():
            if not (a.is_symlink() and b.is_symlink() and os.readlink(a) == os.readlink(b)):
                differ.append(f"{name}: a link elsewhere")
            continue
        if a.stat().st_mode != b.stat().st_mode:
            differ.append(f"{name}: mode {a.stat().st_mode:o} and {b.stat().st_mode:o}")
        at = first_difference(a, b)
        if at is not None:
            differ.append(f"{name}: from byte {at} on ({a.stat().st_size} and {b.stat().st_size} bytes)")
    return differ


def first_difference(a, b):
    at = 0
    with open(a, "rb") as x, open(b, "rb") as y:
        while True:
            p, q = x.read(1 << 20), y.read(1 << 20)
            if p != q:
                return at + next((i for i, (m, n) in enumerate(zip(p, q)) if m != n), min(len(p), len(q)))
            if not p:
                return None
            at += len(p)
