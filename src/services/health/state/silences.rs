//! Work that was announced. It ends by itself, by the wall clock or by the time that was agreed, whichever comes first: a clock that is set
//! back makes it no longer. That it is over goes into the ledger, once.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{FORMAT, Kept};
use crate::{
    ledger::{SilenceChange, What, salt_of, spool},
    sys::{Files, Monotonic},
    types::{
        CameraId, WallNs,
        wire::health::{Silence, SilenceEnd, SilenceOrder},
    },
};

/// Nobody announces more at once.
pub const LONGEST: Duration = Duration::from_hours(7 * 24);
/// So many at the same time.
const MOST: usize = 100;
/// Persons and reasons are forgotten so long after the end; the ledger has their salted hashes for good.
const REMEMBERED: Duration = Duration::from_hours(400 * 24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    format: u16,
    silences: Vec<Announced>,
}

/// Work that was announced, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Announced {
    silence: Silence,
    /// Of person and reason, 32 hexadecimal digits.
    salt: String,
    ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    at: WallNs,
    /// Who ended it; none: it ended by itself.
    by: Option<SilenceEnd>,
    /// The id of what was left for the ledger, and how many entries that had before.
    entry: Uuid,
    from: u64,
    left: bool,
}

/// All that were announced.
pub(in crate::services::health) struct Silences {
    kept: Kept,
    said: Said,
    /// When each ends by the time since boot, as long as this process knows.
    deadlines: Vec<(Uuid, Monotonic)>,
}

impl Silences {
    pub(in crate::services::health) fn read(files: &dyn Files, dir: &Path) -> Self {
        let kept = Kept::new(dir, "silences.json");
        let said = kept.read(files).unwrap_or(Said { format: FORMAT, silences: Vec::new() });
        Self { kept, said, deadlines: Vec::new() }
    }

    /// Those that have not ended.
    pub(in crate::services::health) fn running(&self) -> Vec<Silence> {
        self.said.silences.iter().filter(|a| a.ended.is_none()).map(|a| a.silence.clone()).collect()
    }

    /// Takes an announcement. An error says what is wrong with it.
    pub(in crate::services::health) fn add(
        &mut self,
        files: &dyn Files,
        order: SilenceOrder,
        now: WallNs,
    ) -> Result<(), String> {
        let silence = &order.silence;
        if silence.until <= now || silence.until <= silence.from {
            return Err("it would be over before it begins".into());
        }
        let longest = i64::try_from(LONGEST.as_nanos()).unwrap_or(i64::MAX);
        if silence.until.since(silence.from) > longest || silence.until.since(now) > longest {
            return Err("work can be announced for 7 days at most; announce it again when these are over".into());
        }
        if silence.reason.trim().is_empty() || silence.by.trim().is_empty() {
            return Err("who announces work says who they are, and why".into());
        }
        if silence.reason.len() + silence.by.len() > 2000 {
            return Err("name and reason are too long: 2000 bytes at most".into());
        }
        if salt_of(&order.salt).is_none() {
            return Err("the salt is none".into());
        }
        if self.said.silences.iter().any(|a| a.silence.id == silence.id) {
            return Err("this was announced already".into());
        }
        if self.running().len() >= MOST {
            return Err(format!("{MOST} announcements are in force already: end some of them"));
        }
        self.change(files, |said| {
            said.silences.push(Announced { silence: order.silence, salt: order.salt, ended: None });
        })
    }

    /// Ends one by somebody's word, who has told the ledger.
    pub(in crate::services::health) fn end(
        &mut self,
        files: &dyn Files,
        id: Uuid,
        by: SilenceEnd,
        now: WallNs,
    ) -> Result<(), String> {
        if !self.said.silences.iter().any(|a| a.silence.id == id && a.ended.is_none()) {
            return Err("nothing like that is announced now".into());
        }
        let ended = Ended { at: now, by: Some(by), entry: Uuid::nil(), from: 0, left: true };
        self.change(files, |said| {
            said.silences.iter_mut().filter(|a| a.silence.id == id).for_each(|a| a.ended = Some(ended.clone()));
        })
    }

    /// Takes a change over once it is on the disk.
    fn change(&mut self, files: &dyn Files, change: impl FnOnce(&mut Said)) -> Result<(), String> {
        let mut said = self.said.clone();
        change(&mut said);
        self.kept.write(files, &said).map_err(|e| format!("{e:#}"))?;
        self.said = said;
        Ok(())
    }

