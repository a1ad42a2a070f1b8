"""The tools tree, and what mkosi makes inside it: the root tree's packages and the initrd. All of it is kept until its inputs change."""

import os
import shutil
from pathlib import Path

from parts.host import IMAGE, Failed, Tools, run, stage
from parts.packages import LOCK, RELEASE, listed, repository

# Packages are laid out the same whatever commit is built; the files of the image get the commit's time when it is packed.
EPOCH = 0
# What makes trees goes into them as packages do.
THIS = [Path(__file__), *(IMAGE / "parts" / name for name in ("host.py", "packages.py"))]


def tools_tree(cache, mirror):
    if not shutil.which("mmdebstrap"):
        raise Failed("mmdebstrap is missing: apt-get install mmdebstrap")
    if os.geteuid() != 0:
        raise Failed("run as root: file systems with other people's files are made here")
    repo = repository(cache, mirror, "tools")

    def make(new):
        run(
            ["mmdebstrap", "--mode=root", "--variant=apt", "--format=directory", "--aptopt=Apt::Install-Recommends \"false\"",
             "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
             f"--include={','.join(listed(IMAGE / 'tools.packages'))}", "--skip=check/empty",
             RELEASE, new / "tree", f"deb [trusted=yes] copy://{repo} {RELEASE} main"],
            log=cache / "tools.log",
        )  # fmt: skip

    return stage(cache, "tools", [IMAGE / "tools.packages", locked_for("tools"), *THIS], make) / "tree"


def locked_for(use):
    return "".join(l for l in LOCK.read_text().splitlines(True) if use in l.split()[-1].split(","))


def tree(cache, tools_tree, mirror, name):
    """mkosi's tree `name`: root, or initrd."""
    repo = repository(cache, mirror, "image")
    conf = IMAGE / "mkosi" / name

    def make(new):
        work = new / "work"
        work.mkdir()
        shutil.copytree(conf, work / "conf", symlinks=True)
        for d in ("workspace", "packages", "cache"):
            (work / d).mkdir()
        tools = Tools(tools_tree, EPOCH, [cache])
        tools.run(
            ["mkosi", "--directory", work / "conf", f"--local-mirror=file://{repo}", f"--output-directory={new}",
             f"--workspace-directory={work}/workspace", f"--package-cache-dir={work}/packages", f"--cache-directory={work}/cache", f"--source-date-epoch={EPOCH}",
             "--incremental=no", "--with-network=no", "build"],
            log=cache / f"{name}.log",
        )  # fmt: skip
        shutil.rmtree(work)

    # What is made of this tree is kept by its name, and so by the tools, too.
    return stage(cache, name, [conf, locked_for("image"), tools_tree.parent.name, *THIS], make)
