//! The installer: a person who answers, and power that is lost in the middle.

use std::fs;

use custodian::{disks::Verb, types::Lang};

use crate::{
    installed::{Folder, stick, stick_of_school, token},
    school::{CAMERAS, PIN, School, VOLUMES, files_on_stick},
    screens,
    vm::{Pc, PowerOn, SYSTEM, Vm, disks},
};

use super::{generation, wait_until_recording, wait_until_well};

/// Whether the system is on the disk, and the state being made.
fn state_is_made(vm: &mut Vm) -> bool {
    let script = "lsblk --noheadings --list --output PARTLABEL,FSTYPE /dev/disk/by-id/virtio-SYSTEM";
    let parts = vm.try_run(script, 60).map(|e| e.text()).unwrap_or_default();
    parts.lines().any(|l| l.contains("custodian-state") && l.contains("crypto_LUKS"))
}

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
    vm.wait("the installation to be in the middle", 300, |vm| state_is_made(vm).then_some(()));
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

/// What a person is asked for before it begins, and answers.
fn answers(lang: Lang) -> [(&'static str, String); 4] {
    let codes = VOLUMES.map(|(_, serial)| token(serial, Verb::Init).to_string()).join(" ");
    [
        ("language", screens::number(lang)),
        ("plan", token(SYSTEM, Verb::Install).to_string()),
        ("footage", codes),
        ("pin", PIN.to_owned()),
    ]
}

/// Waits for the installer's first question.
fn wait_for_installer(vm: &mut Vm) {
    vm.wait_for_boot();
    vm.wait("the installer to be there", 180, |vm| {
        let there = vm.try_run("systemctl is-active custodian-install.service && pgrep -f 'custodian install'", 60)?;
        (there.code == 0).then_some(())
    });
}

/// Answers so many questions; the screen that the last one stands on, or that the next one would.
fn answer(vm: &mut Vm, lang: Lang, count: usize) -> Vec<u8> {
    let mut screen = Vec::new();
    for (n, (name, answer)) in answers(lang).into_iter().enumerate().take(count + 1) {
        screen = vm.wait_for_screen(&screen);
        screens::keep(vm, name, lang);
        if n < count {
            vm.type_text(&format!("{answer}\n"));
        }
    }
    screen
}

/// For pictures of the questions in another language: whoever leaves before the last of these answers has changed nothing.
fn look_and_leave(pc: &Pc, on: &PowerOn, lang: Lang) {
    let sizes = || disks().map(|(serial, _)| fs::metadata(pc.file(serial)).unwrap().len()).collect::<Vec<_>>();
    let before = sizes();
    let mut vm = pc.start(on);
    wait_for_installer(&mut vm);
    answer(&mut vm, lang, answers(lang).len() - 1);
    vm.cut();
    assert_eq!(sizes(), before, "something was written to a disk");
}

#[test]
fn a_person_installs_in_one_sitting_with_at_most_six_answers() {
    let school = School::open();
    let folder = Folder::new("person");
    let pc = Pc::new(folder.path());
    let stick = stick_of_school(folder.path());
    let (on, lang) = (PowerOn { stick: Some(&stick), ..school.power_on() }, screens::language());
    if screens::wanted_of_all() {
        Lang::ALL.into_iter().filter(|l| *l != lang).for_each(|other| look_and_leave(&pc, &on, other));
    }
    let mut vm = pc.start(&on);
    wait_for_installer(&mut vm);
    let asked = answers(lang).len();
    assert!(asked < MOST);
    let mut screen = answer(&mut vm, lang, asked);
    if screens::wanted() {
        vm.wait("the state to be made", 300, |vm| state_is_made(vm).then_some(()));
        screens::keep(&mut vm, "progress", lang);
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
    screens::keep(&mut vm, "secrets", lang);
    vm.type_text("1\n");
    // It waits for the stick to be pulled, and starts by itself.
    wait_until(&mut vm, "wipe: done");
    vm.wait_for_screen(&screen);
    screens::keep(&mut vm, "finished", lang);
    vm.pull_stick();
    vm.wait_for_boot();
    wait_until_well(&mut vm);
    assert_eq!(generation(&mut vm), 1);
    wait_until_recording(&mut vm, &CAMERAS);
    screens::of_console(&mut vm, Lang::En);
    vm.cut();
    if screens::wanted_of_all() {
        let words = "console=tty0 console=ttyS0 systemd.show_status=yes custodian.rescue";
        let mut vm = pc.start(&PowerOn { words, ..school.power_on() });
        vm.wait_for_boot();
        screens::of_rescue(&mut vm);
        vm.cut();
    }
    let left = files_on_stick(&stick);
    assert!(!left.iter().any(|f| f == "secrets.toml"), "the secrets were to go: {left:?}");
}
