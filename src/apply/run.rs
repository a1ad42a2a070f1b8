//! Applying, trying, confirming, going back, activating at boot. One of them at a time for a state folder.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;

use super::{
    ApplyError, Consent, Difference, Done, Env, Generation, Meta, StalePart, Watch,
    carry_out::{When, carry_out},
    carry_over,
    confirm::doubts,
    diff::unified,
    generations::{FORMAT, confirmed, current, failed, load, numbers, read_boot, save, set_confirmed},
    pending::{Pending, settle, settle_as_far_as_possible},
    trial::{self, Standing, Trial},
    wires,
};
use crate::{
    plan::{self, Base, HEADER, Plan, Recover, Step, Touched, Units, guard::Word},
    sys::Files,
    types::{WallNs, event},
};

/// What is to be applied.
pub struct Request {
    /// What to do.
    pub plan: Plan,
    /// site.toml, checked.
    pub site: String,
    /// secrets.toml, checked against it.
    pub secrets: Option<String>,
    /// All units of the machine afterwards.
    pub units: Units,
    /// Which cameras the change concerns.
    pub touched: Touched,
    /// The inventory's fingerprint as it is now, if somebody looked.
    pub inventory: Option<String>,
    /// Who asks.
    pub by: String,
    /// Leadership's word, where the change wants it.
    pub word: Option<Word>,
    /// Taken back after that time unless it is confirmed.
    pub trial: Option<Duration>,
}

/// A volume that was opened with its recovery key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Which.
    #[serde(flatten)]
    pub volume: Recover,
    /// Whether this machine opens it by itself from now on.
    pub opens: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The generation that was current.
    pub from: Option<u64>,
    /// The generation that is current.
    pub generation: Option<u64>,
    /// Whether it was made for this.
    pub made: bool,
    /// What an earlier command had left undone.
    pub finished: Vec<Done>,
    /// Volumes that were opened with their recovery keys before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recovered: Vec<Recovered>,
    /// What was done.
    pub steps: Vec<Done>,
    /// When it is taken back unless it is confirmed.
    pub trial_until: Option<WallNs>,
}

/// Held while something is done; the kernel lets go of it when the process dies.
pub(super) struct Lock {
    _file: Flock<File>,
}

pub(super) fn lock(env: &Env<'_>) -> Result<Lock, ApplyError> {
    lock_as(env, FlockArg::LockExclusiveNonblock)
}

fn lock_as(env: &Env<'_>, how: FlockArg) -> Result<Lock, ApplyError> {
    env.files.make_dir(&env.state).map_err(failed("cannot make", &env.state))?;
    let path = env.state.join("apply.lock");
    // Nobody else may open it: who can, can hold it.
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    match Flock::lock(file.map_err(failed("cannot open", &path))?, how) {
        Ok(file) => Ok(Lock { _file: file }),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(ApplyError::Busy),
        Err((_, e)) => Err(failed("cannot lock", &path)(e.into())),
    }
}

fn current_generation(env: &Env<'_>) -> Result<Option<Generation>, ApplyError> {
    current(env.files, &env.state)?.map(|n| load(env.files, &env.state, n)).transpose()
}

/// The trial that the current generation is on.
fn running_trial(env: &Env<'_>, number: u64) -> Result<Option<Trial>, ApplyError> {
    let trial = trial::read(env.files, &env.state)?.filter(|t| t.generation == number);
    Ok(if confirmed(env.files, &env.state)? == Some(number) { None } else { trial })
}

fn next_number(env: &Env<'_>) -> Result<u64, ApplyError> {
    Ok(numbers(env.files, &env.state)?.last().copied().unwrap_or(0) + 1)
}

