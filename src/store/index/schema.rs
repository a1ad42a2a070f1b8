//! Tables, and opening a database without trusting it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::reader::strange;
use crate::{store::identity::name_beside, types::StreamId};

/// Version of the tables, in `PRAGMA user_version`. A later version only adds.
pub const FORMAT: i64 = 2;
/// The oldest version that understands the tables, noted as `min_reader`.
const MIN_READER: i64 = 1;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite says no.
    #[error("index {path}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Its reason.
        source: rusqlite::Error,
    },
    /// There is none yet.
    #[error("there is no index at {0}: has the recorder run with this --state?")]
    Missing(PathBuf),
    /// SQLite's own check found damage.
    #[error("index {path} is damaged: {what}; `custodian reindex` rebuilds it from the volumes")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The first line of the check's report.
        what: String,
    },
    /// Made by an earlier version, and not brought up to date yet.
    #[error("index {0} was made by an earlier version: the recorder brings it up to date when it starts")]
    Old(PathBuf),
    /// Made by a later version.
    #[error("index {path} wants a reader of format {found}, this version has {FORMAT}: update custodian")]
    TooNew {
        /// The database.
        path: PathBuf,
        /// The format that it wants.
        found: i64,
    },
}

impl IndexError {
    pub(super) fn at(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self + '_ {
        move |source| Self::Sqlite { path: path.to_owned(), source }
    }
}

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE stream (
  n INTEGER PRIMARY KEY,
  uuid BLOB NOT NULL UNIQUE,
  camera TEXT NOT NULL,
  kind TEXT NOT NULL,
  retired INTEGER,                -- retention has removed footage up to here, corrected
  UNIQUE (camera, kind)
);

CREATE TABLE run (
  n INTEGER PRIMARY KEY,
  uuid BLOB NOT NULL UNIQUE,
  stream INTEGER NOT NULL REFERENCES stream (n),
  folder TEXT NOT NULL,           -- the camera's name at the time
  start INTEGER NOT NULL,         -- uncorrected, ns
  correction INTEGER NOT NULL,    -- ns
  gap_since INTEGER,
  gap_kind TEXT,
  gap_detail TEXT,
  mime TEXT NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  recorder TEXT NOT NULL
);

-- Times are corrected, ns; raw_start is what the file's name says.
CREATE TABLE segment (
  stream INTEGER NOT NULL REFERENCES stream (n),
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  run INTEGER NOT NULL REFERENCES run (n),
  seq INTEGER NOT NULL,
  volume TEXT NOT NULL,
  raw_start INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  frames INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  state INTEGER NOT NULL,
  holes BLOB,                     -- starts and ends, corrected, each i64 big-endian
  root BLOB,                      -- RFC 6962 root of a closed one
  logged INTEGER,                 -- number of its entry in the ledger
  PRIMARY KEY (stream, start, run, seq, volume) -- a copy on another volume has a row of its own
) WITHOUT ROWID;
CREATE UNIQUE INDEX segment_id ON segment (run, seq, volume);
CREATE INDEX segment_open ON segment (state) WHERE state = 0;
CREATE INDEX segment_retiring ON segment (state) WHERE state = 3;
CREATE INDEX segment_unlogged ON segment (stream, start) WHERE logged IS NULL AND state IN (1, 2);

CREATE TABLE open_gap (
  stream INTEGER PRIMARY KEY REFERENCES stream (n),
  since INTEGER NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL
);

CREATE TABLE volume (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
";

/// What retention has measured and seen: in new databases and in older ones.
const KEEPING: &str = "
CREATE TABLE kept (               -- in seconds, a row for each day that was measured
  stream INTEGER NOT NULL REFERENCES stream (n),
  day TEXT NOT NULL,
  seconds INTEGER NOT NULL,
  gap INTEGER NOT NULL,
  unreadable INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  young INTEGER NOT NULL,
  PRIMARY KEY (stream, day)
) WITHOUT ROWID;

CREATE TABLE lost (               -- was recorded, was not let go, and is not there
  stream INTEGER NOT NULL REFERENCES stream (n),
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  PRIMARY KEY (stream, start, end)
) WITHOUT ROWID;
";

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |r| r.get(0))
}

/// From format 1: all that has come since is additional.
const SINCE_1: &str = "
ALTER TABLE segment ADD COLUMN root BLOB;
ALTER TABLE segment ADD COLUMN logged INTEGER;
ALTER TABLE stream ADD COLUMN retired INTEGER;
CREATE INDEX segment_retiring ON segment (state) WHERE state = 3;
CREATE INDEX segment_unlogged ON segment (stream, start) WHERE logged IS NULL AND state IN (1, 2);
";

/// The oldest version that may read the database.
fn min_reader(db: &Connection, version: i64) -> rusqlite::Result<i64> {
    let noted =
        db.query_row("SELECT value FROM meta WHERE key = 'min_reader'", [], |r| r.get::<_, String>(0)).optional()?;
    Ok(noted.and_then(|n| n.parse().ok()).unwrap_or(version))
}

