//! What lies at which place, as this recorder knows it: so that nothing that is whole there goes there twice. The recorder cannot read what it
//! has written, so it has to remember. A lost catalogue costs room and time, never a backup.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use uuid::Uuid;

use super::{
    item::{Item, parts},
    manifest::{FileLine, FootageLine, RelPath},
    names::CopyId,
    record::Kind,
};
use crate::types::merkle::Hash;

/// Version of the tables, in `PRAGMA user_version`.
const FORMAT: i64 = 2;

/// Why the catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// SQLite says no.
    #[error("catalogue {path}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Its reason.
        source: rusqlite::Error,
    },
    /// Made by a later version.
    #[error("catalogue {path} has format {found}, this version reads up to {FORMAT}: update custodian")]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
}

const TABLES: &str = "
-- A file's copy at a place. `key` says what it is a copy of, `recipients` who can read it; sha256 is that of the file, once all of it is there.
-- `footage`: its path and its line of contents, as JSON, for when the index has no row of it any more.
CREATE TABLE copy (
  n INTEGER PRIMARY KEY,
  place BLOB NOT NULL,
  recipients BLOB NOT NULL,
  key TEXT NOT NULL,
  id BLOB NOT NULL UNIQUE,
  bytes INTEGER NOT NULL,
  sha256 BLOB,
  footage TEXT,
  -- In what the file differed from what had been recorded: a better one is brought when there is one.
  flaw TEXT,
  -- Something of it is damaged or gone. It is brought again under another name, if it can be read here; else this is all that there is.
  spoilt INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX copy_of ON copy (place, recipients, key) WHERE spoilt = 0;
-- An object of it, entered before it is written: plain and sealed are the SHA-256 before and after encryption.
CREATE TABLE part (
  copy INTEGER NOT NULL REFERENCES copy (n) ON DELETE CASCADE,
  part INTEGER NOT NULL,
  plain BLOB NOT NULL,
  sealed BLOB NOT NULL,
  bytes INTEGER NOT NULL,
  read_back INTEGER NOT NULL,
  PRIMARY KEY (copy, part)
) WITHOUT ROWID;
";

/// A file's copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    row: i64,
    /// Its name at the place.
    pub id: CopyId,
    /// The file's length.
    pub bytes: u64,
    /// SHA-256 of the file, once all of it is there.
    pub sha256: Option<Hash>,
}

/// An object of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which, from 0.
    pub part: u32,
    /// SHA-256 of this part of the file.
    pub plain: Hash,
    /// SHA-256 of the object.
    pub sealed: Hash,
    /// The object's length.
    pub bytes: u64,
    /// Whether it was written and came back as it was.
    pub read_back: bool,
}

/// The catalogue, of one place.
#[derive(Debug)]
pub struct Catalogue {
    db: Connection,
    path: PathBuf,
    place: Uuid,
}

/// Footage of which a copy was once whole at the place.
#[derive(Debug, Clone)]
pub struct Known {
    /// The copy.
    pub copy: Copy,
    /// Which segment, as [`Item::segment_of`] has it.
    pub segment: String,
    /// Its path and line of contents.
    pub footage: (RelPath, FootageLine),
    /// Why nobody should rely on it.
    pub fault: Option<&'static str>,
}

impl Known {
    /// Its line in a list of contents. Nothing if it is not whole.
    pub fn line(&self) -> Option<FileLine> {
        let (path, footage) = self.footage.clone();
        let (copy, bytes) = (self.copy.id, self.copy.bytes);
        let sha256 = self.copy.sha256?;
        Some(FileLine { kind: Kind::Footage, path, copy, parts: parts(bytes), bytes, sha256, footage: Some(footage) })
    }
}

fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    row.get(column).map(Hash)
}

fn copy(row: &Row<'_>) -> rusqlite::Result<Copy> {
    Ok(Copy {
        row: row.get(0)?,
        id: CopyId::from_bytes(row.get(1)?),
        bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        sha256: row.get::<_, Option<[u8; 32]>>(3)?.map(Hash),
    })
}

fn part(row: &Row<'_>) -> rusqlite::Result<Part> {
    Ok(Part {
        part: row.get(0)?,
        plain: hash(row, 1)?,
        sealed: hash(row, 2)?,
        bytes: row.get::<_, i64>(3)?.cast_unsigned(),
        read_back: row.get(4)?,
    })
}

const COPY: &str = "SELECT n, id, bytes, sha256 FROM copy";
const PARTS: &str = "SELECT part, plain, sealed, bytes, read_back FROM part";

impl Catalogue {
    /// Opens it for one place; made if there is none. One that is damaged is put aside: what it knew goes there again.
    pub fn open(path: &Path, place: Uuid) -> Result<Self, CatalogueError> {
        let db = match Self::connect(path) {
            Err(CatalogueError::Sqlite { source, .. }) if damaged(&source) => {
                let aside = path.with_extension("damaged");
                log::warn!(FILE:% = path.display(); "{} is damaged and put aside as {}", path.display(), aside.display());
                let _ = std::fs::rename(path, &aside);
                Self::connect(path)?
            }
            other => other?,
        };
        Ok(Self { db, path: path.to_owned(), place })
    }

