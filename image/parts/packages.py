"""The lock: which Debian packages, exactly, the image consists of and is built with. A build takes these and no others."""

import os
import re
import subprocess
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from parts.host import IMAGE, Failed, digest, output, remove, run, say, sha256

LOCK = IMAGE / "packages.lock"
RELEASE = "trixie"
HEAD = """\
# Debian packages of the image and of the tools that build it: package, version, architecture, SHA-256, what for.
# Made by `image/build --update-lock`; `image/build` takes these and no others.
# Debian as of {when}: what mirrors have no longer, an archive has of that time (docs/design/image.md, Rebuilding).
"""
# An archive of all that there ever was: of Debian and its security updates at one time.
ARCHIVE = re.compile(r"(.*/)debian(/[0-9]{8}T[0-9]{6}Z)/?")
# Debian's kernel wants something that makes an initrd. Ours is made by mkosi; a package that holds nothing says that there is one.
DUMMY = """\
Package: custodian-no-initramfs
Version: 1
Architecture: all
Maintainer: custodian
Provides: linux-initramfs-tool
Description: says that something makes the initrd
"""


def archives(mirror):
    """Where Debian and its security updates are: beside each other at `mirror`, else where this machine's apt has them."""
    if mirror and (m := ARCHIVE.fullmatch(mirror)):
        return mirror, f"{m[1]}debian-security{m[2]}"
    if mirror:
        return mirror, mirror.rstrip("/").removesuffix("/debian") + "/debian-security"
    said = output(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"]).splitlines()
    known = dict(reversed([line.split(" ", 1) for line in said if " " in line]))
    if "Debian" in known and "Debian-Security" in known:
        return known["Debian"], known["Debian-Security"]
    raise Failed("apt of this machine knows no mirror of Debian and its security updates: apt-get update, or --mirror URL")


class Apt:
    """The host's apt with its own proxies and mirrors, for another release and without touching the host's state."""

    def __init__(self, folder, mirror, locked=False):
        """`locked`: the lock says which files, and so how old the lists are does not matter; nor does it of an archive."""
        self.folder = folder
        old = locked or bool(mirror and ARCHIVE.fullmatch(mirror))
        for d in ("lists/partial", "cache/archives/partial", "parts"):
            (folder / d).mkdir(parents=True, exist_ok=True)
        mirror, security = archives(mirror)
        keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (folder / "sources.list").write_text(
            f"deb [signed-by={keyring}] {mirror} {RELEASE} main\ndeb [signed-by={keyring}] {security} {RELEASE}-security main\n"
        )
        (folder / "status").write_text("")
        self.options = [
            f"-o{k}={v}"
            for k, v in {
                "APT::Architecture": "amd64",
                "APT::Architectures": "amd64",
                "APT::Install-Recommends": "false",
                "APT::Get::AllowUnauthenticated": "false",
                "APT::Sandbox::User": "root",
                # All lists, and signed ones, or none: the machine's own apt may be less strict.
                "APT::Update::Error-Mode": "any",
                "Acquire::AllowInsecureRepositories": "false",
                "Acquire::AllowWeakRepositories": "false",
                "Acquire::AllowDowngradeToInsecureRepositories": "false",
                "Acquire::Check-Valid-Until": "false" if old else "true",
                "Acquire::Languages": "none",
                "Acquire::Retries": "3",
                "Dir::Etc::sourcelist": folder / "sources.list",
                "Dir::Etc::sourceparts": folder / "parts",
                "Dir::Etc::preferences": folder / "none",
                "Dir::Etc::preferencesparts": folder / "parts",
                "Dir::State": folder,
                "Dir::State::lists": folder / "lists",
                "Dir::State::status": folder / "status",
                "Dir::Cache": folder / "cache",
            }.items()
        ]

    def update(self):
        # What an earlier one has left is not taken for what the mirror has.
        remove(self.folder / "lists")
        (self.folder / "lists/partial").mkdir(parents=True)
        run(["apt-get", *self.options, "-q", "update"], log=self.folder / "update.log")

    def resolve(self, wanted):
        """Exact packages for names: `{(package, version, architecture): sha256}`."""
        text = output(
            ["apt-get", *self.options, "--print-uris", "-qq", "-y", "install", "?essential", "base-files", *wanted], stderr=subprocess.PIPE
        )
        found = [m.groups() for line in text.splitlines() if (m := re.match(r"'[^']+' (\S+?)_(\S+)_(\S+)\.deb ", line))]
        hashes = self.hashes(f"{n}:{a}={unquote(v)}" if a != "all" else f"{n}={unquote(v)}" for n, v, a in found)
        return {(n, unquote(v), a): hashes.get((n, unquote(v), a)) for n, v, a in found}

    def hashes(self, names):
        found = {}
        for record in output(["apt-cache", *self.options, "show", *names], stderr=subprocess.DEVNULL).split("\n\n"):
            field = dict(re.findall(r"^(Package|Version|Architecture|SHA256): (.*)$", record, re.M))
            if "SHA256" in field:
                found[(field["Package"], field["Version"], field["Architecture"])] = field["SHA256"]
        return found

    def download(self, folder, packages):
        """Into `folder`, as apt names the files."""
        done = subprocess.run(
            ["apt-get", *self.options, "-q", "download", *(f"{n}:{a}={v}" if a != "all" else f"{n}={v}" for n, v, a in packages)],
            cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode == 0:
            return
        gone = [
            f"  {n} {v} (now: {self.candidate(n)})"
            for n, v, a in packages
            if f"{v}" in done.stderr and re.search(rf"‘{re.escape(n)}|'{re.escape(n)}", done.stderr)
        ]
        if not gone:
            raise Failed(f"packages could not be fetched:\n{done.stderr.strip()}")
        raise Failed(
            "the mirror has these no longer:\n" + "\n".join(gone) + "\nEither take what the mirror has now: image/build --update-lock, read the change, "
            "commit it. Or take the very files from an archive of the time that image/packages.lock names, or of the day after: "
            "--mirror https://ARCHIVE/debian/TIME/"
        )

    def candidate(self, name):
        m = re.search(r"Candidate: (\S+)", output(["apt-cache", *self.options, "policy", name]))
        return m.group(1) if m else "none"


def file_name(name, version, arch):
    return f"{name}_{version.replace(':', '%3a')}_{arch}.deb"


def wanted():
    """The names that are asked for, by what they are for."""
    names = {"tools": listed(IMAGE / "tools.packages")}
    image = []
    for conf in ("root", "initrd"):
        text = (IMAGE / "mkosi" / conf / "mkosi.conf").read_text()
        block = re.search(r"^Packages=\n((?:[ \t]+.*\n|#.*\n)*)", text, re.M).group(1)
        image += [l.strip() for l in block.splitlines() if l.strip() and not l.strip().startswith("#")]
    names["image"] = sorted(set(image))
    return names


def listed(path):
    return [l.strip() for l in path.read_text().splitlines() if l.strip() and not l.startswith("#")]


def read_lock():
    if not LOCK.exists():
        raise Failed("image/packages.lock is missing: image/build --update-lock makes it")
    locked = {}
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith("#"):
            name, version, arch, sha, uses = line.split()
            locked[(name, version, arch)] = (sha, uses.split(","))
    return locked


def update_lock(cache, mirror):
    apt = Apt(cache / "apt", mirror)
    say("asks the mirror")
    apt.update()
    dummy = make_dummy(cache)
    found = {}
    for use, names in wanted().items():
        for package, sha in apt.resolve([dummy if n == "custodian-no-initramfs" else n for n in names]).items():
            if package[0] == "custodian-no-initramfs":
                continue
            if sha is None:
                raise Failed(f"the mirror says no SHA-256 of {package[0]}")
            found.setdefault(package, [sha, []])[1].append(use)
    lines = [f"{n} {v} {a} {sha} {','.join(sorted(uses))}\n" for (n, v, a), (sha, uses) in sorted(found.items())]
    LOCK.write_text(HEAD.format(when=as_of(apt.folder / "lists")) + "".join(lines))
    say(f"image/packages.lock: {len(lines)} packages")


def as_of(lists):
    """When the newest of the lists was made, as archives name times."""
    dates = [m[1] for p in lists.glob("*Release") if (m := re.search(r"^Date: (.*)$", p.read_text(), re.M))]
    return max(parsedate_to_datetime(d) for d in dates).strftime("%Y%m%dT%H%M%SZ")


def make_dummy(cache):
    folder = cache / "dummy"
    deb = folder / "custodian-no-initramfs_1_all.deb"
    if not deb.exists():
        (folder / "tree/DEBIAN").mkdir(parents=True, exist_ok=True)
        (folder / "tree/DEBIAN/control").write_text(DUMMY)
        run(["dpkg-deb", "--root-owner-group", "--build", folder / "tree", deb], log=folder / "log", env={**os.environ, "SOURCE_DATE_EPOCH": "0"})
    return deb


def repository(cache, mirror, use):
    """A folder that apt can install from, with the locked packages for `use` alone."""
    debs = cache / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    locked = {p: sha for p, (sha, uses) in read_lock().items() if use in uses}
    missing = [p for p in locked if not (debs / file_name(*p)).exists()]
    if missing:
        say(f"fetches {len(missing)} packages for {use}")
        apt = Apt(cache / "apt", mirror, locked=True)
        apt.update()
        new = debs / "new"
        new.mkdir(exist_ok=True)
        apt.download(new, missing)
        for p in missing:
            check(new / file_name(*p), locked[p])
            (new / file_name(*p)).rename(debs / file_name(*p))
    for p, sha in locked.items():
        check(debs / file_name(*p), sha)
    repo = cache / f"repository-{use}"
    binary = repo / f"dists/{RELEASE}/main/binary-amd64"
    stamp = repo / "made-from"
    made_from = digest(*(f"{p}{s}" for p, s in sorted(locked.items())), DUMMY)
    if stamp.exists() and stamp.read_text() == made_from:
        return repo
    (repo / "pool").mkdir(parents=True, exist_ok=True)
    binary.mkdir(parents=True, exist_ok=True)
    for old in (repo / "pool").iterdir():
        old.unlink()
    entries = []
    for deb, sha in [(debs / file_name(*p), s) for p, s in sorted(locked.items())] + [(make_dummy(cache), None)]:
        os.link(deb, repo / "pool" / deb.name)
        control = output(["dpkg-deb", "-f", deb]).rstrip("\n")
        entries.append(f"{control}\nFilename: pool/{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {sha or sha256(deb)}\n")
    data = "\n".join(entries).encode()
    (binary / "Packages").write_bytes(data)
    (repo / f"dists/{RELEASE}/Release").write_text(
        f"Suite: {RELEASE}\nCodename: {RELEASE}\nArchitectures: amd64\nComponents: main\nDate: Thu, 01 Jan 1970 00:00:00 UTC\n"
        f"SHA256:\n {sha256(binary / 'Packages')} {len(data)} main/binary-amd64/Packages\n"
    )
    stamp.write_text(made_from)
    return repo


def check(deb, sha):
    if not deb.exists():
        raise Failed(f"{deb.name} was not fetched")
    if sha256(deb) != sha:
        raise Failed(f"{deb} is not the package that image/packages.lock names (SHA-256): remove it, and build again")
