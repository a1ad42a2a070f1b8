//! A changed site.toml on a stick that is plugged into the running recorder.

use std::path::Path;

use super::{generation, wait_until_recording};
use crate::{
    image,
    school::{CAMERAS, PIN, files_on_stick, put_on_stick, read_from_stick, site},
    vm::Vm,
};

const CHANGED: &str = "Cổng trường";

fn is_in(vm: &mut Vm) -> bool {
    vm.ended("test -e /dev/disk/by-partlabel/CUSTODIAN").code == 0
}

/// It is kept out until a person at the screen asks for it, read in its cage, shown, applied with the PIN, and has a receipt.
pub(super) fn a_changed_site_is_applied(mut vm: Vm, dir: &Path) {
    let before = generation(&mut vm);
    let stick = image::stick(dir);
    let text = site(CAMERAS.len()).replace("\"Camera 0\"", &format!("\"{CHANGED}\""));
    put_on_stick(&stick, &[("site.toml", &text)]);
    vm.plug_stick(&stick);
    vm.wait("the stick to be kept out", 60, |vm| {
        let blocked = vm.try_run("usbguard list-devices --blocked", 60)?.text();
        blocked.contains("HARDDRIVE").then_some(())
    });
    assert!(!is_in(&mut vm), "nobody has asked for it");

    // A page that rests is woken by a key.
    vm.type_text("x");
    let page = vm.wait_for_screen(&[]);
    vm.type_text("a");
    vm.wait_for_screen(&page);
    vm.type_text("y");
    vm.wait("the stick to be let in", 60, |vm| is_in(vm).then_some(()));
    // What is typed ahead is for the pages to come: to the end of the plan, apply, the PIN.
    vm.type_text(&format!("        y{PIN}\n"));
    vm.wait("the site to be applied", 240, |vm| (generation(vm) == before + 1).then_some(()));
    let applied = vm.run("cat /var/lib/custodian/current/site.toml");
    assert!(applied.contains(CHANGED), "{applied}");
    wait_until_recording(&mut vm, &CAMERAS);
    vm.wait("the person to be told that the stick may go", 120, |vm| {
        vm.type_text("\n");
        (!is_in(vm)).then_some(())
    });
    vm.power_off();
    let files = files_on_stick(&stick);
    let receipt = files.iter().find(|f| f.starts_with("receipt-a-") && f.contains(".txt")).expect("a receipt");
    let said = read_from_stick(&stick, receipt);
    assert!(said.contains(CHANGED) && !said.contains(crate::cameras::USER.1), "{said}");
}
