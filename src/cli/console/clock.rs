//! The clock: what it says, who keeps it and whether deletion waits for it; a word that it is right, and setting it by hand.

use std::{io, thread, time::Duration};

use super::{Console, Shown, manners};
use crate::{
    cli::time,
    console::Paint,
    services::clock::{self, Keeper, STEP_NS, SetError, Waits},
    sys::{Clock as _, RealClock, RealCommands},
    types::WallNs,
};

/// The recorder looks at the clock every five seconds: until it has seen a step it has nothing to be told.
const NOTICES: u32 = 20;
/// Between two questions whether it has.
const AGAIN: Duration = Duration::from_millis(500);
/// Stands in what a person is asked for.
const EXAMPLE: &str = "2026-11-22 15:30";

impl Console<'_> {
    pub(super) fn clock(&mut self) -> io::Result<()> {
        let title = self.dialog.t("key_t", &[]);
        self.dialog.say(&title, "…")?;
        let (keeper, waits) = (clock::keeper(&RealCommands), clock::waits(&self.place.state));
        let steps = if keeper == Keeper::Server { "clock_steps_kept" } else { "clock_steps_free" };
        let text = format!("{}\n\n{}", self.clock_now(keeper, &waits), self.dialog.t(steps, &[]));
        let mut keys = Vec::new();
        if waits != Waits::Nothing {
            keys.push(('c', self.dialog.t("clock_right", &[])));
        }
        if keeper != Keeper::Server {
            keys.push(('s', self.dialog.t("clock_set", &[])));
        }
        match self.dialog.read(&title, Paint::Title, &text, &keys)? {
            Some('c') => self.vouch(&title, false),
            Some(_) => self.set_clock(&title),
            None => Ok(()),
        }
    }

    fn shown(&self) -> Shown {
        manners(None, self.place.site().as_ref()).1
    }

    /// What is known of the clock.
    fn clock_now(&self, keeper: Keeper, waits: &Waits) -> String {
        let (shown, site) = (self.shown(), self.place.site());
        let now = shown.second(RealClock.wall());
        let keeps = match keeper {
            Keeper::Server => "clock_kept",
            Keeper::Unanswered => "clock_unanswered",
            Keeper::Nobody => "clock_nobody",
        };
        let recorder = self.last.as_ref().and_then(|looked| looked.seen.report.recorder.clone());
        let network = site.as_ref().zip(recorder).and_then(|(site, id)| site.recorder(&id)?.network.clone());
        let servers = network.map(|network| network.ntp.join(", ")).unwrap_or_default();
        let servers = if servers.is_empty() {
            self.dialog.t("clock_servers_none", &[])
        } else {
            self.dialog.t("clock_servers", &[("servers", &servers)])
        };
        let lines = [
            self.dialog.t("clock_now", &[("now", &now), ("zone", shown.zone())]),
            self.dialog.t(keeps, &[]),
            servers,
            self.waiting(waits),
        ];
        lines.join("\n")
    }

    fn waiting(&self, waits: &Waits) -> String {
        match waits {
            Waits::Nothing => self.dialog.t("clock_trusted", &[]),
            Waits::Deletion(why) => self.dialog.t("clock_waits", &[("why", why)]),
            Waits::Younger(seconds) => self.dialog.t("clock_younger", &[("length", &of_seconds(*seconds))]),
            Waits::Unknown(why) => self.dialog.t("clock_not_known", &[("why", why)]),
        }
    }

    /// Somebody says that the clock is right; the PIN is asked for unless it was given just now.
    fn vouch(&mut self, title: &str, is_let_in: bool) -> io::Result<()> {
        let now = self.shown().second(RealClock.wall());
        let ask = self.dialog.t("clock_by", &[("now", &now)]);
        let Some(by) = self.words(title, &ask)? else { return Ok(()) };
        let ask = self.dialog.t("clock_reason", &[]);
        let Some(reason) = self.words(title, &ask)? else { return Ok(()) };
        let why = self.dialog.t("clock_right_why", &[]);
        if !is_let_in && !self.dialog.pin(&self.place.state, &why)? {
            return Ok(());
        }
        self.dialog.say(title, &why)?;
        let (paint, text) = match clock::trust(&self.place.state, &by, &reason) {
            Ok(()) => (Paint::Good, self.dialog.t("clock_right_done", &[])),
            Err(e) => (Paint::Bad, self.dialog.t("clock_right_failed", &[("why", &e.to_string())])),
        };
        self.dialog.read(title, paint, &text, &[]).map(|_| ())
    }

    /// Something that must not be left empty. None: they left.
    fn words(&mut self, title: &str, ask: &str) -> io::Result<Option<String>> {
        loop {
            match self.dialog.line(title, ask, false)? {
                Some(typed) if typed.trim().is_empty() => {}
                Some(typed) => return Ok(Some(typed.trim().to_owned())),
                None => return Ok(None),
            }
        }
    }

    fn set_clock(&mut self, title: &str) -> io::Result<()> {
        let shown = self.shown();
        let mut bad = String::new();
        let (wanted, at) = loop {
            let now = shown.second(RealClock.wall());
            let values = [("now", &*now), ("zone", shown.zone()), ("example", EXAMPLE)];
            let ask = format!("{bad}{}", self.dialog.t("clock_type", &values));
            let Some(typed) = self.dialog.line(title, &ask, false)? else { return Ok(()) };
            let at = RealClock.monotonic();
            if let Some(wanted) = clock::typed(&typed, shown.time_zone()) {
                break (wanted, at);
            }
            bad = self.dialog.t("clock_bad", &[("example", EXAMPLE)]) + "\n\n";
        };
        let old = RealClock.wall();
        let by = wanted.since(old);
        let change = self.change(old, wanted, &shown);
        let is_far = by.saturating_abs() > STEP_NS;
        if is_far {
            let text = format!("{change}\n\n{}", self.dialog.t("clock_far", &[]));
            let keys = [('s', self.dialog.t("clock_set", &[]))];
            if self.dialog.read(title, Paint::Warn, &text, &keys)?.is_none() {
                return Ok(());
            }
        }
        if !self.dialog.pin(&self.place.state, &change)? {
            return Ok(());
        }
        self.dialog.say(title, &self.dialog.t("clock_setting", &[]))?;
        let done = clock::set(&RealCommands, &RealClock, wanted, at);
        if matches!(done, Ok(()) | Err(SetError::Service(_))) {
            log::warn!("the clock was set at the console by {:+.0} s, from {old}", by as f64 / 1e9);
        }
        let refused = match done {
            Ok(()) => None,
            Err(SetError::Kept) => Some(self.dialog.t("clock_set_kept", &[])),
            Err(SetError::Failed(why)) => Some(self.dialog.t("clock_set_failed", &[("why", &why)])),
            Err(SetError::Service(why)) => Some(self.dialog.t("clock_set_service", &[("why", &why)])),
        };
        if let Some(refused) = refused {
            return self.dialog.read(title, Paint::Bad, &refused, &[]).map(|_| ());
        }
        let waits = self.after_a_step(is_far);
        let offer = waits != Waits::Nothing;
        let (said, keys) = if offer {
            ("clock_set_done", vec![('c', self.dialog.t("clock_right", &[]))])
        } else {
            ("clock_set_enough", Vec::new())
        };
        let text = format!("{}\n\n{}", self.clock_now(clock::keeper(&RealCommands), &waits), self.dialog.t(said, &[]));
        match self.dialog.read(title, Paint::Good, &text, &keys)? {
            Some(_) => self.vouch(title, true),
            None => Ok(()),
        }
    }

    /// What waits once the recorder has seen that the clock was set.
    fn after_a_step(&self, is_far: bool) -> Waits {
        for _ in 0..NOTICES {
            let waits = clock::waits(&self.place.state);
            if !is_far || waits != Waits::Nothing {
                return waits;
            }
            thread::sleep(AGAIN);
        }
        Waits::Nothing
    }

    fn change(&self, old: WallNs, new: WallNs, shown: &Shown) -> String {
        let by = new.since(old);
        let key = if by < 0 { "clock_back" } else { "clock_ahead" };
        let values = [
            ("length", &*time::length(by.saturating_abs())),
            ("old", &*shown.second(old)),
            ("new", &*shown.second(new)),
        ];
        self.dialog.t(key, &values)
    }
}

fn of_seconds(seconds: u64) -> String {
    time::length(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000))
}
