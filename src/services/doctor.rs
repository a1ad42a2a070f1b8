//! What a person at the console is to be told: what health says, or, where health is not there, what can be seen without it.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    inventory,
    services::{
        disks::Machine,
        health::{self, Options},
        paths::Paths,
        planning::applied_recorder,
        socket,
    },
    site::{self, Site, VolumePlace},
    sys::{Clock as _, RealClock, RealCommands},
    types::{
        VolumeName, WallNs, story,
        wire::health::{Finding, Level, Probe, Report, Subject, Value},
    },
};

/// Nobody is troubled by a look that is younger than this, however often it is looked.
const STALE: Duration = Duration::from_mins(5);

/// What is wrong that no report can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Absence {
    /// Health does not answer, or has not looked for so many nanoseconds.
    Health(Result<i64, String>),
    /// There is no state folder.
    State,
    /// The disk of a volume is not in the machine.
    Disk(VolumeName),
}

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    /// What health says, or what was found in its place.
    pub report: Report,
    /// Whether health says it.
    pub by_health: bool,
    /// What a report cannot say.
    pub absent: Vec<Absence>,
    /// The site in force, where it can be read.
    pub site: Option<Site>,
}

/// Asks health, and looks where it does not answer.
///
/// # Errors
/// If there can be no runtime to ask with.
pub fn look(state: &Path) -> anyhow::Result<Seen> {
    let paths = Paths::new(state);
    let site = site::load(&state.join("current/site.toml")).ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let socket = paths.health_socket();
    let asked = runtime
        .block_on(async { socket::at_once(socket::ask::<Report>(&socket, reqwest::Method::GET, "/v1/report")).await });
    let why = match asked.map_err(|e| story(&e)) {
        Ok(report) => {
            let age = stale(report.at, site.as_ref(), RealClock.wall());
            let absent = age.map(|age| Absence::Health(Ok(age))).into_iter().collect();
            return Ok(Seen { report, by_health: true, absent, site });
        }
        Err(why) => why,
    };
    let report = health::glance(&Options {
        site: state.join("current/site.toml"),
        secrets: None,
        credentials: None,
        recorder: applied_recorder(state),
        state: state.to_owned(),
    })?;
    let mut absent = vec![Absence::Health(Err(why))];
    if !state.is_dir() {
        absent.push(Absence::State);
    }
    if let Some(site) = &site {
        absent.extend(disks(state, site, &report).into_iter().map(Absence::Disk));
    }
    Ok(Seen { report, by_health: false, absent, site })
}

/// How old a report of `at` is, ns, if health looks no more.
fn stale(at: WallNs, site: Option<&Site>, now: WallNs) -> Option<i64> {
    let age = health::overdue(at, site, now).filter(|age| *age > STALE)?;
    Some(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
}

/// Volumes whose disks are not in this machine, of which the report says nothing yet.
fn disks(state: &Path, site: &Site, report: &Report) -> Vec<VolumeName> {
    let wanted: Vec<_> = site
        .recorders()
        .filter(|r| Some(&r.id) == report.recorder.as_ref())
        .flat_map(|r| &r.volumes)
        .filter_map(|v| match &v.place {
            VolumePlace::Disk(by_id) => Some((v.name.clone(), by_id)),
            VolumePlace::Path(_) => None,
        })
        .collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let inventory = inventory::survey(&RealCommands, &Machine::here(state).roots).inventory;
    let said = |name: &VolumeName| {
        let subject = Some(Subject::Volume(name.clone()));
        report.findings.iter().any(|f| f.level > Level::Ok && f.subject == subject)
    };
    // A machine without any disk is one that does not let itself be looked at.
    let known = !inventory.disks.is_empty();
    wanted
        .into_iter()
        .filter(|(name, id)| known && inventory.disk(id).is_none() && !said(name))
        .map(|(n, _)| n)
        .collect()
}

/// Whether anything is being lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Whether it can be known.
    pub known: bool,
    /// Cameras that are to be recorded now.
    pub required: usize,
    /// Those of them that are written.
    pub written: usize,
    /// Of these the one that was written longest ago, seconds.
    pub within_seconds: u64,
    /// Those that are not, by number.
    pub lost: Vec<u32>,
}

