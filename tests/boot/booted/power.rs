//! QEMU killed while recording, and what is there after the next boot; a site that is changed in the machine, and one on trial that
//! nobody confirms.

use custodian::sys::{Clock, RealClock};

use super::{SECOND, gaps, generation, segments, status, wait_until_recording, wait_until_well};
use crate::{
    installed::installed,
    school::{CAMERAS, School, site},
    vm::Vm,
};

/// What a power cut may cost, by the promise.
const PROMISE: i64 = 7 * SECOND;

#[test]
fn a_power_cut_costs_seconds_and_a_trial_that_nobody_confirms_ends_with_a_reboot() {
    let school = School::open();
    let (pc, _folder) = installed("power");
    let mut vm = pc.start(&school.power_on());
    vm.wait_for_boot();
    wait_until_recording(&mut vm, &CAMERAS);
    let asked = RealClock.monotonic().0;
    let last = status(&mut vm).expect("its state");
    vm.cut();
    // By the machine's clock, and no sooner than it was.
    let cut = last.now.0 + RealClock.monotonic().0 - asked;

    let mut vm = pc.start(&school.power_on());
    vm.wait_for_boot();
    wait_until_well(&mut vm);
    wait_until_recording(&mut vm, &CAMERAS);
    for stream in &last.streams {
        let camera = stream.camera.as_str();
        let left = segments(&mut vm, camera).iter().map(|s| s.end).filter(|end| *end <= cut).max();
        let (left, committed) = (left.expect("footage from before"), stream.newest_committed.unwrap().0);
        assert!(left >= committed, "{camera}: {} ms of what was committed are lost", (committed - left) / 1_000_000);
        assert!(cut - left <= PROMISE, "{camera}: {} ms are lost", (cut - left) / 1_000_000);
        let gaps = gaps(&mut vm, camera);
        let gap = gaps.iter().find(|g| g.start >= left && g.start <= cut);
        assert!(gap.is_some_and(|g| g.end.is_some() && g.cause["kind"].is_string()), "{camera}: {gaps:?}");
    }
    a_trial_that_nobody_confirms_ends_with_a_reboot(&mut vm);
    vm.cut();
}

fn a_trial_that_nobody_confirms_ends_with_a_reboot(vm: &mut Vm) {
    // One camera less.
    vm.put("/var/lib/custodian/etc/site.toml", site(3).as_bytes());
    let said = vm.run("custodian apply --reason 'the fourth one is repaired'");
    assert_eq!(generation(vm), 2, "{said}");
    vm.wait("the camera to go", 60, |vm| (status(vm)?.streams.len() == 3).then_some(()));
    wait_until_recording(vm, &CAMERAS[..3]);

    // Two less, on trial. Nobody confirms, and the machine starts again.
    vm.put("/var/lib/custodian/etc/site.toml", site(2).as_bytes());
    vm.run("custodian apply --try 1m --reason 'a trial'");
    assert_eq!(generation(vm), 3);
    vm.run("systemctl --no-block reboot");
    vm.wait_for_boot();
    // Commands are taken before the state is there.
    wait_until_well(vm);
    vm.wait("the generation before the trial", 180, |vm| (generation(vm) == 2).then_some(()));
    wait_until_recording(vm, &CAMERAS[..3]);
    assert_eq!(status(vm).unwrap().streams.len(), 3);
}
