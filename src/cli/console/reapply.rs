//! A site from a stick: read, shown, and applied if a person with the PIN wants it.

use std::{fs, io, thread, time::Duration};

use super::{Console, Dialog, Shown, keys::Asked, manners, receipt, t};
use crate::{
    apply::{self, ApplyError, Report},
    cli::{apply as applied, check::text_of_errors, generations, plan as planned, recovery},
    console::Paint,
    plan::Plan,
    services::{
        applying::{self, Answer, How, Place},
        factors::SealedWord,
        planning::{self, Ask, Wanted},
        recovering::RecoveryError,
        stick::{Stick, StickError},
    },
    sys::{Files as _, RealCommands, RealFiles},
};

/// How long a trial is.
const TRIAL: Duration = Duration::from_mins(5);

/// Files on a stick.
const SITE: &str = "site.toml";
const SECRETS: &str = "secrets.toml";

/// What was read, and what it would do.
struct Offer {
    wanted: Wanted,
    plan: Plan,
    /// Whether passwords came from the stick.
    brings_secrets: bool,
}

impl Console<'_> {
    /// From plugging in to pulling out.
    pub(super) fn reapply(&mut self) -> io::Result<()> {
        let title = self.dialog.t("key_a", &[]);
        let ready = [('y', self.dialog.t("stick_ready", &[]))];
        let ask = self.dialog.t("stick_ask", &[]);
        if self.dialog.read(&title, Paint::Title, &ask, &ready)?.is_none() {
            return Ok(());
        }
        self.dialog.say(&title, &self.dialog.t("stick_reading", &[]))?;
        let said = match Stick::open(&RealCommands, &thread::sleep) {
            Ok(stick) => self.with_stick(&title, &stick)?,
            Err(e) => Some((Paint::Bad, self.dialog.stick(&e))),
        };
        if let Some((paint, text)) = said {
            let out = self.dialog.t("stick_out", &[]);
            self.dialog.read(&title, paint, &format!("{text}\n\n{out}"), &[])?;
        }
        Ok(())
    }

    /// What is to be said at the end; nothing if they left.
    fn with_stick(&mut self, title: &str, stick: &Stick<'_>) -> io::Result<Option<(Paint, String)>> {
        let offer = match self.offer(stick) {
            Ok(offer) => offer,
            Err(text) => return Ok(Some((Paint::Bad, format!("{text}\n\n{}", self.dialog.t("nothing_changed", &[]))))),
        };
        let lang = self.dialog.lang;
        let text = planned::as_text(&offer.plan, &offer.wanted.site, false, lang, false);
        if offer.plan.is_empty() && offer.plan.recover.is_empty() {
            self.dialog.read(title, Paint::Good, &text, &[])?;
            // Passwords that are in force already lie about on the stick all the same.
            return if offer.brings_secrets { self.wipe(title, stick, "") } else { Ok(None) };
        }
        let manners = [('t', self.dialog.t("try", &[])), ('y', self.dialog.t("apply", &[]))];
        let Some(manner) = self.dialog.read(title, Paint::Title, &text, &manners)? else { return Ok(None) };
        let trial = (manner == 't').then_some(TRIAL);
        let why = self.dialog.t("pin_for_apply", &[("site", offer.wanted.site.name())]);
        if !self.dialog.pin(&self.place.state, &why)? {
            return Ok(None);
        }
        let guarded = offer.plan.guarded().count();
        let word = if guarded == 0 {
            None
        } else {
            match self.word(guarded)? {
                Some(word) => Some(word),
                None => return Ok(None),
            }
        };
        self.apply(title, stick, offer, trial, word.as_ref())
    }

    /// Reads both files, and plans. An error is for the person.
    fn offer(&mut self, stick: &Stick<'_>) -> Result<Offer, String> {
        let lang = self.dialog.lang;
        let text = stick.read(SITE).map_err(|e| self.dialog.stick(&e))?;
        let brought = match stick.read(SECRETS) {
            Ok(secrets) => Some(secrets),
            Err(StickError::NoFile(_)) => None,
            Err(e) => return Err(self.dialog.stick(&e)),
        };
        let brings_secrets = brought.is_some();
        // Passwords stay as they are unless the stick brings others.
        let secrets = brought.or_else(|| fs::read_to_string(self.place.state.join("current").join(SECRETS)).ok());
        let wanted = planning::of_texts(text, secrets).map_err(|e| text_of_errors(&[e], lang, false))?;
        let plan = planning::make(&ask(&self.place), &wanted).map_err(|e| format!("{e:#}"))?;
        let plan = plan.map_err(|refused| planned::refused_text(&refused, lang))?;
        Ok(Offer { wanted, plan, brings_secrets })
    }

    /// Leadership's word. None: there is none.
    fn word(&mut self, guarded: usize) -> io::Result<Option<SealedWord>> {
        let ask = self.dialog.t("reason_ask", &[("count", &guarded.to_string())]);
        self.sealed(&ask)
    }

    /// A reason, for which this asks, and the code from the envelope. None: they left.
    pub(super) fn sealed(&mut self, ask: &str) -> io::Result<Option<SealedWord>> {
        let title = self.dialog.t("sealed_title", &[]);
        let reason = loop {
            match self.dialog.line(&title, ask, false)? {
                None => return Ok(None),
                Some(reason) if reason.trim().is_empty() => {}
                Some(reason) => break reason,
            }
        };
        let ask = self.dialog.t("sealed_ask", &[]);
        let state = self.place.state.clone();
        self.dialog.factor(&title, &ask, "sealed_malformed", |typed| SealedWord::check(&state, typed, &reason))
    }

    fn apply(
        &mut self,
        title: &str,
        stick: &Stick<'_>,
        offer: Offer,
        trial: Option<Duration>,
        word: Option<&SealedWord>,
    ) -> io::Result<Option<(Paint, String)>> {
        self.dialog.say(title, &self.dialog.t("applying", &[]))?;
        let Offer { wanted, plan, brings_secrets } = offer;
        let (site, secrets) = (wanted.text.clone(), wanted.secrets.clone());
        let lang = self.dialog.lang;
        let paper = receipt::Paper::new(&plan, &wanted.site, lang);
        let mut keys = Asked::new(&mut self.dialog);
        let how = How {
            shown: Some(plan),
            authority: word.map(|w| w as &dyn crate::plan::guard::Authority),
            trial,
            keys: Some(&mut keys),
            ..How::default()
        };
        let report = match applying::apply(&self.place, &ask(&self.place), wanted, how) {
            Ok(Answer::Applied(report)) => report,
            Ok(Answer::Refused(refused)) => return Ok(Some((Paint::Bad, planned::refused_text(&refused, lang)))),
            Err(e) => return Ok(Some((Paint::Bad, self.dialog.failed(&e)))),
        };
        let (_, shown) = manners(Some(lang), self.place.site().as_ref());
        let text = applied::as_text(&report, &shown, lang);
        let (kept, text) = if trial.is_some() { self.confirm(title, &report, &text)? } else { (true, text) };
        if kept {
            self.keep(&site, secrets.as_deref());
        }
        let paper = paper.of(&report, &text, kept, &self.place.state, &shown);
        let written = paper
            .files()
            .into_iter()
            .try_for_each(|(name, text)| stick.write(&name, &text).map(|()| log::info!("the stick has {name} now")));
        let end = match written {
            Ok(()) => format!("{text}\n\n{}", self.dialog.t("receipt_written", &[("file", &paper.name())])),
            Err(e) => format!("{text}\n\n{}", self.dialog.t("receipt_failed", &[("why", &self.dialog.stick(&e))])),
        };
        if kept && brings_secrets { self.wipe(title, stick, &end) } else { Ok(Some((Paint::Good, end))) }
    }

    /// What the person gave is what lies in the folder for it, from which a technician copies it. It is in force without it.
    fn keep(&self, site: &str, secrets: Option<&str>) {
        let folder = self.place.state.join("etc");
        if !folder.is_dir() {
            return;
        }
        for (name, text) in [(SITE, Some(site)), (SECRETS, secrets)] {
            let Some(text) = text else { continue };
            if let Err(e) = RealFiles.write(&folder.join(name), text.as_bytes(), 0o600, None) {
                log::warn!("{name} in {} is not the one in force: {e}", folder.display());
            }
        }
    }

    /// The trial, until it is kept or taken back. Whether it was kept, and what is to be said.
    fn confirm(&mut self, title: &str, report: &Report, text: &str) -> io::Result<(bool, String)> {
        let keys = [('c', self.dialog.t("keep", &[])), ('r', self.dialog.t("back", &[]))];
        let (mut paint, mut page) = (Paint::Warn, format!("{text}\n\n{}", self.dialog.t("trial_look", &[])));
        let lang = self.dialog.lang;
        loop {
            match self.dialog.read(title, paint, &page, &keys)? {
                Some('c') => {}
                Some(_) => {
                    let back =
                        applying::rollback(&self.place, report.from, Some("a trial that was not kept".to_owned()));
                    let shown = Shown::new(self.place.site().map_or(jiff::tz::TimeZone::UTC, |s| s.timezone().clone()));
                    return Ok((
                        false,
                        back.map_or_else(|e| self.dialog.failed(&e), |r| applied::as_text(&r, &shown, lang)),
                    ));
                }
                None => return Ok((false, format!("{text}\n\n{}", self.dialog.t("trial_left", &[])))),
            }
            match self.place.act(apply::confirm) {
                Ok((generation, _)) if Some(generation) == report.generation => {
                    let confirmed = t(lang, "apply.confirmed", &[("generation", &generation.to_string())]);
                    return Ok((true, format!("{text}\n{confirmed}")));
                }
                Ok(_) => return Ok((false, self.dialog.t("trial_over", &[]))),
                Err(e) => {
                    page = self.dialog.failed(&e);
                    paint = Paint::Bad;
                }
            }
        }
    }

    /// Offers to wipe the passwords from the stick.
    fn wipe(&mut self, title: &str, stick: &Stick<'_>, said: &str) -> io::Result<Option<(Paint, String)>> {
        let ask = format!("{said}\n\n{}", self.dialog.t("wipe_ask", &[]));
        let keys = [('w', self.dialog.t("wipe", &[])), ('n', self.dialog.t("wipe_not", &[]))];
        if self.dialog.read(title, Paint::Warn, ask.trim_start(), &keys)? != Some('w') {
            return Ok(Some((Paint::Warn, self.dialog.t("wiped_not", &[]))));
        }
        self.dialog.say(title, &self.dialog.t("wiping", &[]))?;
        Ok(Some(match stick.wipe(SECRETS) {
            Ok(()) => (Paint::Good, self.dialog.t("wiped", &[])),
            Err(e) => {
                let text = [self.dialog.stick(&e), self.dialog.t("wiped_not", &[])].join("\n");
                (Paint::Bad, text)
            }
        }))
    }
}

