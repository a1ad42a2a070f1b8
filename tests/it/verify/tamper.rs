//! One thing at a time, and what is said of it.

use custodian::{
    ledger::Reason,
    store::format::{self, CloseBuilder, FragmentEntry, SegmentFile},
    types::{Fragment, Run, Sample, SegmentId, SharedLeaf, Span},
};

use super::*;

/// The second file of gate-1, from 4 s to 8 s after eight, and its copy.
const GATE: usize = 1;
const COPY: usize = 4;

impl School {
    fn file(&self, row: usize) -> SegmentFile {
        let bytes = self.bytes(row);
        format::read(&bytes, bytes.len() as u64).unwrap()
    }

    /// Flips a bit of a file.
    fn flip(&self, row: usize, byte: u64) {
        let mut bytes = self.bytes(row);
        bytes[usize::try_from(byte).unwrap()] ^= 0x20;
        self.write(row, &bytes);
    }

    /// What verifying says, which must end as damage does.
    fn damage(&self, args: &[&str]) -> Vec<(String, i64, i64, String)> {
        let (code, findings, result) = self.verify(args);
        assert_eq!((code, &result["found"]), (3, &findings.len().into()), "{findings:?}");
        findings.iter().map(told).collect()
    }
}

#[test]
fn what_nobody_touched_has_no_finding() {
    let school = School::new();
    let (code, findings, result) = school.verify(&[]);
    assert_eq!((code, findings.len()), (0, 0), "{findings:?}");
    let bytes: u64 = school.rows.iter().map(|r| r.bytes).sum();
    for (key, value) in [
        ("segments", Value::from(school.rows.len())),
        ("bytes", bytes.into()),
        ("ledger", (school.rows.len() - 1).into()),
        ("unlogged", 0.into()),
        ("complete", true.into()),
        ("interrupted", false.into()),
        ("scope", "all".into()),
    ] {
        assert_eq!(result[key], value, "{key}");
    }
    for (lang, says) in [("en", "all is as it was recorded"), ("vi", "vẫn như lúc ghi"), ("zh", "全部与录制时一致")]
    {
        let out = school.custodian(&["--lang", lang]);
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success() && text.contains(says), "{text}");
    }
}

#[test]
fn one_flipped_bit_is_found_wherever_it_is() {
    let school = School::new();
    let file = school.file(GATE);
    let second = file.fragments[1];
    let samples = format::samples(&school.bytes(GATE), &second).unwrap();
    let close = file.closed.as_ref().unwrap().offset;
    for (what, byte, expected) in [
        ("mdat", samples[3].offset + 7, tells("gate-1", 6, 8, "fragment")),
        ("the last byte of mdat", second.end() - 1, tells("gate-1", 6, 8, "fragment")),
        ("moof", second.moof_offset() + 100, tells("gate-1", 6, 8, "fragment")),
        ("prft", second.offset + 20, tells("gate-1", 6, 8, "fragment")),
        ("head", file.head_len - 30, tells("gate-1", 4, 8, "head")),
        ("moov", 300, tells("gate-1", 4, 8, "head")),
        ("the close box", close + 80, tells("gate-1", 4, 8, "close")),
        ("mfra", school.rows[GATE].bytes - 20, tells("gate-1", 4, 8, "close")),
    ] {
        school.flip(GATE, byte);
        assert_eq!(school.damage(&[]), [expected], "{what}");
        school.flip(GATE, byte);
    }
    // A clock that was corrected: the time is the right one.
    let yard = 6;
    school.flip(yard, school.file(yard).fragments[2].end() - 9);
    assert_eq!(school.damage(&[]), [tells("yard", 4, 6, "fragment")]);
    let text = String::from_utf8(school.custodian(&[]).stdout).unwrap();
    assert!(text.starts_with("yard (main), 2026-11-22 15:00:04 to 2026-11-22 15:00:06: damaged ("), "{text}");
}

