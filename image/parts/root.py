"""The root tree: the packages' files without what is not needed, ours laid over them, users and enabled units settled."""

import glob
import os
import re
import shutil
from pathlib import Path

from parts.host import IMAGE, REPO, Failed, Tools, caller, cargo, cargo_home, remove, run, say, stage
from parts.packages import listed
from parts.rescue import check

MODULES = REPO / "modules"
USERS = IMAGE / "users.lock"


def binary(given):
    """The program: a built one, or this commit's, the same from whatever folder it is built in."""
    if given:
        return given
    say("cargo build --release")
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    folder = target.absolute() / "image-build"
    folder.mkdir(parents=True, exist_ok=True)
    if who := caller():
        os.chown(folder, who.pw_uid, who.pw_gid)
    flags = f"--remap-path-prefix={REPO}=/src --remap-path-prefix={cargo_home()}=/cargo"
    build = ["build", "--release", "--locked", "--quiet", "--bin", "custodian", "--target-dir", folder]
    run(**cargo(build, RUSTFLAGS=flags, SOURCE_DATE_EPOCH="0"))
    return folder / "release/custodian"


def font(cache, tools_tree):
    """The console's letters, in the form that bterm maps into memory."""

    def make(new):
        tools = Tools(tools_tree, 0, [cache])
        tools.run(["bash", "-c", f"bdftobogl -b /usr/src/unifont.bdf > {new}/unifont.bgf"], log=cache / "font.log")

    return stage(cache, "font", [tools_tree.parent.name], make) / "unifont.bgf"


def root_tree(cache, tools_tree, base, program, keyring):
    letters = font(cache, tools_tree)
    stripped = cache / "custodian"
    run(["strip", "--strip-all", "-o", stripped, program])

    def make(new):
        root = new / "root"
        run(["cp", "-a", "--reflink=auto", base / "root", root])
        drop(root, "dropped.files")
        overlay(root, stripped, keyring)
        link(root)
        put(letters, root / "usr/share/custodian/unifont.bgf")
        settle(root, Tools(tools_tree, 0, [cache]), cache)

    inputs = [base.name, stripped, letters, MODULES, IMAGE / "files", IMAGE / "dropped.packages", IMAGE / "dropped.files", USERS, keyring, Path(__file__)]
    return stage(cache, "assembled", inputs, make) / "root"


def drop(root, *lists):
    """Takes out the files of image/dropped.packages, and what the lists of globs name."""
    info = root / "var/lib/dpkg/info"
    gone = []
    kept = set()
    dropped = set(listed(IMAGE / "dropped.packages"))
    for files in sorted(info.glob("*.list")):
        lines = files.read_text().splitlines()
        if files.name.removesuffix(".list").partition(":")[0] in dropped:
            gone += lines
        else:
            kept.update(lines)
    for path in gone:
        p = root / path.lstrip("/")
        # /bin and its like are links into /usr.
        p = p.parent.resolve() / p.name
        if path not in kept and (p.is_symlink() or p.is_file()):
            p.unlink()
    for pattern in [l for file in lists for l in listed(IMAGE / file)]:
        for found in glob.glob(pattern, root_dir=root, include_hidden=True):
            remove(root / found)
    for folder, _, _ in os.walk(root / "usr", topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)
    # Links into what has gone.
    for p in (root / "etc/alternatives").glob("*"):
        if not os.path.lexists(root / os.readlink(p).lstrip("/")):
            p.unlink()
    for p in list((root / "usr/bin").iterdir()) + list((root / "usr/sbin").iterdir()):
        if p.is_symlink() and (target := os.readlink(p)).startswith("/etc/alternatives/") and not os.path.lexists(root / target.lstrip("/")):
            p.unlink()


def initrd(cache, tools_tree, base):
    """The initrd's tree without what is not needed, packed: the same bytes from the same tree."""

    def make(new):
        tree = new / "tree"
        run(["cp", "-a", "--reflink=auto", base / "initrd", tree])
        drop(tree, "dropped.files", "dropped.initrd")
        lay(IMAGE / "initrd-files", tree)
        tools = Tools(tools_tree, 0, [cache])
        tools.run(["systemctl", f"--root={tree}", "preset-all"], log=cache / "initrd-presets.log")
        pack = """
            set -e -o pipefail
            find . -exec touch --no-dereference --date=@0 {} +
            find . -print0 | LC_ALL=C sort -z | cpio --null --create --format=newc --reproducible --quiet --owner=+0:+0 | zstd -q -15 -T1 > ../initrd.cpio.zst
        """
        tools.run(["bash", "-c", pack], cwd=str(tree), log=cache / "initrd-pack.log")
        remove(tree)

    inputs = [base.name, IMAGE / "initrd-files", IMAGE / "dropped.packages", IMAGE / "dropped.files", IMAGE / "dropped.initrd", Path(__file__)]
    return stage(cache, "packed-initrd", inputs, make) / "initrd.cpio.zst"


