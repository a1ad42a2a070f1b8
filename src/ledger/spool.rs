//! Entries that other commands leave for the recorder: a folder of the recorder's that root, backups, verification and health can write to,
//! and where nobody but root and the recorder can rename or remove what somebody else has left.
//!
//! Root and the recorder's own user may leave anything, everybody else the kinds in [`is_anybodys`] only: whoever reads hostile footage
//! or speaks to strange stores must not be able to say that footage was released or erased.
//!
//! `<id>.json` is new. Before the recorder appends it, it is named `<id>.from-<n>`, durably, where `n` is the size of the log then: if
//! it was appended and the recorder did not get to remove it, its entry is number `n` or a later one. So it is appended once. Who leaves
//! something that may have been left before names it so from the beginning.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    LONGEST,
    entry::{RemoteChange, SilenceChange, What},
    error::{LedgerError, failed},
};
use crate::{sys::Files, types::WallNs};

/// Version of what is left.
const FORMAT: u16 = 1;

/// What a command leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    format: u16,
    /// By which it is known again; the entry's `spool`.
    pub(super) id: Uuid,
    /// When it was left; the entry's `at`.
    pub(super) at: WallNs,
    pub(super) what: What,
}

/// Leaves an entry, durably: before a step that cannot be taken back. It is in the log once the recorder runs.
///
/// # Errors
/// If it cannot be left. The step is then not to be taken.
pub fn leave(files: &dyn Files, spool: &Path, at: WallNs, what: What) -> Result<Uuid, LedgerError> {
    let id = Uuid::new_v4();
    write(files, spool, "json", id, at, what).map(|()| id)
}

/// Leaves an entry that may have been left before, by a command that was cut short: it comes into the log once, also if it has been taken
/// up meanwhile. `from` is how many entries the log had before it was left first, at most.
///
/// # Errors
/// If it cannot be left.
pub fn leave_once(
    files: &dyn Files,
    spool: &Path,
    (id, from): (Uuid, u64),
    at: WallNs,
    what: What,
) -> Result<(), LedgerError> {
    write(files, spool, &format!("from-{from}"), id, at, what)
}

fn write(files: &dyn Files, spool: &Path, state: &str, id: Uuid, at: WallNs, what: What) -> Result<(), LedgerError> {
    let left = Left { format: FORMAT, id, at, what };
    let bytes = serde_json::to_vec(&left).expect("texts and integers always serialise");
    // The entry has its recorder's name beside, of at most 63 characters.
    if bytes.len() + 200 > LONGEST {
        return Err(LedgerError::TooLong(bytes.len()));
    }
    files.make_dir(spool).map_err(failed("cannot make", spool))?;
    let path = spool.join(format!("{}.{state}", left.id.as_simple()));
    files.write(&path, &bytes, 0o640, None).map_err(failed("cannot write", &path))
}

/// Something in the spool that is to be appended.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) left: Left,
    /// Its file.
    pub(super) path: PathBuf,
    /// It may be in the log already, under a number not below this one.
    pub(super) from: Option<u64>,
}

