import os
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
