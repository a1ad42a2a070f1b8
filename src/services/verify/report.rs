//! What verifying has to tell.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    store::verify::Finding,
    types::{VolumeName, WallNs},
};

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Segments read.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Segments to read.
    pub of_segments: u64,
    /// Bytes to read.
    pub of_bytes: u64,
}

/// Something to tell at once.
#[derive(Debug)]
pub enum Event<'a> {
    /// Some more was read.
    Progress(Progress),
    /// Something is not as it is to be.
    Found(&'a Finding),
}

/// A volume that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Which.
    pub volume: VolumeName,
    /// How many segments it is to have, of those asked for.
    pub segments: u64,
    /// Why.
    pub why: String,
}

/// So many findings are listed whole; all are counted.
const LISTED: usize = 100;

/// What was read, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which footage, in words.
    pub scope: String,
    /// When it began.
    pub began: WallNs,
    /// When it ended.
    pub ended: WallNs,
    /// Segments read.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// How many things are not as they are to be.
    pub found: u64,
    /// The first of them.
    pub findings: Vec<Value>,
    /// Volumes that could not be looked at.
    pub absent: Vec<Absent>,
    /// Whether it was ended before all was read.
    pub interrupted: bool,
    /// Entries of the ledger that were compared with; 0 if there is none.
    pub ledger: u64,
    /// Closed segments that wait for their entry in the ledger.
    pub unlogged: u64,
    /// Files that neither index nor ledger knows; as after a crash, before the recorder has looked.
    pub unknown_files: Vec<String>,
}

impl Report {
    pub(super) fn begin(scope: String, began: WallNs) -> Self {
        Self {
            scope,
            began,
            ended: began,
            segments: 0,
            bytes: 0,
            found: 0,
            findings: Vec::new(),
            absent: Vec::new(),
            interrupted: false,
            ledger: 0,
            unlogged: 0,
            unknown_files: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, finding: &Finding) {
        self.found += 1;
        if self.findings.len() < LISTED {
            self.findings.push(finding_json(finding));
        }
    }

    /// Whether all that was asked for was read.
    pub fn is_complete(&self) -> bool {
        !self.interrupted && self.absent.is_empty()
    }
}

/// A finding for machines, see `docs/ref/verify.md`.
pub fn finding_json(f: &Finding) -> Value {
    let span = f.flaw.span;
    json!({
        "kind": f.flaw.kind.code(), "detail": f.flaw.kind.detail(), "camera": f.camera, "stream": f.stream,
        "start": span.start, "end": span.end, "start_utc": span.start.to_string(), "end_utc": span.end.to_string(),
        "volume": f.volume, "path": f.path, "stream_id": f.id.stream, "run": f.id.run, "seq": f.id.seq,
        "fragment": f.flaw.fragment,
    })
}