/// What lies in the spool, in the order in which it was left. What is no entry, or not one that its owner may leave, is set aside.
pub(super) fn look(files: &dyn Files, spool: &Path) -> Result<Vec<Taken>, LedgerError> {
    let own = nix::unistd::geteuid().as_raw();
    let (mut all, mut of_others) = (Vec::new(), Vec::new());
    for name in files.list(spool).map_err(failed("cannot list", spool))? {
        let Some((id, state)) = name.split_once('.') else { continue };
        let from = state.strip_prefix("from-").and_then(|n| n.parse().ok());
        if from.is_none() && state != "json" {
            continue;
        }
        let path = spool.join(&name);
        let Some(found) = files.find(&path, LONGEST).map_err(failed("cannot look at", &path))? else { continue };
        let trusted = found.owner == 0 || found.owner == own;
        let bytes = match found.bytes {
            // What is the disk's fault may pass.
            Err(e) if trusted && e.kind() != io::ErrorKind::InvalidData => return Err(failed("cannot read", &path)(e)),
            other => other.map_err(|e| e.to_string()),
        };
        match bytes.and_then(|bytes| read(&bytes, id)) {
            Ok(left) if trusted => all.push(Taken { left, path, from }),
            Ok(left) if is_anybodys(&left.what) => of_others.push(Taken { left, path, from }),
            Ok(_) => set_aside(files, &path, &format!("user {} may not leave an entry of its kind", found.owner)),
            Err(why) => set_aside(files, &path, &why),
        }
    }
    // By its id an entry is known to be in the log: it must not be taken for another one.
    for taken in of_others {
        if all.iter().any(|one| one.left.id == taken.left.id) {
            set_aside(files, &taken.path, "its id is another entry's");
        } else {
            all.push(taken);
        }
    }
    all.sort_by_key(|taken| (taken.left.at, taken.left.id));
    Ok(all)
}

/// The kinds of entry that backups, verification and health leave, under users of their own. That alarms are silenced and that the vendor
/// is let in are root's to say.
fn is_anybodys(what: &What) -> bool {
    match what {
        What::Verified { .. } | What::Backup { .. } | What::Alarm { .. } => true,
        What::Silence { change, .. } => *change == SilenceChange::Ended,
        What::Remote { change, .. } => *change != RemoteChange::Allowed,
        _ => false,
    }
}

fn read(bytes: &[u8], id: &str) -> Result<Left, String> {
    let left: Left = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let fits = left.format <= FORMAT && left.id.as_simple().to_string() == id;
    if fits { Ok(left) } else { Err("it is of another version".into()) }
}

/// Keeps something under a name by which it is not looked at again. If that cannot be done, it holds up nothing else.
fn set_aside(files: &dyn Files, path: &Path, why: &str) {
    let aside = path.with_extension("refused");
    // Whoever has left it may have taken that name, too.
    let other = || files.rename(path, &path.with_extension(format!("{}.refused", Uuid::new_v4().as_simple())));
    // A name may hold anything.
    let name = path.display().to_string();
    match files.rename(path, &aside).or_else(|_| other()) {
        Ok(()) => {
            log::error!(FILE = name, CAUSE:% = why; "{name:?} is no entry for the ledger and is kept as .refused: {why}");
        }
        Err(e) => {
            log::error!(FILE = name, CAUSE:% = e; "{name:?} is no entry for the ledger ({why}), and cannot be renamed: {e}");
        }
    }
}

/// Notes durably that something is about to be appended to a log of `size` entries.
pub(super) fn claim(files: &dyn Files, taken: &mut Taken, size: u64) -> Result<(), LedgerError> {
    if taken.from.is_none() {
        let claimed = taken.path.with_file_name(format!("{}.from-{size}", taken.left.id.as_simple()));
        files.rename(&taken.path, &claimed).map_err(failed("cannot name", &claimed))?;
        (taken.path, taken.from) = (claimed, Some(size));
    }
    Ok(())
}

