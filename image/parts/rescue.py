"""Rescue mode starts on a /var that is the image's, and read-only. What would write there is found here, and not when a school needs rescue mode."""

import re

from parts.host import Failed

KEPT = re.compile(r"^(?:State|Cache|Logs)Directory=(\S.*)$", re.M)
PLACE = {"S": "var/lib", "C": "var/cache", "L": "var/log"}
NOT_THEN = "ConditionKernelCommandLine=!custodian.rescue"


def writers(root):
    """Services that want a folder below /var in rescue mode that the image does not have: they would fail."""
    found = []
    units = root / "usr/lib/systemd/system"
    for unit in sorted(units.glob("*.service")):
        if unit.is_symlink():
            continue
        text = "\n".join(p.read_text() for p in [unit, *sorted(units.glob(f"{unit.name}.d/*.conf"))])
        wanted = [f"{PLACE[m[0][0]]}/{folder.split(':')[0]}" for m in KEPT.finditer(text) for folder in m[1].split()]
        if NOT_THEN not in text.splitlines() and any(not (root / w).is_dir() for w in wanted):
            found.append(f"{unit.name}: /{', /'.join(wanted)}")
    return found


def check(root):
    if found := writers(root):
        raise Failed(f"in rescue mode these fail, for /var is read-only: give them {NOT_THEN} (image/files), or drop them (image/dropped.files)\n" + "\n".join(found))
