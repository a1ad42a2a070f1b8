//! What `custodian apply` and its fellows consist of: the machine's folders, systemd, the recorder's sockets.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use nix::unistd::{Group, User, geteuid, getuid};

use super::{
    console::SCREEN,
    disks::Machine,
    in_force,
    paths::{Paths, STATE},
    planning::{self, Ask, Wanted},
    recovering::{Keys, Recovery, RecoveryError},
    socket::{self, AskError},
};
use crate::{
    apply::{
        self, ApplyError, Cameras, Env, Generation, Look, Manager, ManagerError, Outcome, Recovered, Report, Request,
        Systemctl,
    },
    plan::{
        self, Plan, RECORD, Refused, Side,
        guard::{self, Authority, RootWithReason},
    },
    site::{self, Secrets, Site},
    sys::{Clock as _, RealClock, RealCommands, RealFiles},
    types::{
        VolumeName,
        wire::{Reloaded, Status, StreamState},
    },
};

/// Where systemd reads units that last until the machine is switched off.
pub const UNIT_DIR: &str = "/run/systemd/system";

/// Footage that was committed longer ago than this is not of a camera that is being recorded: two commits and a slow disk.
const LATE_NS: i64 = 10_000_000_000;

/// Which machine: this one, unless both folders are elsewhere.
#[derive(Debug, Clone)]
pub struct Place {
    /// Generations are kept here.
    pub state: PathBuf,
    /// Units go here. Elsewhere than in [`UNIT_DIR`] systemd is not spoken to.
    pub unit_dir: PathBuf,
}

impl Place {
    fn with_systemd(&self) -> bool {
        self.unit_dir == Path::new(UNIT_DIR)
    }

    fn is_standard(&self) -> bool {
        self.state == Path::new(STATE)
    }

    /// Whether this is root on a machine that a site can be put in force on.
    fn check(&self) -> anyhow::Result<()> {
        if (self.is_standard() || self.with_systemd()) && !geteuid().is_root() {
            anyhow::bail!("only root may put a site in force on this machine: nothing was changed");
        }
        if self.with_systemd() && !sd_notify::booted().unwrap_or(false) {
            anyhow::bail!("this machine was not started by systemd, which runs the services: nothing was changed");
        }
        Ok(())
    }

