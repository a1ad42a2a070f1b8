//! What must hold for any bytes that are read as a segment. Shared by the fuzz target and by the tests on mutated files.

use custodian::{
    store::{
        format::{CloseBuilder, SegmentFile, Tail, Verify, read, samples, scan, verify},
        index::{SegmentRow, SegmentState},
        verify::{Wanted, examine},
    },
    types::{RunId, SegmentId, Span, StreamId, WallNs},
};
use sha2::{Digest, Sha256};

/// Reads the bytes as they are; then with the digests of head and close box made right, so that what is behind them is reached.
pub(crate) fn exercise(data: &[u8]) {
    check(data);
    let mut repaired = data.to_vec();
    repair_head(&mut repaired);
    repair_close(&mut repaired);
    check(&repaired);
}

/// Whoever examines a file says what is wrong with it, and that there is something if there is.
fn examined(data: &[u8], found: Option<&SegmentFile>) {
    let len = data.len() as u64;
    let nobody = SegmentId { stream: StreamId::from_bytes([7; 16]), run: RunId::from_bytes([8; 16]), seq: 0 };
    let id = found.map_or(nobody, |found| found.head.segment());
    let correction = found.map_or(0, |found| found.head.run.clock_correction);
    let span = found.and_then(SegmentFile::span).unwrap_or(Span { start: WallNs(0), end: WallNs(1) });
    let span = Span { start: span.start.offset(correction), end: span.end.offset(correction) };
    for state in [SegmentState::Closed, SegmentState::Open] {
        let row = SegmentRow {
            id,
            volume: "v1".parse().expect("a name"),
            path: String::new(),
            span,
            raw_start: span.start,
            clock_correction: correction,
            bytes: len,
            frames: 0,
            lost_packets: 0,
            state,
            holes: Vec::new(),
            root: None,
        };
        let flaws = examine(data, len, &Wanted::by_index(&row, None));
        let closed = found.is_some_and(|found| found.closed.is_some());
        assert!(closed || state == SegmentState::Open || !flaws.is_empty(), "a closed file without closing boxes");
    }
}

fn check(data: &[u8]) {
    let len = data.len() as u64;
    let found = read(data, len);
    examined(data, found.as_ref().ok());
    if let Ok(found) = found {
        possible(&found, data);
        for entry in &found.fragments {
            // The close box may lie; then that is an error, not a panic and not a read beyond the file.
            if let Ok(list) = samples(data, entry) {
                assert!(list.iter().all(|s| s.offset >= entry.offset && s.offset + u64::from(s.size) <= entry.end()));
                assert_eq!(list.len() as u64, u64::from(entry.video_samples) + u64::from(entry.audio_samples));
            }
            let _ = verify(data, &found.head, entry);
        }
    }
    let Ok(found) = scan(data, len, Verify::ALL) else { return };
    possible(&found, data);
    for entry in &found.fragments {
        verify(data, &found.head, entry).expect("a fragment that was verified while scanning");
    }
    // Recovery: what it leaves is read back as it was found.
    let valid = usize::try_from(found.valid_len).expect("within the data");
    let mut recovered = data[..valid].to_vec();
    if found.closed.is_none() {
        recovered.extend(CloseBuilder::from_file(&found).finish(true));
    }
    let again = read(&recovered, recovered.len() as u64).expect("a recovered file");
    assert!(again.closed.is_some() && again.tail == Tail::Clean);
    assert_eq!((again.fragments, again.reports), (found.fragments, found.reports));
}

fn possible(found: &SegmentFile, data: &[u8]) {
    let len = data.len() as u64;
    assert!(found.init_len <= found.head_len && found.head_len <= found.valid_len && found.valid_len <= len);
    let mut end = found.head_len;
    for e in &found.fragments {
        assert!(e.offset >= end && e.end() <= found.valid_len && e.span.start <= e.span.end);
        end = e.end();
    }
    match found.tail {
        Tail::Clean => assert_eq!(found.valid_len, len),
        Tail::Zeros { len: tail } | Tail::Torn { len: tail, .. } | Tail::Garbage { len: tail, .. } => {
            assert_eq!(found.valid_len + tail, len);
        }
    }
}

fn be32(data: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?) as usize)
}

/// Writes the digest that the head box should have, if the three boxes are there.
fn repair_head(data: &mut [u8]) -> Option<()> {
    let head = be32(data, 0)?.checked_add(be32(data, be32(data, 0)?)?)?;
    let end = head.checked_add(be32(data, head)?)?;
    let json = data.get(head + 60..end)?;
    let digest = Sha256::new().chain_update(&data[..head + 28]).chain_update(json).finalize();
    data[head + 28..head + 60].copy_from_slice(&digest);
    Some(())
}

/// The same for the close box, whose own copy of the head's digest is made right too.
fn repair_close(data: &mut [u8]) -> Option<()> {
    let mfra_at = data.len().checked_sub(be32(data, data.len().checked_sub(4)?)?)?;
    let close_at = mfra_at.checked_sub(be32(data, mfra_at.checked_sub(4)?)?)?;
    let head = be32(data, 0)?.checked_add(be32(data, be32(data, 0)?)?)?;
    let head: [u8; 32] = *data.get(head + 28..)?.first_chunk()?;
    let digest_at = mfra_at.checked_sub(36).filter(|at| *at >= close_at + 60)?;
    data[close_at + 28..close_at + 60].copy_from_slice(&head);
    let digest = Sha256::new().chain_update(&data[close_at..digest_at]).chain_update(&data[mfra_at..]).finalize();
    data[digest_at..digest_at + 32].copy_from_slice(&digest);
    Some(())
}
