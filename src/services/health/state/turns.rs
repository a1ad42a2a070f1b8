//! What damping knows, and what has turned and is to be told to the ledger: once each, whatever the service dies of.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{FORMAT, Kept};
use crate::{
    health::steady::{Ground, Steady},
    ledger::{What, spool},
    sys::{Files, Monotonic},
    types::{
        CameraId, WallNs,
        wire::health::{Finding, Subject, Turn},
    },
};

/// It is written down so often where nothing turns, ns.
const PAUSE: i64 = 300_000_000_000;
/// So many wait for a spool that cannot be written; the oldest are dropped.
const MOST: usize = 1000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    format: u16,
    steady: Steady,
    waiting: Vec<Waiting>,
    /// How many entries the ledger had when the recorder said it last: from there on it looks for what may be in it already.
    #[serde(default)]
    entries: u64,
}

/// Something for the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Waiting {
    entry: Uuid,
    from: u64,
    turn: Turn,
}

/// What damping knows, and what waits.
pub(in crate::services::health) struct Turns {
    kept: Kept,
    said: Said,
    saved: Option<Monotonic>,
}

impl Turns {
    pub(in crate::services::health) fn read(files: &dyn Files, dir: &Path) -> Self {
        let kept = Kept::new(dir, "steady.json");
        let said = kept.read(files);
        let said = said.unwrap_or(Said { format: FORMAT, steady: Steady::default(), waiting: Vec::new(), entries: 0 });
        Self { kept, said, saved: None }
    }

    /// How many entries the ledger has at least; `told`: how many the recorder says, if it answers.
    pub(in crate::services::health) fn entries(&mut self, told: Option<u64>) -> u64 {
        self.said.entries = told.unwrap_or(self.said.entries);
        self.said.entries
    }

    /// Damps what was found. What has turned is told to the ledger by [`Turns::tell`].
    pub(in crate::services::health) fn settle(
        &mut self,
        found: Vec<Finding>,
        ground: &Ground,
        (now, boot): (WallNs, Monotonic),
    ) -> (Vec<Finding>, Vec<Turn>) {
        let (findings, turns) = self.said.steady.settle(found, ground, (now, boot.0));
        let entries = self.said.entries;
        let waiting = |turn: &Turn| Waiting { entry: Uuid::new_v4(), from: entries, turn: turn.clone() };
        self.said.waiting.extend(turns.iter().map(waiting));
        let beyond = self.said.waiting.len().saturating_sub(MOST);
        self.said.waiting.drain(..beyond);
        (findings, turns)
    }

    /// Writes down what is known, if something has turned or it is due.
    pub(in crate::services::health) fn save(
        &mut self,
        files: &dyn Files,
        boot: Monotonic,
        at_once: bool,
    ) -> anyhow::Result<()> {
        if at_once || self.saved.is_none_or(|saved| boot.0 - saved.0 >= PAUSE) {
            self.kept.write(files, &self.said)?;
            self.saved = Some(boot);
        }
        Ok(())
    }

    /// Tells the ledger. What cannot be told waits for the next time.
    pub(in crate::services::health) fn tell(
        &mut self,
        (files, spool): (&dyn Files, &Path),
        numbers: &BTreeMap<CameraId, u32>,
        boot: Monotonic,
    ) -> anyhow::Result<()> {
        if self.said.waiting.is_empty() {
            return Ok(());
        }
        // Under which ids they are told must be known for good first.
        self.save(files, boot, true)?;
        let (mut told, mut failed) = (0, Ok(()));
        for one in &self.said.waiting {
            let what = alarm(&one.turn, numbers);
            failed = spool::leave_once(files, spool, (one.entry, one.from), one.turn.at, what);
            if failed.is_err() {
                break;
            }
            told += 1;
        }
        self.said.waiting.drain(..told);
        if told > 0 {
            self.save(files, boot, true)?;
        }
        failed.context("the ledger is not told yet what health saw")
    }
}

