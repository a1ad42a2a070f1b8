//! A copy of a database that is being written to: consistent, as of one moment. Its file alone would not be: the newest changes lie in its journal.

use std::{fs, io, path::Path};

use rusqlite::{Connection, OpenFlags};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// SQLite says no.
    #[error("the database cannot be copied")]
    Sqlite(#[from] rusqlite::Error),
    /// Its folder says no.
    #[error("the database cannot be copied")]
    Io(#[from] io::Error),
    /// What came out is not whole.
    #[error("the copy of the database is damaged: {0}")]
    Damaged(String),
}

/// Copies the database to a file, which must not exist; checks the copy.
pub fn snapshot(database: &Path, copy: &Path) -> Result<(), SnapshotError> {
    let to = copy.to_str().ok_or_else(|| io::Error::other("a path that is no UTF-8"))?;
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let attempt = |uri: &str| -> Result<(), SnapshotError> {
        let db = Connection::open_with_flags(uri, read_only | OpenFlags::SQLITE_OPEN_URI)?;
        db.busy_timeout(std::time::Duration::from_secs(10))?;
        // A read transaction: the writer goes on meanwhile.
        db.execute("VACUUM INTO ?1", [to])?;
        Ok(())
    };
    let uri = format!("file:{}", encoded(database));
    let before = fs::metadata(database)?.modified()?;
    match attempt(&uri) {
        // Nobody has it open, and this user may not write beside it, which SQLite needs to share it: so it is read as a file that nobody changes.
        Err(SnapshotError::Sqlite(e)) if cannot_share(&e) && !journal(database) => {
            let _ = fs::remove_file(copy);
            attempt(&format!("{uri}?immutable=1"))?;
            if journal(database) || fs::metadata(database)?.modified()? != before {
                let _ = fs::remove_file(copy);
                return Err(io::Error::other("it was opened meanwhile; try again").into());
            }
        }
        other => other?,
    }
    let what: String =
        Connection::open_with_flags(copy, read_only)?.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
    if what == "ok" { Ok(()) } else { Err(SnapshotError::Damaged(what)) }
}

fn cannot_share(e: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    matches!(e.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}

/// Whether somebody has changes that are not in the file itself.
fn journal(database: &Path) -> bool {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    Path::new(&wal).exists()
}

/// A path within a URI (<https://sqlite.org/uri.html>).
fn encoded(path: &Path) -> String {
    use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _};
    path.as_os_str().as_bytes().iter().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"/-_.~".contains(b) {
            out.push(char::from(*b));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(path: &Path) -> i64 {
        Connection::open(path).unwrap().query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap()
    }

    #[test]
    fn what_lies_in_the_journal_is_in_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("a b%c?.db");
        let db = Connection::open(&live).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        db.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        assert!(journal(&live), "or nothing is tested");
        let copy = dir.path().join("copy.db");
        snapshot(&live, &copy).unwrap();
        db.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert_eq!(rows(&copy), 1);
        // A raw copy of the file alone has nothing of it.
        let raw = dir.path().join("raw.db");
        fs::copy(&live, &raw).unwrap();
        assert!(
            Connection::open(&raw).unwrap().query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0)).is_err()
        );
        drop(db);
        let again = dir.path().join("again.db");
        snapshot(&live, &again).unwrap();
        assert_eq!(rows(&again), 2);
        assert!(snapshot(&live, &again).is_err(), "nothing is written over");
        assert!(snapshot(&dir.path().join("none.db"), &dir.path().join("x.db")).is_err());
    }
}
