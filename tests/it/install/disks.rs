//! Disks that are not what they seem, or that somebody needs.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, time::Duration};

use custodian::{
    services::installing::{Desk, Ended, Papers, Session},
    sys::FakeClock,
};

use super::{Bench, DONE, NOW, Nobody, SECRETS, SITE, SYSTEM, possible, sh};

/// Does something when the last question is answered, before the installation begins.
struct Meanwhile<F: FnMut()>(Nobody, F);

impl<F: FnMut()> Desk for Meanwhile<F> {
    fn say(&mut self, text: &str) {
        if text.starts_with("Now it is installed") {
            (self.1)();
        }
        self.0.say(text);
    }
    fn ask(&mut self, prompt: &str) -> io::Result<Option<String>> {
        self.0.ask(prompt)
    }
    fn copied(&mut self, _: u64, _: u64) {}
    fn wait(&mut self, _: Duration) {}
}

#[test]
fn loop_a_disk_that_holds_something_is_taken_with_its_code_and_one_with_footage_never() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    sh(&format!("mkfs.ext4 -q -F -L Lehrer {}", bench.system.display()));
    let toml = bench.install_toml();
    // The code of another day.
    sh(&format!("mkfs.ext4 -q -F -L Schule {}", bench.system.display()));
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(changes.is_empty() && said.contains("No disk here has this code"), "{said} {changes:?}");
    let toml = bench.install_toml();
    let (ended, said, _) = bench.run(&toml, 1);
    assert_eq!(ended, Ended::Failed, "{said}");
    let (ended, said, _) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    bench.check();

    // Now the two disks change their places in install.toml: the one with footage is not touched.
    let swapped = toml.replace("SYS1", "X").replace("FOOT1", "SYS1").replace("\"X\"", "\"FOOT1\"");
    let (ended, said, changes) = bench.run(&swapped, usize::MAX);
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(
        said.contains("site.toml names it for footage") && changes.iter().all(|c| c.starts_with("mount ")),
        "{said}"
    );
    bench.check();
}

#[test]
fn loop_a_disk_that_becomes_another_one_while_somebody_thinks_is_not_overwritten() {
    if !possible() {
        return;
    }
    let mut bench = Bench::new();
    let other = bench.loops.disk("ata-Other_1", 8192, &[]);
    sh(&format!("mkfs.ext4 -q -F -L Lehrer {}", other.display()));
    let papers =
        Papers { site: Some(SITE.into()), secrets: Some(SECRETS.into()), install: Some(bench.install_toml().into()) };
    // Another disk is put into its place, under the name that it had.
    let name = bench.loops.path().join("by-id").join(SYSTEM);
    let swap = || sh(&format!("ln -sfn {} {}", other.display(), name.display()));
    let (programs, clock) = (bench.programs(usize::MAX), FakeClock::at(NOW));
    let mut desk = Meanwhile(Nobody::default(), swap);
    let ended = Session::run(&mut desk, &bench.installer(&programs, &clock), &papers, None);
    let said = desk.0.0.join("\n");
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(said.contains("No disk here has this code"), "{said}");
    assert!(programs.changes().is_empty(), "{:?}", programs.changes());
    sh(&format!("test \"$(blkid -p -o value -s LABEL {})\" = Lehrer", other.display()));
}

#[test]
fn loop_a_damaged_volume_is_not_taken_for_one_that_was_begun() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let first = bench.install_toml();
    let (ended, said, _) = bench.run(&first, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    // It has run, and the seal is gone.
    bench.within(6, |var| fs::remove_file(var.join("lib/custodian/install.json")).unwrap());
    sh(&format!("xfs_admin -L -- {}p1", bench.footage.display()));
    for toml in [bench.install_toml(), first] {
        let (ended, said, changes) = bench.run(&toml, usize::MAX);
        assert_eq!(ended, Ended::Refused, "{said}");
        assert!(changes.iter().all(|c| c.starts_with("mount ")), "{changes:#?}");
    }
    let (_, said, _) = bench.run(&bench.install_toml(), usize::MAX);
    assert!(said.contains("this installation has not begun it"), "{said}");
    // The system's disk is another one, where nothing was begun either.
    sh(&format!(
        "wipefs -q --all {}; dd if=/dev/zero of={0} bs=1M count=2 conv=notrunc status=none",
        bench.system.display()
    ));
    let (ended, said, changes) = bench.run(&bench.install_toml(), usize::MAX);
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(said.contains("this installation has not begun it") && changes.is_empty(), "{said} {changes:#?}");
    assert!(bench.footage_within(|at| at.join("custodian-volume.json").exists()));
}

