//! Round trips and damage, on made-up samples. What other programs say of the files is tested in `tests/it/format.rs`.

#![expect(clippy::cast_possible_truncation, reason = "made-up files are small")]

use std::sync::Arc;

use bytes::Bytes;

use super::{fragment::from_ntp, *};
use crate::types::{
    Cause, CauseKind, Codec, Fragment, GapBefore, Run, RunId, Sample, SenderReport, SharedLeaf, StreamKey, StreamKind,
    Track, TrackKind,
};

const T0: i64 = 1_795_368_000_123_456_789;

/// A sample entry box with nothing but the right name: this module never looks inside.
fn entry(kind: [u8; 4]) -> Bytes {
    [&[0, 0, 0, 20], kind.as_slice(), &[7; 12]].concat().into()
}

pub(in crate::store) fn run(audio: bool) -> Run {
    let mut tracks = vec![Track {
        kind: TrackKind::Video,
        codec: Codec::H264,
        timescale: 90_000,
        sample_entry: entry(*b"avc1"),
        rfc6381: Some("avc1.64001f".into()),
        size: (1920, 1080),
    }];
    if audio {
        tracks.push(Track {
            kind: TrackKind::Audio,
            codec: Codec::Pcmu,
            timescale: 8000,
            sample_entry: entry(*b"ulaw"),
            rfc6381: None,
            size: (0, 0),
        });
    }
    Run {
        id: RunId::from_bytes([1; 16]),
        stream: StreamKey {
            id: crate::types::StreamId::from_bytes([2; 16]),
            camera: "gate-1".parse().unwrap(),
            kind: StreamKind::Main,
        },
        site: "Trường mầm non \"Hoa\" 中文".into(),
        recorder: "a".parse().unwrap(),
        tracks,
        start: WallNs(T0),
        clock_correction: -5,
        before: Some(GapBefore { since: WallNs(T0 - 9), cause: Cause::new(CauseKind::NoVideo, "no picture\n") }),
    }
}

/// A fragment of 50 pictures with reordering and, where the run has audio, 100 packets of sound.
pub(in crate::store) fn fragment(run: &Arc<Run>, number: u32) -> Fragment {
    let mut samples = Vec::new();
    let base = u64::from(number) * 180_000;
    for i in 0..50_u32 {
        samples.push(Sample {
            track: 0,
            dts: base + u64::from(i) * 3600 + u64::from(i % 2),
            duration: 3600,
            cts: [3600, 7200, -3600][i as usize % 3],
            key: i == 0 && number.is_multiple_of(2),
            data: vec![i as u8 ^ number as u8; 100 + i as usize].into(),
        });
    }
    for i in 0..if run.tracks.len() > 1 { 100_u32 } else { 0 } {
        samples.push(Sample {
            track: 1,
            dts: u64::from(number) * 16_000 + u64::from(i) * 160,
            duration: 160,
            cts: 0,
            key: true,
            data: vec![0xd5; 160].into(),
        });
    }
    let at = |s: i64| WallNs(T0 + s * 2_000_000_000);
    Fragment {
        run: Arc::clone(run),
        seq: 3,
        number,
        span: Span { start: at(number.into()), end: at(i64::from(number) + 1) },
        samples,
        lost_packets: number,
        dropped_frames: 2 * number,
        reports: vec![SenderReport { camera: at(7), ours: at(8) }; number as usize % 3],
        leaf: SharedLeaf::default(),
    }
}

/// A whole file, with where each fragment ends, and its closing boxes.
pub(crate) struct Made {
    pub(crate) run: Arc<Run>,
    pub(crate) open: Vec<u8>,
    pub(crate) close: CloseBuilder,
}

pub(crate) fn made(audio: bool, numbers: std::ops::Range<u32>) -> Made {
    let run = Arc::new(run(audio));
    let mut open = segment_head(&run, 3);
    let mut close = CloseBuilder::new(&run, 3);
    for n in numbers {
        let f = fragment(&run, n);
        let e = encode_fragment(&f).unwrap();
        close.push(e.entry_at(open.len() as u64), &f.reports);
        open.extend_from_slice(&e.head);
        f.samples.iter().for_each(|s| open.extend_from_slice(&s.data));
    }
    Made { run, open, close }
}

impl Made {
    pub(crate) fn closed(&self) -> Vec<u8> {
        [self.open.as_slice(), &self.close.finish(false)].concat()
    }
}

fn len(b: &[u8]) -> u64 {
    b.len() as u64
}