/// As it stands in the school's own ledger.
fn alarm(turn: &Turn, numbers: &BTreeMap<CameraId, u32>) -> What {
    let finding = &turn.finding;
    let of = |number: u32| numbers.iter().find(|(_, n)| **n == number).map(|(camera, _)| camera.clone());
    let (camera, subject) = match &finding.subject {
        None => (None, None),
        Some(Subject::Camera(number)) => (of(*number), of(*number).is_none().then(|| format!("camera {number}"))),
        Some(Subject::Volume(volume)) => (None, Some(volume.to_string())),
        Some(Subject::Other(other)) => (None, Some(other.clone())),
    };
    What::Alarm {
        probe: finding.probe.to_string(),
        camera,
        subject,
        level: finding.level,
        from: turn.from,
        code: finding.code.clone(),
        unsteady: finding.unsteady,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sys::FakeFiles,
        types::wire::health::{Level, Probe},
    };

    const SECOND: i64 = 1_000_000_000;

    fn load(level: Level) -> Vec<Finding> {
        vec![Finding::new(Probe::Load, None, level, "high", WallNs(0))]
    }

    #[test]
    fn a_turn_is_told_once_over_restarts_and_a_spool_that_fails() {
        let (files, dir, spool) = (FakeFiles::new(), Path::new("/health"), Path::new("/spool"));
        files.make_dir(dir).unwrap();
        let left = || files.list(spool).unwrap().len();
        let mut turns = Turns::read(&files, dir);
        assert_eq!((turns.entries(None), turns.entries(Some(9))), (0, 9));
        turns.save(&files, Monotonic(0), true).unwrap();
        // Another process, beside a recorder that does not answer.
        let mut turns = Turns::read(&files, dir);
        assert_eq!(turns.entries(None), 9);
        let mut at = 0;
        let mut look = |turns: &mut Turns, level| {
            at += 5 * SECOND;
            let (_, turned) = turns.settle(load(level), &Ground::Unknown, (WallNs(at), Monotonic(at)));
            turned.len()
        };
        assert_eq!([look(&mut turns, Level::Ok), look(&mut turns, Level::Fail)], [0, 0]);
        assert_eq!(look(&mut turns, Level::Fail), 1);
        files.break_down(true);
        assert!(turns.tell((&files, spool), &BTreeMap::new(), Monotonic(0)).is_err());
        files.break_down(false);
        // Whoever asks is to say why, once.
        for _ in 0..2 {
            let failed = turns.tell((&files, Path::new("/absent/spool")), &BTreeMap::new(), Monotonic(0));
            let why = format!("{:#}", failed.unwrap_err());
            assert!(why.starts_with("the ledger is not told yet what health saw: "), "{why}");
        }
        turns.save(&files, Monotonic(0), true).unwrap();
        let mut turns = Turns::read(&files, dir);
        assert_eq!(look(&mut turns, Level::Fail), 0, "it was said before");
        for _ in 0..2 {
            turns.tell((&files, spool), &BTreeMap::new(), Monotonic(0)).unwrap();
            assert_eq!(left(), 1);
        }
        let name = &files.list(spool).unwrap()[0];
        assert!(name.ends_with(".from-9"), "{name}: the recorder need not read all of its ledger");
        let mut turns = Turns::read(&files, dir);
        turns.tell((&files, spool), &BTreeMap::new(), Monotonic(0)).unwrap();
        assert_eq!((left(), look(&mut turns, Level::Fail)), (1, 0));
    }

    #[test]
    fn in_the_schools_own_ledger_cameras_have_their_ids() {
        let numbers = BTreeMap::from([("gate".parse().unwrap(), 4)]);
        let turn = |subject| Turn {
            at: WallNs(0),
            from: Level::Ok,
            finding: Finding::new(Probe::Footage, Some(subject), Level::Fail, "old", WallNs(0)),
        };
        let of = |subject| match alarm(&turn(subject), &numbers) {
            What::Alarm { camera, subject, .. } => (camera.map(|c| c.to_string()), subject),
            other => panic!("{other:?}"),
        };
        assert_eq!(of(Subject::Camera(4)), (Some("gate".into()), None));
        assert_eq!(of(Subject::Camera(5)), (None, Some("camera 5".into())));
        assert_eq!(of(Subject::Volume("a1".parse().unwrap())), (None, Some("a1".into())));
        assert_eq!(of(Subject::Other("x.service".into())), (None, Some("x.service".into())));
    }
}