#[test]
fn loop_a_second_system_disk_is_refused_before_anything_is_written() {
    if !possible() {
        return;
    }
    let mut bench = Bench::new();
    let (ended, said, _) = bench.run(&bench.install_toml(), usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    // A larger one was put in, and the former one was left where it was: with both, nothing would start.
    bench.other = Some(bench.loops.disk("ata-Other_1", 8192, &[]));
    let (ended, said, changes) = bench.run(&bench.install_toml_for("ata-Other_1", "SYS2"), usize::MAX);
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(said.contains("SYS1") && said.contains("Take it out"), "{said}");
    assert!(changes.iter().all(|c| c.starts_with("mount ")), "{changes:#?}");
    // On the one that was there before it can be.
    let (ended, said, _) = bench.run(&bench.install_toml(), usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    bench.check();
}

#[test]
fn loop_a_state_that_cannot_be_read_is_made_anew_for_who_has_read_that_and_for_nobody_else() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let mut first = bench.install_toml();
    let (ended, said, _) = bench.run(&first, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    let part = format!("{}p6", bench.system.display());
    let spoilt: [&dyn Fn(); 3] = [
        // What another version has left.
        &|| bench.within(6, |var| fs::write(var.join("lib/custodian/install.json"), "{\"format\":99}").unwrap()),
        // It has its label, and does not mount.
        &|| sh(&format!("dd if=/dev/zero of={part} bs=4096 seek=1 count=60 conv=notrunc,fsync status=none")),
        // It has run, and the block that says what it is is lost.
        &|| {
            bench.within(6, |var| fs::remove_file(var.join("lib/custodian/install.json")).unwrap());
            sh(&format!("dd if=/dev/zero of={part} bs=4096 count=1 conv=notrunc,fsync status=none"));
        },
    ];
    for (n, spoil) in spoilt.iter().enumerate() {
        spoil();
        let (ended, said, changes) = bench.run(&first, usize::MAX);
        assert_eq!(ended, Ended::Refused, "{n}: {said}");
        assert!(said.contains("cannot open what it has left"), "{n}: {said}");
        assert!(changes.iter().all(|c| c.starts_with("mount ")), "{n}: {changes:#?}");
        first = bench.install_toml();
        let (ended, said, _) = bench.run(&first, usize::MAX);
        assert_eq!(ended, DONE, "{n}: {said}");
        assert!(bench.within(6, |var| var.join("lib/custodian/install.json").exists()), "{n}");
    }
}

#[test]
fn loop_a_disk_that_somebody_uses_is_refused_and_nothing_was_begun() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let toml = bench.install_toml();
    let used = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_EXCL).open(&bench.system).unwrap();
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(said.contains("is in use") && said.contains("Nothing was changed") && changes.is_empty(), "{said}");
    drop(used);
    let (ended, said, _) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
}

#[test]
fn loop_one_console_installs_until_it_has_left() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let papers =
        Papers { site: Some(SITE.into()), secrets: Some(SECRETS.into()), install: Some(bench.install_toml().into()) };
    let (programs, clock) = (bench.programs(usize::MAX), FakeClock::at(NOW));
    let [one, other] = [(); 2].map(|()| bench.installer(&programs, &clock));
    let mut desk = Nobody::default();
    assert_eq!(Session::run(&mut desk, &one, &papers, None), DONE, "{:?}", desk.0);
    // It still waits for the stick to be pulled.
    let sheet = fs::read(&bench.sheets()[0]).unwrap();
    let mut desk = Nobody::default();
    assert_eq!(Session::run(&mut desk, &other, &papers, None), Ended::Refused);
    assert!(desk.0.join("\n").contains("at its other console"), "{:?}", desk.0);
    assert_eq!(fs::read(&bench.sheets()[0]).unwrap(), sheet);
    drop(one);
    assert_ne!(Session::run(&mut desk, &other, &papers, None), Ended::Refused, "{:?}", desk.0);
}
