//! `custodian verify` over real files that somebody has been at.

mod beside;
mod bits;
mod scrub;
mod tamper;

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::Arc,
};

use custodian::{
    ledger::{Entry, Log, Place, SegmentEntry, What},
    store::index::{Batch, SegmentRow, SegmentState},
    sys::RealFiles,
};
use serde_json::Value;

use crate::footage::{self, Archive, EIGHT, Media, SECOND};

/// An archive with all that is unusual and right: B-frames and sound, a copy on another volume, a segment that recovery closed, one that is
/// open, a run whose clock was corrected.
struct School {
    archive: Archive,
    /// In their order: gate-1 in three files, its copies, yard, hall, lab.
    rows: Vec<SegmentRow>,
}

/// Twelve seconds of 320 by 180, B-frames, sound.
fn pictures() -> Media {
    let args = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=12 -f lavfi -i sine=frequency=440:sample_rate=16000:duration=12 \
                -pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 2 -b_strategy 0 -g 50 -sc_threshold 0 -c:a aac -b:a 32k";
    Media::encode(&args.split_whitespace().collect::<Vec<_>>())
}

impl School {
    fn new() -> Self {
        let media = pictures();
        let mut archive = Archive::new();
        archive.prepare("a2");
        archive.volume = "a1".parse().unwrap();
        let gate = footage::run(1, "gate-1", &media, EIGHT, None);
        let mut rows = archive.record(gate.clone(), &media, 2);
        archive.volume = "a2".parse().unwrap();
        rows.extend(archive.record(gate, &media, 2));
        // The clock was wrong by an hour and a bit.
        let mut yard = footage::run(2, "yard", &media, EIGHT.offset(-3_600_500_000_000), None);
        yard.clock_correction = 3_600_500_000_000;
        rows.extend(archive.record(yard, &media, usize::MAX));
        let media = Media::synthetic(250, 50, 2000);
        for (n, camera, state) in [(3, "hall", SegmentState::Recovered), (4, "lab", SegmentState::Open)] {
            let run = Arc::new(footage::run(n, camera, &media, EIGHT, None));
            let (bytes, row) = archive.file(&run, &footage::fragments(&run, &media, usize::MAX), state);
            archive.write(&row, &bytes);
            archive.put(&run, std::slice::from_ref(&row));
            rows.push(row);
        }
        let mut batch = Batch::default();
        batch.meta.insert("timezone".into(), "Asia/Ho_Chi_Minh".into());
        archive.writer.apply(&batch).unwrap();
        let mut school = Self { archive, rows };
        let closed: Vec<SegmentRow> = school.rows.iter().filter(|r| r.root.is_some()).cloned().collect();
        school.log(closed.iter().map(entry).collect());
        school.logged(&closed, 0);
        school
    }

    /// Appends to the ledger.
    fn log(&self, whats: Vec<What>) {
        let state = self.archive.dir.path();
        let place = Place { dir: state.join("ledger"), credential: None, origin: "custodian/x/a/record".into() };
        let mut log = Log::open(Arc::new(RealFiles), &place).unwrap();
        let entry = |what| Entry::new(EIGHT, "a".parse().unwrap(), what).to_bytes();
        log.append(&whats.into_iter().map(entry).collect::<Vec<_>>()).unwrap();
    }

    /// Notes in the index that rows are in the ledger, from that number on.
    fn logged(&mut self, rows: &[SegmentRow], from: u64) {
        let mut batch = Batch::default();
        batch.logged.extend(rows.iter().zip(from..).map(|(row, n)| ((row.id, row.volume.clone()), n)));
        self.archive.writer.apply(&batch).unwrap();
    }

    /// Takes rows out of the index, as if there had never been such footage.
    fn forget(&mut self, rows: &[usize]) {
        let mut batch = Batch::default();
        batch.gone.extend(rows.iter().map(|n| (self.rows[*n].id, self.rows[*n].volume.clone())));
        self.archive.writer.apply(&batch).unwrap();
    }

    /// The file of a row.
    fn path(&self, row: usize) -> PathBuf {
        let row = &self.rows[row];
        self.archive.dir.path().join(row.volume.as_str()).join(&row.path)
    }

    fn bytes(&self, row: usize) -> Vec<u8> {
        std::fs::read(self.path(row)).unwrap()
    }

    fn write(&self, row: usize, bytes: &[u8]) {
        std::fs::write(self.path(row), bytes).unwrap();
    }

    fn custodian(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
        command.arg("verify").args(args).arg("--state").arg(self.archive.dir.path()).env("LC_ALL", "en_US.UTF-8");
        command.output().unwrap()
    }

    /// Exit code, findings, and the last line.
    fn verify(&self, args: &[&str]) -> (i32, Vec<Value>, Value) {
        let out = self.custodian(&[&["--json"], args].concat());
        let text = String::from_utf8(out.stdout).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = lines.pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&out.stderr)));
        assert_eq!(last["type"], "result");
        lines.retain(|l| l["type"] != "progress");
        assert!(lines.iter().all(|l| l["type"] == "finding"), "{lines:?}");
        (out.status.code().unwrap(), lines, last)
    }
}

/// What the recorder says of a closed segment.
fn entry(row: &SegmentRow) -> What {
    let mut parts = row.path.split('/').skip(1);
    What::Segment(SegmentEntry {
        stream: row.id.stream,
        run: row.id.run,
        seq: row.id.seq,
        volume: row.volume.clone(),
        camera: parts.next().unwrap().parse().unwrap(),
        kind: parts.next().unwrap().parse().unwrap(),
        span: row.span,
        clock_correction: row.clock_correction,
        frames: row.frames,
        lost_packets: row.lost_packets,
        holes: row.holes.clone(),
        recovered: row.state == SegmentState::Recovered,
        root: row.root.unwrap(),
    })
}

/// What a finding says: camera, seconds after eight, kind.
fn told(f: &Value) -> (String, i64, i64, String) {
    let second = |key: &str| (f[key].as_i64().unwrap() - EIGHT.0) / SECOND;
    let text = |key: &str| f[key].as_str().unwrap().to_owned();
    (text("camera"), second("start"), second("end"), text("kind"))
}

/// What is expected of one.
fn tells(camera: &str, from: i64, to: i64, kind: &str) -> (String, i64, i64, String) {
    (camera.into(), from, to, kind.into())
}
