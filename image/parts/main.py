"""image/build: the command."""

import argparse
import fcntl
import os
import re
import sys
from pathlib import Path

from parts import bill, check, packages, program, trees
from parts.host import IMAGE, REPO, Failed, Tools, output, say, sha256
from parts.keys import keys, sums
from parts.pack import Image
from parts.root import binary, initrd, root_tree


def arguments(argv):
    target = REPO / "target/image"
    p = argparse.ArgumentParser(
        prog="image/build", description="Builds the appliance: the stick, the update directory, their lists. Run as root on Debian; needs mmdebstrap."
    )
    p.add_argument("--version", help="of the image (Cargo.toml's)")
    p.add_argument("--binary", type=Path, help="a built custodian, instead of building it")
    p.add_argument("--out", type=Path, default=target / "out", help="where the results go (%(default)s)")
    p.add_argument("--cache", type=Path, default=target / "cache", help="packages, tools, trees: kept, may be removed (%(default)s)")
    p.add_argument("--keys", type=Path, default=target / "keys", help="the vendor's keys; made there if missing (%(default)s)")
    p.add_argument("--mirror", metavar="URL", help="of Debian, or an archive of it of some time (https://ARCHIVE/debian/TIME/); else the one that this machine's apt is set up with")
    p.add_argument("--update-lock", action="store_true", help="take the mirror's present packages into image/packages.lock, and end")
    p.add_argument("--check", action="store_true", help="build this commit twice, in two folders, and compare every byte; with --binary: of the image alone")
    p.add_argument("--update-only", action="store_true", help="no stick: the update directory of a further version")
    p.add_argument("--sign", type=Path, metavar="DIR", help="sign an update directory with the key of --keys, and end: for a vendor whose key is kept elsewhere")
    p.add_argument("--new-ring", action="store_true", help="the signature may be of a key that update.gpg has no longer: machines take this version by the key they have, later ones by the new one")
    return p.parse_args(argv)


def main(argv=None):
    a = arguments(argv)
    # Whoever calls.
    os.umask(0o022)
    try:
        if a.check:
            check.check(a)
        elif a.update_lock:
            packages.update_lock(a.cache.resolve(), a.mirror)
        elif a.sign:
            sign(a)
        else:
            build(a)
    except Failed as e:
        print(f"image/build: {e}", file=sys.stderr)
        return 1
    return 0


def commit_time():
    return int(output(["git", "-c", "safe.directory=*", "-C", REPO, "log", "-1", "--format=%ct"]).strip())


def sign(a):
    folder, key_folder = a.sign.resolve(), a.keys.resolve()
    if not (key_folder / "update.secret.asc").exists():
        raise Failed(f"{key_folder}/update.secret.asc is not there")
    tools = Tools(trees.tools_tree(a.cache.resolve(), a.mirror), commit_time(), [folder, key_folder])
    ring = key_folder / "update.gpg"
    sums(tools, key_folder / "update.secret.asc", ring if ring.exists() and not a.new_ring else None, folder, commit_time())


def check_version(version):
    """What a machine takes: src/update/version.rs, LONGEST. With what stands around it, it names a partition, in 36 characters."""
    if not re.fullmatch(r"[0-9][0-9A-Za-z.~^]{,18}", version):
        raise Failed(f"{version!r} is no version: at most 19 digits, letters, dots, beginning with a digit")


def build(a):
    cache, out, key_folder = a.cache.resolve(), a.out.resolve(), a.keys.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    lock = open(cache / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    epoch = commit_time()
    version = a.version or re.search(r'^version = "([^"]+)"', (REPO / "Cargo.toml").read_text(), re.M).group(1)
    check_version(version)
    compiled = binary(a.binary)
    program.check(compiled)
    compilers = program.made_with(compiled)
    tools_tree = trees.tools_tree(cache, a.mirror)
    work = cache / "work"
    work.mkdir(exist_ok=True)
    key_folder.mkdir(parents=True, exist_ok=True)
    tools = Tools(tools_tree, epoch, [cache, out, key_folder, IMAGE])
    all_keys = keys(key_folder, tools)
    base = trees.tree(cache, tools_tree, a.mirror, "root")
    base_initrd = trees.tree(cache, tools_tree, a.mirror, "initrd")
    small = initrd(cache, tools_tree, base_initrd)
    root = root_tree(cache, tools_tree, base, compiled, all_keys[3])
    image = Image(version, epoch, tools, work, out, all_keys)
    image.pack_root(root)
    image.pack_kernel(root, base / "root.vmlinuz", small)
    sums(tools, all_keys[2], None if a.new_ring else all_keys[3], image.update, epoch)
    made = [image.root, image.verity, image.uki]
    if not a.update_only:
        made += [image.stick(), image.compressed()]
        made += bill.write(image, [base / "root", base_initrd / "initrd"], tools_tree, compilers)
    sizes = "".join(f"{p.stat().st_size:>12} {sha256(p)} {p.relative_to(out)}\n" for p in made) + "".join(f"# compiled with {c}\n" for c in compilers)
    (out / f"custodian_{version}.sizes.txt").write_text(sizes)
    for p in made:
        say(f"{p.stat().st_size / 1e6:8.1f} MB  {p.relative_to(out)}")
