//! An empty disk becomes a volume: what opens it, the recovery key that is shown once, and taking it into use.

use std::{io, thread};

use super::{Chosen, Console};
use crate::{
    cli::console::dialog::{Dialog, Patient},
    console::Paint,
    disks::{RecoveryKey, Secret, SecretFile, Unlocking, Wanted},
    lang::secrecy,
    services::{
        disks::{self, Machine, Unfinished},
        stick::Stick,
        storage,
    },
    site::Unlock,
    sys::{RealClock, RealCommands},
};

/// Nobody says that the recovery key was written down.
#[derive(Debug, thiserror::Error)]
#[error("the recovery key was not written down")]
struct NotWritten;

/// What opens the disk each day; the file goes with it.
struct Opened {
    unlocking: Unlocking,
    _file: Option<SecretFile>,
}

impl From<Unlocking> for Opened {
    fn from(unlocking: Unlocking) -> Self {
        Self { unlocking, _file: None }
    }
}

impl Console<'_> {
    pub(super) fn prepare(
        &mut self,
        title: &str,
        machine: &Machine<'_>,
        chosen: &Chosen,
        wanted: &Wanted,
        unlock: Unlock,
    ) -> io::Result<()> {
        let Ok(token) = &chosen.sheet.init else { return Ok(()) };
        let values = [("disk", chosen.by_id.as_str()), ("volume", wanted.volume.as_str())];
        let why = self.dialog.t("disks_prepare_why", &values);
        let text = format!("{}\n\n{why}", self.about(chosen));
        if !self.token(title, &text, token)? || !self.dialog.pin(&self.place.state, &why)? {
            return Ok(());
        }
        let Some(opened) = self.unlocking(title, machine, unlock)? else { return Ok(()) };
        self.dialog.say(title, &self.dialog.t("disks_preparing", &values))?;
        storage::make_way(machine.commands, &wanted.volume);
        let mut hung_up = None;
        let mut keep = |key: &RecoveryKey| match written(&mut self.dialog, &chosen.by_id, wanted, key) {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotWritten.into()),
            Err(e) => {
                hung_up = Some(e);
                Err(NotWritten.into())
            }
        };
        let unlocking = opened.unlocking.clone();
        let prepared = machine.init_keeping(&chosen.by_id, wanted, token, unlocking, &RealClock, &mut keep);
        let key = match prepared {
            Ok(key) => key,
            Err(e) => return self.not_prepared(title, machine, chosen, &e, hung_up),
        };
        self.dialog.say(title, &self.dialog.t("disks_taking", &values))?;
        let taken = storage::take_into_use(machine, &chosen.by_id, wanted, &opened.unlocking, key.as_ref());
        drop((key, opened));
        let mut parts = vec![self.dialog.t("disks_prepared", &values)];
        let paint = match &taken.missing {
            None => Paint::Good,
            Some(_) => Paint::Warn,
        };
        parts.push(match &taken.missing {
            None => self.dialog.t("disks_in_use", &[]),
            Some(why) => self.dialog.t("disks_not_in_use", &[("why", why)]),
        });
        if taken.opens != Some(true) {
            parts.push(self.dialog.t("disks_opens_not", &[]));
        }
        parts.push(secrecy(self.dialog.lang, unlock.as_str()).join("\n"));
        self.dialog.read(title, paint, &parts.join("\n\n"), &[]).map(|_| ())
    }

    /// What opens the disk each day. None: they left, or it is not to be had.
    fn unlocking(&mut self, title: &str, machine: &Machine<'_>, unlock: Unlock) -> io::Result<Option<Opened>> {
        match unlock {
            Unlock::Passphrase => Ok(self.passphrase(title)?.map(|secret| Unlocking::Passphrase(secret).into())),
            Unlock::UsbKey => self.key_of_stick(title, machine),
            Unlock::None | Unlock::Tpm => match disks::unlocking(unlock, None, None) {
                Ok(unlocking) => Ok(Some(unlocking.into())),
                Err(e) => self.failed_at(title, &e).map(|()| None),
            },
        }
    }

    /// The passphrase, twice the same.
    fn passphrase(&mut self, title: &str) -> io::Result<Option<Secret>> {
        let mut wrong = String::new();
        loop {
            let ask = format!("{wrong}{}", self.dialog.t("disks_passphrase", &[]));
            let Some(typed) = self.dialog.line(title, &ask, true)? else { return Ok(None) };
            let key = match Secret::passphrase(&typed) {
                Err(_) => "disks_passphrase_bad",
                Ok(secret) => {
                    let ask = self.dialog.t("disks_passphrase_again", &[]);
                    let Some(again) = self.dialog.line(title, &ask, true)? else { return Ok(None) };
                    if again == typed {
                        return Ok(Some(secret));
                    }
                    "disks_passphrase_differs"
                }
            };
            wrong = self.dialog.t(key, &[]) + "\n\n";
        }
    }

    /// The key on the stick that the machine starts with. None is made here: it would open this disk alone.
    fn key_of_stick(&mut self, title: &str, machine: &Machine<'_>) -> io::Result<Option<Opened>> {
        let ask = self.dialog.t("disks_stick", &[]);
        let ready = [('y', self.dialog.t("stick_ready", &[]))];
        if self.dialog.read(title, Paint::Title, &ask, &ready)?.is_none() {
            return Ok(None);
        }
        self.dialog.say(title, &self.dialog.t("stick_reading", &[]))?;
        // It is kept out again as soon as it was read.
        let key = match Stick::open(&RealCommands, &thread::sleep).and_then(|stick| stick.key()) {
            Ok(key) => key,
            Err(e) => {
                let text = format!("{}\n\n{}", self.dialog.stick(&e), self.dialog.t("nothing_changed", &[]));
                return self.dialog.read(title, Paint::Bad, &text, &[]).map(|_| None);
            }
        };
        match SecretFile::new(&machine.run, &key) {
            Ok(file) if storage::is_own_key(machine.commands, file.path().as_ref()) == Some(false) => {
                self.end(title, Paint::Bad, "disks_stick_other", &[]).map(|()| None)
            }
            Ok(file) => {
                let unlocking = Unlocking::KeyFile(file.path().into());
                Ok(Some(Opened { unlocking, _file: Some(file) }))
            }
            Err(e) => self.failed_at(title, &e.into()).map(|()| None),
        }
    }

    /// The disk was not made a volume. What was begun of it goes: it was empty.
    fn not_prepared(
        &mut self,
        title: &str,
        machine: &Machine<'_>,
        chosen: &Chosen,
        e: &anyhow::Error,
        hung_up: Option<io::Error>,
    ) -> io::Result<()> {
        if !e.is::<Unfinished>() {
            return self.failed_at(title, e);
        }
        log::warn!(DISK = chosen.by_id.as_str(); "disk {} is no volume: {e:#}", chosen.by_id);
        let made_empty = machine.unmake(&chosen.by_id, &RealClock);
        match (hung_up, made_empty) {
            (Some(gone), _) => Err(gone),
            (None, Ok(())) if e.is::<NotWritten>() => {
                self.end(title, Paint::Warn, "disks_abandoned", &[("disk", &chosen.by_id)])
            }
            (None, Ok(())) => self.failed_at(title, e),
            (None, Err(worse)) => self.failed_at(title, &worse.context(format!("{e:#}"))),
        }
    }
}