def overlay(root, program, keyring):
    lay(IMAGE / "files", root)
    if (MODULES / "system").is_dir():
        lay(MODULES / "system", root)
    units = MODULES / "units"
    for p in sorted(units.iterdir()):
        if p.is_dir() and p.name in ("sysusers.d", "tmpfiles.d", "sysctl.d", "modprobe.d", "modules-load.d"):
            lay(p, root / "usr/lib" / p.name)
        elif p.suffix == ".preset":
            put(p, root / "usr/lib/systemd/system-preset" / p.name)
        elif p.is_dir():
            lay(p, root / "usr/lib/systemd/system" / p.name)
        elif p.suffix == ".rules":
            put(p, root / "usr/lib/udev/rules.d" / p.name)
        else:
            put(p, root / "usr/lib/systemd/system" / p.name)
    lay(MODULES / "catalog", root / "usr/lib/systemd/catalog")
    # A page for readers of the repository.
    (root / "README.md").unlink(missing_ok=True)
    put(program, root / "usr/bin/custodian", 0o755)
    put(keyring, root / "usr/lib/systemd/import-pubring.gpg")


def link(root):
    """Links into the state partition."""
    # What a school gives, and keys that the machine holds, outlive the image: modules/units/tmpfiles.d makes where this leads.
    for name, place in (("custodian", "etc"), ("credstore", "credstore")):
        remove(root / "etc" / name)
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / name).symlink_to(f"/var/lib/custodian/{place}")


def lay(tree, over):
    for p in sorted(tree.rglob("*")):
        to = over / p.relative_to(tree)
        if p.is_symlink():
            remove(to)
            to.parent.mkdir(parents=True, exist_ok=True)
            to.symlink_to(os.readlink(p))
        elif p.is_dir():
            to.mkdir(parents=True, exist_ok=True)
        else:
            put(p, to)


def put(file, to, mode=None):
    """Modes do not come from the checkout, whose umask is its own: a file that may be run is for all to run."""
    to.parent.mkdir(parents=True, exist_ok=True)
    remove(to)
    shutil.copyfile(file, to)
    to.chmod(mode or (0o755 if file.stat().st_mode & 0o100 else 0o644))


def settle(root, tools, cache):
    users(root, tools, cache)
    for old in ("etc/resolv.conf", "etc/mtab", "etc/hostname", "etc/fstab", "etc/motd", "etc/issue", "etc/issue.net"):
        remove(root / old)
    (root / "etc/mtab").symlink_to("../proc/self/mounts")
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (root / "etc/hostname").write_text("custodian\n")
    (root / "etc/localtime").unlink(missing_ok=True)
    (root / "etc/localtime").symlink_to("../usr/share/zoneinfo/Etc/UTC")
    (root / "etc/machine-id").write_text("")
    for folder in ("efi", "var", "proc", "sys", "dev", "run", "tmp", "root", "home", "mnt", "srv", "boot"):
        (root / folder).mkdir(exist_ok=True)
    tools.run(["systemctl", f"--root={root}", "preset-all"], log=cache / "presets.log")
    empty_var(root)
    check(root)
    remove(root / "etc/.updated")


def empty_var(root):
    """The state is mounted over it. Where it is not, as in rescue mode, services start on a folder that is read-only: a private /var/tmp wants
    that there is one to begin with, systemd-logind that its folder is."""
    for left in (root / "var").iterdir():
        remove(left)
    (root / "var/tmp").mkdir()
    (root / "var/tmp").chmod(0o1777)
    (root / "var/lib/systemd/linger").mkdir(parents=True)


def users(root, tools, cache):
    """Files on a machine outlive the version that made them: everybody keeps the number that image/users.lock gives."""
    lock = {tuple(l.split()[:2]): l.split()[2] for l in listed(USERS)}
    folder = cache / "sysusers"
    remove(folder)
    folder.mkdir()
    for conf in (root / "usr/lib/sysusers.d").glob("*.conf"):
        lines = []
        for line in conf.read_text().splitlines():
            m = re.match(r"([ug]!?)(\s+)(\S+)(\s+)-(.*)", line)
            if m and (m[1][0], m[3]) in lock:
                line = f"{m[1]}{m[2]}{m[3]}{m[4]}{lock[(m[1][0], m[3])]}{m[5]}"
            lines.append(line + "\n")
        (folder / conf.name).write_text("".join(lines))
    log = cache / "sysusers.log"
    tools.run(["systemd-sysusers", f"--root={root}", *sorted(folder.iterdir())], log=log)
    wrong = [l for l in log.read_text().splitlines() if not l.startswith("Creating ")]
    if wrong:
        raise Failed("systemd-sysusers does not understand a file of sysusers.d:\n" + "\n".join(wrong))
    new = []
    for kind, file in (("u", "passwd"), ("g", "group")):
        for line in (root / "etc" / file).read_text().splitlines():
            name, _, number = line.split(":")[:3]
            if lock.get((kind, name), number) != number:
                raise Failed(f"{name} has number {number}, image/users.lock says {lock[(kind, name)]}: files of installed machines would change hands")
            if (kind, name) not in lock:
                new.append(f"{kind} {name} {number}")
    if new:
        raise Failed("image/users.lock lacks these, whose numbers must be the same in every version: add them there, and commit it\n" + "\n".join(new))
    for name in ("passwd", "group", "shadow", "gshadow"):
        remove(root / f"etc/{name}-")
    passwd = (root / "etc/passwd").read_text()
    (root / "etc/passwd").write_text(re.sub(r":[^:\n]*$", ":/usr/sbin/nologin", passwd, flags=re.M))
    # Nobody's password opens anything, root's either; and no day on which one was set.
    (root / "etc/shadow").write_text("".join(f"{l.split(':')[0]}:!*:::::::\n" for l in passwd.splitlines()))
