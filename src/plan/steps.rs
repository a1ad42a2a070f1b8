//! From the units in force to those that are wanted: what apply does, in which order. Pure.

use std::collections::BTreeSet;

use super::{
    backup::{BACKUP, BACKUP_TIMER, is_volume_mount},
    model::Step,
    network::{TAKERS, is_system_file},
    units::{HEALTH, RECORD, Units, WEB, is_mount},
};

fn drop_in(service: &str) -> String {
    format!("{service}.d/site.conf")
}

/// Drop-ins are no units of their own.
fn is_unlock(unit: &str) -> bool {
    unit.rsplit_once('.').is_some_and(|(_, kind)| kind == "service")
}

/// The steps. `before` is nothing where no generation is in force; `record_changed` says that the recorder must read site or
/// secrets again. Nothing to do gives no steps.
///
/// A camera that stays loses no frame, with one exception: a volume that is taken away or exchanged is let go only by a
/// recorder that stops, for a moment.
pub fn steps(before: Option<&Units>, after: &Units, record_changed: bool) -> Vec<Step> {
    let none = Units::new();
    let first = before.is_none();
    let before = before.unwrap_or(&none);
    if !first && before == after && !record_changed {
        return Vec::new();
    }
    let changed: Vec<(&String, &String)> =
        after.iter().filter(|(name, text)| before.get(*name) != Some(text)).collect();
    let gone: Vec<&String> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    // Those that stop serving what they served.
    let ending: BTreeSet<&String> = before
        .iter()
        .filter(|(name, text)| after.get(*name).is_none_or(|t| served(t) != served(text)))
        .map(|(name, _)| name)
        .collect();
    // An exchanged disk behind the same unlocking service, or the other way round, ends both.
    let stops = |wanted: fn(&str) -> bool| ending.iter().filter(move |n| wanted(n)).map(|n| (*n).clone());
    let stop_record = stops(is_volume_mount).next().is_some() || stops(is_unlock).next().is_some();
    let backup_disks: Vec<String> = stops(|unit| is_mount(unit) && !is_volume_mount(unit)).collect();

    let mut steps = vec![Step::Switch];
    if stop_record {
        steps.push(Step::Stop { unit: RECORD.into() });
        // All mounts above an unlocking service that ends must end; they have its name in them and have changed with it, or its disk has.
        steps.extend(
            stops(is_volume_mount)
                .chain(mounts_of(before, stops(is_unlock)))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .map(|unit| Step::Stop { unit }),
        );
        steps.extend(stops(is_unlock).map(|unit| Step::Stop { unit }));
    }
    if !backup_disks.is_empty() {
        // One that is being made is cut short; the next one goes on where it was.
        steps.push(Step::Stop { unit: BACKUP.into() });
        steps.extend(backup_disks.into_iter().map(|unit| Step::Stop { unit }));
    }
    steps.extend(gone.iter().map(|unit| Step::RemoveUnit { unit: (*unit).clone() }));
    steps.extend(changed.iter().map(|(unit, text)| Step::WriteUnit { unit: (*unit).clone(), text: (*text).clone() }));
    let touched = || changed.iter().map(|(name, _)| *name).chain(gone.iter().copied());
    if touched().any(|name| !is_system_file(name)) {
        steps.push(Step::ReloadManager);
    }
    // Before mounts: a disk may have to be let in first.
    steps.extend(
        TAKERS
            .iter()
            .filter(|(file, _)| touched().any(|name| name.starts_with(file)))
            .map(|(_, unit)| Step::Refresh { unit: (*unit).to_owned() }),
    );
    let stopped: BTreeSet<String> =
        steps.iter().filter_map(|s| if let Step::Stop { unit } = s { Some(unit.clone()) } else { None }).collect();
    let starting =
        |unit: &&String| is_mount(unit) && (stopped.contains(*unit) || changed.iter().any(|(name, _)| name == unit));
    steps.extend(after.keys().filter(starting).map(|unit| Step::Start { unit: unit.clone() }));

    let differs = |service: &str| {
        let name = drop_in(service);
        after.contains_key(&name) && before.get(&name) != after.get(&name)
    };
    if after.contains_key(&drop_in(RECORD)) {
        if stop_record {
            steps.push(Step::Start { unit: RECORD.into() });
        } else if differs(RECORD) {
            steps.push(Step::Restart { unit: RECORD.into() });
        } else if record_changed {
            steps.push(Step::Reload { unit: RECORD.into() });
        }
    }
    if differs(WEB) {
        steps.push(Step::Restart { unit: WEB.into() });
    }
    // It has site and secrets from the service manager, which hands them over at the start.
    if differs(HEALTH) || record_changed && after.contains_key(&drop_in(HEALTH)) {
        steps.push(Step::Restart { unit: HEALTH.into() });
    }
    if differs(BACKUP_TIMER) {
        steps.push(Step::Restart { unit: BACKUP_TIMER.into() });
    } else if gone.contains(&&drop_in(BACKUP_TIMER)) {
        steps.push(Step::Stop { unit: BACKUP_TIMER.into() });
    }
    steps
}

