//! Tables, and opening a database without trusting it.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

/// Version of the tables, in `PRAGMA user_version`. A later version only adds.
pub const FORMAT: i64 = 1;

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
    /// Made by a later version.
    #[error("index {path} has format {found}, this version reads up to {FORMAT}: update custodian")]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its format.
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
  PRIMARY KEY (stream, start, run, seq, volume) -- a copy on another volume has a row of its own
) WITHOUT ROWID;
CREATE UNIQUE INDEX segment_id ON segment (run, seq, volume);
CREATE INDEX segment_open ON segment (state) WHERE state = 0;

CREATE TABLE open_gap (
  stream INTEGER PRIMARY KEY REFERENCES stream (n),
  since INTEGER NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL
);

CREATE TABLE volume (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
";

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |r| r.get(0))
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
            tx.pragma_update(None, "user_version", FORMAT).map_err(at())?;
            tx.commit().map_err(at())?;
        }
        found if found > FORMAT => return Err(IndexError::TooNew { path: path.to_owned(), found }),
        _ => {}
    }
    Ok(db)
}

/// Opens for reading.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, IndexError> {
    let at = || IndexError::at(path);
    if !path.exists() {
        return Err(IndexError::Missing(path.to_owned()));
    }
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(at())?;
    db.busy_timeout(std::time::Duration::from_secs(5)).map_err(at())?;
    match version(&db).map_err(at())? {
        0 => Err(IndexError::Missing(path.to_owned())),
        found if found > FORMAT => Err(IndexError::TooNew { path: path.to_owned(), found }),
        _ => Ok(db),
    }
}