/// Whether a site can be applied, as far as can be said before anything is done for it.
pub fn check(env: &Env<'_>, wanted: &Request) -> Result<(), ApplyError> {
    let _lock = lock(env)?;
    let now = current_generation(env)?;
    refuse_stale(wanted, now.as_ref().map(|g| g.meta.number))?;
    match &now {
        Some(now) if !is_as_wanted(now, wanted) && running_trial(env, now.meta.number)?.is_some() => {
            Err(ApplyError::OnTrial(now.meta.number))
        }
        _ if wanted.trial.is_some() && confirmed(env.files, &env.state)?.is_none() => Err(ApplyError::TryFirst),
        _ => Ok(()),
    }
}

/// Applies a site. If all is as it is wanted, no generation is made.
pub fn apply(env: &Env<'_>, wanted: Request) -> Result<Report, ApplyError> {
    let _lock = lock(env)?;
    let (finished, refused) = settle_as_far_as_possible(env)?;
    let now = current_generation(env)?;
    let from = now.as_ref().map(|g| g.meta.number);
    refuse_stale(&wanted, from)?;
    if let Some(now) = &now {
        let trial = running_trial(env, now.meta.number)?;
        if is_as_wanted(now, &wanted) {
            if let Some(refused) = refused {
                return Err(refused);
            }
            let trial_until = trial.map(|t| t.due());
            return Ok(Report { from, generation: from, finished, trial_until, ..Report::default() });
        }
        if trial.is_some() {
            return Err(ApplyError::OnTrial(now.meta.number));
        }
    }
    let number = next_number(env)?;
    let trial = wanted.trial.map(|length| trial_of(env, number, &wanted, length)).transpose()?;
    let generation = generation(env, number, from, wanted);
    let pending = Pending {
        to: number,
        made: true,
        trial: trial.is_some(),
        boot: Some(env.boot.clone()),
        steps: generation.plan.steps.clone(),
    };
    pending.begin(env)?;
    save(env, &generation)?;
    if let Some((trial, length)) = &trial {
        trial.save(env)?;
        if let Err(e) = env.manager.arm(number, *length) {
            settle(env)?;
            return Err(ApplyError::NoTimer(e));
        }
    }
    let steps = pending.finish(env)?;
    let manner = if trial.is_some() { ", on trial" } else { "" };
    log::info!(MESSAGE_ID = event::GENERATION_IN_FORCE, GENERATION = number; "generation {number} is in force{manner}");
    let trial_until = trial.map(|(t, _)| t.due());
    Ok(Report { from, generation: Some(number), made: true, finished, steps, trial_until, ..Report::default() })
}

fn refuse_stale(wanted: &Request, current: Option<u64>) -> Result<(), ApplyError> {
    let base = &wanted.plan.base;
    let inventory = base.inventory.is_some() && wanted.inventory.is_some() && base.inventory != wanted.inventory;
    let stale: Vec<StalePart> = [
        (base.site != plan::digest(&wanted.site), StalePart::Site),
        (base.secrets != wanted.secrets.as_deref().map(plan::digest), StalePart::Secrets),
        (base.generation != current, StalePart::Generation),
        (inventory, StalePart::Inventory),
    ]
    .into_iter()
    .filter_map(|(stale, part)| stale.then_some(part))
    .collect();
    if stale.is_empty() { Ok(()) } else { Err(ApplyError::Stale(stale)) }
}

fn is_as_wanted(now: &Generation, wanted: &Request) -> bool {
    now.site == wanted.site
        && now.secrets == wanted.secrets
        && now.units == wanted.units
        && now.plan.layout == wanted.plan.layout
        && now.plan.recorder == wanted.plan.recorder
}

/// A trial that has a way back: by now, for when it has run out nobody may be there to be asked.
fn trial_of(env: &Env<'_>, number: u64, wanted: &Request, length: Duration) -> Result<(Trial, Duration), ApplyError> {
    let back_to = confirmed(env.files, &env.state)?.ok_or(ApplyError::TryFirst)?;
    let back = load(env.files, &env.state, back_to)?;
    site_to_go_back_to(env, number, &wanted.site, &back)?;
    Ok((Trial::begin(env, number, back_to, length), length))
}

