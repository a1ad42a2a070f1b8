//! Gathers what a plan is made of: the site, what is applied, what the machine has, what was measured.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    inventory::{self, Inventory},
    plan::{self, Base, Before, Input, Layout, Measured, Plan, Refused, Side},
    services::{
        disks::Machine,
        holding::{self, Reckoning},
        paths::Paths,
    },
    site::{self, Errors, Secrets, Site},
    store::index::Reader,
    sys::{Clock as _, RealClock, RealCommands},
    types::{BitRate, RecorderId, Span, StreamKind, WallNs},
};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// site.toml.
    pub site: PathBuf,
    /// secrets.toml; the one beside site.toml where this is nothing.
    pub secrets: Option<PathBuf>,
    /// Which machine this is; may be left out where it is known.
    pub recorder: Option<RecorderId>,
    /// Where generations are.
    pub state: PathBuf,
    /// Without looking at the machine.
    pub offline: bool,
}

/// What is wanted.
#[derive(Debug)]
pub struct Wanted {
    /// The site.
    pub site: Site,
    /// The text of site.toml.
    pub text: String,
    /// The text of secrets.toml, if there is one.
    pub secrets: Option<String>,
}

/// Reads the files; both must be right.
///
/// # Errors
/// [`site::LoadError`] where site.toml is wrong, so that it can be shown with its places.
pub fn read(ask: &Ask) -> anyhow::Result<Wanted> {
    let site = site::load(&ask.site)?;
    let text = fs::read_to_string(&ask.site).with_context(|| format!("{} cannot be read", ask.site.display()))?;
    let path = ask.secrets.clone().unwrap_or_else(|| ask.site.with_file_name("secrets.toml"));
    let secrets = match fs::read_to_string(&path) {
        Ok(secrets) => {
            site::secrets::load(&path)?.cover(&site)?;
            Some(secrets)
        }
        // Sizes can be planned before anybody has told the passwords.
        Err(e) if e.kind() == io::ErrorKind::NotFound && ask.secrets.is_none() => {
            if !ask.offline {
                Secrets::default().cover(&site)?;
            }
            None
        }
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", path.display())),
    };
    Ok(Wanted { site, text, secrets })
}

/// Takes texts that were read elsewhere; both must be right.
///
/// # Errors
/// What is wrong, with its places.
pub fn of_texts(text: String, secrets: Option<String>) -> Result<Wanted, Errors> {
    let site = site::parse(&text, "site.toml")?;
    let known = secrets.as_deref().map_or(Ok(Secrets::default()), |s| site::secrets::parse(s, "secrets.toml"))?;
    known.cover(&site)?;
    Ok(Wanted { site, text, secrets })
}

/// The generation that is current, as far as a plan needs it. Not [`crate::apply::load`]: who may see a plan need not be able to read
/// the secrets.
#[derive(Debug)]
struct Applied {
    number: u64,
    site: Site,
    plan: Kept,
    units: BTreeMap<String, String>,
}

/// What is read of a generation's plan: no more, so that plans of other versions can be read.
#[derive(Debug, Deserialize)]
struct Kept {
    base: Base,
    recorder: RecorderId,
    layout: Layout,
}

/// Which recorder this machine is by what was applied to it; nothing if nothing was.
pub fn applied_recorder(state: &Path) -> Option<RecorderId> {
    /// What is read of the plan.
    #[derive(Deserialize)]
    struct Named {
        recorder: RecorderId,
    }
    let text = fs::read(state.join("current/plan.json")).ok()?;
    serde_json::from_slice::<Named>(&text).ok().map(|plan| plan.recorder)
}

/// Where a recorder's present generation is.
fn current(state: &Path) -> anyhow::Result<Option<Applied>> {
    let link = state.join("current");
    let target = match fs::read_link(&link) {
        Ok(target) => target,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", link.display())),
    };
    let number = target.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse().ok());
    let number = number.with_context(|| format!("{} does not lead to a generation", link.display()))?;
    let path = link.join("plan.json");
    let text = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let plan = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
    let mut units = BTreeMap::new();
    read_units(&link.join("units"), "", &mut units)?;
    Ok(Some(Applied { number, site: site::load(&link.join("site.toml"))?, plan, units }))
}

