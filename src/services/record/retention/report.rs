//! What is said of retention: to `custodian retention`, to the page of a camera, to health, and in the log.

use std::collections::{BTreeMap, BTreeSet};

use super::accounts::Accounts;
use crate::{
    retention::{
        DAY_NS,
        forecast::{Break, Outlook},
    },
    services::record::Shared,
    types::{
        ByteSize, CameraId, VolumeName, event,
        wire::{self, Breaks, CameraKept, CameraRetention, Kept, RetentionHealth, VolumeRetention},
    },
};

fn breaks(b: &Break) -> Breaks {
    Breaks { day: b.day, at: b.at, missing: b.missing }
}

/// All of it.
pub(in crate::services::record) fn retention(shared: &Shared) -> wire::Retention {
    let site = shared.site();
    let state = shared.retention.state();
    let accounts = state.accounts.clone();
    let suspended = state.doubts.iter().cloned().collect();
    drop(state);
    let (volumes, cameras) = match &accounts {
        Some(accounts) => (volumes(shared, accounts), cameras(shared, accounts)),
        None => (Vec::new(), Vec::new()),
    };
    wire::Retention {
        recorder: shared.recorder.clone(),
        now: shared.clock.wall(),
        target: site.promise() == crate::site::Promise::Target,
        warn_days: site.warn().forecast.as_secs_f64() / 86_400.0,
        reckoned: accounts.map(|a| a.at),
        suspended,
        younger_seconds: u64::try_from(shared.retention.trust.younger() / 1_000_000_000).unwrap_or(0),
        volumes,
        cameras,
    }
}

fn volumes(shared: &Shared, accounts: &Accounts) -> Vec<VolumeRetention> {
    let known = |status: wire::VolumeStatus| {
        let known = accounts.volumes.get(&status.name)?;
        Some(VolumeRetention {
            name: status.name,
            size: status.size,
            free: status.free,
            wanted: ByteSize(known.levels.wanted),
            footage: ByteSize(known.footage),
            usable: ByteSize(known.usable),
            owed: known.forecast.owed,
            peak: known.forecast.peak,
            per_day: ByteSize(known.per_day),
            breaks: known.forecast.breaks.as_ref().map(breaks),
        })
    };
    shared.store.volumes().into_iter().filter_map(known).collect()
}

/// What the forecasts of all volumes say of a camera: the least of them.
fn outlook(accounts: &Accounts, camera: &CameraId) -> (Option<f64>, Option<u32>) {
    let all = || accounts.volumes.values().flat_map(|v| &v.forecast.cameras).filter(|o: &&Outlook| o.camera == *camera);
    let steady = all().filter_map(|o| o.steady_days).min_by(f64::total_cmp);
    (steady, all().filter_map(|o| o.affected).min())
}

fn cameras(shared: &Shared, accounts: &Accounts) -> Vec<CameraRetention> {
    let site = shared.site();
    let mut ids: Vec<CameraId> = site.cameras_of(&shared.recorder).map(|c| c.id.clone()).collect();
    let known: BTreeSet<CameraId> = ids.iter().cloned().collect();
    let state = shared.retention.state();
    ids.extend(state.kept.keys().filter(|c| !known.contains(*c)).cloned());
    let kept: BTreeMap<CameraId, Kept> = (state.kept.iter())
        .map(|(camera, (at, k))| {
            let kept = Kept {
                at: *at,
                days: k.days(),
                oldest: k.oldest,
                gap_seconds: k.gap_seconds,
                unreadable_seconds: k.unreadable_seconds,
                lost_seconds: k.lost_seconds,
                young: k.young,
            };
            (camera.clone(), kept)
        })
        .collect();
    let (by_sub, admission) = (state.by_sub.clone(), state.admission.clone());
    drop(state);
    let open: Vec<VolumeName> = shared.store.volumes().into_iter().filter(|v| v.healthy).map(|v| v.name).collect();
    let one = |camera: CameraId| {
        let (terms, named) = (accounts.rules.of(&camera), site.camera(&camera));
        let recorded = accounts.rates.contains_key(&camera);
        let (steady_days, affected_day) = outlook(accounts, &camera);
        CameraRetention {
            name: named.map_or_else(|| camera.to_string(), |c| c.name.clone()),
            volumes: if recorded { shared.store.homes(&camera) } else { Vec::new() },
            min_days: terms.min_days,
            max_days: terms.max_days,
            priority: terms.priority,
            recorded,
            per_day: ByteSize(accounts.rates.get(&camera).copied().unwrap_or(0)),
            held: ByteSize(accounts.held.get(&camera).copied().unwrap_or(0)),
            kept: kept.get(&camera).copied(),
            steady_days: steady_days.filter(|_| recorded),
            affected_day,
            stopped: recorded && !open.is_empty() && !open.iter().any(|v| admission.admits(v, &camera)),
            substream: by_sub.contains(&camera),
            camera,
        }
    };
    ids.into_iter().map(one).collect()
}

/// What the page of a camera shows; none of one that is not known.
pub(in crate::services::record) fn camera(shared: &Shared, id: &CameraId) -> Option<CameraKept> {
    let all = retention(shared);
    let camera = all.cameras.into_iter().find(|c| c.camera == *id)?;
    let here = |v: &VolumeName| camera.volumes.contains(v);
    let breaks = all.volumes.iter().filter(|v| here(&v.name)).filter_map(|v| v.breaks).min_by_key(|b| b.day);
    let suspended = all.suspended.iter().any(|s| s.volume.as_ref().is_none_or(here));
    Some(CameraKept { camera, breaks, suspended })
}

/// How it is, in a few words.
pub(in crate::services::record) fn health(shared: &Shared) -> RetentionHealth {
    let all = retention(shared);
    let soon = |b: &Breaks| f64::from(b.day) <= all.warn_days;
    let which = |of: &dyn Fn(&CameraRetention) -> bool| -> Vec<CameraId> {
        all.cameras.iter().filter(|c| of(c)).map(|c| c.camera.clone()).collect()
    };
    RetentionHealth {
        breaks: all.volumes.iter().filter_map(|v| Some((v.name.clone(), v.breaks.filter(soon)?))).collect(),
        stopped: which(&|c| c.stopped),
        substream: which(&|c| c.substream),
        broken: which(&CameraRetention::is_broken),
        suspended: all.suspended,
    }
}

/// Once a day: what will break, and what is broken.
pub(super) fn announce(shared: &Shared) {
    let health = health(shared);
    for (volume, b) in &health.breaks {
        let (day, at, missing) = (b.day, b.at, b.missing);
        log::warn!(
            MESSAGE_ID = event::PROMISE_WILL_BREAK, VOLUME = volume.as_str(), DAYS = day;
            "volume {volume}: in {day} days, on {at}, more is promised than it holds: {missing} are missing"
        );
    }
    let younger = shared.retention.trust.younger();
    if younger >= DAY_NS {
        log::warn!(
            "footage counts as {:.1} days younger than by the clock, for nobody has said that it is right: give this machine a time \
             service, or say `custodian retention trust-clock`",
            younger as f64 / DAY_NS as f64
        );
    }
    for camera in &health.broken {
        log::error!(
            MESSAGE_ID = event::PROMISE_BROKEN, CAMERA = camera.as_str();
            "camera {camera}: promised footage is not there, see `custodian retention`"
        );
    }
}