#[test]
fn a_segment_that_is_open_or_was_recovered_is_looked_at_too() {
    let school = School::new();
    for (row, camera) in [(7, "hall"), (8, "lab")] {
        let byte = school.file(row).fragments[1].end() - 5;
        school.flip(row, byte);
        assert_eq!(school.damage(&[]), [tells(camera, 2, 4, "fragment")]);
        school.flip(row, byte);
    }
    // What is not committed yet is nobody's business.
    let mut more = school.bytes(8);
    more.extend_from_slice(b"half a fragment");
    school.write(8, &more);
    assert_eq!(school.verify(&[]).0, 0);
}

#[test]
fn two_files_that_changed_places_are_named() {
    let school = School::new();
    let (a, b) = (school.bytes(0), school.bytes(GATE));
    school.write(0, &b);
    school.write(GATE, &a);
    let mut found = school.damage(&[]);
    // Their lengths differ by a little, which is a finding by itself.
    found.retain(|f| f.3 == "swapped");
    assert_eq!(found, [tells("gate-1", 0, 4, "swapped"), tells("gate-1", 4, 8, "swapped")]);

    // Of equal length, and across volumes: hall's file is synthetic, and so is another of the same length.
    let school = School::new();
    let hall = school.bytes(7);
    let media = Media::synthetic(250, 50, 2000);
    let run = Arc::new(footage::run(9, "dock", &media, EIGHT, None));
    let (bytes, row) =
        school.archive.file(&run, &footage::fragments(&run, &media, usize::MAX), SegmentState::Recovered);
    assert_eq!(bytes.len(), hall.len());
    let mut school = school;
    school.archive.put(&run, std::slice::from_ref(&row));
    school.archive.write(&row, &hall);
    school.log(vec![entry(&row)]);
    school.rows.push(row);
    school.write(7, &bytes);
    let found = school.damage(&[]);
    assert_eq!(found, [tells("dock", 0, 10, "swapped"), tells("hall", 0, 10, "swapped")]);
    // A copy is the same wherever it lies.
    let school = School::new();
    let copy = school.bytes(COPY);
    assert_eq!(copy, school.bytes(GATE));
    school.write(GATE, &copy);
    assert_eq!(school.verify(&[]).0, 0);
}

#[test]
fn what_is_not_there_any_more_is_missed() {
    let school = School::new();
    std::fs::remove_file(school.path(GATE)).unwrap();
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "file-missing")]);

    // Cut short: from there on.
    let school = School::new();
    let bytes = school.bytes(GATE);
    let cut = usize::try_from(school.file(GATE).fragments[1].offset + 500).unwrap();
    school.write(GATE, &bytes[..cut]);
    assert_eq!(school.damage(&[]), [tells("gate-1", 6, 8, "shorter")]);
    school.write(GATE, b"");
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "head"), tells("gate-1", 4, 8, "shorter")]);
    school.write(GATE, &[&bytes[..], b"and more"].concat());
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "longer")]);
    school.write(GATE, &vec![0x47; bytes.len()]);
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "foreign")]);

    // The file with its row: only the ledger knows that there was one.
    let mut school = School::new();
    std::fs::remove_file(school.path(GATE)).unwrap();
    school.forget(&[GATE]);
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "removed")]);
    assert_eq!(school.damage(&["--camera", "gate-1", "--from", "2026-11-22 15:00:05"]).len(), 1);
    assert_eq!(school.verify(&["--from", "2026-11-22 15:00:09"]).0, 0, "not of that time");
    assert_eq!(school.verify(&["--camera", "yard"]).0, 0);
    assert_eq!(school.verify(&["--volume", "a2"]).0, 0);
    // All that there is of a camera.
    let mut school = School::new();
    std::fs::remove_file(school.path(6)).unwrap();
    school.forget(&[6]);
    assert_eq!(school.damage(&[]), [tells("yard", 0, 12, "removed")]);
    // The row alone.
    let mut school = School::new();
    school.forget(&[GATE]);
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "no-row")]);
    school.flip(GATE, school.file(GATE).fragments[0].end() - 1);
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 6, "fragment"), tells("gate-1", 4, 8, "no-row")]);
}