fn generation(env: &Env<'_>, number: u64, from: Option<u64>, wanted: Request) -> Generation {
    // Where the recorder does not answer, nothing is recorded that could stop.
    let recorded = env.cameras.look().unwrap_or_default();
    let unaffected = |c: &&super::Look| c.recording && wanted.touched.unaffected.contains(&c.camera);
    let watch = Watch {
        recording: recorded.iter().filter(unaffected).map(|c| c.camera.clone()).collect(),
        changed: wanted.touched.changed.into_iter().collect(),
    };
    // What was locked is open by now; a generation says what is to be, not what was in the way.
    let mut plan = Plan { recover: Vec::new(), ..wanted.plan };
    // A change of a comment needs no step, but what is in force is what is written.
    if !plan.steps.contains(&Step::Switch) {
        plan.steps.insert(0, Step::Switch);
    }
    let meta = Meta {
        format: FORMAT,
        number,
        at: env.clock.wall(),
        by: wanted.by,
        word: wanted.word,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        from,
        repeats: None,
        trial: wanted.trial.map(|t| t.as_secs()),
        watch,
    };
    Generation { meta, site: wanted.site, secrets: wanted.secrets, plan, units: wanted.units }
}

/// The site of an older generation with the present people.
fn site_to_go_back_to(env: &Env<'_>, from: u64, present: &str, back: &Generation) -> Result<String, ApplyError> {
    let refuse = |why| ApplyError::People { from, to: back.meta.number, why };
    let site = carry_over(present, &back.site).map_err(refuse)?;
    if site != back.site {
        (env.judge)(&site, back.secrets.as_deref()).map_err(refuse)?;
    }
    Ok(site)
}

/// Puts an older site in force again, with the people of the present one. If they are the same, it is the older generation itself;
/// otherwise, or where leadership's word goes on record, one is made.
fn take_back(
    env: &Env<'_>,
    now: &Generation,
    to: u64,
    by: &str,
    consent: Consent<'_>,
    when: When,
) -> Result<Report, ApplyError> {
    let from = now.meta.number;
    let back = load(env.files, &env.state, to)?;
    let site = site_to_go_back_to(env, from, &now.site, &back)?;
    let fed = now.site != site || now.secrets != back.secrets;
    // By what is there, not by what should be: what is left behind may never have come into force wholly.
    let there = own_units(env)?;
    let mut steps = plan::steps(Some(&there), &back.units, fed);
    if !steps.contains(&Step::Switch) {
        steps.insert(0, Step::Switch);
    }
    let word = consent(now, &back, &site).map_err(ApplyError::NoWord)?;
    // A word that was given must stand somewhere.
    let made = site != back.site || word.is_some();
    let number = if made { next_number(env)? } else { to };
    let boot = (when == When::Running).then(|| env.boot.clone());
    let pending = Pending { to: number, made, trial: false, boot, steps: steps.clone() };
    pending.begin(env)?;
    if made {
        let base = Base {
            site: plan::digest(&site),
            secrets: back.secrets.as_deref().map(plan::digest),
            generation: Some(from),
            inventory: None,
        };
        let meta = Meta {
            number,
            at: env.clock.wall(),
            by: by.to_owned(),
            word,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            from: Some(from),
            repeats: Some(to),
            trial: None,
            watch: Watch::default(),
            ..back.meta
        };
        save(env, &Generation { meta, site, plan: Plan { base, steps, ..back.plan }, ..back })?;
    }
    let steps = pending.finish(env)?;
    let repeats =
        if made { format!("; what it says is in force again, as generation {number}") } else { String::new() };
    log::warn!(
        MESSAGE_ID = event::GENERATION_ROLLED_BACK, GENERATION = from, BACK_TO = to;
        "went back from generation {from} to {to}{repeats}"
    );
    Ok(Report { from: Some(from), generation: Some(number), made, steps, ..Report::default() })
}

/// Goes back to a generation: the one named, else the one confirmed last, else the one before.
///
/// Leaving a generation that was not confirmed for the one that is wants nobody's word: it would be left anyway.
pub fn rollback(env: &Env<'_>, to: Option<u64>, by: &str, consent: Consent<'_>) -> Result<Report, ApplyError> {
    go_back(env, to, by, consent, WANTS_NONE)
}

