import os
import shlex
import subprocess
import tempfile

# A layer over the image, which is in the store and stays as it is.
layer = tempfile.NamedTemporaryFile()
subprocess.run([QEMU_IMG, "create", "-f", "qcow2", "-b", IMAGE, "-F", "raw", layer.name], check=True)
os.environ["NIX_DISK_IMAGE"] = layer.name

machine.start()
machine.wait_for_unit("multi-user.target")

with subtest("programs come from a store that dm-verity vouches for, and nothing of the system can be written"):
    assert "ACTIVE" in machine.succeed("dmsetup info --target verity usr")
    assert "/dev/mapper/usr" in machine.succeed("findmnt --noheadings --output SOURCE --target /nix/store")
    machine.succeed("findmnt --kernel --type tmpfs /")
    machine.fail("touch /etc/written")
    machine.fail("touch /nix/store/written")

with subtest("nobody can log in"):
    machine.fail("systemctl is-active 'getty@tty1.service' 'serial-getty@ttyS0.service'")
    machine.fail("grep -E '^[^:]+:[^:!*]' /etc/shadow")
    machine.fail("systemctl cat sshd.service")

with subtest("users have the numbers of sysusers.d"):
    assert machine.succeed("id -u custodian-record custodian-web").split() == ["551", "552"]

with subtest("packets are filtered"):
    assert "policy drop" in machine.succeed("nft list chain inet custodian input")
    machine.succeed("systemctl is-active custodian-firewall.service systemd-networkd.service")

with subtest("it starts again after a panic, and the hardware watches it"):
    assert machine.succeed("sysctl -n kernel.panic").strip() == "10"
    assert machine.succeed("systemctl show --property=RuntimeWatchdogUSec --value").strip() == "30s"

with subtest("it installs itself, and asks nobody"):
    # Its files are written as on another computer: by nobody else at that time.
    machine.succeed("systemctl stop custodian-install.service")
    stick = "/dev/disk/by-partlabel/CUSTODIAN"

    def write(name: str, text: str) -> None:
        machine.succeed(f"printf '%s' {shlex.quote(text)} > /run/{name}", f"mcopy -o -i {stick} /run/{name} ::{name}")

    write("site.toml", SITE_TEXT)
    machine.succeed("custodian install --facts", f"mcopy -o -i {stick} ::facts.json /run/facts.json")
    facts = json.loads(machine.succeed("cat /run/facts.json"))["recorders"]["a"]
    system = next(d["token"] for d in facts["system"] if d["disk"]["serial"] == "system")
    footage = facts["footage"][0]
    assert footage["serial"] == "footage", facts
    answers = [
        'recorder = "a"',
        'pin = "294173"',
        'sheet_code = "7k3q-0xv9-hm2c-4tda"',
        "wipe_secrets = true",
        'then = "poweroff"',
        f'[system]\nserial = "system"\ntoken = "{system}"',
        f'[[footage]]\nserial = "footage"\ntoken = "{footage["token"]}"',
    ]
    write("install.toml", "\n".join(answers) + "\n")
    machine.execute("systemctl --no-block start custodian-install.service")
    machine.wait_for_shutdown()

# Nothing in the place of the stick: the firmware takes the disk.
subprocess.run([QEMU_IMG, "create", "-f", "qcow2", layer.name, "1M"], check=True)
machine.start()
machine.wait_for_unit("multi-user.target")

with subtest("it starts from its disk, and the site is in force"):
    assert machine.succeed("findmnt --noheadings --output FSTYPE --target /var").strip() == "ext4"
    for unit in ["state", "apply", "record", "web", "health"]:
        machine.wait_for_unit(f"custodian-{unit}.service")
    assert [g["number"] for g in ask(machine, "generations") if g["current"]] == [1]
    machine.succeed("findmnt --mountpoint /var/lib/custodian/volumes/a1")

with subtest("it comes back after a power cut"):
    machine.crash()
    machine.start()
    machine.wait_for_unit("custodian-record.service")
    machine.succeed("custodian ledger verify")