/// Files below a folder by their relative names.
fn read_units(dir: &Path, prefix: &str, units: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            read_units(&path, &format!("{name}/"), units)?;
        } else {
            units.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Which recorder of the site this machine is: the one that is named, the one that was applied, the only one, or the one that has the machine's name.
fn recorder(ask: &Ask, site: &Site, applied: Option<&Applied>) -> anyhow::Result<RecorderId> {
    let names = || site.recorders().map(|r| r.id.as_str()).collect::<Vec<_>>().join(", ");
    let host = sysinfo::System::host_name().ok();
    let named = ask.recorder.clone().or_else(|| Some(applied?.plan.recorder.clone()));
    if let Some(id) = named {
        site.recorder(&id).with_context(|| format!("the site has no recorder {id}: it has {}", names()))?;
        return Ok(id);
    }
    let only = || site.recorders().next().filter(|_| site.recorders().len() == 1 || ask.offline);
    let by_host = site.recorders().find(|r| Some(r.id.as_str()) == host.as_deref());
    by_host
        .or_else(only)
        .map(|r| r.id.clone())
        .with_context(|| format!("the site has several recorders ({}): say which one this is with --recorder", names()))
}

/// Makes the plan.
///
/// # Errors
/// If what is applied can't be read. That the plan is refused is an answer.
pub fn make(ask: &Ask, wanted: &Wanted) -> anyhow::Result<Result<Plan, Refused>> {
    let applied = current(&ask.state).context("what is applied now cannot be read")?;
    let recorder = recorder(ask, &wanted.site, applied.as_ref())?;
    let now = RealClock.wall();
    let measured = measured(&ask.state, &wanted.site, now);
    let empty = Layout::new();
    let layout = applied.as_ref().map_or(&empty, |a| &a.plan.layout);
    let held = held(&ask.state, &wanted.site, &recorder, layout, &measured, now).unwrap_or_else(|e| {
        log::warn!("what this recorder's holds keep is not counted: {e:#}");
        plan::Held::default()
    });
    let secrets = wanted.secrets.as_deref().map(plan::digest);
    let before = applied.as_ref().map(|a| Before {
        generation: a.number,
        recorder: &a.plan.recorder,
        side: Side { site: &a.site, layout: &a.plan.layout, secrets: a.plan.base.secrets.as_deref() },
        units: &a.units,
    });
    let machine = Machine::here(&ask.state);
    let survey = (!ask.offline).then(|| inventory::survey(&RealCommands, &machine.roots));
    let here = wanted.site.recorder(&recorder);
    let recover = survey.as_ref().zip(here).map(|(survey, here)| machine.cannot_open(survey, &wanted.site, here));
    let inventory = survey.map(|s| s.inventory);
    let fingerprint = inventory.as_ref().map(Inventory::fingerprint);
    Ok(plan::make(&Input {
        site: &wanted.site,
        secrets: secrets.as_deref(),
        recorder: &recorder,
        before,
        inventory: inventory.as_ref(),
        fingerprint: fingerprint.as_deref(),
        measured: &measured,
        held: &held,
        recover: &recover.unwrap_or_default(),
    }))
}

/// What the holds of this machine keep.
fn held(
    state: &Path,
    site: &Site,
    recorder: &RecorderId,
    layout: &Layout,
    measured: &Measured,
    now: WallNs,
) -> anyhow::Result<plan::Held> {
    let spans = holding::read(state)?.spans(&holding::renamed(site));
    if spans.is_empty() {
        return Ok(plan::Held::default());
    }
    let index = Reader::open(&Paths::new(state).index())?;
    Ok(Reckoning { site, recorder, layout, measured, index: &index, now }.held(&spans)?)
}

const DAY_NS: i64 = 86_400 * 1_000_000_000;
/// Footage of so many days is looked at, and so much of it must be there for a measured rate to count.
const WINDOW: i64 = 7 * DAY_NS;
const ENOUGH: i64 = 3 * DAY_NS;

/// Bit rates as they were in the last days, of streams with enough footage.
pub(super) fn measured(state: &Path, site: &Site, now: WallNs) -> Measured {
    let mut rates = Measured::new();
    // No index: nothing has been recorded here, which is no error.
    let Ok(index) = Reader::open(&Paths::new(state).index()) else { return rates };
    let streams = index.streams().unwrap_or_default();
    let span = Span { start: now.offset(-WINDOW), end: now };
    for camera in site.cameras() {
        // Also by a stream that the site does not want recorded: while disks are short it may be.
        for kind in &[StreamKind::Main, StreamKind::Sub] {
            let known = |s: &&crate::store::index::StreamRow| {
                s.key.kind == *kind && (s.key.camera == camera.id || camera.previously.contains(&s.key.camera))
            };
            let Some(stream) = streams.iter().find(known) else { continue };
            let Ok((bytes, ns)) = index.volume_of_footage(stream.key.id, span) else { continue };
            if ns >= ENOUGH {
                let bits = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(ns.unsigned_abs());
                rates.insert((camera.id.clone(), *kind), BitRate(u64::try_from(bits).unwrap_or(u64::MAX)));
            }
        }
    }
    rates
}