    /// Does something with all that apply needs.
    ///
    /// # Errors
    /// If this is not root, or the machine lacks what is needed; else what `act` says.
    pub fn act<T>(&self, act: impl FnOnce(&Env<'_>) -> Result<T, ApplyError>) -> anyhow::Result<T> {
        self.act_as(&who(), act)
    }

    /// The same, on record as somebody's.
    fn act_as<T>(&self, by: &str, act: impl FnOnce(&Env<'_>) -> Result<T, ApplyError>) -> anyhow::Result<T> {
        self.check()?;
        let standard = self.is_standard();
        let group = |name: &str| -> anyhow::Result<Option<u32>> {
            if !standard {
                return Ok(None);
            }
            let group = Group::from_name(name)?;
            let group = group.with_context(|| format!("there is no group {name}: systemd-sysusers makes it"))?;
            Ok(Some(group.gid.as_raw()))
        };
        let paths = Paths::new(&self.state);
        let systemd = Systemctl::new(&RealCommands, self.expire()?);
        let none = NoManager { control: paths.control_socket() };
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("which boot this is")?;
        let env = Env {
            state: self.state.clone(),
            unit_dir: std::path::absolute(&self.unit_dir)?,
            boot: boot.trim().to_owned(),
            site_group: group("custodian")?,
            secrets_group: group("custodian-record")?,
            files: &RealFiles,
            manager: if self.with_systemd() { &systemd } else { &none },
            clock: &RealClock,
            cameras: &Sockets { status: paths.status_socket() },
            judge: &judge,
        };
        let done = act(&env);
        // Whatever came of it: a generation may have come into force.
        let change = in_force::Change { by: by.to_owned(), at: RealClock.wall() };
        if let Err(e) = in_force::tell(&RealFiles, &self.state, &paths.ledger_spool(), change) {
            log::error!(
                CAUSE = format!("{e:#}");
                "what is in force is not in the ledger yet; the next apply, and the next boot, try again: {e:#}"
            );
        }
        Ok(done?)
    }

    /// What a trial's timer runs.
    fn expire(&self) -> anyhow::Result<Vec<String>> {
        let program = env::current_exe().context("where this program is")?;
        let args = ["rollback", "--expired", "--state"].map(str::to_owned);
        let state = std::path::absolute(&self.state)?;
        let text = |p: &Path| p.to_str().map(str::to_owned).context("a path that is no UTF-8");
        Ok([text(&program)?].into_iter().chain(args).chain([text(&state)?]).collect())
    }

    /// The site in force, if there is one that this user may read.
    pub fn site(&self) -> Option<Site> {
        site::load(&self.state.join("current/site.toml")).ok()
    }
}

/// Who gives the command.
pub fn who() -> String {
    // At the console nobody has logged in.
    if let Ok(screen) = env::var(SCREEN).map(|s| s.trim().to_owned())
        && !screen.is_empty()
    {
        return screen;
    }
    let user = User::from_uid(getuid()).ok().flatten().map_or_else(|| getuid().to_string(), |u| u.name);
    match env::var("SUDO_USER") {
        Ok(behind) if user == "root" && !behind.is_empty() => behind,
        _ => user,
    }
}

/// A site and secrets that were put together, as planning would judge them.
pub(super) fn judge(site: &str, secrets: Option<&str>) -> Result<(), String> {
    let parsed = site::parse(site, "site.toml").map_err(|e| e.to_string())?;
    let secrets = secrets.map_or(Ok(Secrets::default()), |s| site::secrets::parse(s, "secrets.toml"));
    secrets.and_then(|s| s.cover(&parsed)).map_err(|e| e.to_string())
}

/// In what manner a site is applied.
#[derive(Default)]
pub struct How<'a> {
    /// By this saved plan, not by one that is made now.
    pub plan: Option<PathBuf>,
    /// By this plan, which a person has read.
    pub shown: Option<Plan>,
    /// Who gives leadership's word, where that is not root with its reason.
    pub authority: Option<&'a dyn Authority>,
    /// Why, for changes that want leadership's word.
    pub reason: Option<String>,
    /// Taken back after that time unless it is confirmed.
    pub trial: Option<Duration>,
    /// Recovery keys, for volumes that this machine cannot open.
    pub keys: Option<&'a mut dyn Keys>,
    /// Whether such volumes are looked for though nothing else is to be done.
    pub recover: bool,
}

/// What came of it.
pub enum Answer {
    /// It was applied, or was in force already.
    Applied(Report),
    /// There is no plan for it, and nothing was changed.
    Refused(Box<Refused>),
}

/// Applies a site: by a saved plan, or by one that is made now.
///
/// # Errors
/// If a file can't be read, or apply refuses.
pub fn apply(place: &Place, ask: &Ask, wanted: Wanted, how: How<'_>) -> anyhow::Result<Answer> {
    let look = how.plan.is_some() || how.shown.is_some() || how.recover;
    let same = if look { None } else { plan_of_no_change(place, ask, &wanted)? };
    let fresh = match same.map_or_else(|| planning::make(ask, &wanted), |same| Ok(Ok(same)))? {
        Ok(plan) => plan,
        Err(refused) => return Ok(Answer::Refused(Box::new(refused))),
    };
    let inventory = fresh.base.inventory.clone();
    let plan = match (how.plan.as_deref(), how.shown) {
        (None, None) => fresh,
        (Some(path), _) => as_read(read_plan(path)?, fresh, &path.display().to_string())?,
        (None, Some(shown)) => as_read(shown, fresh, "the plan that was read")?,
    };
    let root = RootWithReason { root: geteuid().is_root(), user: who(), reason: how.reason.clone() };
    let word = guard::word(&plan, how.authority.unwrap_or(&root))?;
    let known = wanted.site.recorder(&plan.recorder).is_some();
    let units = plan::units(&wanted.site, &plan.recorder);
    // A plan for a recorder that has left the site is stale, which apply says.
    let touched = if known { touched(place, &wanted, &plan)? } else { plan::Touched::default() };
    let request = Request {
        plan,
        site: wanted.text,
        secrets: wanted.secrets,
        units,
        touched,
        inventory,
        by: who(),
        word,
        trial: how.trial,
    };
    let recovered = recover(place, &wanted.site, &request, how.keys)?;
    let report = place.act(|env| apply::apply(env, request))?;
    // Their mounts were stopped with what could not open them: they are started as at boot.
    let mut steps = report.steps;
    if !recovered.is_empty() {
        steps.extend(place.act(apply::activate)?.steps);
    }
    Ok(Answer::Applied(Report { recovered, steps, ..report }))
}

/// Opens what this machine cannot open by itself, if the rest can be applied then.
fn recover(
    place: &Place,
    site: &Site,
    request: &Request,
    keys: Option<&mut dyn Keys>,
) -> anyhow::Result<Vec<Recovered>> {
    let plan = &request.plan;
    if plan.recover.is_empty() {
        return Ok(Vec::new());
    }
    place.act(|env| apply::check(env, request))?;
    let keys = keys.ok_or_else(|| RecoveryError::NoKeys(plan.recover.clone()))?;
    let recorder = site.recorder(&plan.recorder).context("the site has no such recorder")?;
    let let_go = |volume: &VolumeName| {
        let unit = plan::unlock_unit(volume);
        place.act(|env| {
            if let Err(e) = env.manager.stop(&unit) {
                log::warn!(UNIT = unit, CAUSE:% = e; "{unit} does not stop: {e}");
            }
            Ok(())
        })
    };
    let recovery = Recovery { site, recorder, clock: &RealClock, unlocking: None, let_go: &let_go };
    Machine::here(&place.state).recover(&recovery, &plan.recover, keys)
}

/// The plan to leave all as it is, where nothing is wanted that is not in force: to find that out nobody has to look at the disks.
fn plan_of_no_change(place: &Place, ask: &Ask, wanted: &Wanted) -> anyhow::Result<Option<Plan>> {
    let Some(number) = apply::current(&RealFiles, &place.state)? else { return Ok(None) };
    let now = apply::load(&RealFiles, &place.state, number)?;
    let same = now.site == wanted.text
        && now.secrets == wanted.secrets
        && ask.recorder.as_ref().is_none_or(|r| *r == now.plan.recorder)
        && now.units == plan::units(&wanted.site, &now.plan.recorder);
    let base = plan::Base {
        site: plan::digest(&wanted.text),
        secrets: wanted.secrets.as_deref().map(plan::digest),
        generation: Some(number),
        inventory: None,
    };
    Ok(same.then(|| Plan { base, changes: Vec::new(), recover: Vec::new(), steps: Vec::new(), ..now.plan }))
}

/// Goes back to a generation.
///
/// # Errors
/// If that takes something from people and there is no reason for it, or apply refuses.
pub fn rollback(place: &Place, to: Option<u64>, reason: Option<String>) -> anyhow::Result<Report> {
    let leader = RootWithReason { root: geteuid().is_root(), user: who(), reason };
    let consent = |now: &Generation, back: &Generation, text: &str| -> Result<Option<guard::Word>, String> {
        let parse = |text: &str| site::parse(text, "site.toml").map_err(|e| e.to_string());
        let (before, after) = (parse(&now.site)?, parse(text)?);
        let digests = [now, back].map(|g| g.secrets.as_deref().map(plan::digest));
        let before = Side { site: &before, layout: &now.plan.layout, secrets: digests[0].as_deref() };
        let after = Side { site: &after, layout: &back.plan.layout, secrets: digests[1].as_deref() };
        let changes = plan::changes(Some(before), after);
        let guarded: Vec<&plan::Change> = changes.iter().filter(|c| c.guarded).collect();
        if guarded.is_empty() { Ok(None) } else { leader.word(&guarded).map(Some).map_err(|e| e.to_string()) }
    };
    place.act(|env| apply::rollback(env, to, &leader.user, &consent))
}

/// Goes back to a generation on the word of somebody who stands at the machine and has said who they are. Name and reason are kept.
///
/// # Errors
/// If apply refuses.
pub fn rollback_on(place: &Place, to: u64, word: &guard::Word) -> anyhow::Result<Report> {
    place.act_as(&word.who, |env| apply::rollback_on(env, to, word))
}

/// The plan as it was read, if it is still what would be planned now: what is carried out is never taken from what was saved.
/// Where what it was made from has changed, apply says what.
fn as_read(saved: Plan, fresh: Plan, name: &str) -> anyhow::Result<Plan> {
    let made_from = |p: &Plan| (p.base.site.clone(), p.base.secrets.clone(), p.base.generation);
    let says = |p: &Plan| (p.recorder.clone(), p.layout.clone(), p.changes.clone(), p.recover.clone(), p.steps.clone());
    anyhow::ensure!(
        made_from(&saved) != made_from(&fresh) || says(&saved) == says(&fresh),
        "{name} is not what would be planned now, nothing was changed: make the plan again, and read it again"
    );
    Ok(Plan { base: saved.base, ..fresh })
}

fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let plan: Plan =
        serde_json::from_slice(&text).with_context(|| format!("{} is no plan of this version", path.display()))?;
    anyhow::ensure!(plan.format == plan::FORMAT, "{} is a plan of another version", path.display());
    Ok(plan)
}