    /// Ends those whose time has come, and tells the ledger of each once. `entries`: how many the ledger has at least.
    pub(in crate::services::health) fn pass(
        &mut self,
        (files, spool): (&dyn Files, &Path),
        (now, boot): (WallNs, Monotonic),
        entries: u64,
        camera: impl Fn(u32) -> Option<CameraId>,
    ) -> anyhow::Result<()> {
        let over: Vec<Uuid> = self.running().iter().filter(|s| self.is_over(s, now, boot)).map(|s| s.id).collect();
        let forgotten = |a: &Announced| a.ended.as_ref().is_some_and(|e| e.left && e.at + REMEMBERED < now);
        if !over.is_empty() || self.said.silences.iter().any(forgotten) {
            let changed = self.change(files, |said| {
                said.silences.retain(|a| !forgotten(a));
                for a in said.silences.iter_mut().filter(|a| over.contains(&a.silence.id)) {
                    let entry = Uuid::new_v4();
                    a.ended = Some(Ended { at: now, by: None, entry, from: entries, left: false });
                }
            });
            changed.map_err(|e| anyhow!("announced work is over, which cannot be noted: {e}"))?;
        }
        self.tell((files, spool), camera)
    }

    fn is_over(&mut self, silence: &Silence, now: WallNs, boot: Monotonic) -> bool {
        if silence.until <= now {
            return true;
        }
        let known = self.deadlines.iter().find(|(id, _)| *id == silence.id).map(|(_, at)| *at);
        let deadline = known.unwrap_or_else(|| {
            let left = silence.until.since(now).min(silence.until.since(silence.from));
            let at = Monotonic(boot.0.saturating_add(left));
            self.deadlines.push((silence.id, at));
            at
        });
        deadline <= boot
    }

    /// Tells the ledger what it was not told yet.
    fn tell(
        &mut self,
        (files, spool): (&dyn Files, &Path),
        camera: impl Fn(u32) -> Option<CameraId>,
    ) -> anyhow::Result<()> {
        let (mut told, mut failed) = (Vec::new(), Ok(()));
        for (n, a) in self.said.silences.iter().enumerate() {
            let Some(ended) = a.ended.as_ref().filter(|e| !e.left) else { continue };
            let what = What::Silence {
                silence: a.silence.id,
                change: SilenceChange::Ended,
                until: ended.at,
                probes: a.silence.probes.iter().map(ToString::to_string).collect(),
                cameras: a.silence.cameras.iter().filter_map(|n| camera(*n)).collect(),
                by: None,
                reason: None,
            };
            match spool::leave_once(files, spool, (ended.entry, ended.from), ended.at, what) {
                Ok(()) => told.push(n),
                Err(e) => failed = Err(e),
            }
        }
        if !told.is_empty() {
            let noted = self.change(files, |said| {
                for n in told {
                    said.silences[n].ended.iter_mut().for_each(|e| e.left = true);
                }
            });
            noted.map_err(|e| anyhow!("that the ledger was told cannot be noted, it is told again: {e}"))?;
        }
        failed.context("the ledger is not told yet that announced work is over")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sys::FakeFiles, types::wire::health::Probe};

    const HOUR: i64 = 3_600_000_000_000;

    fn order(id: u8, from: i64, until: i64) -> SilenceOrder {
        let silence = Silence {
            id: Uuid::from_bytes([id; 16]),
            from: WallNs(from),
            until: WallNs(until),
            probes: vec![Probe::Footage],
            cameras: vec![2],
            by: "Lan".into(),
            reason: "a new switch".into(),
        };
        SilenceOrder { silence, salt: "0".repeat(32) }
    }

    struct World {
        files: FakeFiles,
        silences: Silences,
        spool: &'static str,
        passed: anyhow::Result<()>,
    }

    impl World {
        fn new() -> Self {
            let files = FakeFiles::new();
            files.make_dir(Path::new("/health")).unwrap();
            Self { silences: Silences::read(&files, Path::new("/health")), files, spool: "/spool", passed: Ok(()) }
        }
        fn restart(&mut self) {
            self.silences = Silences::read(&self.files, Path::new("/health"));
        }
        fn pass(&mut self, now: i64, boot: i64) -> usize {
            let camera = |n| (n == 2).then(|| "gate".parse().unwrap());
            self.passed =
                self.silences.pass((&self.files, Path::new(self.spool)), (WallNs(now), Monotonic(boot)), 7, camera);
            self.silences.running().len()
        }
        fn spool(&self) -> Vec<String> {
            self.files.list(Path::new("/spool")).unwrap()
        }
    }