/// Goes back to a generation on the word of somebody, which is kept whether it was wanted or not.
pub fn rollback_on(env: &Env<'_>, to: u64, word: &Word) -> Result<Report, ApplyError> {
    let given: Consent<'_> = &|_, _, _| Ok(Some(word.clone()));
    go_back(env, Some(to), &word.who, given, given)
}

/// `unconfirmed`: the same for leaving what was not confirmed for what was.
fn go_back(
    env: &Env<'_>,
    to: Option<u64>,
    by: &str,
    consent: Consent<'_>,
    unconfirmed: Consent<'_>,
) -> Result<Report, ApplyError> {
    let _lock = lock(env)?;
    let (finished, _) = settle_as_far_as_possible(env)?;
    let now = current_generation(env)?.ok_or(ApplyError::Nothing)?;
    let from = now.meta.number;
    let known = numbers(env.files, &env.state)?;
    let to = if let Some(n) = to {
        known.contains(&n).then_some(n).ok_or(ApplyError::NoSuch(n))?
    } else {
        let confirmed = confirmed(env.files, &env.state)?.filter(|n| *n != from);
        let before = now.meta.from.filter(|n| known.contains(n));
        let lower = known.iter().rev().find(|n| **n < from).copied();
        confirmed.or(before).or(lower).ok_or(ApplyError::NothingBack)?
    };
    if to == from {
        return Ok(Report { from: Some(from), generation: Some(from), finished, ..Report::default() });
    }
    let back = confirmed(env.files, &env.state)? == Some(to);
    let consent = if back { unconfirmed } else { consent };
    Ok(Report { finished, ..take_back(env, &now, to, by, consent, When::Running)? })
}

const WANTS_NONE: Consent<'static> = &|_, _, _| Ok(None);

/// Takes back a trial whose time has run out; otherwise changes nothing.
pub fn expire(env: &Env<'_>) -> Result<Report, ApplyError> {
    // It comes once: if another command is at work, perhaps the very apply that began the trial, it waits.
    let _lock = lock_as(env, FlockArg::LockExclusive)?;
    let (finished, _) = settle_as_far_as_possible(env)?;
    let Some(now) = current_generation(env)? else { return Ok(Report::default()) };
    let number = Some(now.meta.number);
    match running_trial(env, now.meta.number)? {
        Some(trial) if trial.standing(env) == Standing::Over => {
            tell_expired(now.meta.number, trial.back_to);
            Ok(Report { finished, ..take_back(env, &now, trial.back_to, BY_ITSELF, WANTS_NONE, When::Running)? })
        }
        trial => {
            let trial_until = trial.map(|t| t.due());
            Ok(Report { from: number, generation: number, finished, trial_until, ..Report::default() })
        }
    }
}

fn tell_expired(number: u64, back_to: u64) {
    log::warn!(
        MESSAGE_ID = event::TRIAL_EXPIRED, GENERATION = number, BACK_TO = back_to;
        "generation {number} was not confirmed in time; going back to {back_to}"
    );
}

/// Who takes back a trial that nobody confirmed.
const BY_ITSELF: &str = "custodian";

/// Confirms the current generation, if its cameras are as they should be. Says whether it had not been confirmed before.
pub fn confirm(env: &Env<'_>) -> Result<(u64, bool), ApplyError> {
    let _lock = lock(env)?;
    settle(env)?;
    let now = current_generation(env)?.ok_or(ApplyError::Nothing)?;
    let number = now.meta.number;
    if confirmed(env.files, &env.state)? == Some(number) {
        return Ok((number, false));
    }
    if let Some(trial) = running_trial(env, number)?
        && trial.standing(env) == Standing::Over
    {
        take_back(env, &now, trial.back_to, BY_ITSELF, WANTS_NONE, When::Running)?;
        return Err(ApplyError::Expired);
    }
    let doubts = doubts(env.cameras, &now.meta);
    if !doubts.is_empty() {
        return Err(ApplyError::Doubts(doubts));
    }
    set_confirmed(env, number)?;
    trial::end(env)?;
    Ok((number, true))
}

