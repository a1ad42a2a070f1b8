//! An installation from its first line to its last, with a person or with install.toml. What it says is plain text, a line at a time, for a
//! screen of 80 columns or a serial line.

mod ending;
mod show;

use std::{io, time::Duration};

use self::show::Shown;
use super::{Done, Installer, Looked, Refusal, Tell, end::go_on_without_a_screen, is_in};
use crate::{
    disks::{self, RecoveryKey, Secret},
    factors::PinError,
    install::{self, FootageState, Order, Question, Questions, Then, View, Wrong, file, text},
    lang::t,
    plan::{self, Plan, Recover, Refused},
    services::planning::Wanted,
    site::{self, Errors, Recorder, Secrets, Site, Unlock},
    types::{Lang, RecorderId, VolumeName},
};

/// Where somebody may sit.
pub trait Desk {
    /// Shows some lines.
    fn say(&mut self, text: &str);
    /// Shows a question and reads a line; none: there is nobody.
    ///
    /// # Errors
    /// If it cannot be read.
    fn ask(&mut self, prompt: &str) -> io::Result<Option<String>>;
    /// Shows how far a copy is.
    fn copied(&mut self, done: u64, all: u64);
    /// Gives people some time to read.
    fn wait(&mut self, how_long: Duration);
}

/// What is done to the machine.
pub trait Hands {
    /// The version that is installed.
    fn version(&self) -> &str;
    /// See [`Installer::look`].
    ///
    /// # Errors
    /// If disks cannot be listed.
    fn look(&self) -> anyhow::Result<Looked>;
    /// On how many days there is footage on a disk, where that can be seen.
    fn days(&self, by_id: &str) -> Option<usize>;
    /// See [`Installer::check`].
    ///
    /// # Errors
    /// [`Refusal`].
    fn check(&self, looked: &Looked, wanted: &Wanted, recorder: &Recorder, view: &View) -> anyhow::Result<Plan>;
    /// See [`Installer::wanted_keys`].
    ///
    /// # Errors
    /// [`Refusal`].
    fn wanted_keys(&self, wanted: &Wanted, recorder: &Recorder, order: &Order) -> anyhow::Result<Vec<Recover>>;
    /// Whether a key opens a volume.
    ///
    /// # Errors
    /// If that cannot be tried.
    fn fits(&self, looked: &Looked, site: &Site, volume: &Recover, key: &RecoveryKey) -> anyhow::Result<bool>;
    /// See [`Installer::left_secrets`].
    fn left_secrets(&self, site: &Site, text: &str, passphrase: Option<&Secret>) -> Option<String>;
    /// See [`Installer::carry_out`]. Once it has come to its end no other console begins, until this one has left.
    ///
    /// # Errors
    /// What the first step that fails says.
    fn carry_out(
        &self,
        wanted: &Wanted,
        order: &Order,
        recover: &[(Recover, RecoveryKey)],
        tell: &mut dyn Tell,
    ) -> anyhow::Result<Done>;
    /// Whether the stick is in.
    fn stick_is_in(&self) -> bool;
}

impl Hands for Installer<'_> {
    fn version(&self) -> &str {
        &self.version
    }
    fn look(&self) -> anyhow::Result<Looked> {
        Installer::look(self)
    }
    fn days(&self, by_id: &str) -> Option<usize> {
        self.machine.sheet(by_id, None).ok()?.footage.map(|f| f.days)
    }
    fn check(&self, looked: &Looked, wanted: &Wanted, recorder: &Recorder, view: &View) -> anyhow::Result<Plan> {
        Installer::check(self, looked, wanted, recorder, view)
    }
    fn wanted_keys(&self, wanted: &Wanted, recorder: &Recorder, order: &Order) -> anyhow::Result<Vec<Recover>> {
        Installer::wanted_keys(self, wanted, recorder, order)
    }
    fn fits(&self, looked: &Looked, site: &Site, volume: &Recover, key: &RecoveryKey) -> anyhow::Result<bool> {
        let locked = disks::locked(&looked.survey, &volume.disk, site.id(), &volume.volume);
        Ok(locked.map_or(Ok(false), |disk| disk.fits(self.machine.commands, key))?)
    }
    fn left_secrets(&self, site: &Site, text: &str, passphrase: Option<&Secret>) -> Option<String> {
        Installer::left_secrets(self, site, text, passphrase)
    }
    fn carry_out(
        &self,
        wanted: &Wanted,
        order: &Order,
        recover: &[(Recover, RecoveryKey)],
        tell: &mut dyn Tell,
    ) -> anyhow::Result<Done> {
        self.lock.keep(|| {
            go_on_without_a_screen();
            Installer::carry_out(self, wanted, order, recover, tell)
        })
    }
    fn stick_is_in(&self) -> bool {
        is_in(&self.machine.roots.sys, &self.stick.disk)
    }
}

