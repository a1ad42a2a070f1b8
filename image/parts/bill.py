"""What the image consists of: a bill of materials (CycloneDX 1.5) and the licences with their texts."""

import json
import re
import time
from pathlib import Path

from parts.host import IMAGE, REPO, cargo, output
from parts.pack import ident
from parts.packages import listed, read_lock

# What Debian's copyright files call licences that have an identifier of SPDX's.
SPDX = {
    "apache-2.0": "Apache-2.0", "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "cc0-1.0": "CC0-1.0", "expat": "MIT", "mit": "MIT",
    "gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-3": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later",
    "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later", "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3": "LGPL-3.0-only",
    "lgpl-3+": "LGPL-3.0-or-later", "isc": "ISC", "zlib": "Zlib", "artistic": "Artistic-1.0-Perl", "mpl-2.0": "MPL-2.0", "openssl": "OpenSSL",
    "bsl-1.0": "BSL-1.0", "unlicense": "Unlicense",
}  # fmt: skip


# Of the tools one leaves something in the image: the console's font.
OF_TOOLS = ["bf-utf-source"]


def debian(trees, tools_tree):
    """The packages of which files are in the image, with their licences and the text about them."""
    dropped = set(listed(IMAGE / "dropped.packages"))
    locked = read_lock()
    found = {}
    for tree in [*trees, tools_tree]:
        for record in (tree / "var/lib/dpkg/status").read_text().split("\n\n"):
            field = dict(re.findall(r"^(Package|Version|Architecture|Source|Status): (.*)$", record, re.M))
            name = field.get("Package")
            if not name or not field["Status"].endswith(" installed") or name in dropped or name == "custodian-no-initramfs":
                continue
            if tree == tools_tree and name not in OF_TOOLS:
                continue
            key = (name, field["Version"], field["Architecture"])
            text = tree / f"usr/share/doc/{name}/copyright"
            text = text.read_text(errors="replace") if text.exists() else ""
            if key not in found or text:
                found[key] = {"sha256": locked[key][0], "source": field.get("Source", name).split()[0], "text": text, "licences": licences(text)}
    return found


def licences(text):
    """The names of licences that a copyright file gives; of one for people alone, those it points to."""
    names = {n.strip() for n in re.findall(r"^License: *(\S.*)$", text, re.M)}
    if not names:
        names = {n.rstrip(".,") for n in re.findall(r"/usr/share/common-licenses/([A-Za-z0-9.+-]+)", text)}
    return sorted({SPDX.get(n.lower(), n) for n in names})


def crates():
    """The crates that are linked into the program, with their licences and texts."""
    data = json.loads(
        output(**cargo(["metadata", "--locked", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"]))
    )
    packages = {p["id"]: p for p in data["packages"]}
    nodes = {n["id"]: n for n in data["resolve"]["nodes"]}
    seen, todo = set(), [data["resolve"]["root"]]
    while todo:
        i = todo.pop()
        if i not in seen:
            seen.add(i)
            todo += [d["pkg"] for d in nodes[i]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
    sums = {
        (n, v): c
        for n, v, c in re.findall(
            r'name = "([^"]+)"\nversion = "([^"]+)"\nsource = "[^"]+"\nchecksum = "([0-9a-f]+)"', (REPO / "Cargo.lock").read_text()
        )
    }
    found = {}
    for i in seen - {data["resolve"]["root"]}:
        p = packages[i]
        folder = Path(p["manifest_path"]).parent
        texts = [f.read_text(errors="replace") for f in sorted(folder.iterdir()) if re.match(r"(?i)(licen[sc]e|copying|notice)", f.name) and f.is_file()]
        found[(p["name"], p["version"])] = {
            "licence": (p["license"] or "see its text").replace("/", " OR "), "sha256": sums.get((p["name"], p["version"])), "text": "\n\n".join(texts)
        }  # fmt: skip
    return found


def write(image, trees, tools_tree, compilers):
    """Two files beside the image."""
    debs, rust = debian(trees, tools_tree), crates()
    parts = []
    for (name, version, arch), p in sorted(debs.items()):
        purl = f"pkg:deb/debian/{name.replace('+', '%2B')}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={arch}&distro=trixie"
        part = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "hashes": [{"alg": "SHA-256", "content": p["sha256"]}]}
        if p["licences"]:
            part["licenses"] = [{"license": {"id": l} if l in SPDX.values() else {"name": l}} for l in p["licences"]]
        part["properties"] = [{"name": "debian:source", "value": p["source"]}]
        parts.append(part)
    for (name, version), p in sorted(rust.items()):
        purl = f"pkg:cargo/{name}@{version}"
        part = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "licenses": [{"expression": p["licence"]}]}
        if p["sha256"]:
            part["hashes"] = [{"alg": "SHA-256", "content": p["sha256"]}]
        parts.append(part)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{ident('bill', image.version)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(image.epoch)),
            "component": {"type": "operating-system", "bom-ref": "custodian", "name": "custodian", "version": image.version, "licenses": [{"license": {"id": "Apache-2.0"}}]},
            "properties": [{"name": "custodian:compiled-with", "value": c} for c in compilers],
        },
        "components": parts,
    }
    bill = image.out / f"custodian_{image.version}.sbom.json"
    bill.write_text(json.dumps(bom, indent=1, ensure_ascii=False) + "\n")
    texts = {}
    lines = ["What the image consists of, and under which licences. The texts follow; the sources of Debian's packages are Debian's, under the same version.\n\n"]
    for (name, version, _), p in sorted(debs.items()):
        lines.append(f"{name} {version} (Debian): {', '.join(p['licences']) or 'see its text'}\n")
        texts.setdefault(p["text"], []).append(name)
    for (name, version), p in sorted(rust.items()):
        lines.append(f"{name} {version} (crate): {p['licence']}\n")
        texts.setdefault(p["text"], []).append(f"{name} (crate)")
    for text, names in texts.items():
        if text:
            lines.append(f"\n{'=' * 100}\n{', '.join(names)}\n{'=' * 100}\n{text}\n")
    listing = image.out / f"custodian_{image.version}.licences.txt"
    listing.write_text("".join(lines))
    return bill, listing