/// At boot: lays the network's files, finishes or forgets what was cut short, takes back a trial that is over, and writes this boot's units. Needs no network,
/// and may be done again at any time.
pub fn activate(env: &Env<'_>) -> Result<Report, ApplyError> {
    let lock = lock(env);
    // Another command at work knows what it writes.
    if !matches!(lock, Err(ApplyError::Busy)) {
        wires::lay(env);
    }
    let _lock = lock?;
    let (finished, _) = settle_as_far_as_possible(env)?;
    let Some(mut now) = current_generation(env)? else { return Ok(Report { finished, ..Report::default() }) };
    let from = now.meta.number;
    let mut report = Report { from: Some(from), generation: Some(from), ..Report::default() };
    if let Some(trial) = running_trial(env, from)? {
        // In the boot that saw it begin, services run.
        let when = if trial.is_of(&env.boot) { When::Running } else { When::Booting };
        if let Some(until) = go_on_with(env, &trial)? {
            report.trial_until = Some(until);
        } else {
            tell_expired(from, trial.back_to);
            report = take_back(env, &now, trial.back_to, BY_ITSELF, WANTS_NONE, when)?;
            now = current_generation(env)?.ok_or(ApplyError::Nothing)?;
        }
    }
    let there = own_units(env)?;
    let steps = boot_steps(&there, &now.units);
    report.steps.extend(carry_out(env, now.meta.number, &steps, When::Booting)?);
    report.finished = finished;
    Ok(report)
}

/// Units and other files of ours that are there.
fn own_units(env: &Env<'_>) -> Result<Units, ApplyError> {
    read_boot(env.files, &env.unit_dir, |text| text.starts_with(HEADER))
}

/// Sees to it that a trial ends; says when, or nothing if it has to end now.
fn go_on_with(env: &Env<'_>, trial: &Trial) -> Result<Option<WallNs>, ApplyError> {
    let Standing::Left(left) = trial.standing(env) else { return Ok(None) };
    let trial = if trial.is_of(&env.boot) { trial.clone() } else { trial.rebooted(env) };
    trial.save(env)?;
    match env.manager.arm(trial.generation, left) {
        Ok(()) => Ok(Some(trial.due())),
        Err(e) => {
            log::error!(
                GENERATION = trial.generation, CAUSE:% = e;
                "nothing would end the trial of generation {}, so it ends now: {e}", trial.generation
            );
            Ok(None)
        }
    }
}

/// What makes the unit folder say what the generation says, and starts its disks.
fn boot_steps(there: &Units, wanted: &Units) -> Vec<Step> {
    let gone = there.keys().filter(|unit| !wanted.contains_key(*unit));
    let mut steps: Vec<Step> = gone.map(|unit| Step::RemoveUnit { unit: unit.clone() }).collect();
    let changed = wanted.iter().filter(|(unit, text)| there.get(*unit) != Some(text));
    steps.extend(changed.map(|(unit, text)| Step::WriteUnit { unit: unit.clone(), text: text.clone() }));
    // Always: when the files were written by an attempt that was cut short, nothing says whether systemd has read them.
    steps.push(Step::ReloadManager);
    let mounts = wanted.keys().filter(|unit| plan::is_mount(unit));
    steps.extend(mounts.map(|unit| Step::Start { unit: unit.clone() }));
    steps
}

/// What differs between two generations.
pub fn diff(files: &dyn Files, state: &Path, old: u64, new: u64) -> Result<Difference, ApplyError> {
    let (a, b) = (load(files, state, old)?, load(files, state, new)?);
    let names = (format!("{old}/site.toml"), format!("{new}/site.toml"));
    Ok(Difference { site: unified(&a.site, &b.site, (&names.0, &names.1)), secrets: a.secrets != b.secrets })
}
