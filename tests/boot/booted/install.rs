//! The installer: power lost in the middle.

use crate::{
    installed::{Folder, stick},
    school::{CAMERAS, School},
    vm::{Pc, PowerOn},
};

use super::{generation, wait_until_recording, wait_until_well};

#[test]
fn power_lost_in_the_middle_is_made_good_by_a_second_run() {
    let school = School::open();
    let folder = Folder::new("cut");
    let pc = Pc::new(folder.path());
    let stick = stick(folder.path(), "");
    let on = || PowerOn { stick: Some(&stick), ..school.power_on() };

    // When the system is on the disk and the state is being made.
    let mut vm = pc.start(&on());
    vm.wait_for_boot();
    vm.wait("the installation to be in the middle", 300, |vm| {
        let disks =
            vm.try_run("lsblk --noheadings --list --output PARTLABEL,FSTYPE /dev/disk/by-id/virtio-SYSTEM", 60)?.text();
        disks.lines().any(|l| l.contains("custodian-state") && l.contains("crypto_LUKS")).then_some(())
    });
    vm.cut();

    // Without the stick nothing boots: what makes it start comes last.
    // With it, the second run goes on where the first one was cut, with the same answers.
    let mut vm = pc.start(&on());
    vm.wait_until_off(600);
    drop(vm);
    let mut vm = pc.start(&school.power_on());
    vm.wait_for_boot();
    wait_until_well(&mut vm);
    assert_eq!(generation(&mut vm), 1);
    wait_until_recording(&mut vm, &CAMERAS);
    vm.power_off();
}
