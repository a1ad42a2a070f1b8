"""From trees to what boots: the root with its hashes, the kernel image, the update directory and the stick."""

import os
import re
import uuid
from pathlib import Path

from parts.host import IMAGE, Failed, remove, say

# Every identifier is made of a name and the version: the same wherever and whenever it is built.
NAMESPACE = uuid.UUID("5b8f2a5e-6a0a-4a53-9f0c-0b9c6f0f7f11")
SALT = "637573746f6469616e20726f6f742076657269747920636f6d706172656420000"[:64]
MIB = 1 << 20
# Of the compressed stick.
MOST = 300_000_000
TYPES = {
    "esp": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    "root": "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    "verity": "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
    "basic": "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
}
# Of the boot, in which the TPM opens something: the state before sysinit.target, volumes after it, and one that is put in later. Not the
# initrd, which has nothing to open.
PHASES = " ".join(f"enter-initrd:leave-initrd{later}" for later in ("", ":sysinit", ":sysinit:ready"))
# Sites name network cards: a later systemd names them as this one does.
# Nothing of it can be changed at the keyboard: the loader's editor is off on the machine, a stick has no menu.
CMDLINE = (
    "rootfstype=erofs rootflags=ro ro systemd.machine_id=firmware systemd.gpt_auto=no systemd.getty_auto=no net.naming_scheme=v257 panic=10 oops=panic audit=0 "
    "rd.systemd.default_device_timeout_sec=60s rd.systemd.default_timeout_start_sec=90s loglevel=4 systemd.show_status=auto"
)


def ident(name, version):
    return str(uuid.uuid5(NAMESPACE, f"{version} {name}"))