fn touched(place: &Place, wanted: &Wanted, plan: &Plan) -> anyhow::Result<plan::Touched> {
    let parse = |site: &str, secrets: Option<&str>| -> anyhow::Result<(Site, Secrets)> {
        let site = site::parse(site, "site.toml")?;
        Ok((site, secrets.map_or(Ok(Secrets::default()), |s| site::secrets::parse(s, "secrets.toml"))?))
    };
    let after = parse(&wanted.text, wanted.secrets.as_deref())?;
    let now = apply::current(&RealFiles, &place.state)?;
    let now = now.map(|n| apply::load(&RealFiles, &place.state, n)).transpose()?;
    let before = now.map(|g| parse(&g.site, g.secrets.as_deref())).transpose()?;
    Ok(plan::touched(before.as_ref().map(|(s, c)| (s, c)), (&after.0, &after.1), &plan.recorder))
}

/// Asks a socket from where there is no runtime.
fn ask<T: serde::de::DeserializeOwned>(socket: &Path, method: reqwest::Method, path: &str) -> Result<T, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| AskError::Refused(e.to_string()))?;
    runtime.block_on(socket::ask(socket, method, path))
}

/// The recorder's word on its cameras.
struct Sockets {
    status: PathBuf,
}

impl Cameras for Sockets {
    fn look(&self) -> Result<Vec<Look>, String> {
        let status: Status = ask(&self.status, reqwest::Method::GET, "/v1/status").map_err(|e| e.to_string())?;
        Ok(looks(&status))
    }
}