/// What the newest committed seconds of the cameras say.
pub fn evidence(report: &Report) -> Evidence {
    // That the sub stream is away, or that the clock was set back, loses no picture of the main stream.
    let of_main = |f: &&Finding| f.probe == Probe::Footage && !f.code.starts_with("sub_") && f.code != "ahead";
    let late: Vec<_> = report.findings.iter().filter(of_main).filter(|f| f.level > Level::Ok).collect();
    let named: BTreeSet<u32> = late.iter().flat_map(|f| cameras(f)).collect();
    let mut evidence = Evidence { known: true, required: 0, written: 0, within_seconds: 0, lost: Vec::new() };
    let mut seen = false;
    for camera in report.cameras.iter().filter(|c| c.required) {
        evidence.required += 1;
        let age = camera.streams.first().and_then(|main| main.age(report.at));
        seen |= age.is_some();
        match age {
            Some(age) if !named.contains(&camera.number) => {
                evidence.written += 1;
                let seconds = age.as_secs() + u64::from(age.subsec_nanos() > 0);
                evidence.within_seconds = evidence.within_seconds.max(seconds);
            }
            _ => evidence.lost.push(camera.number),
        }
    }
    // Something is wrong with footage, and it is not said with whose; or there is not a single second to go by.
    let unnamed = named.is_empty() && !late.is_empty();
    evidence.known = report.recorder.is_some() && !unnamed && (seen || evidence.required == 0 || !late.is_empty());
    evidence
}

/// The cameras that a finding is about.
fn cameras(finding: &Finding) -> Vec<u32> {
    let own = match finding.subject {
        Some(Subject::Camera(number)) => vec![number],
        _ => Vec::new(),
    };
    let listed = finding.values.values().filter_map(|v| match v {
        Value::Cameras(all) => Some(all.clone()),
        _ => None,
    });
    own.into_iter().chain(listed.flatten()).collect()
}

/// The troubles of a report, worst first, those of one probe and level together.
pub fn troubles(report: &Report) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in report.troubles() {
        let same =
            |g: &&mut Vec<&Finding>| g.first().is_some_and(|f| (f.level, f.probe) == (finding.level, finding.probe));
        match groups.iter_mut().find(same) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_missed_after_three_of_its_intervals_and_five_minutes() {
        let site = |every: &str| {
            let text = format!(
                "[site]\nname = \"S\"\ntimezone = \"UTC\"\n[retention]\nmin_days = 20\n[area.a]\nname = \"A\"\nkind = \"public\"\n\
                 [recorder.r]\n[[recorder.r.volume]]\nname = \"v\"\ndisk = \"ata-1\"\nsize = \"1 TB\"\n\
                 [camera.c]\nname = \"C\"\narea = \"a\"\nmain = \"rtsp://10.0.0.1/1\"\n[health]\ninterval = \"{every}\"\n"
            );
            site::parse(&text, "site.toml").unwrap_or_else(|e| panic!("{e}"))
        };
        let at = WallNs(1_795_334_400_000_000_000);
        let after = |seconds: i64, site: Option<&Site>| stale(at, site, at.offset(seconds * 1_000_000_000)).is_some();
        let (often, seldom) = (site("30 s"), site("10 min"));
        assert_eq!((after(300, Some(&often)), after(301, Some(&often))), (false, true));
        assert_eq!((after(1800, Some(&seldom)), after(1801, Some(&seldom))), (false, true));
        assert_eq!((after(1800, None), after(1801, None)), (false, true), "it may be any site");
        // The command says it as soon as `/healthz` does.
        let now = at.offset(91_000_000_000);
        assert_eq!(health::overdue(at, Some(&often), now), Some(Duration::from_secs(91)));
        assert_eq!(health::overdue(at, Some(&seldom), now), None);
    }
}