/// What a unit does: all but its `[Unit]` section. Where only that differs, another release says otherwise when it starts and what it waits for; a
/// volume that is open stays so, for nobody may be there to open it again.
fn served(text: &str) -> &str {
    let section = ["\n[Mount]\n", "\n[Service]\n"].into_iter().find_map(|section| text.find(section));
    section.map_or(text, |at| &text[at..])
}

/// The mounts that need one of these services.
fn mounts_of(units: &Units, services: impl Iterator<Item = String>) -> Vec<String> {
    let needs: Vec<String> = services.map(|s| format!("Requires={s}\n")).collect();
    let needed = |(name, text): &(&String, &String)| is_mount(name) && needs.iter().any(|n| text.contains(n));
    units.iter().filter(needed).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKUP_DISK: &str = r"var-lib-custodian-backup\x2ddisks-usb.mount";

    /// What the steps do to a machine: unit files, and what runs.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    struct Machine {
        files: Units,
        /// By the text that was in force when it was started; services that are not ours to write have none.
        loaded: Units,
        running: std::collections::BTreeMap<String, String>,
        switched: bool,
        fed: bool,
        /// Whether health has taken site and secrets over.
        handed: bool,
        /// What services of the system's have taken up.
        taken: Units,
    }

    fn run(machine: &mut Machine, steps: &[Step]) {
        for step in steps {
            let loaded = |m: &Machine, unit: &str| {
                let own = m.loaded.get(unit).or_else(|| m.loaded.get(&drop_in(unit)));
                own.cloned().unwrap_or_default()
            };
            match step {
                Step::WriteUnit { unit, text } => drop(machine.files.insert(unit.clone(), text.clone())),
                Step::RemoveUnit { unit } => drop(machine.files.remove(unit)),
                Step::Switch => machine.switched = true,
                Step::ReloadManager => {
                    machine.loaded = machine.files.clone();
                    machine.loaded.retain(|name, _| !is_system_file(name));
                }
                Step::Refresh { unit } => {
                    let (files, _) = TAKERS.iter().find(|(_, taker)| taker == unit).unwrap();
                    machine.taken.retain(|name, _| !name.starts_with(files));
                    let theirs = machine.files.iter().filter(|(name, _)| name.starts_with(files));
                    machine.taken.extend(theirs.map(|(name, text)| (name.clone(), text.clone())));
                }
                Step::Stop { unit } => drop(machine.running.remove(unit)),
                Step::Start { unit } => {
                    machine.fed |= unit == RECORD && !machine.running.contains_key(unit);
                    let text = loaded(machine, unit);
                    machine.running.entry(unit.clone()).or_insert(text);
                }
                Step::Restart { unit } => {
                    machine.fed |= unit == RECORD;
                    machine.handed |= unit == HEALTH;
                    drop(machine.running.insert(unit.clone(), loaded(machine, unit)));
                }
                Step::Reload { unit } => {
                    machine.fed |= unit == RECORD;
                    let text = loaded(machine, unit);
                    machine.running.entry(unit.clone()).or_insert(text);
                }
            }
        }
    }

    fn arbitrary_units() -> impl Strategy<Value = Units> {
        let volume = (0..4u8, 0..3u8, any::<bool>());
        let backup = prop::option::of((0..2u8, prop::option::of(0..2u8)));
        let system = (0..2u8, prop::option::of(0..2u8), 0..2u8);
        (prop::collection::vec(volume, 0..4), 0..2u8, 0..2u8, backup, system).prop_map(
            |(volumes, recorder, name, backup, system)| {
                let mut units = Units::new();
                for (volume, disk, encrypted) in volumes {
                    let unlock = format!("custodian-unlock-v{volume}.service");
                    let needs = if encrypted { format!("Requires={unlock}\n") } else { String::new() };
                    let what = if encrypted { "mapper".into() } else { format!("disk {disk}") };
                    if encrypted {
                        units.insert(unlock, format!("opens {disk}"));
                    } else {
                        units.remove(&unlock);
                    }
                    units.insert(format!("v{volume}.mount"), format!("{needs}What={what}\n"));
                }
                units.insert(drop_in(RECORD), format!("recorder {recorder}"));
                units.insert(drop_in(WEB), format!("name {name}"));
                units.insert(drop_in(HEALTH), format!("hash {recorder} {name}"));
                if let Some((time, disk)) = backup {
                    units.insert(drop_in(BACKUP_TIMER), format!("at {time}"));
                    units.extend(disk.map(|disk| (BACKUP_DISK.to_owned(), format!("What={disk}\n"))));
                }
                units.insert("custodian/firewall.nft".into(), format!("port {}", system.0));
                units.extend(system.1.map(|address| ("network/10-x.network".to_owned(), format!("Address={address}"))));
                units.insert("custodian/time.chrony".into(), format!("server {}", system.2));
                units
            },
        )
    }

    fn in_force(units: &Units) -> Machine {
        let mut machine = Machine::default();
        run(&mut machine, &steps(None, units, true));
        assert_eq!(&machine.files, units);
        machine
    }

    /// Mounts run with their present text; the services with theirs.
    fn check(machine: &Machine, after: &Units) {
        assert_eq!(&machine.files, after);
        let (system, units) = machine.files.clone().into_iter().partition(|(name, _)| is_system_file(name));
        assert_eq!((&machine.taken, &machine.loaded), (&system, &units));
        for (name, text) in after.iter().filter(|(n, _)| is_mount(n)) {
            assert_eq!(machine.running.get(name), Some(text), "{name}");
        }
        for service in [RECORD, WEB, HEALTH, BACKUP_TIMER] {
            assert_eq!(machine.running.get(service), after.get(&drop_in(service)), "{service}");
        }
        let strays: Vec<_> = machine.running.keys().filter(|n| is_mount(n) && !after.contains_key(*n)).collect();
        assert!(strays.is_empty(), "{strays:?}");
    }

    proptest! {
        #[test]
        fn steps_lead_from_before_to_after(before in arbitrary_units(), after in arbitrary_units(), record in any::<bool>()) {
            let mut machine = in_force(&before);
            (machine.fed, machine.handed) = (false, false);
            let steps = steps(Some(&before), &after, record);
            run(&mut machine, &steps);
            check(&machine, &after);
            prop_assert!(!record || machine.fed, "the recorder has read the site again");
            prop_assert!(!record || machine.handed, "health has site and secrets");
            // Again: nothing changes any more.
            let once = machine.clone();
            run(&mut machine, &steps);
            prop_assert_eq!(once, machine);
            prop_assert_eq!(steps.iter().filter(|s| **s == Step::Switch).count(), usize::from(!steps.is_empty()));
        }

        #[test]
        fn equal_units_ask_for_nothing(units in arbitrary_units()) {
            prop_assert_eq!(steps(Some(&units), &units, false), Vec::new());
            let reload =
                vec![Step::Switch, Step::Reload { unit: RECORD.into() }, Step::Restart { unit: HEALTH.into() }];
            prop_assert_eq!(steps(Some(&units), &units, true), reload);
        }

        /// Adding a volume restarts nothing but health, by which nothing is lost.
        #[test]
        fn a_new_volume_stops_nothing(before in arbitrary_units()) {
            let mut after = before.clone();
            after.insert("new.mount".into(), "What=new\n".into());
            let steps = steps(Some(&before), &after, true);
            let health = Step::Restart { unit: HEALTH.into() };
            let harmless = |s: &Step| *s == health || !matches!(s, Step::Stop { .. } | Step::Restart { .. });
            prop_assert!(steps.iter().all(harmless), "{steps:?}");
        }
    }

    #[test]
    fn a_disk_for_backups_that_leaves_stops_no_recorder() {
        let after = Units::from([(drop_in(RECORD), "a".into()), (drop_in(BACKUP_TIMER), "at 1".into())]);
        let mut before = after.clone();
        before.insert(BACKUP_DISK.into(), "What=x\n".into());
        let steps = steps(Some(&before), &after, false);
        let stopped: Vec<&str> =
            steps.iter().filter_map(|s| if let Step::Stop { unit } = s { Some(unit.as_str()) } else { None }).collect();
        assert_eq!(stopped, [BACKUP, BACKUP_DISK]);
        assert!(!steps.iter().any(|s| matches!(s, Step::Restart { .. })), "{steps:?}");
    }

    /// An address changes: nothing but who brings links up hears of it, and systemd reads no units.
    #[test]
    fn a_file_of_the_systems_is_taken_up_by_its_service_alone() {
        let of = |address: &str| {
            let network = ("network/10-custodian-school.network".to_owned(), address.to_owned());
            Units::from([(drop_in(RECORD), "a".into()), network, ("custodian/time.chrony".into(), "x".into())])
        };
        let steps = steps(Some(&of("1")), &of("2"), false);
        assert_eq!(steps.len(), 3, "{steps:?}");
        assert_eq!(steps[2], Step::Refresh { unit: "systemd-networkd.service".into() });
    }

    #[test]
    fn where_another_release_says_otherwise_when_a_unit_starts_nothing_ends() {
        let of = |when: &str, what: &str| {
            Units::from([
                (drop_in(RECORD), "a".to_owned()),
                ("custodian-unlock-v.service".to_owned(), format!("[Unit]\n{when}\n\n[Service]\nExecStart=x\n")),
                ("v.mount".to_owned(), format!("[Unit]\n{when}\n\n[Mount]\nWhat={what}\n")),
            ])
        };
        let words = |before: &Units, after: &Units| -> Vec<String> {
            let word = |s: &Step| format!("{s:?}").split_whitespace().next().unwrap().to_owned();
            steps(Some(before), after, false).iter().map(word).collect()
        };
        let before = of("After=a", "x");
        assert_eq!(words(&before, &of("After=b", "x")), ["Switch", "WriteUnit", "WriteUnit", "ReloadManager", "Start"]);
        assert!(words(&before, &of("After=b", "y")).contains(&"Stop".to_owned()));
    }

    #[test]
    fn the_first_generation_starts_everything() {
        let after = Units::from([(drop_in(RECORD), "a".into()), ("v.mount".into(), "What=x\n".into())]);
        let words: Vec<String> = steps(None, &after, true)
            .iter()
            .map(|s| format!("{s:?}").split_whitespace().next().unwrap().to_owned())
            .collect();
        assert_eq!(words, ["Switch", "WriteUnit", "WriteUnit", "ReloadManager", "Start", "Restart"]);
    }
}