class Image:
    def __init__(self, version, epoch, tools, work, out, keys):
        self.version, self.epoch, self.tools, self.work, self.out = version, epoch, tools, work, out
        self.pcr, self.pcr_public = keys[:2]
        self.update = out / "update"
        # Of one version alone: what is listed is signed.
        remove(self.update)
        self.update.mkdir(parents=True)
        self.root = self.update / f"custodian_{version}.root.raw"
        self.verity = self.update / f"custodian_{version}.verity.raw"
        self.uki = self.update / f"custodian_{version}.efi"

    def log(self, name):
        return self.work / f"{name}.log"

    def os_release(self, image="custodian"):
        v = self.version
        return (
            f'ID=custodian\nID_LIKE=debian\nNAME="custodian"\nPRETTY_NAME="custodian {v}"\nVERSION="{v}"\nVERSION_ID="{v}"\n'
            f'IMAGE_ID={image}\nIMAGE_VERSION="{v}"\nVARIANT_ID=appliance\nANSI_COLOR="0;36"\n'
        )

    def pack_root(self, tree):
        """The version is the one thing of the tree that is written here: another version of the same tree is packed anew, not made anew."""
        (tree / "usr/lib/os-release").write_text(self.os_release())
        remove(tree / "etc/os-release")
        (tree / "etc/os-release").symlink_to("../usr/lib/os-release")
        # Of /usr, too, by which systemd sees after an update that caches in /var are to be made anew.
        for folder, folders, files in os.walk(tree):
            for p in [folder, *(os.path.join(folder, f) for f in folders + files)]:
                os.utime(p, (self.epoch, self.epoch), follow_symlinks=False)
        for p in (self.root, self.verity):
            remove(p)
        say(f"packs the root of {self.version}")
        self.tools.run(
            ["mkfs.erofs", "--quiet", "-zzstd,level=9", "-C65536", "-Eztailpacking,fragments", f"-T{self.epoch}", f"-U{ident('root', self.version)}",
             "-Lcustodian", "--workers=2", self.root, tree],
            log=self.log("erofs"),
        )  # fmt: skip
        text = self.tools.output(
            ["veritysetup", "format", f"--salt={SALT}", f"--uuid={ident('verity', self.version)}", "--data-block-size=4096",
             "--hash-block-size=4096", "--hash=sha256", self.root, self.verity]
        )  # fmt: skip
        self.root_hash = re.search(r"^Root hash:\s+([0-9a-f]{64})$", text, re.M).group(1)
        pad(self.root, 4096)
        pad(self.verity, 4096)
        self.verity.chmod(0o644)

    def pack_kernel(self, tree, kernel, initrd):
        say(f"packs the kernel of {self.version}")
        v = self.version
        disk = f"systemd.verity_root_data=/dev/disk/by-partlabel/custodian_{v} systemd.verity_root_hash=/dev/disk/by-partlabel/custodian_{v}_verity"
        cmdline = f"roothash={self.root_hash} {disk} {CMDLINE}"
        release = self.work / "os-release"
        release.write_text(self.os_release())
        # The loader (257) gives all profiles of a counted image one name, and sorts by this first: rescue mode stands behind every version.
        behind = self.work / "os-release-rescue"
        behind.write_text(self.os_release("custodian-rescue"))
        uname = next((tree / "usr/lib/modules").iterdir()).name
        rescue = self.work / "rescue.efi"
        for p in (rescue, self.uki):
            remove(p)
        common = [f"--os-release=@{release}", f"--uname={uname}", "--stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub", "--efi-arch=x64"]
        self.tools.run(
            ["ukify", "build", "--profile=ID=rescue\nTITLE=custodian: rescue", f"--cmdline={cmdline} custodian.rescue", f"--os-release=@{behind}", "--stub=/usr/lib/systemd/boot/efi/addonx64.efi.stub",
             "--efi-arch=x64", f"--output={rescue}"],
            log=self.log("rescue"),
        )  # fmt: skip
        self.tools.run(
            ["ukify", "build", f"--linux={kernel}", f"--initrd={initrd}", f"--cmdline={cmdline}", "--profile=ID=main\nTITLE=custodian", f"--join-profile={rescue}",
             f"--pcr-private-key={self.pcr}", f"--pcr-public-key={self.pcr_public}", f"--phases={PHASES}", "--pcr-banks=sha256",
             f"--output={self.uki}", *common],
            log=self.log("uki"),
        )  # fmt: skip

    def stick(self):
        """The installer: the same kernel and root, an addition to the command line, and a partition that people read and write."""
        say("makes the stick")
        folder = self.work / "stick"
        remove(folder)
        folder.mkdir()
        addon = folder / "custodian-install.addon.efi"
        disk = "systemd.verity_root_data=/dev/disk/by-partlabel/custodian-stick systemd.verity_root_hash=/dev/disk/by-partlabel/custodian-stick-verity"
        self.tools.run(
            ["ukify", "build", f"--cmdline=custodian.install {disk}", "--stub=/usr/lib/systemd/boot/efi/addonx64.efi.stub", "--efi-arch=x64",
             f"--output={addon}"],
            log=self.log("addon"),
        )  # fmt: skip
        esp, people = folder / "esp.raw", folder / "people.raw"
        size = -(-(self.uki.stat().st_size + 8 * MIB) // (32 * MIB)) * 32 * MIB
        self.fat(esp, max(size, 64 * MIB), "CUSTODIANEF", {"EFI/BOOT/BOOTX64.EFI": self.uki, "loader/addons/custodian-install.addon.efi": addon})
        files = {}
        for p in [*(IMAGE / "stick").iterdir(), *IMAGE.glob("*.example.toml")]:
            files[p.name] = folder / p.name
            # Ends of lines, and a mark that it is UTF-8, for whatever editor a Windows PC has.
            mark = b"\xef\xbb\xbf" if p.suffix == ".txt" else b""
            (folder / p.name).write_bytes(mark + p.read_bytes().replace(b"\n", b"\r\n"))
        files = dict(sorted(files.items()))
        self.fat(people, 64 * MIB, "CUSTODIAN", files)
        parts = [
            ("esp", "custodian-stick-esp", esp),
            ("root", "custodian-stick", self.root),
            ("verity", "custodian-stick-verity", self.verity),
            ("basic", "CUSTODIAN", people),
        ]
        raw = self.out / "custodian-installer.raw"
        remove(raw)
        script = f"label: gpt\nlabel-id: {ident('stick', self.version)}\nfirst-lba: 2048\n"
        at = 1 * MIB
        places = []
        for kind, label, file in parts:
            length = -(-file.stat().st_size // MIB) * MIB
            script += f"start={at // 512}, size={length // 512}, type={TYPES[kind]}, uuid={ident(label, self.version)}, name=\"{label}\"\n"
            places.append((at, file))
            at += length
        with open(raw, "wb") as f:
            f.truncate(at + MIB)
        self.tools.run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", raw], log=None, input=script.encode())
        with open(raw, "r+b") as out:
            for start, file in places:
                out.seek(start)
                with open(file, "rb") as f:
                    while block := f.read(MIB):
                        # Holes stay holes.
                        if block.count(0) == len(block):
                            out.seek(len(block), os.SEEK_CUR)
                        else:
                            out.write(block)
        remove(folder)
        return raw

    def compressed(self):
        """The stick as it is handed out."""
        small = self.out / "custodian-installer.raw.zst"
        self.tools.run(["zstd", "-q", "-f", "-9", "-T1", "-o", small, self.out / "custodian-installer.raw"], log=self.log("zstd"))
        if small.stat().st_size >= MOST:
            raise Failed(f"{small} has {small.stat().st_size} bytes: more than {MOST}, which a school's line is to carry")
        return small

    def fat(self, file, size, label, files):
        with open(file, "wb") as f:
            f.truncate(size)
        self.tools.run(
            ["mkfs.vfat", "--invariant", "-F", "32", "-s", "1", "-i", ident(label, self.version)[:8], "-n", label, file], log=self.log("vfat")
        )
        lines = ["set -e", "export MTOOLS_SKIP_CHECK=1"]
        made = set()
        for name, source in files.items():
            for parent in reversed(Path(name).parents[:-1]):
                if parent not in made:
                    made.add(parent)
                    lines.append(f"mmd -i {file} ::{parent}")
            staged = self.work / "staged"
            lines.append(f"cp {source} {staged}; touch -d @{self.epoch} {staged}; mcopy -m -i {file} {staged} ::{name}; rm {staged}")
        self.tools.run(["bash", "-c", "\n".join(lines)], log=self.log("mtools"))


def pad(file, block):
    """A partition is whole blocks; what a file system left off at its end is zeros."""
    size = -(-file.stat().st_size // block) * block
    with open(file, "r+b") as f:
        f.truncate(size)