    #[test]
    fn it_ends_by_itself_and_the_ledger_hears_of_it_once() {
        let mut world = World::new();
        world.silences.add(&world.files, order(1, 0, HOUR), WallNs(0)).unwrap();
        assert_eq!((world.pass(HOUR - 1, 0), world.spool().len()), (1, 0));
        world.restart();
        assert_eq!(world.pass(HOUR - 1, 0), 1, "it outlives a restart");
        // Neither can be written: it is not over before that can be noted.
        world.files.break_down(true);
        world.pass(HOUR, 1);
        assert!(world.passed.is_err(), "whoever asks is to say so, once");
        world.files.break_down(false);
        // The ledger cannot be told.
        world.spool = "/absent/spool";
        for boot in 2..5 {
            assert_eq!(world.pass(HOUR, boot), 0);
            let why = format!("{:#}", world.passed.as_ref().unwrap_err());
            assert!(why.starts_with("the ledger is not told yet that announced work is over: "), "{why}");
        }
        world.spool = "/spool";
        assert_eq!((world.pass(HOUR, 2), world.spool().len()), (0, 1));
        assert_eq!((world.pass(2 * HOUR, 3), world.spool().len()), (0, 1));
        world.restart();
        assert_eq!((world.pass(2 * HOUR, 3), world.spool().len()), (0, 1));
        let name = &world.spool()[0];
        assert!(name.ends_with(".from-7"), "{name}");
        let left = world.files.read(&Path::new("/spool").join(name)).unwrap().unwrap();
        let left: serde_json::Value = serde_json::from_slice(&left).unwrap();
        assert_eq!((&left["what"]["change"], &left["what"]["cameras"][0]), (&"ended".into(), &"gate".into()), "{left}");
        assert!(!left.to_string().contains("Lan"));
        assert_eq!(world.pass(410 * 24 * HOUR, 4), 0);
        assert!(world.silences.said.silences.is_empty(), "persons and reasons are forgotten");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_it_no_longer() {
        let mut world = World::new();
        world.silences.add(&world.files, order(1, 100 * HOUR, 102 * HOUR), WallNs(100 * HOUR)).unwrap();
        assert_eq!(world.pass(100 * HOUR, 0), 1);
        assert_eq!(world.pass(HOUR, HOUR), 1);
        assert_eq!(world.pass(HOUR, 2 * HOUR), 0);
        // Nor does a restart while the clock is wrong make it longer than was agreed.
        world.silences.add(&world.files, order(2, 100 * HOUR, 102 * HOUR), WallNs(100 * HOUR)).unwrap();
        world.restart();
        assert_eq!((world.pass(HOUR, 0), world.pass(HOUR, 2 * HOUR - 1), world.pass(HOUR, 2 * HOUR)), (1, 1, 0));
    }

    #[test]
    fn what_cannot_be_announced_is_refused_and_said_why() {
        let mut world = World::new();
        let mut refused = |order: SilenceOrder, now| world.silences.add(&world.files, order, WallNs(now)).unwrap_err();
        assert!(refused(order(1, 0, 8 * 24 * HOUR), 0).contains("7 days"));
        assert!(refused(order(1, 200 * 24 * HOUR, 201 * 24 * HOUR), 0).contains("7 days"), "far ahead");
        assert!(refused(order(1, 0, 5), 5).contains("over before"));
        let mut nobody = order(1, 0, HOUR);
        nobody.silence.by = " ".into();
        assert!(refused(nobody, 0).contains("who they are"));
        let salt = SilenceOrder { salt: "x".into(), ..order(1, 0, HOUR) };
        assert!(refused(salt, 0).contains("salt"));
        world.silences.add(&world.files, order(1, 0, HOUR), WallNs(0)).unwrap();
        assert!(world.silences.add(&world.files, order(1, 0, HOUR), WallNs(0)).unwrap_err().contains("already"));
        let end = || SilenceEnd { by: "Lan".into(), salt: "0".repeat(32) };
        world.silences.end(&world.files, Uuid::from_bytes([1; 16]), end(), WallNs(9)).unwrap();
        assert_eq!((world.pass(HOUR, 0), world.spool().len()), (0, 0), "who ended it has told the ledger");
        assert!(world.silences.end(&world.files, Uuid::from_bytes([1; 16]), end(), WallNs(9)).is_err());
    }
}
