//! Each probe at, below and above its thresholds.

mod all;
mod footage;
mod machine;
mod recorder;

use super::judge;
use crate::{
    health::{facts::Facts, fixture},
    types::wire::health::{Finding, Probe, Subject},
};

/// `fail c2 late`: level, subject, code.
fn line(finding: &Finding) -> String {
    let subject = match &finding.subject {
        None => String::new(),
        Some(Subject::Camera(n)) => format!("c{n} "),
        Some(Subject::Volume(name)) => format!("{name} "),
        Some(Subject::Other(name)) => format!("{name} "),
    };
    format!("{} {subject}{}", finding.level, finding.code)
}

/// What is said of a probe once something has changed.
fn of(mut facts: Facts, probe: Probe, change: impl FnOnce(&mut Facts)) -> Vec<String> {
    change(&mut facts);
    judge(&facts).iter().filter(|f| f.probe == probe).map(line).collect()
}

/// Of a recorder with ten cameras that was well.
fn now(probe: Probe, change: impl FnOnce(&mut Facts)) -> Vec<String> {
    of(fixture::well(10), probe, change)
}
