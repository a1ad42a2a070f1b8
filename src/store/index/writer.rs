//! Writing the index. One writer, one transaction per batch.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Batch, IndexError, KeptRow, RunRow, SegmentRow, schema};
use crate::{
    store::identity::name_beside,
    types::{GapBefore, RunId, SegmentId, StreamId, StreamKey, VolumeName},
};

/// The index, open for writing.
#[derive(Debug)]
pub struct Writer {
    db: Connection,
    path: PathBuf,
}

impl Writer {
    /// Opens or makes the index at `path` and checks its structure.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        Ok(Self { db: schema::open(path)?, path: path.to_owned() })
    }

    fn at(&self) -> impl FnOnce(rusqlite::Error) -> IndexError + use<> {
        let path = self.path.clone();
        move |source| IndexError::Sqlite { path, source }
    }

    /// Writes a batch, all or nothing.
    pub fn apply(&mut self, batch: &Batch) -> Result<(), IndexError> {
        let at = self.at();
        self.write(batch).map_err(at)
    }

    fn write(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        // That something is about to be removed must be known after a power cut: else what is gone would be taken for lost.
        let durable = !batch.retiring.is_empty();
        self.db.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
        let tx = self.db.transaction()?;
        for key in &batch.streams {
            put_stream(&tx, key)?;
        }
        for run in batch.runs.values() {
            put_run(&tx, run)?;
        }
        for segment in batch.segments.values() {
            put_segment(&tx, segment)?;
        }
        if batch.forget_logged {
            tx.execute("UPDATE segment SET logged = NULL WHERE logged IS NOT NULL", [])?;
            tx.execute("DELETE FROM meta WHERE substr(key, 1, length(?1)) = ?1", [TOLD])?;
        }
        for (id, volume) in &batch.unlogged {
            tx.prepare_cached(&format!("UPDATE segment SET logged = NULL {THIS}"))?.execute(params![
                id.run.as_bytes(),
                id.seq,
                volume.as_str()
            ])?;
        }
        for ((id, volume), entry) in &batch.logged {
            tx.prepare_cached(&format!("UPDATE segment SET logged = ?4 {THIS}"))?.execute(params![
                id.run.as_bytes(),
                id.seq,
                volume.as_str(),
                entry.cast_signed()
            ])?;
        }
        for (id, volume) in &batch.retiring {
            // One that stays after all has no word in the ledger any more, and goes into it again.
            tx.prepare_cached(&format!("UPDATE segment SET state = 3, logged = NULL {THIS}"))?.execute(params![
                id.run.as_bytes(),
                id.seq,
                volume.as_str()
            ])?;
        }
        for (id, volume) in &batch.gone {
            drop_segment(&tx, *id, volume)?;
        }
        for (stream, until) in &batch.retired {
            tx.prepare_cached("UPDATE stream SET retired = max(coalesce(retired, ?2), ?2) WHERE uuid = ?1")?
                .execute(params![stream.as_bytes(), until.0])?;
        }
        for (stream, span) in &batch.lost {
            tx.prepare_cached("INSERT OR IGNORE INTO lost SELECT n, ?2, ?3 FROM stream WHERE uuid = ?1")?
                .execute(params![stream.as_bytes(), span.start.0, span.end.0])?;
        }
        for ((stream, day), kept) in &batch.kept {
            put_kept(&tx, *stream, day, *kept)?;
        }
        for (stream, gap) in &batch.open_gaps {
            put_open_gap(&tx, *stream, gap.as_ref())?;
        }
        for (key, value) in &batch.meta {
            tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?.execute([key, value])?;
        }
        for (name, id) in &batch.volumes {
            tx.prepare_cached("INSERT OR REPLACE INTO volume VALUES (?1, ?2)")?.execute([name.as_str(), id])?;
        }
        tx.commit()
    }

    /// Moves what the write-ahead log holds into the database file, so that the file alone is whole.
    pub fn checkpoint(&self) -> Result<(), IndexError> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(self.at())
    }
}

