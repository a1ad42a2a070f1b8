//! What the ledger costs: appending one entry at a time, in batches of the recorder's size, and verifying all of it.
//!
//! ```text
//! cargo run --release --example ledger
//! ```
//!
//! The log goes to `target/bench`, on a real file system.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use custodian::{
    ledger::{Entry, Log, Place, SegmentEntry, What, verify},
    sys::{Files, Found, RealFiles},
    types::{RunId, Span, StreamId, StreamKind, WallNs, merkle::leaf},
};

/// Appended one at a time, and in batches of so many: what 64 cameras close in a minute, and what a new index brings.
const SINGLE: u64 = 512;
const BATCHES: [(u64, u64); 2] = [(13, 256), (512, 64)];

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "the figures")]
fn say(line: &str) {
    println!("{line}");
}

/// User and system time of this process, from `/proc/self/stat`, in steps of 10 ms.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

/// The kernel's files, and how often they were synchronised.
#[derive(Default)]
struct Counting(AtomicU64);

impl Counting {
    fn count(&self, syncs: u64) {
        self.0.fetch_add(syncs, Ordering::Relaxed);
    }
}

impl Files for Counting {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        RealFiles.read(path)
    }
    fn find(&self, path: &Path, most: usize) -> io::Result<Option<Found>> {
        RealFiles.find(path, most)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealFiles.list(dir)
    }
    fn target(&self, link: &Path) -> io::Result<Option<PathBuf>> {
        RealFiles.target(link)
    }
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.count(u64::from(!path.exists()));
        RealFiles.make_dir(path)
    }
    fn write(&self, path: &Path, bytes: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
        self.count(2); // the file and its folder
        RealFiles.write(path, bytes, mode, group)
    }
    fn point(&self, link: &Path, to: &Path) -> io::Result<()> {
        self.count(1);
        RealFiles.point(link, to)
    }
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.replace(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count(1);
        RealFiles.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.count(u64::from(path.exists()));
        RealFiles.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.count(u64::from(path.exists()));
        RealFiles.remove_dir(path)
    }
}

/// A closed segment of five minutes.
fn entry(n: u64) -> Vec<u8> {
    let start = WallNs(1_795_336_200_000_000_000 + i64::try_from(n).unwrap_or(0) * 5_000_000_000);
    let mut run = [7; 16];
    run[..8].copy_from_slice(&n.to_be_bytes());
    let segment = SegmentEntry {
        stream: StreamId::from_bytes([7; 16]),
        run: RunId::from_bytes(run),
        seq: 4,
        volume: "a1".parse().expect("a name"),
        camera: "corridor-1".parse().expect("a name"),
        kind: StreamKind::Main,
        span: Span { start, end: start.offset(300_000_000_000) },
        clock_correction: 0,
        frames: 7500,
        lost_packets: 0,
        holes: Vec::new(),
        recovered: false,
        root: leaf(&n.to_be_bytes()),
    };
    Entry::new(start, "a".parse().expect("a name"), What::Segment(segment)).to_bytes()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    for dir in [target.parent().unwrap_or(&target), &target] {
        RealFiles.make_dir(dir)?;
    }
    let dir = target.join("ledger");
    RealFiles.remove_dir(&dir)?;
    let files = Arc::new(Counting::default());
    let place = Place { dir: dir.clone(), credential: None, origin: "custodian/bench/a/record".into() };
    let mut log = Log::open(files.clone(), &place)?;
    say("| entries at a time | appends/s | entries/s | syncs per append | CPU per append |");
    say("|---|---|---|---|---|");
    for (size, times) in std::iter::once((1, SINGLE)).chain(BATCHES) {
        let (began, used, synced) = (now(), cpu(), files.0.load(Ordering::Relaxed));
        for _ in 0..times {
            let entries: Vec<Vec<u8>> = (log.size()..log.size() + size).map(entry).collect();
            log.append(&entries)?;
        }
        let (took, used) = (began.elapsed().as_secs_f64(), cpu().saturating_sub(used).as_secs_f64());
        let syncs = (files.0.load(Ordering::Relaxed) - synced) as f64 / times as f64;
        let (rate, each) = (times as f64 / took, used * 1e3 / times as f64);
        say(&format!("| {size} | {rate:.0} | {:.0} | {syncs:.1} | {each:.2} ms |", rate * size as f64));
    }
    let (began, entries) = (now(), log.size());
    let found = verify(&log.view(), &[], &mut |_| ());
    assert!(found.flaws.is_empty(), "{found:?}");
    let bytes = bytes_below(&dir)?;
    say(&format!(
        "\nVerified: {entries} entries in {:.2} s; {} bytes of files per entry.",
        began.elapsed().as_secs_f64(),
        bytes / entries
    ));
    RealFiles.remove_dir(&dir)?;
    Ok(())
}

fn bytes_below(dir: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { bytes_below(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
