//! The head box: whose footage a file holds. A `uuid` box after `moov`, holding a digest and JSON.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    FORMAT, FormatError, HEAD_UUID, MIN_READER, boxes::Boxes, cursor::Cursor, cursor::Parse, init::write_init,
    moov::parse_moov,
};
use crate::types::{
    CameraId, Cause, CauseKind, GapBefore, RecorderId, Run, RunId, SegmentId, StreamId, StreamKey, StreamKind, WallNs,
};

/// What a file says of itself before its first fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The run, with the tracks rebuilt from `moov`.
    pub run: Run,
    /// Which file of the run.
    pub seq: u32,
    /// The format's version that the file was written in.
    pub format: u16,
    /// The oldest format version whose readers understand the file.
    pub min_reader: u16,
    /// SHA-256 over the file's bytes up to the digest and over the JSON: the identity of the whole head.
    pub digest: [u8; 32],
}

impl Head {
    /// The segment's identity.
    pub fn segment(&self) -> SegmentId {
        SegmentId { stream: self.run.stream.id, run: self.run.id, seq: self.seq }
    }
}

/// The JSON of the head box. The order of the fields is the order in the file; serialising is deterministic.
#[derive(Serialize, Deserialize)]
struct HeadJson {
    format: u16,
    min_reader: u16,
    site: String,
    camera: CameraId,
    stream: StreamKind,
    stream_id: StreamId,
    run: RunId,
    seq: u32,
    recorder: RecorderId,
    start: i64,
    clock_correction: i64,
    before: Option<BeforeJson>,
    codecs: Vec<Option<String>>,
}

#[derive(Serialize, Deserialize)]
struct BeforeJson {
    since: i64,
    /// A name of [`CauseKind`]; text, so that a later version's name is no error.
    cause: String,
    detail: String,
}

/// Only what must be known to decide whether the rest can be understood.
#[derive(Deserialize)]
struct Versions {
    min_reader: u16,
}

/// What a file begins with: `ftyp`, `moov` and the head box. Deterministic, so that copies on two volumes are byte-equal.
pub fn segment_head(run: &Run, seq: u32) -> Vec<u8> {
    write_head(run, seq).0
}

/// As [`segment_head`], with the head's digest.
pub(super) fn write_head(run: &Run, seq: u32) -> (Vec<u8>, [u8; 32]) {
    let json = serde_json::to_vec(&HeadJson {
        format: FORMAT,
        min_reader: MIN_READER,
        site: run.site.clone(),
        camera: run.stream.camera.clone(),
        stream: run.stream.kind,
        stream_id: run.stream.id,
        run: run.id,
        seq,
        recorder: run.recorder.clone(),
        start: run.start.0,
        clock_correction: run.clock_correction,
        before: run.before.as_ref().map(|g| BeforeJson {
            since: g.since.0,
            cause: g.cause.kind.as_str().to_owned(),
            detail: g.cause.detail.clone(),
        }),
        codecs: run.tracks.iter().map(|t| t.rfc6381.clone()).collect(),
    })
    .expect("texts and integers always serialise");
    let entries: usize = run.tracks.iter().map(|t| t.sample_entry.len()).sum();
    let mut b = Boxes::with_capacity(1152 + entries + json.len());
    write_init(&mut b, run);
    let mut digest_at = 0;
    b.uuid(&HEAD_UUID, 1, 0, |b| {
        digest_at = b.pos();
        b.zeros(32);
        b.bytes(&json);
    });
    let digest = digest(&b.written()[..digest_at], &json);
    b.patch(digest_at, &digest);
    (b.finish(), digest)
}

fn digest(before: &[u8], json: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(json).finalize().into()
}

/// Reads the three boxes that a file begins with. `init_len` is the length of the first two; `bytes` ends with the third.
pub(super) fn parse_head(bytes: &[u8], init_len: usize) -> Result<Head, FormatError> {
    const FIXED: usize = 8 + 16 + 4;
    let damaged = FormatError::DamagedHead;
    let (init, head) = bytes.split_at_checked(init_len).ok_or(damaged("a box ends too early"))?;
    let mut c = Cursor(head);
    let stored: Parse<[u8; 32]> = c.skip(FIXED).and_then(|()| c.array());
    let stored = stored.map_err(damaged)?;
    let json = c.0;
    if digest(&bytes[..init.len() + FIXED], json) != stored {
        return Err(damaged("its digest does not fit its bytes"));
    }
    let versions: Versions = serde_json::from_slice(json).map_err(|_| damaged("no version in its JSON"))?;
    if versions.min_reader > FORMAT {
        return Err(FormatError::TooNew { needs: versions.min_reader });
    }
    let j: HeadJson = serde_json::from_slice(json).map_err(|_| damaged("its JSON lacks what format 1 wants"))?;
    let moov = Cursor(init).find(*b"moov", "no moov").and_then(parse_moov);
    let mut tracks = moov.map_err(damaged)?;
    if j.codecs.len() != tracks.len() {
        return Err(damaged("not one codec per track"));
    }
    for (track, codec) in tracks.iter_mut().zip(j.codecs) {
        track.rfc6381 = codec;
    }
    let run = Run {
        id: j.run,
        stream: StreamKey { id: j.stream_id, camera: j.camera, kind: j.stream },
        site: j.site,
        recorder: j.recorder,
        tracks,
        start: WallNs(j.start),
        clock_correction: j.clock_correction,
        before: j
            .before
            .map(|g| GapBefore { since: WallNs(g.since), cause: Cause::new(CauseKind::from_name(&g.cause), g.detail) }),
    };
    Ok(Head { run, seq: j.seq, format: j.format, min_reader: j.min_reader, digest: stored })
}