/// A camera's stream under its present name. A stream that had the name, because volumes came late, keeps its footage under another one; if
/// it has none, it goes.
fn put_stream(tx: &Transaction<'_>, key: &StreamKey) -> rusqlite::Result<()> {
    if let Some((n, holder)) = holder(tx, key)?.filter(|(_, holder)| *holder != key.id) {
        tx.prepare_cached("DELETE FROM open_gap WHERE stream = ?1")?.execute([n])?;
        for table in ["kept", "lost"] {
            // A number is given again.
            let sql = format!(
                "DELETE FROM {table} WHERE stream = ?1 AND NOT EXISTS (SELECT 1 FROM run WHERE run.stream = ?1)"
            );
            tx.prepare_cached(&sql)?.execute([n])?;
        }
        let gone = tx
            .prepare_cached(
                "DELETE FROM stream WHERE n = ?1 AND NOT EXISTS (SELECT 1 FROM run WHERE run.stream = stream.n)",
            )?
            .execute([n])?;
        if gone == 0 {
            tx.prepare_cached("UPDATE stream SET camera = ?2 WHERE n = ?1")?
                .execute(params![n, name_beside(&key.camera, holder).as_str()])?;
        }
    }
    tx.prepare_cached(
        "INSERT INTO stream (uuid, camera, kind) VALUES (?1, ?2, ?3)
         ON CONFLICT (uuid) DO UPDATE SET camera = excluded.camera",
    )?
    .execute(params![key.id.as_bytes(), key.camera.as_str(), key.kind.as_str()])?;
    Ok(())
}

/// The stream that has a name now.
fn holder(tx: &Transaction<'_>, key: &StreamKey) -> rusqlite::Result<Option<(i64, StreamId)>> {
    tx.prepare_cached("SELECT n, uuid FROM stream WHERE camera = ?1 AND kind = ?2")?
        .query_row([key.camera.as_str(), key.kind.as_str()], |r| Ok((r.get(0)?, StreamId::from_bytes(r.get(1)?))))
        .optional()
}

fn put_run(tx: &Transaction<'_>, run: &RunRow) -> rusqlite::Result<()> {
    let known: Option<i64> = tx
        .prepare_cached("SELECT n FROM stream WHERE uuid = ?1")?
        .query_row([run.stream.id.as_bytes()], |r| r.get(0))
        .optional()?;
    if known.is_none() {
        // Whose it is now says nobody; so it takes no name from another one.
        let taken = holder(tx, &run.stream)?.is_some();
        let beside = || StreamKey { camera: name_beside(&run.stream.camera, run.stream.id), ..run.stream.clone() };
        put_stream(tx, &if taken { beside() } else { run.stream.clone() })?;
    }
    let before = run.before.as_ref();
    tx.prepare_cached(
        "INSERT OR IGNORE INTO run
           (uuid, stream, folder, start, correction, gap_since, gap_kind, gap_detail, mime, width, height, recorder)
         SELECT ?1, n, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 FROM stream WHERE uuid = ?2",
    )?
    .execute(params![
        run.id.as_bytes(),
        run.stream.id.as_bytes(),
        run.stream.camera.as_str(),
        run.start.0,
        run.clock_correction,
        before.map(|g| g.since.0),
        before.map(|g| g.cause.kind.as_str()),
        before.map(|g| g.cause.detail.as_str()),
        run.mime,
        run.size.0,
        run.size.1,
        run.recorder.as_str(),
    ])?;
    Ok(())
}

fn holes(holes: &[crate::types::Span]) -> Vec<u8> {
    holes.iter().flat_map(|h| [h.start.0.to_be_bytes(), h.end.0.to_be_bytes()]).flatten().collect()
}