/// One look for each camera that is to be recorded: its streams together.
fn looks(status: &Status) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    for s in status.streams.iter().filter(|s| s.recorded || s.out_of_hours) {
        let fresh = s.newest_committed.is_some_and(|n| status.now.since(n) < LATE_NS);
        // Out of its hours a camera is as it should be.
        let recording = s.out_of_hours || (s.state == StreamState::Running && fresh);
        let newest = if s.out_of_hours { Some(status.now) } else { s.newest_committed };
        match looks.iter_mut().find(|l| l.camera == s.camera) {
            Some(look) => {
                look.recording &= recording;
                look.newest = look.newest.min(newest);
            }
            None => looks.push(Look { camera: s.camera.clone(), recording, newest }),
        }
    }
    looks
}

/// Where there is no systemd to speak to: a recorder that runs is told by its own socket, and started by whoever starts it.
struct NoManager {
    control: PathBuf,
}

impl Manager for NoManager {
    fn reload_manager(&self) -> Result<Outcome, ManagerError> {
        Ok(Outcome::NotNeeded)
    }
    fn start(&self, unit: &str, _wait: bool) -> Result<Outcome, ManagerError> {
        self.reload(unit)
    }
    fn stop(&self, _unit: &str) -> Result<Outcome, ManagerError> {
        Ok(Outcome::NotNeeded)
    }
    fn restart(&self, unit: &str) -> Result<Outcome, ManagerError> {
        self.reload(unit)
    }
    fn reload(&self, unit: &str) -> Result<Outcome, ManagerError> {
        if unit != RECORD {
            return Ok(Outcome::NotNeeded);
        }
        match ask::<Reloaded>(&self.control, reqwest::Method::POST, "/v1/reload") {
            Ok(_) => Ok(Outcome::Changed),
            Err(AskError::Nobody(_)) => Ok(Outcome::NotNeeded),
            Err(AskError::Refused(why)) => Err(ManagerError::Refused { command: "reload".into(), why }),
            Err(e @ (AskError::Broken(_) | AskError::Slow(_))) => Err(ManagerError::Away(io::Error::other(e))),
        }
    }
    fn arm(&self, _generation: u64, _after: Duration) -> Result<(), ManagerError> {
        Err(ManagerError::Refused { command: "timer".into(), why: "there is no systemd to speak to".into() })
    }
    fn disarm(&self, _generation: u64) -> Result<(), ManagerError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_recorded_if_all_its_streams_are() {
        let stream = |camera: &str, stream: &str, recorded: bool, state: &str, age: i64| {
            serde_json::json!({
                "camera": camera, "name": camera, "stream": stream, "recorded": recorded, "state": state, "cause": null,
                "bit_rate": 0, "frame_rate": 0.0, "newest_committed": 100_000_000_000_i64 - age * 1_000_000_000,
                "gap_seconds_today": 0.0, "lost_packets": 0, "clock_error": null, "volume": null, "size": null, "codec": null,
            })
        };
        let status: Status = serde_json::from_value(serde_json::json!({
            "recorder": "a", "version": "0", "started": 0, "now": 100_000_000_000_i64, "queued": 0, "volumes": [],
            "streams": [
                stream("both", "main", true, "running", 1), stream("both", "sub", true, "running", 3),
                stream("half", "main", true, "running", 1), stream("half", "sub", true, "waiting", 1),
                stream("live", "main", false, "running", 1),
                stream("stuck", "main", true, "running", 60),
            ],
        }))
        .unwrap();
        let said: Vec<(String, bool, i64)> = looks(&status)
            .into_iter()
            .map(|l| (l.camera.to_string(), l.recording, l.newest.unwrap().0 / 1_000_000_000))
            .collect();
        let expected = [("both", true, 97), ("half", false, 99), ("stuck", false, 40)];
        assert_eq!(said, expected.map(|(c, r, n)| (c.to_owned(), r, n)));
    }

    #[test]
    fn what_was_put_together_is_judged_like_any_site() {
        let site = "[site]\nname = \"x\"\ntimezone = \"UTC\"\n[area.y]\nname = \"y\"\nkind = \"public\"\n[recorder.a]\n\
                    [[recorder.a.volume]]\nname = \"a1\"\npath = \"/a1\"\n[camera.c]\nname = \"c\"\narea = \"y\"\n\
                    main = \"rtsp://h/1\"\ncredentials = \"v\"\n";
        let secrets = "[credentials.v]\nusername = \"u\"\npassword = \"p\"\n";
        assert_eq!(judge(site, Some(secrets)), Ok(()));
        assert!(judge(site, None).is_err(), "no password for c");
        assert!(judge(&site.replace("\"y\"\nmain", "\"z\"\nmain"), Some(secrets)).is_err(), "no area z");
    }
}
