"""The program as it was compiled: by what, which is no part of a commit, and whether the image's C library can run it."""

import re
import string

from parts.host import Failed, output
from parts.packages import read_lock


def readelf(program, *what):
    # The words that are looked for below are English.
    return output(["env", "LC_ALL=C", "readelf", "--wide", *what, program])


def made_with(program):
    """Compilers and linker, as they have written themselves into it, and what takes its symbols off."""
    said = re.findall(r"^ +\[ *[0-9a-f]+\]  (.+)$", readelf(program, "--string-dump=.comment"), re.M)
    strip = output(["strip", "--version"]).splitlines()[0]
    return sorted({"".join(c for c in s if c in string.printable).strip() for s in said}) + [f"strip: {strip}"]


def number(version):
    return [int(n) for n in version.split(".")]


def check(program):
    """A newer C library than the image's is found here, and not when the image starts."""
    (theirs,) = [v for (name, v, _) in read_lock() if name == "libc6"]
    theirs = re.match(r"[0-9.]+", theirs)[0]
    # What a program can do without, it asks for weakly.
    wanted = re.findall(r"Name: GLIBC_([0-9.]+)  Flags: (?!WEAK)", readelf(program, "--version-info"))
    if not wanted:
        raise Failed(f"{program} does not say which C library it wants: it is no program for the image")
    newer = sorted({w for w in wanted if number(w) > number(theirs)}, key=number)
    if newer:
        raise Failed(f"{program} wants the C library's {', '.join(newer)}, the image has {theirs}: compile it on Debian of the image's release, or an older one")