fn put_segment(tx: &Transaction<'_>, s: &SegmentRow) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO segment (stream, start, end, run, seq, volume, raw_start, bytes, frames, lost, state, holes, root, logged)
         SELECT stream, ?2, ?3, n, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
           (SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?13)
         FROM run WHERE uuid = ?1
         ON CONFLICT (run, seq, volume) DO UPDATE SET end = excluded.end, bytes = excluded.bytes,
           frames = excluded.frames, lost = excluded.lost, state = excluded.state, holes = excluded.holes,
           root = excluded.root",
    )?
    .execute(params![
        s.id.run.as_bytes(),
        s.span.start.0,
        s.span.end.0,
        s.id.seq,
        s.volume.as_str(),
        s.raw_start.0,
        s.bytes.cast_signed(),
        s.frames.cast_signed(),
        s.lost_packets.cast_signed(),
        s.state.code(),
        (!s.holes.is_empty()).then(|| holes(&s.holes)),
        s.root.map(|r| r.0),
        told_note(s.id.run, s.id.seq, &s.volume),
    ])?;
    Ok(())
}

/// Under keys that begin so it is noted which entry of the ledger stands for a segment that has no row: its file is not there, and may come
/// again. It is not told anew then, for what the ledger vouches for is the file as it was.
const TOLD: &str = "told.";

/// The note of a segment.
pub(super) fn told_note(run: RunId, seq: u32, volume: &VolumeName) -> String {
    format!("{TOLD}{run}.{seq}.{volume}")
}

/// Days that are remembered.
const KEPT_DAYS: u32 = 400;

/// The gap that lasts; none: it is over.
fn put_open_gap(tx: &Transaction<'_>, stream: StreamId, gap: Option<&GapBefore>) -> rusqlite::Result<()> {
    let Some(GapBefore { since, cause }) = gap else {
        let over = "DELETE FROM open_gap WHERE stream = (SELECT n FROM stream WHERE uuid = ?1)";
        return tx.prepare_cached(over)?.execute([stream.as_bytes()]).map(drop);
    };
    tx.prepare_cached("INSERT OR REPLACE INTO open_gap SELECT n, ?2, ?3, ?4 FROM stream WHERE uuid = ?1")?
        .execute(params![stream.as_bytes(), since.0, cause.kind.as_str(), cause.detail])
        .map(drop)
}

fn put_kept(tx: &Transaction<'_>, stream: StreamId, day: &str, kept: KeptRow) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO kept (stream, day, seconds, gap, unreadable, lost, young)
         SELECT n, ?2, ?3, ?4, ?5, ?6, ?7 FROM stream WHERE uuid = ?1",
    )?
    .execute(params![
        stream.as_bytes(),
        day,
        kept.seconds.cast_signed(),
        kept.gap_seconds.cast_signed(),
        kept.unreadable_seconds.cast_signed(),
        kept.lost_seconds.cast_signed(),
        kept.young,
    ])?;
    tx.prepare_cached("DELETE FROM kept WHERE day < date(?1, ?2)")?
        .execute(params![day, format!("-{KEPT_DAYS} days")])?;
    Ok(())
}

fn drop_segment(tx: &Transaction<'_>, id: SegmentId, volume: &VolumeName) -> rusqlite::Result<()> {
    let note = told_note(id.run, id.seq, volume);
    tx.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([&note])?;
    // What retention has removed comes no more.
    tx.prepare_cached(&format!(
        "INSERT INTO meta SELECT ?4, logged FROM segment {THIS} AND logged IS NOT NULL AND state <> 3"
    ))?
    .execute(params![id.run.as_bytes(), id.seq, volume.as_str(), note])?;
    tx.prepare_cached(&format!("DELETE FROM segment {THIS}"))?.execute(params![
        id.run.as_bytes(),
        id.seq,
        volume.as_str()
    ])?;
    // A run without footage is of no use to anybody. One that goes on comes again with its next segment.
    tx.prepare_cached(
        "DELETE FROM run WHERE uuid = ?1 AND NOT EXISTS (SELECT 1 FROM segment WHERE segment.run = run.n)",
    )?
    .execute([id.run.as_bytes()])?;
    Ok(())
}

/// The row of a run (?1), a number (?2) and a volume (?3).
const THIS: &str = "WHERE run = (SELECT n FROM run WHERE uuid = ?1) AND seq = ?2 AND volume = ?3";
