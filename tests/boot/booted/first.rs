//! Stick, install onto a blank disk with two data disks, power off, boot without the stick: the site is applied, the LUKS volumes are open,
//! the units are up, and systemd calls the system running.

use super::{generation, wait_until_recording, wait_until_well};
use crate::{
    image,
    installed::installed,
    school::{CAMERAS, School, VOLUMES, files_on_stick, read_from_stick},
};

#[test]
fn from_the_stick_to_a_recorder_that_is_up_without_it() {
    let school = School::open();
    let (pc, folder) = installed("first");
    let mut vm = pc.start(&school.power_on());
    vm.wait_for_boot();
    wait_until_well(&mut vm);

    // Which system: the image's, from the disk, and nothing can be written to it.
    let root = vm.run("findmnt --noheadings --output SOURCE,FSTYPE,OPTIONS /");
    assert!(root.contains("/dev/mapper/root") && root.contains("erofs") && root.contains("ro"), "{root}");
    let disk = vm.run("lsblk --inverse --noheadings --list --output NAME,SERIAL,PARTLABEL /dev/mapper/root");
    assert!(disk.contains("SYSTEM") && disk.contains("custodian_"), "{disk}");
    assert_eq!(vm.ended("touch /usr/x").code, 1);

    // The site is applied.
    assert_eq!(generation(&mut vm), 1);
    let state = vm.run("findmnt --noheadings --output SOURCE,FSTYPE /var");
    assert!(state.contains("/dev/mapper/") && state.contains("ext4"), "{state}");
    // The volumes are LUKS2, opened by the TPM, and mounted.
    for (volume, serial) in VOLUMES {
        let mapping = vm.run(&format!("cryptsetup status custodian-{volume}"));
        assert!(mapping.contains("LUKS2") && mapping.contains("is active and is in use"), "{mapping}");
        let mounted =
            vm.run(&format!("findmnt --noheadings --output SOURCE,FSTYPE /var/lib/custodian/volumes/{volume}"));
        assert_eq!(mounted.split_whitespace().collect::<Vec<_>>(), [&format!("/dev/mapper/custodian-{volume}"), "xfs"]);
        let tokens = vm.run(&format!("cryptsetup luksDump /dev/disk/by-id/virtio-{serial}-part1"));
        assert!(tokens.contains("systemd-tpm2"), "{tokens}");
    }
    // The units are up, and do what they are for.
    for unit in ["record", "web", "health", "console"] {
        assert_eq!(
            vm.ended(&format!("systemctl is-active custodian-{unit}.service")).text().trim(),
            "active",
            "{unit}"
        );
    }
    wait_until_recording(&mut vm, &CAMERAS);
    // Nobody can log in.
    let roots = vm.run("cut -d: -f2 /etc/shadow | sort --unique");
    assert!(roots.lines().all(|hash| hash.starts_with(['!', '*'])), "{roots}");
    vm.run("for program in apt-get dpkg sshd agetty; do ! command -v $program || exit 1; done");
    // What sticks are read and written with does both.
    vm.run("cd /run && truncate -s 2M fat && mformat -i fat :: && echo gate | mcopy -i fat - ::site.toml && mtype -i fat ::site.toml | grep -x gate");
    // The ledger goes on with the key that the installer has made, and the door of health shows the certificate that it has made.
    vm.wait("the ledger to be begun", 300, |vm| {
        let size = vm.try_run("sed -n 2p /var/lib/custodian/record/ledger/public/checkpoint", 60)?.text();
        size.trim().parse::<u64>().is_ok_and(|size| size > 0).then_some(())
    });
    let ledger = vm.run("cat /var/lib/custodian/record/ledger/public/vkey");
    let pull = vm.run("sed '/-----/d' /var/lib/custodian/health/tls/pull.crt | base64 -d | sha256sum");
    let owners =
        vm.run("cd /var/lib/custodian && stat -c %U record/ledger record/ledger/key health/tls health/tls/pull.key");
    let (record, health) = ("custodian-record", "custodian-health");
    assert_eq!(owners.lines().collect::<Vec<_>>(), [record, record, health, health]);
    super::stick::a_changed_site_is_applied(vm, folder.path());

    // The receipt on the stick tells what was done, and no secret.
    let stick = crate::installed::base().join(image::STICK);
    let files = files_on_stick(&stick);
    let receipt = files.iter().find(|f| f.starts_with("receipt-a-") && f.contains(".txt")).expect("a receipt");
    let text = read_from_stick(&stick, receipt);
    assert!(text.contains("SYSTEM") && !text.contains(crate::cameras::USER.1), "{text}");
    assert!(text.contains(&format!("ledger: {}\r\n", ledger.trim())), "{text}: {ledger}");
    let pull = pull.split_whitespace().next().unwrap();
    assert!(text.to_lowercase().replace(':', "").contains(&format!("pull {pull}")), "{text}: {pull}");
    assert!(files.iter().any(|f| f.starts_with("recovery-a-") && f.contains(".html")), "{files:?}");
    drop(folder);
}