/// The files on the stick, as far as they are there. Has no `Debug`: there are passwords in it.
#[derive(Clone, Default)]
pub struct Papers {
    /// site.toml.
    pub site: Option<Vec<u8>>,
    /// secrets.toml.
    pub secrets: Option<Vec<u8>>,
    /// install.toml.
    pub install: Option<Vec<u8>>,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// All is done.
    Done {
        /// What comes now.
        then: Then,
        /// How long it is waited for that the stick is pulled: a code was shown, which somebody has to write down before.
        wait: Duration,
    },
    /// Nothing was changed.
    Refused,
    /// It was begun, and can be gone on with.
    Failed,
}

/// A refusal that has been said.
struct Said;

type Answer<T> = Result<T, Said>;

/// One installation.
pub struct Session<'a> {
    desk: &'a mut dyn Desk,
    hands: &'a dyn Hands,
    lang: Lang,
}

impl<'a> Session<'a> {
    /// `lang`: as it was asked for, which leaves the question out.
    pub fn run(desk: &'a mut dyn Desk, hands: &'a dyn Hands, papers: &Papers, lang: Option<Lang>) -> Ended {
        let mut session = Self { desk, hands, lang: lang.unwrap_or_default() };
        session.whole(papers, lang).unwrap_or(Ended::Refused)
    }

    fn say(&mut self, key: &str, values: &[(&str, &str)]) {
        let text = t(self.lang, &format!("install.{key}"), values);
        self.desk.say(&text);
    }

    /// Says why it goes no further.
    fn refuse<T>(&mut self, key: &str, values: &[(&str, &str)]) -> Answer<T> {
        self.say(key, values);
        Err(Said)
    }

    fn ask(&mut self, prompt: &str) -> Answer<String> {
        match self.desk.ask(prompt) {
            Ok(Some(line)) => Ok(line.trim().to_owned()),
            Ok(None) => self.refuse("gone", &[]),
            Err(e) => {
                log::error!(CAUSE:% = e; "nobody can be asked: {e}");
                self.refuse("gone", &[])
            }
        }
    }

    /// Asks until the number of a choice is given.
    fn choose(&mut self, prompt: &str, of: usize) -> Answer<usize> {
        loop {
            match self.ask(prompt)?.parse::<usize>() {
                Ok(n) if (1..=of).contains(&n) => return Ok(n - 1),
                _ => self.say("wrong_choice", &[]),
            }
        }
    }

    fn whole(&mut self, papers: &Papers, asked: Option<Lang>) -> Answer<Ended> {
        let file = match &papers.install {
            Some(bytes) => Some(self.install_file(bytes)?),
            None => None,
        };
        match &file {
            Some(file) => self.lang = asked.or(file.language).unwrap_or_default(),
            None if asked.is_none() => {
                self.say("language", &[]);
                let prompt = t(self.lang, "install.ask_language", &[]);
                self.lang = Lang::ALL[self.choose(&prompt, Lang::ALL.len())?];
            }
            None => {}
        }
        let version = self.hands.version().to_owned();
        self.say("title", &[("version", &version)]);
        let wanted = self.site(papers, file.as_ref().and_then(|f| f.passphrase.as_ref()))?;
        // What is written is for the school; what is shown may be English because this screen has no other letters.
        let written = match &file {
            Some(file) => file.language.unwrap_or(wanted.site.language()),
            None if asked.is_some() => wanted.site.language(),
            None => self.lang,
        };
        self.lang = asked.unwrap_or(written);
        let recorder = self.recorder(&wanted.site, file.as_ref().map(|f| &f.recorder))?.clone();
        let looked = match self.hands.look() {
            Ok(looked) => looked,
            Err(e) => return self.refuse("failed", &[("why", &format!("{e:#}"))]),
        };
        let view = install::look(&looked.survey, &looked.parted, &wanted.site, &recorder);
        self.show_machine(&looked, &view);
        let plan = self.checked(&looked, &wanted, &recorder, &view)?;
        self.show_plan(&plan, &recorder);
        let order = match &file {
            Some(file) => self.by_file(file, written, &recorder, &view)?,
            None => self.by_person(written, &recorder, &view, papers.secrets.is_some())?,
        };
        let wants = match self.hands.wanted_keys(&wanted, &recorder, &order) {
            Ok(wants) => wants,
            Err(e) => return Ok(self.failed(&e, false)),
        };
        if file.is_some() && !wants.is_empty() {
            for volume in &wants {
                self.say("misfit_recovery", &[("volume", volume.volume.as_str()), ("disk", &volume.disk)]);
            }
            return self.refuse("refused", &[]);
        }
        let mut keys = Vec::new();
        for volume in wants {
            let key = self.recovery_key(&looked, &wanted.site, &volume)?;
            keys.push((volume, key));
        }
        Ok(self.carry_out(&wanted, &order, &keys, recorder.unlock))
    }