#[test]
fn a_file_is_read_as_it_was_written() {
    for audio in [false, true] {
        let m = made(audio, 4..9);
        let closed = m.closed();
        let fast = read(&closed, len(&closed)).unwrap();
        assert_eq!(fast, scan(&closed, len(&closed), Verify::ALL).unwrap(), "by the close box and by walking");
        assert_eq!(fast.head.run, *m.run);
        assert_eq!((fast.head.seq, fast.head.format, fast.head.min_reader), (3, 1, 1));
        assert_eq!(fast.fragments, m.close.entries());
        assert_eq!((fast.tail, fast.valid_len), (Tail::Clean, len(&closed)));
        let closing = fast.closed.clone().unwrap();
        assert_eq!((closing.frames, closing.audio_frames), (250, if audio { 500 } else { 0 }));
        assert_eq!((closing.lost_packets, closing.dropped_frames, closing.recovered), (30, 60, false));
        assert_eq!(segment_head(&fast.head.run, 3), closed[..fast.head_len as usize], "the head is written back equal");
        assert_eq!(init_segment(&m.run), closed[..fast.init_len as usize]);

        for (entry, number) in fast.fragments.iter().zip(4..) {
            verify(&closed, &fast.head, entry).unwrap();
            let f = fragment(&m.run, number);
            let found = samples(&closed, entry).unwrap();
            assert_eq!(found.len(), f.samples.len());
            for (i, (s, at)) in f.samples.iter().zip(&found).enumerate() {
                let next = f.samples.get(i + 1).filter(|n| n.track == s.track);
                let duration = next.map_or(s.duration, |n| (n.dts - s.dts) as u32);
                assert_eq!(
                    (at.track, at.dts, at.duration, at.cts, at.key),
                    (s.track, s.dts, duration, s.cts, s.key),
                    "sample {i}"
                );
                assert_eq!(closed[at.offset as usize..][..at.size as usize], s.data);
            }
            let with_data = found.iter().zip(f.samples.iter().map(|s| &s.data[..])).collect::<Vec<_>>();
            let again = leaf_of(m.run.stream.id, m.run.id, number, f.span.start, with_data.iter().copied());
            assert_eq!(again, entry.leaf);
        }
    }
}

#[test]
fn the_leaf_is_computed_from_the_bytes_that_the_document_says() {
    use sha2::{Digest, Sha256};
    let run = Arc::new(run(true));
    let mut f = fragment(&run, 0x0102);
    f.samples.truncate(2);
    f.span.start = WallNs(-2);
    f.samples[1].cts = -1;
    let mut bytes = b"custodian-leaf-1".to_vec();
    bytes.extend([2; 16]);
    bytes.extend([1; 16]);
    bytes.extend([0, 0, 1, 2]);
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]);
    bytes.extend([0, 0, 0, 2]);
    let dts = 0x0102 * 180_000_u64;
    for (dts, duration, cts, size, key) in [(dts, 3601_u32, 3600_i32, 100_u32, 1_u32), (dts + 3601, 3600, -1, 101, 0)] {
        bytes.extend(1_u32.to_be_bytes());
        bytes.extend(dts.to_be_bytes());
        bytes.extend(duration.to_be_bytes());
        bytes.extend(cts.to_be_bytes());
        bytes.extend(size.to_be_bytes());
        bytes.extend(key.to_be_bytes());
    }
    f.samples.iter().for_each(|s| bytes.extend(&s.data[..]));
    assert_eq!(encode_fragment(&f).unwrap().leaf(), <[u8; 32]>::from(Sha256::digest(&bytes)));
}

#[test]
fn a_file_cut_anywhere_keeps_every_whole_fragment() {
    let m = made(true, 0..3);
    let closed = m.closed();
    let ends: Vec<u64> = m.close.entries().iter().map(FragmentEntry::end).collect();
    let head = m.close.entries()[0].offset;
    for cut in 0..len(&closed) {
        let torn = &closed[..cut as usize];
        match read(torn, cut) {
            Err(FormatError::NoHead) => assert!(cut < head, "cut at {cut}"),
            Err(FormatError::Foreign(_)) => assert!(cut < 8, "cut at {cut}"),
            Err(e) => panic!("cut at {cut}: {e}"),
            Ok(found) => {
                let whole = ends.iter().filter(|end| **end <= cut).count();
                let valid = if whole == 0 { head } else { ends[whole - 1] };
                assert_eq!((found.fragments.len(), found.valid_len), (whole, valid), "cut at {cut}");
                assert_eq!(found.closed, None);
                assert_eq!(found.tail == Tail::Clean, cut == valid, "cut at {cut}: {:?}", found.tail);
            }
        }
    }
}