    fn connect(path: &Path) -> Result<Connection, CatalogueError> {
        let at = || |source| CatalogueError::Sqlite { path: path.to_owned(), source };
        let mut db = Connection::open(path).map_err(at())?;
        // What stands here is there, also after a power cut: a rollback journal, synced.
        db.pragma_update(None, "journal_mode", "DELETE").map_err(at())?;
        db.pragma_update(None, "synchronous", "FULL").map_err(at())?;
        db.pragma_update(None, "foreign_keys", true).map_err(at())?;
        let what: String = db.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(at())?;
        if what != "ok" {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(at()(rusqlite::Error::SqliteFailure(code, Some(what))));
        }
        match db.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(at())? {
            found if found < FORMAT => {
                // Format 1 did not know whose copies they are: they are made again.
                let tx = db.transaction().map_err(at())?;
                tx.execute_batch("DROP TABLE IF EXISTS part; DROP TABLE IF EXISTS copy;").map_err(at())?;
                tx.execute_batch(TABLES).map_err(at())?;
                tx.pragma_update(None, "user_version", FORMAT).map_err(at())?;
                tx.commit().map_err(at())?;
            }
            found if found > FORMAT => return Err(CatalogueError::TooNew { path: path.to_owned(), found }),
            _ => {}
        }
        Ok(db)
    }

    fn ask<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CatalogueError> {
        ask(&self.db).map_err(|source| CatalogueError::Sqlite { path: self.path.clone(), source })
    }

    /// The copy of something for these recipients, whole or begun.
    pub fn find(&self, key: &str, recipients: Hash) -> Result<Option<Copy>, CatalogueError> {
        self.ask(|db| {
            db.prepare_cached(&format!("{COPY} WHERE place = ?1 AND recipients = ?2 AND key = ?3 AND spoilt = 0"))?
                .query_row(params![self.place.as_bytes(), recipients.0, key], copy)
                .optional()
        })
    }

    /// The copy of that name.
    pub fn by_id(&self, id: CopyId) -> Result<Option<Copy>, CatalogueError> {
        self.ask(|db| {
            db.prepare_cached(&format!("{COPY} WHERE place = ?1 AND id = ?2"))?
                .query_row(params![self.place.as_bytes(), id.to_bytes()], copy)
                .optional()
        })
    }

