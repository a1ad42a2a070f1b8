//! The tests: each boots the image, takes minutes, and is left out of every run but that of `tests/run --image`. They are begun by the alphabet, the
//! longest had better be among the first.

mod ab_update;
mod first;
mod install;
mod mapper;
mod power;
mod recording;
mod stick;
mod stolen;

use custodian::types::wire::{Status, StreamState};

use crate::vm::Vm;

const SECOND: i64 = 1_000_000_000;

/// What the recorder in the machine does.
fn status(vm: &mut Vm) -> Option<Status> {
    serde_json::from_slice(&vm.try_run("custodian status --json", 60)?.out).ok()
}

/// Waits until these cameras run and have footage that a power cut would leave, newer than when this was called.
fn wait_until_recording(vm: &mut Vm, cameras: &[&str]) -> Status {
    let mut since = None;
    vm.wait(&format!("{cameras:?} to be recorded"), 180, |vm| {
        let status = status(vm)?;
        let since = *since.get_or_insert(status.now);
        let recorded = |name: &&str| {
            status.streams.iter().any(|s| {
                s.camera.as_str() == *name
                    && s.state == StreamState::Running
                    && s.newest_committed.is_some_and(|n| n >= since)
            })
        };
        cameras.iter().all(recorded).then(|| status.clone())
    })
}

/// A file of footage, as `custodian segments` lists it.
#[derive(Debug, serde::Deserialize)]
struct Segment {
    volume: String,
    path: String,
    start: i64,
    end: i64,
}

/// The files of a camera, whenever they were written.
fn segments(vm: &mut Vm, camera: &str) -> Vec<Segment> {
    vm.json(&format!("custodian segments --json --camera {camera}"))
}

/// A stretch without footage.
#[derive(Debug, serde::Deserialize)]
struct Gap {
    start: i64,
    end: Option<i64>,
    cause: serde_json::Value,
}

fn gaps(vm: &mut Vm, camera: &str) -> Vec<Gap> {
    vm.json(&format!("custodian gaps --json --camera {camera}"))
}

/// The generation in force.
fn generation(vm: &mut Vm) -> u64 {
    let link = vm.run("readlink /var/lib/custodian/current");
    link.trim().rsplit('/').next().unwrap().parse().unwrap_or_else(|_| panic!("no generation: {link}"))
}

/// Waits until the system has started, which it must have done without a unit that failed.
fn wait_until_well(vm: &mut Vm) {
    let state = vm.wait_until_started();
    let failed = vm.run("systemctl --failed --no-legend --plain");
    assert_eq!((&*state, failed.trim()), ("running", ""));
}