    fn utf8(&mut self, name: &str, bytes: &[u8]) -> Answer<String> {
        // Windows' own editor begins with a mark.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => self.refuse("no_text", &[("file", name)]),
        }
    }

    fn install_file(&mut self, bytes: &[u8]) -> Answer<file::InstallFile> {
        let text = self.utf8("install.toml", bytes)?;
        match file::parse(&text) {
            Ok(file) => Ok(file),
            Err(mistakes) => {
                for mistake in mistakes {
                    self.say("mistake", &[("line", &mistake.line.to_string()), ("what", &mistake.what)]);
                }
                self.refuse("mistakes", &[])
            }
        }
    }

    /// Site and secrets, or all that is wrong with them.
    fn site(&mut self, papers: &Papers, passphrase: Option<&Secret>) -> Answer<Wanted> {
        let Some(bytes) = &papers.site else { return self.refuse("no_site", &[]) };
        let text = self.utf8("site.toml", bytes)?;
        let secrets = match &papers.secrets {
            Some(bytes) => Some(self.utf8("secrets.toml", bytes)?),
            None => None,
        };
        let mut wrong: Vec<Errors> = Vec::new();
        let site = site::parse(&text, "site.toml").map_err(|e| wrong.push(e)).ok();
        // They may have gone from the stick already.
        let wanting = secrets.is_none() && site.as_ref().is_some_and(|site| Secrets::default().cover(site).is_err());
        let left = site.as_ref().filter(|_| wanting).and_then(|s| self.hands.left_secrets(s, &text, passphrase));
        let secrets = secrets.or(left);
        let read = secrets.as_deref().map_or(Ok(Secrets::default()), |s| site::secrets::parse(s, "secrets.toml"));
        let read = read.map_err(|e| wrong.push(e)).ok();
        if let Some((site, read)) = site.as_ref().zip(read.as_ref()) {
            wrong.extend(read.cover(site).err());
        }
        match site {
            Some(site) if wrong.is_empty() => Ok(Wanted { site, text, secrets }),
            _ => {
                for errors in wrong {
                    let text = errors.render(self.lang, false);
                    self.desk.say(text.trim_end());
                }
                self.refuse("mistakes", &[])
            }
        }
    }

    /// Which recorder this is. Not asked where there is one only.
    fn recorder<'s>(&mut self, site: &'s Site, named: Option<&RecorderId>) -> Answer<&'s Recorder> {
        let all: Vec<&Recorder> = site.recorders().collect();
        if let Some(named) = named {
            let names: Vec<&str> = all.iter().map(|r| r.id.as_str()).collect();
            let values = [("recorder", named.as_str()), ("recorders", &names.join(", "))];
            return site.recorder(named).map_or_else(|| self.refuse("no_recorder", &values), Ok);
        }
        if let [only] = all.as_slice() {
            return Ok(only);
        }
        self.say("which", &[]);
        for (n, recorder) in all.iter().enumerate() {
            self.desk.say(&format!("  {}  {}", n + 1, recorder.id));
        }
        let prompt = t(self.lang, "install.ask_number", &[]);
        let n = self.choose(&prompt, all.len())?;
        Ok(all[n])
    }

    /// The plan; or why there is none.
    fn checked(&mut self, looked: &Looked, wanted: &Wanted, recorder: &Recorder, view: &View) -> Answer<Plan> {
        let mut wrong = Vec::new();
        if !view.systems.iter().any(|c| c.token.is_ok()) {
            wrong.push(t(self.lang, "install.no_system_disk", &[("needed", &disks::SMALLEST.to_string())]));
        }
        for disk in &view.footage {
            if let FootageState::Refused(why) = &disk.state {
                let why = t(self.lang, "install.cannot_use", &[("why", &text::no_footage(self.lang, why))]);
                let values = [("volume", disk.volume.as_str()), ("disk", disk.by_id.as_str())];
                wrong.push(format!("{}: {why}", t(self.lang, "install.footage_line", &values)));
            }
        }
        let found = self.hands.check(looked, wanted, recorder, view);
        match found {
            Ok(found) if wrong.is_empty() => return Ok(found),
            Ok(_) => {}
            Err(e) => match e.downcast_ref() {
                Some(Refusal::Plan(refused)) => match &**refused {
                    // The same, in other words, stands there already.
                    Refused::Disks(_) if !wrong.is_empty() => {}
                    Refused::Disks(notes) => wrong.extend(notes.iter().map(|n| plan::text::disk(self.lang, n))),
                    Refused::Links(notes) => wrong.extend(notes.iter().map(|n| plan::text::link(self.lang, n))),
                    Refused::Short { short, .. } => {
                        wrong.push(t(self.lang, "plan.refused_short", &[]));
                        wrong.extend(plan::text::short(self.lang, short));
                    }
                    Refused::Unsafe(_) => wrong.push(refused.to_string()),
                },
                Some(Refusal::Tpm(why)) => {
                    wrong.push(t(self.lang, "install.tpm", &[("why", &format!("{why:#}"))]));
                }
                _ => wrong.push(format!("{e:#}")),
            },
        }
        for line in wrong {
            self.desk.say(&line);
        }
        self.refuse("refused", &[])
    }

    fn by_file(&mut self, file: &file::InstallFile, written: Lang, recorder: &Recorder, view: &View) -> Answer<Order> {
        match install::order(file, written, recorder, view) {
            Ok(order) => Ok(order),
            Err(misfits) => {
                for misfit in misfits {
                    let text = text::misfit(self.lang, &misfit);
                    self.desk.say(&text);
                }
                self.refuse("refused", &[])
            }
        }
    }

    fn by_person(&mut self, written: Lang, recorder: &Recorder, view: &View, secrets: bool) -> Answer<Order> {
        let mut questions = Questions::new(recorder, view, secrets);
        self.say("lost", &[]);
        while let Some(question) = questions.next() {
            self.show_codes(question, view);
            let prompt = self.prompt(question, view);
            let line = self.ask(&prompt)?;
            match questions.answer(&line) {
                Ok(()) => {}
                Err(Wrong::Code) => self.say("wrong_code", &[]),
                Err(Wrong::Codes(missing)) => self.say("wrong_codes", &[("volumes", &list(missing.iter()))]),
                Err(Wrong::Pin(PinError::Simple)) => self.say("simple_pin", &[]),
                Err(Wrong::Pin(PinError::Malformed)) => self.say("wrong_pin", &[]),
                Err(Wrong::Passphrase) => self.say("wrong_passphrase", &[]),
            }
        }
        match questions.order(written) {
            Some(order) => Ok(order),
            None => self.refuse("gone", &[]),
        }
    }

    fn prompt(&self, question: Question, view: &View) -> String {
        let (key, volumes) = match question {
            Question::System => ("ask_system", String::new()),
            Question::Footage => {
                let new = |s: &FootageState| matches!(s, FootageState::New(_) | FootageState::Unfinished { .. });
                ("ask_footage", list(view.footage.iter().filter(|d| new(&d.state)).map(|d| &d.volume)))
            }
            Question::Pin => ("ask_pin", String::new()),
            Question::PinAndPassphrase => ("ask_pin_passphrase", String::new()),
        };
        t(self.lang, &format!("install.{key}"), &[("volumes", &volumes)])
    }

    fn recovery_key(&mut self, looked: &Looked, site: &Site, volume: &Recover) -> Answer<RecoveryKey> {
        let values = [("volume", volume.volume.as_str()), ("disk", volume.disk.as_str())];
        let prompt = t(self.lang, "install.ask_recovery", &values);
        loop {
            let line = self.ask(&prompt)?;
            if line.is_empty() {
                return self.refuse("no_recovery", &values);
            }
            let fits = line.parse().ok().map(|key| (self.hands.fits(looked, site, volume, &key), key));
            match fits {
                Some((Ok(true), key)) => return Ok(key),
                Some((Err(e), _)) => return self.refuse("failed", &[("why", &format!("{e:#}"))]),
                _ => self.say("wrong_recovery", &[]),
            }
        }
    }

    fn carry_out(&mut self, wanted: &Wanted, order: &Order, keys: &[(Recover, RecoveryKey)], unlock: Unlock) -> Ended {
        self.say("begins", &[]);
        let mut shown = Shown { desk: self.desk, lang: self.lang, order, begun: false };
        let done = self.hands.carry_out(wanted, order, keys, &mut shown);
        let begun = shown.begun;
        match done {
            Ok(done) => self.finished(done, order, unlock),
            Err(e) => {
                log::error!(CAUSE = format!("{e:#}"); "the installation did not come to its end: {e:#}");
                self.failed(&e, begun)
            }
        }
    }
}

fn list<'v>(volumes: impl Iterator<Item = &'v VolumeName>) -> String {
    volumes.map(VolumeName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
