//! Waiting for a recorder and its volumes to be in some state, and looking at what is on them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use custodian::types::wire::{StreamStatus, VolumeStatus};
use nix::sys::signal::Signal;

use super::{probe, recorder::Recorder, wait_for};

pub fn limit(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn volume(recorder: &Recorder, name: &str) -> Option<VolumeStatus> {
    recorder.status()?.volumes.into_iter().find(|v| v.name.as_str() == name)
}

/// Waits until the recorder says of a volume what is wrong with it.
pub fn wait_for_problem(recorder: &Recorder, name: &str, words: &str) {
    wait_for(&format!("volume {name}: {words}"), limit(40), || {
        volume(recorder, name)?.problem.filter(|p| p.contains(words)).map(drop)
    });
}

pub fn wait_until_healthy(recorder: &Recorder, name: &str) {
    wait_for(&format!("volume {name} to be well"), limit(40), || volume(recorder, name)?.healthy.then_some(()));
}

/// Waits until every camera is recorded on that volume.
pub fn wait_until_all_on(recorder: &Recorder, name: &str) {
    wait_for(&format!("all cameras on volume {name}"), limit(40), || {
        let on = |s: &StreamStatus| s.volume.as_ref().is_some_and(|v| v.as_str() == name);
        recorder.status()?.streams.iter().filter(|s| s.recorded).all(on).then_some(())
    });
}

/// All files below a folder, footage or not.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    found.sort();
    found
}

pub fn segments(volume: &Path) -> Vec<PathBuf> {
    files(&volume.join("footage"))
}

/// Every file of the volume is whole: ffprobe reads it without complaint.
pub fn readable(files: &[PathBuf]) {
    for file in files {
        let [video, _] = probe::packets(std::slice::from_ref(file));
        assert!(!video.dts.is_empty(), "{}", file.display());
    }
}

/// Which cameras are recorded on a volume.
pub fn cameras_on(recorder: &Recorder, name: &str) -> Vec<String> {
    let status = recorder.status().unwrap();
    let on = |s: &&StreamStatus| s.volume.as_ref().is_some_and(|v| v.as_str() == name);
    status.streams.iter().filter(on).map(|s| s.camera.to_string()).collect()
}

pub fn stop(recorder: Recorder) {
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(limit(20)).success());
}