/// As `custodian apply` asks on this machine: which recorder it is, is known.
fn ask(place: &Place) -> Ask {
    Ask { site: SITE.into(), secrets: None, recorder: None, state: place.state.clone(), offline: false }
}

impl Dialog<'_> {
    /// What is the matter with a stick, and what to do.
    pub(super) fn stick(&self, e: &StickError) -> String {
        let say = |key: &str, values: &[(&str, &str)]| self.t(&format!("stick_{key}"), values);
        match e {
            StickError::None => say("none", &[]),
            StickError::Several => say("several", &[]),
            StickError::Disguised(name) => say("disguised", &[("name", name)]),
            StickError::Label(found) => say("label", &[("found", &found.join(", "))]),
            StickError::NotFat(found) => say("not_fat", &[("found", found)]),
            StickError::NoFile(file) => say("no_file", &[("file", file)]),
            StickError::TooLong(file) => say("too_long", &[("file", file)]),
            StickError::NoText(file) => say("no_text", &[("file", file)]),
            StickError::Gone(why) => say("gone", &[("why", why)]),
            StickError::Written(why) => say("written", &[("why", why)]),
            StickError::NotWiped(file) => say("not_wiped", &[("file", file)]),
            StickError::Program(why) => say("program", &[("why", why)]),
            StickError::Lacks(file) => say("lacks", &[("file", file)]),
            StickError::Longer(file) => say("longer", &[("file", file)]),
            StickError::NoUpdate => say("no_update", &[]),
            StickError::Here(why) => say("here", &[("why", why)]),
            StickError::Left => say("left", &[]),
            StickError::NoKey => say("no_key", &[]),
        }
    }

    /// Why nothing was applied, or not kept.
    fn failed(&self, e: &anyhow::Error) -> String {
        if let Some(e) = e.downcast_ref::<RecoveryError>() {
            return recovery::in_words(e, self.lang).1;
        }
        match e.downcast_ref::<ApplyError>() {
            Some(ApplyError::Stale(parts)) => applied::stale_text(parts, self.lang),
            Some(ApplyError::Doubts(doubts)) => {
                let lines: Vec<String> =
                    doubts.iter().map(|d| format!("  - {}", generations::in_words(d, self.lang))).collect();
                format!("{}\n{}", t(self.lang, "apply.doubts", &[]), lines.join("\n"))
            }
            Some(ApplyError::Busy) => self.t("busy", &[]),
            _ => format!("{e:#}"),
        }
    }
}
