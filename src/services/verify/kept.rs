//! What is kept of verifications below the state folder: the last one, for health, and how far the scrub has come.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::report::Report;
use crate::{
    services::paths::Paths,
    store::index::Cursor,
    sys::{Files, RealFiles},
    types::{VolumeName, WallNs},
};

/// Version of both files.
const FORMAT: u16 = 1;

/// `last.json`: the last verification that came to its end, or was interrupted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// Version.
    pub format: u16,
    /// The oldest version that can read it.
    pub min_reader: u16,
    /// What it found.
    #[serde(flatten)]
    pub report: Report,
}

/// `scrub.json`: rounds through all footage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scrub {
    /// Version.
    pub format: u16,
    /// The oldest version that can read it.
    pub min_reader: u16,
    /// The round under way.
    pub round: Option<Round>,
    /// The round before.
    pub last: Option<Round>,
    /// Per volume: what began before then has been verified at least once. What a volume has that began later has not been.
    pub covered: BTreeMap<VolumeName, WallNs>,
}

/// A round through all footage that there was when it began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Where it is; nothing before the first segment, and after the last.
    pub at: Option<Cursor>,
    /// The volumes that have been there all the time.
    pub volumes: BTreeSet<VolumeName>,
    /// What was read and found in all of it so far.
    pub report: Report,
}

impl Default for Scrub {
    fn default() -> Self {
        Self { format: FORMAT, min_reader: FORMAT, round: None, last: None, covered: BTreeMap::new() }
    }
}

impl Scrub {
    /// When the next round is due, if it is not now.
    pub(super) fn due(&self, now: WallNs, every: Duration) -> Option<WallNs> {
        let next = self.last.as_ref()?.report.began + every;
        // A clock that was set back does not put it off for years.
        let sane = self.last.as_ref().is_some_and(|last| last.report.began <= now);
        (self.round.is_none() && sane && now < next).then_some(next)
    }

    /// The round under way has come that far: all that begins before its place has been read.
    pub(super) fn note(&mut self, round: Round) {
        if let Some(at) = &round.at {
            self.cover(&round.volumes, at.start);
        }
        self.round = Some(round);
    }

    /// The round under way is at its end.
    pub(super) fn end(&mut self) {
        if let Some(round) = self.round.take() {
            self.last = Some(Round { at: None, ..round });
        }
    }

    /// Up to where volumes have been verified.
    fn cover(&mut self, volumes: &BTreeSet<VolumeName>, until: WallNs) {
        for volume in volumes {
            let covered = self.covered.entry(volume.clone()).or_insert(until);
            *covered = until.max(*covered);
        }
    }
}

/// The folder for both.
pub(super) struct Kept {
    dir: PathBuf,
}

/// Only one scrub at a time.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: Flock<File>,
}

impl Kept {
    pub(super) fn of(paths: &Paths) -> Self {
        Self { dir: paths.verify() }
    }

    fn last(&self) -> PathBuf {
        self.dir.join("last.json")
    }

    fn scrub(&self) -> PathBuf {
        self.dir.join("scrub.json")
    }

    /// Takes the turn to scrub.
    pub(super) fn turn(&self) -> anyhow::Result<Turn> {
        self.make()?;
        // The folder itself: a file in it would belong to whoever came first.
        let folder = File::open(&self.dir).with_context(|| format!("cannot open {}", self.dir.display()))?;
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Turn { _lock: lock }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => anyhow::bail!("a scrub is under way already"),
            Err((_, e)) => Err(e).with_context(|| format!("cannot lock {}", self.dir.display())),
        }
    }

    fn make(&self) -> anyhow::Result<()> {
        RealFiles.make_dir(&self.dir).with_context(|| format!("cannot make {}", self.dir.display()))
    }

    /// How far the scrub is. One that cannot be read, or is a later version's, is begun anew.
    pub(super) fn read_scrub(&self) -> anyhow::Result<Scrub> {
        let path = self.scrub();
        match read::<Scrub>(&path)? {
            Some(Ok(scrub)) if scrub.min_reader <= FORMAT => Ok(scrub),
            None => Ok(Scrub::default()),
            Some(read) => {
                let why = read.err().unwrap_or_else(|| "it is a later version's".into());
                log::warn!(FILE:% = path.display(); "{} cannot be read, the scrub begins anew: {why}", path.display());
                Ok(Scrub::default())
            }
        }
    }

    pub(super) fn write_scrub(&self, scrub: &Scrub) -> anyhow::Result<()> {
        write(&self.scrub(), scrub)
    }

    pub(super) fn write_last(&self, report: &Report) -> anyhow::Result<()> {
        self.make()?;
        write(&self.last(), &Last { format: FORMAT, min_reader: FORMAT, report: report.clone() })
    }
}

fn write(path: &Path, what: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(what)?;
    text.push(b'\n');
    RealFiles.write(path, &text, 0o644, None).with_context(|| format!("cannot write {}", path.display()))
}

/// What a file says; nothing if there is none.
fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<Result<T, String>>> {
    let text = RealFiles.read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.map(|text| serde_json::from_slice(&text).map_err(|e| e.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_due_once_in_a_while_and_an_unfinished_one_at_once() {
        const DAY: Duration = Duration::from_hours(24);
        let mut scrub = Scrub::default();
        assert_eq!(scrub.due(WallNs(0), DAY), None, "never done");
        let round = Round { at: None, volumes: BTreeSet::new(), report: Report::begin("all".into(), WallNs(0)) };
        scrub.last = Some(round.clone());
        let day = WallNs(0) + DAY;
        assert_eq!(scrub.due(WallNs(5), DAY), Some(day));
        assert_eq!(scrub.due(day, DAY), None);
        assert_eq!(scrub.due(WallNs(-1), DAY), None, "the clock was set back");
        scrub.round = Some(round);
        assert_eq!(scrub.due(WallNs(5), DAY), None, "it goes on");
    }

    #[test]
    fn what_cannot_be_read_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::of(&Paths::new(dir.path()));
        assert_eq!(kept.read_scrub().unwrap(), Scrub::default());
        let turn = kept.turn().unwrap();
        assert!(kept.turn().unwrap_err().to_string().contains("under way"));
        drop(turn);
        let mut scrub = Scrub::default();
        scrub.cover(&BTreeSet::from(["a1".parse().unwrap()]), WallNs(7));
        scrub.cover(&BTreeSet::from(["a1".parse().unwrap()]), WallNs(3));
        kept.write_scrub(&scrub).unwrap();
        assert_eq!(kept.read_scrub().unwrap(), scrub);
        assert_eq!(scrub.covered.values().copied().collect::<Vec<_>>(), [WallNs(7)]);
        std::fs::write(kept.scrub(), "{").unwrap();
        assert_eq!(kept.read_scrub().unwrap(), Scrub::default());
    }
}
