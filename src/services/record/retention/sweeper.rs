//! The thread that looks, decides, and sends others to remove.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use jiff::civil::Date;

use super::{
    accounts::{self, Accounts},
    gather::Question,
    measure,
    removal::{self, Decided},
    report, short, trust,
};
use crate::{
    ledger::What,
    retention::{
        holds::Held,
        policy::{self, Admission, Retirement},
    },
    services::record::Shared,
    store::{
        Footage as _,
        index::{IndexError, Reader},
    },
    sys::{Monotonic, RealCommands, is_synchronised},
    types::{CameraId, VolumeName, event, story},
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// Between two reckonings of what there is and what comes, while nothing else changes.
const RECKON: Duration = Duration::from_mins(10);
/// What is overdue goes together, so often.
const OVERDUE: Duration = Duration::from_mins(15);
/// After something was removed the room of a volume is what it is only after its next commit.
const REST: Duration = Duration::from_secs(10);
/// What is kept is measured so often; the last word of a day stays.
const MEASURE: Duration = Duration::from_hours(1);
/// Segments that somebody is sent to remove at a time. Small ones come by the ten thousand, and a volume rests after each time.
const AT_A_TIME: usize = 4096;
/// The newest time that was seen is noted so often.
const NOTE: Duration = Duration::from_mins(1);
/// How long a stop waits for disks.
const LEAVE: Duration = Duration::from_secs(2);

/// What the last reckoning rests on, beside the footage.
struct Basis {
    at: Monotonic,
    site: [u8; 32],
    held: Arc<Held>,
    volumes: BTreeSet<VolumeName>,
    /// Those whose footage is all in the index.
    compared: BTreeSet<VolumeName>,
    by_sub: BTreeSet<CameraId>,
}

/// The thread.
pub(in crate::services::record) struct Sweeper {
    shared: Arc<Shared>,
    basis: Option<Basis>,
    /// Why the last look came to nothing.
    problem: Option<String>,
    /// When what was overdue on a volume went last.
    overdue: BTreeMap<VolumeName, Monotonic>,
    noted: Option<Monotonic>,
    /// When, and with which volumes, it was measured what is kept.
    measured: Option<(Monotonic, BTreeSet<VolumeName>)>,
    announced: Option<Date>,
    busy: BTreeMap<VolumeName, JoinHandle<()>>,
}

impl Sweeper {
    /// Starts it.
    pub(in crate::services::record) fn start(shared: &Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
        let this = Self {
            shared: shared.clone(),
            basis: None,
            problem: None,
            overdue: BTreeMap::new(),
            noted: None,
            measured: None,
            announced: None,
            busy: BTreeMap::new(),
        };
        std::thread::Builder::new().name("retention".into()).spawn(move || this.run())
    }

    fn run(mut self) {
        let mut events = self.shared.store.events();
        while !self.shared.stopping.load(Ordering::SeqCst) {
            // Who cannot look in the index decides nothing: it is a doubt until a look succeeds.
            self.problem = self.look().err().map(|e| {
                format!("{}; if that stays, `custodian reindex` makes the index anew from the volumes", story(&e))
            });
            if let Some(problem) = self.problem.clone() {
                let doubts = self.shared.retention.look_for_doubts(&self.shared, Some(problem));
                self.shared.retention.note_doubts(doubts);
            }
            let began = self.shared.clock.monotonic();
            // A volume that has failed makes guests of its cameras: at once.
            while !self.shared.stopping.load(Ordering::SeqCst)
                && self.shared.clock.monotonic().since(began) < LOOK
                && events.try_recv().is_err()
            {
                std::thread::park_timeout(Duration::from_millis(200));
            }
        }
        let leave = self.shared.clock.monotonic();
        while self.busy.values().any(|t| !t.is_finished()) && self.shared.clock.monotonic().since(leave) < LEAVE {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Looks once at everything.
    fn look(&mut self) -> Result<(), IndexError> {
        let shared = self.shared.clone();
        self.look_at_clock();
        self.look_at_removals();
        let opened = Reader::open(&shared.paths.index());
        let doubts = shared.retention.look_for_doubts(&shared, self.problem.clone());
        shared.retention.note_doubts(doubts);
        let index = opened?;
        let accounts = self.reckon(&index)?;
        self.decide(&index, &accounts)?;
        self.measure(&index, &accounts)?;
        Ok(())
    }

    /// Measures what is kept, so often, and whenever a volume comes or goes.
    fn measure(&mut self, index: &Reader, accounts: &Accounts) -> Result<(), IndexError> {
        let (shared, now) = (&self.shared, self.shared.clock.monotonic());
        let there: BTreeSet<VolumeName> = shared.store.answering().into_keys().collect();
        let known = |(at, with): &(Monotonic, BTreeSet<VolumeName>)| now.since(*at) < MEASURE && *with == there;
        let trust = &shared.retention.trust;
        // By a wrong clock days would be noted that never were, and those that were would be forgotten.
        if self.measured.as_ref().is_some_and(known) || !measure::may_be_measured(shared) || !trust.stands() {
            return Ok(());
        }
        let today = trust.wall().timestamp().to_zoned(shared.site().timezone().clone()).date();
        measure::measure(shared, index, accounts, today)?;
        self.measured = Some((now, there));
        if self.announced != Some(today) {
            report::announce(shared);
            self.announced = Some(today);
        }
        Ok(())
    }

    fn look_at_clock(&mut self) {
        let (shared, now) = (&self.shared, self.shared.clock.monotonic());
        let trust = &shared.retention.trust;
        if trust.look(&|| is_synchronised(&RealCommands)) {
            trust::note_clock(&shared.retention);
        }
        if self.noted.is_none_or(|at| now.since(at) >= NOTE) {
            self.noted = Some(now);
            if trust.doubt().is_none() {
                trust::note_clock(&shared.retention);
            } else {
                // What could not be written before.
                shared.retention.notes.change(|_| ());
            }
        }
    }

    /// After something was removed a volume rests, and where footage has a quota it is counted anew.
    fn look_at_removals(&mut self) {
        let (shared, now) = (&self.shared, self.shared.clock.monotonic());
        let done: Vec<VolumeName> =
            self.busy.extract_if(.., |_, thread| thread.is_finished()).map(|(name, _)| name).collect();
        for name in done {
            if accounts::quota(&shared.site(), shared, &name).is_some() {
                self.basis = None;
            }
            shared.retention.state().resting.insert(name, now);
        }
    }

    /// What there is and what comes, reckoned anew where something has changed.
    fn reckon(&mut self, index: &Reader) -> Result<Arc<Accounts>, IndexError> {
        let (shared, now) = (&self.shared, self.shared.clock.monotonic());
        let volumes = shared.store.volumes().into_iter().filter(|v| v.healthy || v.full).map(|v| v.name).collect();
        let basis = Basis {
            at: now,
            site: shared.site().hash(),
            held: shared.holds.held(),
            volumes,
            compared: shared.compared.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            by_sub: shared.retention.by_sub(),
        };
        let same = |b: &Basis| {
            now.since(b.at) < RECKON
                && b.site == basis.site
                && Arc::ptr_eq(&b.held, &basis.held)
                && b.volumes == basis.volumes
                && b.compared == basis.compared
                && b.by_sub == basis.by_sub
        };
        if self.basis.as_ref().is_some_and(|before| before.site != basis.site) {
            // What is overdue from now on goes now: somebody may be waiting for it.
            self.overdue.clear();
        }
        let known = shared.retention.state().accounts.clone();
        if let Some(known) = known.filter(|_| self.basis.as_ref().is_some_and(same)) {
            return Ok(known);
        }
        let accounts = Arc::new(accounts::reckon(shared, &shared.retention, index)?);
        shared.retention.state().accounts = Some(accounts.clone());
        self.basis = Some(basis);
        short::follow(shared, &accounts.by_sub);
        Ok(accounts)
    }

    fn decide(&mut self, index: &Reader, accounts: &Accounts) -> Result<(), IndexError> {
        let (shared, now) = (self.shared.clone(), self.shared.clock.monotonic());
        let retention = &shared.retention;
        let Some(site) = self.basis.as_ref().map(|basis| basis.site) else { return Ok(()) };
        let is_due = |name: &VolumeName| {
            !retention.is_suspended(name)
                && !self.busy.contains_key(name)
                && self.overdue.get(name).is_none_or(|at| now.since(*at) >= OVERDUE)
        };
        let roots = shared.store.roots();
        let overdue: BTreeSet<VolumeName> = roots.keys().filter(|name| is_due(name)).cloned().collect();
        let question = Question { shared: &shared, retention, index, accounts, overdue: &overdue };
        let state = question.state()?;
        let before = retention.state().admission.clone();
        let decision = policy::decide(&state, &before);
        self.admit(&decision.admission, &before, &state);
        let mut due: BTreeMap<VolumeName, Vec<Retirement>> = BTreeMap::new();
        for name in index.retiring()?.into_iter().map(|r| r.volume).filter(|name| roots.contains_key(name)) {
            due.entry(name).or_default();
        }
        // Whether a volume still refuses is seen by going there again.
        let refused: Vec<VolumeName> = retention.state().refusals.keys().cloned().collect();
        for name in refused.into_iter().filter(|name| roots.contains_key(name)) {
            due.entry(name).or_default();
        }
        for retirement in decision.retire {
            due.entry(retirement.volume.clone()).or_default().push(retirement);
        }
        for name in overdue.iter().filter(|name| !due.contains_key(*name)) {
            self.overdue.insert(name.clone(), now);
        }
        for (name, mut list) in due {
            // As long as there is more of it than goes at once, what is overdue is due again.
            let all = list.len() <= AT_A_TIME;
            list.truncate(AT_A_TIME);
            if self.send(&name, Decided { list, site }, now) && all && overdue.contains(&name) {
                self.overdue.insert(name, now);
            }
        }
        Ok(())
    }

    /// Says who may record where from now on, where that has changed.
    fn admit(&self, new: &Admission, before: &Admission, state: &policy::State) {
        if new == before {
            return;
        }
        let shared = &self.shared;
        shared.store.bar(new.barred().map(|(v, c)| (v.clone(), c.clone())).collect());
        let homes = |camera: &CameraId| state.cameras.get(camera).and_then(|c| c.recorded.as_ref()).map(|r| &r.homes);
        let is_home = |volume: &VolumeName, camera: &CameraId| homes(camera).is_some_and(|h| h.contains(volume));
        let barred = |a: &Admission| -> BTreeSet<(VolumeName, CameraId)> {
            a.barred().filter(|(v, c)| is_home(v, c)).map(|(v, c)| (v.clone(), c.clone())).collect()
        };
        for (volume, camera) in barred(new).symmetric_difference(&barred(before)) {
            let recorded = new.admits(volume, camera);
            if recorded {
                log::info!(
                    MESSAGE_ID = event::VOLUME_ROOM_AGAIN, VOLUME = volume.as_str(), CAMERA = camera.as_str();
                    "camera {camera}: volume {volume} has room for it again"
                );
            } else {
                log::error!(
                    MESSAGE_ID = event::VOLUME_FULL, VOLUME = volume.as_str(), CAMERA = camera.as_str();
                    "camera {camera}: volume {volume} is full of footage that must be kept and has no room for it"
                );
            }
            let (camera, volume) = (camera.clone(), volume.clone());
            shared.journal.put(What::Room { camera, volume, recorded, substream: false });
        }
        shared.retention.state().admission = new.clone();
    }

    /// Sends somebody to remove what goes from a volume, if nobody is there and its room is known. Whether somebody went.
    fn send(&mut self, name: &VolumeName, decided: Decided, now: Monotonic) -> bool {
        let shared = self.shared.clone();
        let resting = shared.retention.state().resting.get(name).copied();
        if self.busy.contains_key(name) || resting.is_some_and(|since| now.since(since) < REST) {
            return false;
        }
        let volume = name.clone();
        let remove = move || removal::carry_out(&shared, &shared.retention, &volume, &decided);
        match std::thread::Builder::new().name(format!("retire {name}")).spawn(remove) {
            Ok(thread) => {
                self.busy.insert(name.clone(), thread);
                true
            }
            Err(e) => {
                log::error!(VOLUME = name.as_str(), CAUSE:% = e; "volume {name}: nothing can be removed: {e}");
                false
            }
        }
    }
}
