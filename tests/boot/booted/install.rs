//! The installer: a person who answers, and power that is lost in the middle.

use custodian::disks::Verb;

use crate::{
    installed::{Folder, stick, stick_of_school, token},
    school::{CAMERAS, PIN, School, VOLUMES, files_on_stick},
    screens,
    vm::{Pc, PowerOn, SYSTEM, Vm},
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
    vm.cut();
}

/// The answers that a person may be asked for.
const MOST: usize = 6;

#[test]
fn a_person_installs_in_one_sitting_with_at_most_six_answers() {
    let school = School::open();
    let folder = Folder::new("person");
    let pc = Pc::new(folder.path());
    let stick = stick_of_school(folder.path());
    let mut vm = pc.start(&PowerOn { stick: Some(&stick), ..school.power_on() });
    vm.wait_for_boot();
    vm.wait("the installer to be there", 180, |vm| {
        let there = vm.try_run("systemctl is-active custodian-install.service && pgrep -f 'custodian install'", 60)?;
        (there.code == 0).then_some(())
    });
    let codes = VOLUMES.map(|(_, serial)| token(serial, Verb::Init).to_string()).join(" ");
    let answers = [
        ("language", "3".to_owned()),
        ("plan", token(SYSTEM, Verb::Install).to_string()),
        ("footage", codes),
        ("pin", PIN.to_owned()),
    ];
    assert!(answers.len() < MOST);
    let mut screen = Vec::new();
    for (name, answer) in answers {
        screen = vm.wait_for_screen(&screen);
        screens::keep(&mut vm, name);
        vm.type_text(&format!("{answer}\n"));
    }
    let wait_until = |vm: &mut Vm, said: &str| {
        vm.wait(said, 600, |vm| {
            let all = vm.try_run("journalctl --boot --output=cat --unit=custodian-install.service", 60)?.text();
            all.contains(said).then_some(())
        });
    };
    // The last question, when the code of the recovery sheet is shown: until then nothing starts.
    wait_until(&mut vm, "receipt: done");
    screen = vm.wait_for_screen(&screen);
    screens::keep(&mut vm, "code");
    vm.type_text("1\n");
    // It waits for the stick to be pulled, and starts by itself.
    wait_until(&mut vm, "wipe: done");
    vm.wait_for_screen(&screen);
    screens::keep(&mut vm, "finished");
    vm.pull_stick();
    vm.wait_for_boot();
    wait_until_well(&mut vm);
    assert_eq!(generation(&mut vm), 1);
    wait_until_recording(&mut vm, &CAMERAS);
    screens::keep(&mut vm, "console");
    vm.cut();
    let left = files_on_stick(&stick);
    assert!(!left.iter().any(|f| f == "secrets.toml"), "the secrets were to go: {left:?}");
}