/// Removes what is in the log.
pub(super) fn done(files: &dyn Files, path: &Path) -> Result<(), LedgerError> {
    files.remove(path).map_err(failed("cannot remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::FakeFiles;

    fn stopped(by: &str) -> What {
        What::ServiceStopped { service: "record".into(), by: by.into() }
    }

    #[test]
    fn what_is_left_is_found_in_order_and_what_is_none_is_set_aside() {
        let (files, spool) = (FakeFiles::new(), Path::new("/spool"));
        assert!(look(&files, spool).unwrap().is_empty(), "no folder, nothing left");
        leave(&files, spool, WallNs(2), stopped("b")).unwrap();
        let first = leave(&files, spool, WallNs(1), stopped("a")).unwrap();
        files.write(&spool.join("notes"), b"x", 0, None).unwrap();
        let bad = format!("{}.json", Uuid::new_v4().as_simple());
        files.write(&spool.join(&bad), b"{}", 0, None).unwrap();
        let mut found = look(&files, spool).unwrap();
        assert_eq!(found.iter().map(|t| t.left.at.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((found[0].left.id, found[0].from), (first, None));
        assert!(files.list(spool).unwrap().iter().any(|n| n.ends_with(".refused")));
        claim(&files, &mut found[0], 7).unwrap();
        assert_eq!(look(&files, spool).unwrap()[0].from, Some(7));
        claim(&files, &mut found[0], 9).unwrap();
        assert_eq!(found[0].from, Some(7), "the first claim counts");
        done(&files, &found[0].path).unwrap();
        assert_eq!(look(&files, spool).unwrap().len(), 1);
        let pipe = spool.join(format!("{}.json", Uuid::new_v4().as_simple()));
        files.make_dir(&pipe).unwrap();
        files.make_dir(&pipe.with_extension("refused")).unwrap();
        assert_eq!(look(&files, spool).unwrap().len(), 1, "what is no file holds nothing up, whatever names are taken");
        assert!(!files.list(spool).unwrap().iter().any(|n| spool.join(n) == pipe));
        let long = leave(&files, spool, WallNs(3), stopped(&"x".repeat(70_000)));
        assert!(matches!(long, Err(LedgerError::TooLong(_))));
    }
    #[test]
    fn health_may_say_what_it_saw_and_that_a_permission_is_over() {
        let said = |what: &What| (what.kind(), is_anybodys(what));
        let all: Vec<_> = crate::ledger::samples::samples().iter().map(|entry| said(&entry.what)).collect();
        let of = |kind| all.iter().filter(|(k, _)| *k == kind).map(|(_, may)| *may).collect::<Vec<_>>();
        assert_eq!(of("alarm"), [true, true, true]);
        assert_eq!((of("silence"), of("remote")), (vec![false, true], vec![false, true, true]));
        assert_eq!((of("verified"), of("backup"), of("hold")), (vec![true; 2], vec![true; 2], vec![false; 2]));
        assert_eq!(all.iter().filter(|(_, may)| *may).count(), 10, "and nothing else");
    }
    #[test]
    fn other_users_leave_only_what_is_theirs() {
        let (files, spool) = (FakeFiles::new(), Path::new("/spool"));
        let path = |id: Uuid, state: &str| spool.join(format!("{}.{state}", id.as_simple()));
        let theirs = || What::Verified { scope: "all".into(), segments: 1, bytes: 2, damaged: Vec::new() };
        let left = |what, owner| {
            let id = leave(&files, spool, WallNs(1), what).unwrap();
            files.give(&path(id, "json"), owner);
            id
        };
        let (verified, forged, of_root) = (left(theirs(), 998), left(stopped("x"), 998), left(stopped("y"), 0));
        // Under the id of an entry of root's, as if that had been appended.
        let twin = Left { format: FORMAT, id: of_root, at: WallNs(0), what: theirs() };
        files.write(&path(of_root, "from-0"), &serde_json::to_vec(&twin).unwrap(), 0, None).unwrap();
        files.give(&path(of_root, "from-0"), 998);
        let mut taken: Vec<_> = look(&files, spool).unwrap().into_iter().map(|t| (t.left.id, t.left.what)).collect();
        taken.sort_by_key(|(_, what)| matches!(what, What::Verified { .. }));
        assert_eq!(taken, [(of_root, stopped("y")), (verified, theirs())]);
        for id in [forged, of_root] {
            assert!(files.find(&path(id, "refused"), LONGEST).unwrap().is_some());
        }
        // What is the disk's fault is no fault of root's entry; whoever else makes a file that cannot be read holds nothing up.
        files.spoil(Some(&path(of_root, "json")));
        assert!(look(&files, spool).is_err());
        files.spoil(Some(&path(verified, "json")));
        assert_eq!(look(&files, spool).unwrap().len(), 1);
    }
}