#[test]
fn a_recovered_file_is_closed_like_any_other() {
    let m = made(true, 0..4);
    let cut = m.close.entries()[2].end() + 200;
    let mut file = m.open[..cut as usize].to_vec();
    let found = scan(&file, cut, Verify::ALL).unwrap();
    assert_eq!(found.fragments, m.close.entries()[..3]);
    assert_eq!(found.tail, Tail::Torn { len: 200, what: "a moof is cut" });
    file.truncate(found.valid_len as usize);
    file.extend(CloseBuilder::from_file(&found).finish(true));
    let again = read(&file, len(&file)).unwrap();
    assert!(again.closed.as_ref().unwrap().recovered);
    assert_eq!((again.fragments, again.reports), (found.fragments, found.reports));

    let mut same = m.close.clone();
    same.keep_within(cut);
    assert_eq!(same.finish(true), file[found.valid_len as usize..], "as the writer would have closed it");
}

#[test]
fn zeros_that_were_never_written_are_known_at_once() {
    struct Counted<'a>(&'a [u8], std::cell::Cell<u64>);
    impl ReadAt for Counted<'_> {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
            self.1.set(self.1.get() + buf.len() as u64);
            let n = self.0.read_at(buf, offset)?;
            buf[n..].fill(0);
            Ok(buf.len())
        }
    }
    let m = made(false, 0..2);
    let file = Counted(&m.open, 0.into());
    let total = 1 << 40;
    let found = scan(&file, total, Verify::ALL).unwrap();
    assert_eq!(found.fragments.len(), 2);
    assert_eq!(found.tail, Tail::Zeros { len: total - len(&m.open) });
    assert!(file.1.get() < 200 << 10, "{} bytes read", file.1.get());
}

#[test]
fn an_extent_of_zeros_inside_a_fragment_is_found_by_its_leaf() {
    let m = made(false, 0..3);
    let mut file = m.open.clone();
    let last = m.close.entries()[2];
    let n = file.len();
    file[n - 1000..].fill(0);
    let unverified = scan(&file, len(&file), Verify::No).unwrap();
    assert_eq!(unverified.fragments.len(), 3, "its boxes are whole");
    for verify in [Verify::ALL, Verify::From(last.offset)] {
        let found = scan(&file, len(&file), verify).unwrap();
        assert_eq!((found.fragments.len(), found.valid_len), (2, last.offset));
        assert!(matches!(found.tail, Tail::Torn { len, .. } if len == last.len));
    }
    assert!(matches!(verify(&file, &unverified.head, &last), Err(FormatError::Fragment { .. })));
}

#[test]
fn an_open_file_is_followed_as_it_grows() {
    let m = made(true, 0..5);
    let mut found = scan(&m.open, m.close.entries()[0].end() + 10, Verify::No).unwrap();
    assert_eq!(found.fragments.len(), 1);
    for end in m.close.entries().iter().map(FragmentEntry::end) {
        found.extend(&m.open, end, Verify::No).unwrap();
        assert_eq!((found.valid_len, found.tail), (end, Tail::Clean));
    }
    let closed = m.closed();
    found.extend(&closed, len(&closed), Verify::No).unwrap();
    assert_eq!(found, read(&closed, len(&closed)).unwrap());
}

#[test]
fn what_follows_is_told_apart() {
    let m = made(false, 0..2);
    let tail = |bytes: &[u8]| {
        let file = [m.open.as_slice(), bytes].concat();
        scan(&file, len(&file), Verify::No).unwrap().tail
    };
    assert!(matches!(tail(b"hello, this is some text"), Tail::Garbage { len: 24, .. }));
    assert!(matches!(tail(&[0; 100]), Tail::Zeros { len: 100 }));
    assert!(matches!(tail(&m.open[m.close.entries()[1].offset as usize..]), Tail::Garbage { .. }), "a fragment again");
    assert!(matches!(tail(&m.close.finish(false)[..200]), Tail::Torn { len: 200, .. }));
    let next = made(false, 2..3);
    let next = &next.open[next.close.entries()[0].offset as usize..];
    assert_eq!(tail(next), Tail::Clean);
    let unknown = b"\0\0\0\x0cfree1234";
    assert_eq!(tail(&[unknown.as_slice(), next].concat()), Tail::Clean, "an unknown box is passed over");
    assert!(matches!(tail(unknown), Tail::Garbage { len: 12, .. }));
}

#[test]
fn a_close_box_is_believed_only_if_it_is_whole_and_belongs_here() {
    let m = made(true, 0..3);
    let closed = m.closed();
    for at in m.open.len()..closed.len() {
        let mut bad = closed.clone();
        bad[at] ^= 0x10;
        let found = read(&bad, len(&bad)).unwrap();
        assert_eq!((found.closed, found.valid_len), (None, len(&m.open)), "bit flipped at {at}");
        assert_eq!(found.fragments, m.close.entries());
    }
    let mut other = (*m.run).clone();
    other.clock_correction += 1;
    let spliced = [m.open.as_slice(), &CloseBuilder::new(&other, 3).finish(false)].concat();
    assert_eq!(read(&spliced, len(&spliced)).unwrap().closed, None);
}