    /// Begins a copy for these recipients.
    pub fn begin(&self, item: &Item, recipients: Hash) -> Result<Copy, CatalogueError> {
        let (id, bytes) = (CopyId::random(), item.bytes);
        let footage = item.footage.as_ref().and_then(|line| serde_json::to_string(&(&item.path, line)).ok());
        self.ask(|db| {
            db.prepare_cached(
                "INSERT INTO copy (place, recipients, key, id, bytes, footage) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                self.place.as_bytes(),
                recipients.0,
                item.key,
                id.to_bytes(),
                bytes.cast_signed(),
                footage
            ])?;
            Ok(Copy { row: db.last_insert_rowid(), id, bytes, sha256: None })
        })
    }

    /// Footage at this place that is or was whole there: the longest copy first, of equal ones those that are whole.
    pub fn footage(&self, recipients: Hash) -> Result<Vec<Known>, CatalogueError> {
        let all = self.ask(|db| {
            db.prepare_cached(
                "SELECT n, id, bytes, sha256, key, footage, recipients = ?2, spoilt OR flaw IS NOT NULL AS bad FROM copy
                 WHERE place = ?1 AND sha256 IS NOT NULL AND footage IS NOT NULL ORDER BY bytes DESC, bad, n DESC",
            )?
            .query_map(params![self.place.as_bytes(), recipients.0], |row| {
                let fault = match (row.get(6)?, row.get(7)?) {
                    (_, true) => Some("damaged"),
                    (false, false) => Some("encrypted to earlier recipients"),
                    (true, false) => None,
                };
                Ok((copy(row)?, row.get::<_, String>(4)?, row.get::<_, String>(5)?, fault))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let known = |(copy, key, footage, fault): (Copy, String, String, _)| {
            let segment = Item::segment_of(&key).to_owned();
            Some(Known { copy, segment, footage: serde_json::from_str(&footage).ok()?, fault })
        };
        Ok(all.into_iter().filter_map(known).collect())
    }

    /// The parts of a copy in order.
    pub fn parts(&self, copy: &Copy) -> Result<Vec<Part>, CatalogueError> {
        self.ask(|db| {
            db.prepare_cached(&format!("{PARTS} WHERE copy = ?1 ORDER BY part"))?.query_map([copy.row], part)?.collect()
        })
    }

    /// Enters a part; one that was entered before is replaced.
    pub fn enter(&self, copy: &Copy, part: &Part) -> Result<(), CatalogueError> {
        self.ask(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO part VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![
                    copy.row,
                    part.part,
                    part.plain.0,
                    part.sealed.0,
                    part.bytes.cast_signed(),
                    part.read_back
                ])
                .map(drop)
        })
    }

    /// Notes that all of a copy is there.
    pub fn whole(&self, copy: &Copy, sha256: Hash) -> Result<(), CatalogueError> {
        self.ask(|db| {
            db.prepare_cached("UPDATE copy SET sha256 = ?2 WHERE n = ?1")?
                .execute(params![copy.row, sha256.0])
                .map(drop)
        })
    }

    /// In what a copy's file differed from what had been recorded.
    pub fn flaw(&self, copy: &Copy) -> Result<Option<String>, CatalogueError> {
        self.ask(|db| db.prepare_cached("SELECT flaw FROM copy WHERE n = ?1")?.query_row([copy.row], |r| r.get(0)))
    }

    /// Notes that.
    pub fn flawed(&self, copy: &Copy, flaw: &str) -> Result<(), CatalogueError> {
        self.ask(|db| {
            db.prepare_cached("UPDATE copy SET flaw = ?2 WHERE n = ?1")?.execute(params![copy.row, flaw]).map(drop)
        })
    }

    /// Forgets a copy.
    pub fn forget(&self, copy: &Copy) -> Result<(), CatalogueError> {
        self.ask(|db| db.prepare_cached("DELETE FROM copy WHERE n = ?1")?.execute([copy.row]).map(drop))
    }

    /// Notes that something of a copy is damaged or gone: the next backup brings it again. One that was whole is remembered, as long as backups have
    /// it: of footage it may be all that there is.
    pub fn spoil(&self, copy: &Copy) -> Result<(), CatalogueError> {
        let spoilt = self.ask(|db| {
            db.prepare_cached("UPDATE copy SET spoilt = 1 WHERE n = ?1 AND sha256 IS NOT NULL")?.execute([copy.row])
        })?;
        if spoilt == 0 { self.forget(copy) } else { Ok(()) }
    }

    /// All copies at this place of which nothing bad is known.
    pub fn copies(&self) -> Result<Vec<Copy>, CatalogueError> {
        self.ask(|db| {
            db.prepare_cached(&format!("{COPY} WHERE place = ?1 AND spoilt = 0"))?
                .query_map([self.place.as_bytes()], copy)?
                .collect()
        })
    }
}

fn damaged(e: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(e.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_remembered_by_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalogue.db");
        let (here, there, us, others) = (Uuid::from_u128(1), Uuid::from_u128(2), Hash([7; 32]), Hash([8; 32]));
        let mut item = Item::small(Kind::Site, "site.toml".into(), vec![0; 9]).unwrap();
        "segment:x".clone_into(&mut item.key);
        let catalogue = Catalogue::open(&path, here).unwrap();
        let copy = catalogue.begin(&item, us).unwrap();
        let part = Part { part: 0, plain: Hash([1; 32]), sealed: Hash([2; 32]), bytes: 200, read_back: false };
        catalogue.enter(&copy, &part).unwrap();
        catalogue.enter(&copy, &Part { read_back: true, ..part }).unwrap();
        assert_eq!(catalogue.parts(&copy).unwrap(), [Part { read_back: true, ..part }]);
        catalogue.whole(&copy, Hash([3; 32])).unwrap();
        drop(catalogue);
        let catalogue = Catalogue::open(&path, here).unwrap();
        let found = catalogue.find("segment:x", us).unwrap().unwrap();
        assert_eq!((found.id, found.bytes, found.sha256), (copy.id, 9, Some(Hash([3; 32]))));
        assert_eq!(Catalogue::open(&path, there).unwrap().find("segment:x", us).unwrap(), None);
        assert_eq!(catalogue.find("segment:x", others).unwrap(), None);
        catalogue.forget(&found).unwrap();
        assert_eq!(catalogue.copies().unwrap(), []);
        assert_eq!(catalogue.parts(&found).unwrap(), []);
    }

    #[test]
    fn a_catalogue_of_format_1_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalogue.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(
            "CREATE TABLE copy (n INTEGER PRIMARY KEY, place BLOB NOT NULL, key TEXT NOT NULL, id BLOB NOT NULL UNIQUE,
               bytes INTEGER NOT NULL, sha256 BLOB, UNIQUE (place, key));
             CREATE TABLE part (copy INTEGER NOT NULL REFERENCES copy (n) ON DELETE CASCADE, part INTEGER NOT NULL);
             INSERT INTO copy VALUES (1, x'01', 'segment:x', x'02', 9, NULL); INSERT INTO part VALUES (1, 0);
             PRAGMA user_version = 1",
        )
        .unwrap();
        drop(old);
        let catalogue = Catalogue::open(&path, Uuid::from_u128(1)).unwrap();
        assert_eq!(catalogue.copies().unwrap(), []);
        catalogue.begin(&Item::small(Kind::Site, "x".into(), Vec::new()).unwrap(), Hash([7; 32])).unwrap();
    }

    #[test]
    fn a_damaged_catalogue_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalogue.db");
        std::fs::write(&path, "this is no database, and long enough to be taken for one".repeat(100)).unwrap();
        let catalogue = Catalogue::open(&path, Uuid::from_u128(1)).unwrap();
        assert_eq!(catalogue.copies().unwrap(), []);
        assert!(dir.path().join("catalogue.damaged").exists());
    }
}