#[test]
fn what_was_retired_is_not_missed() {
    let mut school = School::new();
    let row = school.rows[GATE].clone();
    school.log(vec![What::Retired {
        stream: row.id.stream,
        camera: "gate-1".parse().unwrap(),
        volume: row.volume.clone(),
        reason: Reason::MaxDays,
        span: row.span,
        segments: vec![(row.id.run, row.id.seq)],
    }]);
    assert_eq!(school.verify(&[]).0, 0, "about to go");
    std::fs::remove_file(school.path(GATE)).unwrap();
    assert_eq!(school.verify(&[]).0, 0, "its row is about to go");
    school.forget(&[GATE]);
    let (code, findings, _) = school.verify(&[]);
    assert_eq!((code, findings.len()), (0, 0), "{findings:?}");
    std::fs::remove_file(school.path(COPY)).unwrap();
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "file-missing")], "the copy was not retired");
}

/// Encodes other pictures for a segment, with leaves, head, closing boxes that fit them, of equal length.
fn forge(school: &School, row: usize) -> Vec<u8> {
    let file = school.file(row);
    let bytes = school.bytes(row);
    let run = Arc::new(file.head.run.clone());
    let mut out = format::segment_head(&run, file.head.seq);
    let mut close = CloseBuilder::new(&run, file.head.seq);
    for (n, e) in file.fragments.iter().enumerate() {
        let fragment = again(&run, &bytes, file.head.seq, e, n == 1);
        let encoded = format::encode_fragment(&fragment).unwrap();
        close.push(encoded.entry_at(out.len() as u64), &[]);
        out.extend_from_slice(&encoded.head);
        fragment.samples.iter().for_each(|s| out.extend_from_slice(&s.data));
    }
    out.extend(close.finish(file.closed.unwrap().recovered));
    out
}

/// A fragment as it was captured, or with a picture painted over.
fn again(run: &Arc<Run>, bytes: &[u8], seq: u32, e: &FragmentEntry, painted: bool) -> Fragment {
    let samples = format::samples(bytes, e).unwrap();
    let data = |s: &format::SampleAt| bytes[usize::try_from(s.offset).unwrap()..][..s.size as usize].to_vec();
    let sample = |(n, s): (usize, &format::SampleAt)| Sample {
        track: s.track,
        dts: s.dts,
        duration: s.duration,
        cts: s.cts,
        key: s.key,
        data: if painted && n == 5 { vec![0xee; s.size as usize].into() } else { data(s).into() },
    };
    Fragment {
        run: run.clone(),
        seq,
        number: e.number,
        span: e.span,
        samples: samples.iter().enumerate().map(sample).collect(),
        lost_packets: e.lost_packets,
        dropped_frames: e.dropped_frames,
        reports: Vec::new(),
        leaf: SharedLeaf::default(),
    }
}

#[test]
fn a_file_encoded_anew_at_equal_length_is_known_by_the_ledger_alone() {
    let mut school = School::new();
    let forged = forge(&school, GATE);
    assert_eq!(forged.len(), school.bytes(GATE).len());
    school.write(GATE, &forged);
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "root-ledger")]);
    // The forger is thorough: the index has his root.
    let file = school.file(GATE);
    let mut row = school.rows[GATE].clone();
    row.root = Some(format::root(&file.head.digest, &file.fragments));
    school.archive.put(&file.head.run, std::slice::from_ref(&row));
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "root-ledger")]);
    // And the recorder is made to log it anew: the first entry stands.
    school.log(vec![entry(&row)]);
    school.logged(std::slice::from_ref(&row), 8);
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "root-ledger")]);
    // Without a ledger nobody would know, which is said.
    std::fs::remove_dir_all(school.archive.dir.path().join("ledger")).unwrap();
    let (code, findings, result) = school.verify(&[]);
    assert_eq!((code, findings.len(), &result["ledger"]), (0, 0, &0.into()));
    let text = String::from_utf8(school.custodian(&[]).stdout).unwrap();
    assert!(text.contains("There is no ledger to compare with."), "{text}");
}