/// Brings an older database up to date, after a copy of it was put beside it.
fn migrate(db: &mut Connection, path: &Path, from: i64) -> rusqlite::Result<()> {
    let copy = PathBuf::from(format!("{}.format{from}", path.display()));
    if !copy.exists() {
        db.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    }
    let tx = db.transaction()?;
    tx.execute_batch(SINCE_1)?;
    tx.execute_batch(KEEPING)?;
    stamp(&tx)?;
    tx.commit()
}

/// An earlier version gave a stream that had lost its name to another one a name that no camera can have: `gate~7`.
fn name_all(db: &Connection) -> rusqlite::Result<()> {
    let named = db
        .prepare("SELECT n, uuid, camera FROM stream WHERE camera LIKE '%~%'")?
        .query_map([], |r| Ok((r.get(0)?, StreamId::from_bytes(r.get(1)?), r.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(i64, StreamId, String)>>>()?;
    for (n, id, name) in named {
        let camera = name.split('~').next().unwrap_or_default().parse().map_err(strange)?;
        db.execute("UPDATE stream SET camera = ?2 WHERE n = ?1", params![n, name_beside(&camera, id).as_str()])?;
    }
    Ok(())
}

fn stamp(db: &Connection) -> rusqlite::Result<()> {
    db.execute("INSERT OR REPLACE INTO meta VALUES ('min_reader', ?1)", [MIN_READER.to_string()])?;
    db.pragma_update(None, "user_version", FORMAT)
}

/// Opens for writing; makes the tables in an empty database. Checks the database's structure first.
pub(super) fn open(path: &Path) -> Result<Connection, IndexError> {
    let at = || IndexError::at(path);
    let mut db = Connection::open(path).map_err(at())?;
    db.busy_timeout(std::time::Duration::from_secs(10)).map_err(at())?;
    // A journal that is fsynced at checkpoints: a power cut may cost the last rows, which recovery finds again.
    db.pragma_update(None, "journal_mode", "WAL").map_err(at())?;
    db.pragma_update(None, "synchronous", "NORMAL").map_err(at())?;
    let what: String = db.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(at())?;
    if what != "ok" {
        return Err(IndexError::Damaged { path: path.to_owned(), what });
    }
    match version(&db).map_err(at())? {
        0 => {
            let tx = db.transaction().map_err(at())?;
            tx.execute_batch(TABLES).map_err(at())?;
            tx.execute_batch(KEEPING).map_err(at())?;
            stamp(&tx).map_err(at())?;
            tx.commit().map_err(at())?;
        }
        found if found < FORMAT => migrate(&mut db, path, found).map_err(at())?,
        found => understood(&db, path, found)?,
    }
    name_all(&db).map_err(at())?;
    Ok(db)
}

/// A connection that only reads.
#[derive(Debug)]
pub(super) struct ReadOnly {
    pub(super) db: Connection,
    /// The log that whoever writes makes, where nobody wrote when it was opened and it is read as it lay there.
    pub(super) at_rest: Option<PathBuf>,
}

/// Opens for reading. Who may not write beside the database can read it all the same: while somebody else writes it, by his help, as SQLite does
/// it by itself; while nobody does, as it lies there.
pub(super) fn open_read_only(path: &Path) -> Result<ReadOnly, IndexError> {
    if !path.exists() {
        return Err(IndexError::Missing(path.to_owned()));
    }
    let log = PathBuf::from(format!("{}-wal", path.display()));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let (db, at_rest) = match connect(path, Connection::open_with_flags(path, flags)) {
        Err(IndexError::Sqlite { source, .. }) if wants_to_write(&source) && !log.exists() => {
            let escaped = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let uri = format!("file:{escaped}?immutable=1");
            let as_it_lies = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI);
            (connect(path, as_it_lies)?, Some(log))
        }
        other => (other?, None),
    };
    Ok(ReadOnly { db, at_rest })
}

/// SQLite makes two files beside a database that nobody has open.
fn wants_to_write(e: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    e.sqlite_error_code().is_some_and(|code| matches!(code, CannotOpen | ReadOnly))
}

fn connect(path: &Path, opened: rusqlite::Result<Connection>) -> Result<Connection, IndexError> {
    let at = || IndexError::at(path);
    let db = opened.map_err(at())?;
    db.busy_timeout(std::time::Duration::from_secs(5)).map_err(at())?;
    match version(&db).map_err(at())? {
        0 => Err(IndexError::Missing(path.to_owned())),
        found if found < FORMAT => Err(IndexError::Old(path.to_owned())),
        found => understood(&db, path, found).map(|()| db),
    }
}

/// Whether this version understands a database of version `found`.
fn understood(db: &Connection, path: &Path, found: i64) -> Result<(), IndexError> {
    match min_reader(db, found).map_err(IndexError::at(path))? {
        needs if needs > FORMAT => Err(IndexError::TooNew { path: path.to_owned(), found: needs }),
        _ => Ok(()),
    }
}