#[test]
fn files_that_are_not_ours_are_named() {
    let m = made(true, 0..1);
    let head = m.close.entries()[0].offset as usize;
    let init = init_segment(&m.run);
    let is = |bytes: &[u8]| read(bytes, len(bytes)).unwrap_err();
    assert!(matches!(is(b""), FormatError::NoHead));
    assert!(matches!(is(&[0; 4096]), FormatError::NoHead));
    assert!(matches!(is(&[&init[..], &[0; 4096]].concat()), FormatError::NoHead));
    assert!(matches!(is(b"\x7fELF and so on and on"), FormatError::Foreign(_)));
    assert!(matches!(is(&[&init[..], b"\0\0\0\x08free"].concat()), FormatError::Foreign(_)));
    for at in init.len() + 28..head {
        let mut bad = m.open.clone();
        bad[at] ^= 1;
        assert!(matches!(is(&bad), FormatError::DamagedHead(_)), "bit flipped at {at}");
    }
    for at in 8..init.len() {
        let mut bad = m.open.clone();
        bad[at] ^= 1;
        assert!(read(&bad, len(&bad)).is_err(), "bit flipped at {at}");
    }
}

#[test]
fn a_later_version_is_refused_only_if_it_says_so() {
    use sha2::{Digest, Sha256};
    let m = made(false, 0..1);
    let init = init_segment(&m.run).len();
    let head = m.close.entries()[0].offset as usize;
    let with = |from: &str, to: &str| {
        let json = String::from_utf8(m.open[init + 60..head].to_vec()).unwrap();
        assert!(json.contains(from), "{json}");
        let json = json.replacen(from, to, 1);
        let mut file = m.open[..init + 28].to_vec();
        file[init..init + 4].copy_from_slice(&(60 + json.len() as u32).to_be_bytes());
        let digest = Sha256::new().chain_update(&file).chain_update(&json).finalize();
        file.extend(digest);
        file.extend(json.as_bytes());
        file.extend(&m.open[head..]);
        read(&file, len(&file))
    };
    assert!(matches!(
        with("\"min_reader\":1", "\"min_reader\":2,\"strange\":0"),
        Err(FormatError::TooNew { needs: 2 })
    ));
    let later = with("\"format\":1", "\"format\":2,\"strange\":[]").unwrap();
    assert_eq!((later.head.format, later.fragments.len()), (2, 1));
    let cause = with("no-video", "sabotage").unwrap().head.run.before.unwrap().cause;
    assert_eq!(cause.kind, CauseKind::Unknown);
}

#[test]
fn mistakes_of_the_caller_are_refused() {
    let run = Arc::new(run(true));
    let broken = |f: fn(&mut Fragment)| {
        let mut fragment = fragment(&run, 0);
        f(&mut fragment);
        encode_fragment(&fragment).map(|_| ()).unwrap_err().what
    };
    assert_eq!(broken(|f| f.samples.clear()), "it does not begin with video");
    assert_eq!(broken(|f| f.samples.swap(0, 149)), "it does not begin with video");
    assert_eq!(broken(|f| f.samples.swap(1, 149)), "its samples are not video, then audio");
    assert_eq!(broken(|f| f.samples[3].dts = f.samples[2].dts), "its decode times do not ascend");
    assert_eq!(broken(|f| f.samples[3].data = Bytes::new()), "a sample is empty");
    assert_eq!(broken(|f| f.span.end = WallNs(0)), "it ends before it starts");
}

#[test]
fn ntp_gives_the_nanosecond_back() {
    for base in [T0, 0, -1, i64::MAX - 7, i64::MIN + 7, 2_085_978_496_000_000_000] {
        for d in -7..=7 {
            let t = WallNs(base.saturating_add(d));
            assert_eq!(from_ntp(super::fragment::ntp(t), t), t);
        }
    }
    proptest::proptest!(|(t: i64)| {
        proptest::prop_assert_eq!(from_ntp(super::fragment::ntp(WallNs(t)), WallNs(t)), WallNs(t));
    });
}

#[test]
fn the_boxes_cost_little() {
    let m = made(true, 0..20);
    let samples: usize = (0..20).map(|n| fragment(&m.run, n).sample_bytes()).sum();
    let boxes = m.closed().len() - samples;
    // 50 pictures with unlike durations and offsets 16 bytes each, sound none; 400 bytes of boxes; 119 bytes of tables.
    assert!(boxes < 20 * (50 * 16 + 550) + 3000, "{boxes} bytes");
}