#[test]
fn an_index_that_lies_is_found_out() {
    let mut school = School::new();
    let row = school.rows[GATE].clone();
    let run = school.file(GATE).head.run;
    let mut lies = |row: &SegmentRow| {
        school.archive.put(&run, std::slice::from_ref(row));
        school.damage(&[])
    };
    let end = Span { end: row.span.end.offset(-SECOND), ..row.span };
    assert_eq!(lies(&SegmentRow { span: end, ..row.clone() }), [tells("gate-1", 4, 7, "facts-index")]);
    assert_eq!(lies(&SegmentRow { frames: 7, ..row.clone() }), [tells("gate-1", 4, 8, "facts-index")]);
    assert_eq!(lies(&SegmentRow { bytes: row.bytes - 1, ..row.clone() }), [tells("gate-1", 4, 8, "longer")]);
    let root = custodian::types::merkle::leaf(b"else");
    assert_eq!(lies(&SegmentRow { root: Some(root), ..row.clone() }), [tells("gate-1", 4, 8, "root-index")]);
    // A segment that never was.
    let run = footage::run(20, "attic", &Media::synthetic(50, 50, 100), EIGHT, None);
    school
        .archive
        .put(&run, &[SegmentRow { id: SegmentId { run: run.id, stream: run.stream.id, seq: 0 }, ..row.clone() }]);
    let found = school.damage(&["--camera", "attic"]);
    assert_eq!(found, [tells("attic", 4, 8, "file-missing")]);
}

#[test]
fn a_ledger_that_was_changed_vouches_for_nothing() {
    let school = School::new();
    let tiles = school.archive.dir.path().join("ledger/public/tile/entries");
    let tile = std::fs::read_dir(&tiles).unwrap().next().unwrap().unwrap().path();
    let tile = if tile.is_dir() { std::fs::read_dir(tile).unwrap().next().unwrap().unwrap().path() } else { tile };
    let text = std::fs::read(&tile).unwrap();
    let at = text.windows(8).position(|w| w == b"\"root\":\"").unwrap() + 8;
    let mut changed = text.clone();
    changed[at] = if text[at] == b'a' { b'b' } else { b'a' };
    std::fs::write(&tile, &changed).unwrap();
    let (code, _, result) = school.verify(&[]);
    assert_eq!(code, 3);
    assert!(result["ledger_problem"].as_str().unwrap().contains("do not lead to the root"), "{result}");
    let out = String::from_utf8(school.custodian(&[]).stdout).unwrap();
    assert!(out.contains("The ledger is not to be believed"), "{out}");
    std::fs::write(&tile, &text).unwrap();
    assert_eq!(school.verify(&[]).0, 0);
}

#[test]
fn what_waits_for_its_entry_is_no_damage_and_what_lost_it_is() {
    let mut school = School::new();
    let row = school.rows[GATE].clone();
    std::fs::remove_dir_all(school.archive.dir.path().join("ledger")).unwrap();
    let others: Vec<SegmentRow> = school.rows.iter().filter(|r| r.root.is_some() && **r != row).cloned().collect();
    school.log(others.iter().map(entry).collect());
    school.logged(&others, 0);
    // The index says entry 1, which is another's: the log is not the one that it was.
    assert_eq!(school.damage(&[]), [tells("gate-1", 4, 8, "not-in-ledger")]);
    // As far as the ledger is known nothing was logged under that number.
    school.logged(std::slice::from_ref(&row), 1000);
    assert_eq!(school.verify(&[]).0, 0);
}
