//! Which generation came into force when, and through whom: told to the ledger, which has the persons as salted hashes only. Their names
//! stand in `in-force.json` in the state folder, with the salts.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    apply,
    ledger::{self, Salted, What, new_salt, salt_of, spool},
    services::paths::Paths,
    sys::Files,
    types::{WallNs, merkle::Hash},
};

/// The file in the state folder.
const FILE: &str = "in-force.json";
/// Its version.
const FORMAT: u16 = 1;

/// Who gives a command, and when.
pub(super) struct Change {
    pub by: String,
    pub at: WallNs,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    format: u16,
    /// In the order in which they came into force.
    changes: Vec<One>,
}

/// A generation that came into force.
#[derive(Debug, Serialize, Deserialize)]
struct One {
    /// The id of what was left for the ledger.
    id: Uuid,
    at: WallNs,
    generation: u64,
    by: String,
    reason: Option<String>,
    /// 32 hexadecimal digits.
    salt: String,
    /// How many entries the ledger had before it was left.
    #[serde(default)]
    from: u64,
    /// Whether it was left for the ledger.
    left: bool,
}

/// Leaves word for the ledger if another generation is in force than was told last, or what was to be told could not be left then.
pub(super) fn tell(files: &dyn Files, state: &Path, spool: &Path, change: Change) -> anyhow::Result<()> {
    let Some(now) = apply::current(files, state)? else { return Ok(()) };
    let path = state.join(FILE);
    let mut told = match files.read(&path)? {
        Some(text) => serde_json::from_slice(&text).with_context(|| path.display().to_string())?,
        None => Told { format: FORMAT, changes: Vec::new() },
    };
    let write = |told: &Told| -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(told)? + "\n";
        files.write(&path, text.as_bytes(), 0o600, None).with_context(|| path.display().to_string())
    };
    if told.changes.last().is_none_or(|last| last.generation != now) {
        let listed = apply::list(files, state)?.into_iter().find(|listed| listed.meta.number == now);
        let word = listed.and_then(|listed| listed.meta.word);
        // A word that was given for a generation is not one for going back to it.
        let is_new = told.changes.iter().all(|one| one.generation != now);
        told.changes.push(One {
            id: Uuid::new_v4(),
            at: change.at,
            generation: now,
            by: change.by,
            reason: word.filter(|_| is_new).map(|word| word.reason),
            salt: new_salt().context("random bytes")?,
            from: ledger::claimed_size(files, &ledger::public(&Paths::new(state).ledger())),
            left: false,
        });
        write(&told)?;
    }
    if told.changes.iter().all(|one| one.left) {
        return Ok(());
    }
    for one in told.changes.iter_mut().filter(|one| !one.left) {
        let site = state.join("generations").join(one.generation.to_string()).join("site.toml");
        let site = files.read(&site)?.with_context(|| format!("{} is missing", site.display()))?;
        let salt = salt_of(&one.salt).with_context(|| format!("{}: no salt", path.display()))?;
        let what = What::Generation {
            number: one.generation,
            site: Hash(Sha256::digest(&site).into()),
            by: Salted::new(&salt, &one.by),
            reason: one.reason.as_ref().map(|reason| Salted::new(&salt, reason)),
        };
        spool::leave_once(files, spool, (one.id, one.from), one.at, what)?;
        one.left = true;
    }
    write(&told)
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc, time::Duration};

    use super::*;
    use crate::{
        ledger::{Gate, Journal, Log, Pace, Place, Setup},
        sys::{Cut, FakeClock, FakeFiles},
    };

    fn lay(files: &FakeFiles, number: u64, word: Option<&str>) {
        let dir = PathBuf::from(format!("/state/generations/{number}"));
        files.make_dir(&dir).unwrap();
        let word = word.map(|reason| serde_json::json!({ "who": "lan", "reason": reason }));
        let meta = serde_json::json!({
            "format": 1, "number": number, "at": 7, "by": "lan", "word": word, "version": "0", "from": null, "repeats": null,
            "trial": null, "watch": { "recording": [], "changed": [] },
        });
        for (name, text) in [("meta.json", meta.to_string()), ("site.toml", format!("{number}"))] {
            files.write(&dir.join(name), text.as_bytes(), 0, None).unwrap();
        }
    }

    fn in_force(files: &FakeFiles, number: u64) {
        files.point(Path::new("/state/current"), Path::new(&format!("generations/{number}"))).unwrap();
    }

    fn tell_at(files: &FakeFiles, at: i64) -> anyhow::Result<usize> {
        let change = Change { by: "lan".into(), at: WallNs(at) };
        tell(files, Path::new("/state"), Path::new("/state/spool"), change)?;
        Ok(files.list(Path::new("/state/spool"))?.len())
    }

    #[test]
    fn each_change_of_what_is_in_force_is_left_once_with_the_persons_salted() {
        let files = FakeFiles::new();
        for dir in ["/state", "/state/generations"] {
            files.make_dir(Path::new(dir)).unwrap();
        }
        assert_eq!(tell_at(&files, 0).unwrap(), 0, "nothing is in force");
        lay(&files, 1, Some("fewer days"));
        lay(&files, 2, None);
        in_force(&files, 1);
        assert_eq!(tell_at(&files, 1).unwrap(), 1);
        assert_eq!(tell_at(&files, 2).unwrap(), 1, "the same is in force");
        in_force(&files, 2);
        // The first attempt fails: the next one makes up for it.
        files.break_down(true);
        assert!(tell_at(&files, 3).is_err());
        files.break_down(false);
        assert_eq!(tell_at(&files, 4).unwrap(), 2);
        in_force(&files, 1);
        assert_eq!(tell_at(&files, 5).unwrap(), 3, "going back counts");

        let told: Told =
            serde_json::from_slice(&files.read(Path::new("/state/in-force.json")).unwrap().unwrap()).unwrap();
        let numbers: Vec<_> = told.changes.iter().map(|c| (c.generation, c.reason.as_deref())).collect();
        assert_eq!(numbers, [(1, Some("fewer days")), (2, None), (1, None)]);
        let first = &told.changes[0];
        let left =
            files.read(&PathBuf::from(format!("/state/spool/{}.from-0", first.id.as_simple()))).unwrap().unwrap();
        let left: serde_json::Value = serde_json::from_slice(&left).unwrap();
        let salted = |text| serde_json::to_value(Salted::new(&salt_of(&first.salt).unwrap(), text)).unwrap();
        assert_eq!((&left["what"]["by"], &left["what"]["reason"]), (&salted("lan"), &salted("fewer days")));
        assert_eq!(left["what"]["site"], serde_json::json!(Hash(Sha256::digest("1").into())));
        assert!(!left.to_string().contains("\"lan\""));
    }
    fn place() -> Place {
        Place { dir: Paths::new("/state").ledger(), credential: None, origin: "custodian/school/a/record".into() }
    }

    /// A recorder runs until it has taken up what was left.
    fn take_up(files: &FakeFiles) {
        let moment = Duration::from_millis(1);
        let journal = Journal::start(Setup {
            place: place(),
            spool: "/state/spool".into(),
            recorder: "a".parse().unwrap(),
            clock: Arc::new(FakeClock::at(WallNs(9))),
            files: Arc::new(files.clone()),
            pace: Pace { gather: moment, retry: moment },
            gate: Box::new(|log| {
                let begins = What::LogBegins { site: "school".into(), predecessor: None };
                Gate::Open(if log.size() == 0 { vec![begins] } else { Vec::new() })
            }),
        });
        let journal = journal.unwrap();
        let idle = || {
            journal.status().size.is_some_and(|n| n > 0) && files.list(Path::new("/state/spool")).unwrap().is_empty()
        };
        assert!(
            (0..20_000).any(|_| idle() || {
                std::thread::park_timeout(moment);
                false
            }),
            "{:?}",
            journal.status()
        );
        journal.stop();
    }

    /// An apply is cut short anywhere after its generation is in force; the recorder may take up what is left before the next one.
    #[test]
    fn a_generation_is_in_the_ledger_once_wherever_an_apply_is_cut_short() {
        let mut cuts = 0;
        for (how, lost) in [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true)] {
            for n in 0.. {
                let files = FakeFiles::new();
                for dir in ["/state", "/state/generations", "/state/spool"] {
                    files.make_dir(Path::new(dir)).unwrap();
                }
                // The log has entries already, and what an earlier apply has left.
                lay(&files, 1, None);
                in_force(&files, 1);
                tell_at(&files, 1).unwrap();
                take_up(&files);
                lay(&files, 2, None);
                in_force(&files, 2);
                files.cut_at(n, how);
                let _ = tell_at(&files, 2);
                if !files.is_off() {
                    assert!(n > 3, "{n} changes");
                    break;
                }
                cuts += 1;
                files.power_on(lost);
                take_up(&files);
                tell_at(&files, 3).unwrap();
                take_up(&files);
                let log = Log::open(Arc::new(files.clone()), &place()).unwrap().view();
                let numbers = log.records(0..log.size()).filter_map(|r| match r.unwrap().entry().unwrap().what {
                    What::Generation { number, .. } => Some(number),
                    _ => None,
                });
                assert_eq!(numbers.collect::<Vec<_>>(), [1, 2], "{how:?} at change {n}");
            }
        }
        assert!(cuts > 12, "{cuts} cuts");
    }
}