/// Shows the recovery key, the only time, until a person types its last group from what they wrote, or gives the disk up. However long that takes.
fn written(dialog: &mut Dialog<'_>, by_id: &str, wanted: &Wanted, key: &RecoveryKey) -> io::Result<bool> {
    let lang = dialog.lang;
    let mut dialog = Dialog { terminal: &mut Patient(dialog.terminal), lang };
    let title = dialog.t("recovery_title", &[]);
    let groups: Vec<String> = key.reveal().split('-').map(str::to_owned).collect();
    let (first, second) = groups.split_at(groups.len() / 2);
    let shown = format!("    {}\n    {}", first.join("-"), second.join("-"));
    let values = [("disk", by_id), ("volume", wanted.volume.as_str()), ("key", &*shown)];
    let mut paint = Paint::Title;
    let mut wrong = String::new();
    loop {
        let text = format!("{wrong}{}", dialog.t("disks_key", &values));
        let keys = [('w', dialog.t("disks_key_written", &[]))];
        if dialog.read(&title, paint, &text, &keys)?.is_none() {
            let keys = [('x', dialog.t("disks_give_up", &[]))];
            if dialog.read(&title, Paint::Warn, &dialog.t("disks_give_up_ask", &values), &keys)?.is_some() {
                return Ok(false);
            }
            continue;
        }
        let Some(typed) = dialog.line(&title, &dialog.t("disks_key_last", &[]), false)? else { continue };
        if groups.last().is_some_and(|last| typed.trim().eq_ignore_ascii_case(last)) {
            return Ok(true);
        }
        (paint, wrong) = (Paint::Warn, dialog.t("disks_key_differs", &[]) + "\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sys::{FakeTerminal, Key},
        types::{ByteSize, Lang},
    };

    const KEY: &str = "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj";

    /// What comes of it, and what was shown. `.` is a while in which nobody presses a key.
    fn asked(typed: &str) -> (io::Result<bool>, String) {
        let mut terminal = FakeTerminal::typing(typed);
        for key in &mut terminal.keys {
            if *key == Some(Key::Char('.')) {
                *key = None;
            }
        }
        let wanted =
            Wanted { site: "school".into(), volume: "a1".parse().unwrap(), size: ByteSize(0), removable: false };
        let mut dialog = Dialog { terminal: &mut terminal, lang: Lang::En };
        let done = written(&mut dialog, "ata-X_1", &wanted, &KEY.parse().unwrap());
        (done, terminal.shown)
    }

    #[test]
    fn a_recovery_key_stays_until_it_is_written_down_or_given_up() {
        let (done, shown) = asked("....w..ucujvcvj\n");
        assert!(done.unwrap());
        assert!(shown.contains(&KEY[..35]) && shown.contains(&KEY[36..]), "{shown}");
        // Wrong, then left for another look, then right as others write it.
        assert!(asked("wrcrjtctj\nwuc\x1bw UCUJVCVJ\n").0.unwrap());
        // Escape alone gives nothing up, nor does whoever goes on from there.
        assert!(asked("\x1b..\x1b\x1b\x1bwucujvcvj\n").0.unwrap());
        assert!(!asked("\x1b.x").0.unwrap());
        // The terminal is gone.
        assert_eq!(asked("w").0.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
