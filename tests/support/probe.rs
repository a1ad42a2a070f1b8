//! Stored footage as ffprobe reads it, and the kernel's view of sockets and processes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Times of one track's packets in file order, ticks.
#[derive(Debug, Default)]
pub struct Packets {
    pub pts: Vec<i64>,
    pub dts: Vec<i64>,
    pub bytes: u64,
}

/// A stream's footage on a volume: its files in the order of their names, by run.
pub fn runs(volume: &Path, camera: &str) -> BTreeMap<String, Vec<PathBuf>> {
    let mut runs = BTreeMap::<String, Vec<PathBuf>>::new();
    let stream = volume.join("footage").join(camera).join("main");
    let days = fs::read_dir(&stream).unwrap_or_else(|e| panic!("{}: {e}", stream.display()));
    for day in days.map(|d| d.unwrap().path()) {
        for file in fs::read_dir(day).unwrap().map(|f| f.unwrap().path()) {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let (start_and_run, _seq) = name.rsplit_once('-').unwrap();
            let (_start, run) = start_and_run.split_once('-').unwrap();
            runs.entry(run.to_owned()).or_default().push(file);
        }
    }
    runs.values_mut().for_each(|files| files.sort());
    runs
}

/// All files of footage on a volume.
pub fn files(volume: &Path) -> Vec<PathBuf> {
    let inside = |dir: PathBuf| {
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir() || p.extension().is_some())
    };
    let streams = inside(volume.join("footage")).filter(|p| p.is_dir()).flat_map(inside);
    streams.flat_map(inside).flat_map(inside).collect()
}

/// All packets of some files, one after the other: video, and audio if there is any. Panics if ffprobe finds fault with one.
pub fn packets(files: &[PathBuf]) -> [Packets; 2] {
    let mut tracks = [Packets::default(), Packets::default()];
    for file in files {
        let out = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "packet=stream_index,pts,dts,size", "-of", "csv=p=0"])
            .arg(file)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && complaint.is_empty(), "{}: {complaint}", file.display());
        for line in String::from_utf8(out.stdout).unwrap().lines() {
            let mut fields = line.split(',').map(str::parse::<i64>);
            let mut next = || fields.next().unwrap().unwrap();
            let track = &mut tracks[usize::try_from(next()).unwrap()];
            track.pts.push(next());
            track.dts.push(next());
            track.bytes += next().unsigned_abs();
        }
    }
    tracks
}

/// Bytes that a process has not read yet from its sockets, and that others have not got off to it over TCP.
pub fn queued(pid: u32) -> u64 {
    let hex = |s: &str| u64::from_str_radix(s, 16).unwrap();
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        // A file may have been closed between the listing and the look.
        .filter_map(|fd| {
            fs::read_link(fd.ok()?.path())
                .ok()?
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')
                .map(str::to_owned)
        })
        .collect();
    let (mut sum, mut ends) = (0, Vec::new());
    let tables = ["tcp", "udp"].map(|t| fs::read_to_string(format!("/proc/{pid}/net/{t}")).unwrap());
    let rows = || tables.iter().flat_map(|t| t.lines().skip(1)).map(|row| row.split_whitespace().collect::<Vec<_>>());
    for row in rows().filter(|row| sockets.iter().any(|s| s == row[9])) {
        sum += hex(row[4].split_once(':').unwrap().1);
        ends.push((row[1].to_owned(), row[2].to_owned()));
    }
    // The other end of a connection of its own.
    for row in rows().filter(|row| ends.iter().any(|(local, remote)| row[2] == local && row[1] == remote)) {
        sum += hex(row[4].split_once(':').unwrap().0);
    }
    sum
}

/// The most memory that a process has had for itself so far: the most resident, less what can be read again from its files, the
/// program above all, which is twice as large unoptimised. proc_pid_status(5).
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    bytes("VmHWM:") - bytes("RssFile:")
}
