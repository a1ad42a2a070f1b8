//! How health is reported.

use std::time::Duration;

use super::{Checker, DAY, length};
use crate::site::{
    health::{Fail, Health, Push, Warn},
    raw,
};

const MINUTE: u64 = 60;

impl Checker<'_> {
    pub(super) fn health(&mut self, raw: Option<&raw::Health>) -> Health {
        let mut push = Vec::new();
        for (i, raw) in
            raw.and_then(|h| h.push.as_ref()).map(|p| p.value.0.as_slice()).unwrap_or_default().iter().enumerate()
        {
            let raw = &raw.value;
            if let Some(name) = &raw.url_secret {
                self.secrets.push((format!("health.push[{i}].url_secret"), name.clone()));
            }
            if let (Some(kind), Some(url_secret)) = (&raw.kind, &raw.url_secret) {
                push.push(Push {
                    kind: kind.value,
                    url_secret: url_secret.value.clone(),
                    token_secret: None,
                    interval: raw.interval.as_ref().map_or(Duration::from_mins(1), |l| l.value.0),
                    names: raw.names.as_ref().is_some_and(|n| n.value),
                });
            }
        }
        Health {
            every: Duration::from_secs(30),
            push,
            alarms: Vec::new(),
            pull: None,
            vendor: None,
            proxy: None,
            ca: None,
            warn: warn(raw.and_then(|h| h.warn.as_ref()).map(|w| &w.value)),
            fail: fail(),
        }
    }
}

/// Thresholds for warnings with their defaults.
fn warn(raw: Option<&raw::Warn>) -> Warn {
    Warn {
        newest: length(raw.and_then(|w| w.newest.as_ref()), 30),
        gaps: length(raw.and_then(|w| w.gaps.as_ref()), 10 * MINUTE),
        forecast: length(raw.and_then(|w| w.forecast.as_ref()), 7 * DAY),
        disk_temperature: raw.and_then(|w| w.disk_temperature.as_ref()).map_or(55, |t| t.value.0),
        temperature: 85,
        clock: length(raw.and_then(|w| w.clock.as_ref()), 2),
        camera_clock: length(raw.and_then(|w| w.camera_clock.as_ref()), MINUTE),
        certificate: length(raw.and_then(|w| w.certificate.as_ref()), 21 * DAY),
        backup: length(raw.and_then(|w| w.backup.as_ref()), 2 * DAY),
        verification: Duration::from_secs(40 * DAY),
        witness: Duration::from_secs(7 * DAY),
        latency: Duration::from_secs(1),
        system_disk: 85,
        memory: 90,
        load: 200,
    }
}

/// Thresholds for failures with their defaults.
fn fail() -> Fail {
    Fail {
        newest: Duration::from_mins(2),
        gaps: Duration::from_hours(1),
        forecast: Duration::from_secs(DAY),
        disk_temperature: 65,
        clock: Duration::from_mins(1),
        certificate: Duration::from_secs(2 * DAY),
        backup: Duration::from_secs(7 * DAY),
        system_disk: 95,
    }
}
