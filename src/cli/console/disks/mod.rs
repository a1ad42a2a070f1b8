//! The disks of this machine: what each is, and the three verbs for one of them. `custodian disk` does the same where there is a shell.

mod prepare;

use std::io;

use super::{Console, Shown, manners};
use crate::{
    cli::{disk, inventory},
    console::Paint,
    disks::{Refusal, Token, TokenError},
    inventory::{Content, Disk, Inventory, probe},
    services::{
        disks::{Machine, Sheet},
        factors::SealedWord,
        storage::{self, InForce},
    },
    sys::RealClock,
    types::Lang,
};

/// By which keys disks are chosen: the first twenty, more than a PC has places for.
const KEYS: &str = "123456789abcdefghijk";

/// One disk that somebody has chosen.
struct Chosen {
    /// The name that is worked with: the site's, where it has one.
    by_id: String,
    sheet: Sheet,
    /// The volume of the site in force that it is to be.
    named: Option<String>,
    /// Whether the site in force has backups go there.
    backups: bool,
}

impl Chosen {
    /// Whether leadership has a word in what becomes of it. On a disk of the site in force footage may be even where nothing of it is seen: its
    /// partition table may be what is damaged.
    fn may_be_footage(&self) -> bool {
        self.backups || self.named.is_some() || self.sheet.disk.content.may_be_footage()
    }
}

/// What can be done about a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Prepare,
    Release,
    Erase,
}

impl Act {
    fn key(self) -> (char, &'static str) {
        match self {
            Self::Prepare => ('m', "disks_prepare"),
            Self::Release => ('r', "disks_release"),
            Self::Erase => ('e', "disks_erase"),
        }
    }
}

/// What can be done about it now.
fn acts(sheet: &Sheet) -> Vec<Act> {
    let in_use = matches!(&sheet.erase, Err(Refusal::Mounted { .. } | Refusal::Held { .. }));
    let ours = matches!(&sheet.disk.content, Content::Ours(_)) && !sheet.disk.system;
    let all = [(Act::Prepare, sheet.init.is_ok()), (Act::Release, ours && in_use), (Act::Erase, sheet.erase.is_ok())];
    all.into_iter().filter(|(_, can)| *can).map(|(act, _)| act).collect()
}

impl Console<'_> {
    pub(super) fn disks(&mut self) -> io::Result<()> {
        let title = self.dialog.t("key_s", &[]);
        self.dialog.say(&title, &self.dialog.t("disks_looking", &[]))?;
        let state = self.place.state.clone();
        let machine = Machine::here(&state);
        let site = storage::in_force(&state);
        let found = probe(machine.commands, &machine.roots);
        let (lang, shown) = manners(Some(self.dialog.lang), self.place.site().as_ref());
        let keys: Vec<char> = KEYS.chars().take(found.disks.len()).collect();
        let last = keys.last().copied();
        let choose = self.dialog.t("disks_choose", &[]);
        let choices: Vec<(char, String)> =
            keys.iter().map(|key| (*key, if Some(*key) == last { choose.clone() } else { String::new() })).collect();
        let text = list(&found, site.as_ref(), &shown, lang);
        let Some(key) = self.dialog.read(&title, Paint::Title, &text, &choices)? else { return Ok(()) };
        let Some(disk) = keys.iter().position(|k| *k == key).and_then(|n| found.disks.get(n)) else { return Ok(()) };
        self.one(&title, &machine, site.as_ref(), disk)
    }

    /// The facts of one disk, and what can be done about it.
    fn one(&mut self, title: &str, machine: &Machine<'_>, site: Option<&InForce>, disk: &Disk) -> io::Result<()> {
        let of_site = site.and_then(|site| site.of_disk(disk));
        let Some(by_id) = of_site.map(|(_, by_id)| by_id).or_else(|| inventory::best_name(disk)) else {
            return self.end(title, Paint::Bad, "disks_nameless", &[]);
        };
        let wanted = site.and_then(|site| site.wanted(disk));
        self.dialog.say(title, &self.dialog.t("disks_looking", &[]))?;
        let sheet = match machine.sheet(by_id, wanted.as_ref().map(|(wanted, _)| wanted)) {
            Ok(sheet) => sheet,
            Err(e) => return self.failed_at(title, &e),
        };
        let named = of_site.map(|(volume, _)| volume.name.to_string());
        let backups = site.is_some_and(|site| site.backs_up_to(disk));
        let chosen = Chosen { by_id: by_id.to_owned(), sheet, named, backups };
        let acts = acts(&chosen.sheet);
        let keys: Vec<(char, String)> = acts.iter().map(|act| (act.key().0, self.dialog.t(act.key().1, &[]))).collect();
        let text = self.about(&chosen);
        let Some(key) = self.dialog.read(title, Paint::Title, &text, &keys)? else { return Ok(()) };
        match (acts.into_iter().find(|act| act.key().0 == key), wanted) {
            (Some(Act::Prepare), Some((wanted, unlock))) => self.prepare(title, machine, &chosen, &wanted, unlock),
            (Some(Act::Release), _) => self.release(title, machine, &chosen),
            (Some(Act::Erase), _) => self.erase(title, machine, &chosen),
            _ => Ok(()),
        }
    }

    /// What a person should know before they choose.
    fn about(&self, chosen: &Chosen) -> String {
        let (lang, shown) = manners(Some(self.dialog.lang), self.place.site().as_ref());
        let sheet = &chosen.sheet;
        let mut parts = vec![disk::facts(sheet, &shown, lang)];
        let say = |key: &str, values: &[(&str, &str)]| self.dialog.t(key, values);
        parts.push(match &chosen.named {
            Some(volume) => say("disks_named", &[("volume", volume)]),
            None if sheet.disk.system => say("disks_system", &[]),
            None if chosen.backups => say("disks_backups", &[]),
            None => say("disks_unnamed", &[("disk", &chosen.by_id)]),
        });
        match &sheet.erase {
            Err(why) if acts(sheet).is_empty() && !sheet.disk.system && *why != Refusal::Empty => {
                parts.push(say("disks_nothing", &[("why", &disk::in_words(why, &shown, lang))]));
                return parts.join("\n\n");
            }
            _ => {}
        }
        // Of what is ours or foreign the facts say so.
        match &sheet.init {
            Err(Refusal::NotInSite | Refusal::System | Refusal::Mounted { .. } | Refusal::Held { .. }) | Ok(_) => {}
            Err(Refusal::Ours { .. } | Refusal::Foreign { .. }) => {
                if chosen.named.is_some() && matches!(&sheet.disk.content, Content::Foreign { .. }) {
                    parts.push(say("disks_not_empty", &[]));
                }
            }
            Err(why) => parts.push(say("disks_no_prepare", &[("why", &disk::in_words(why, &shown, lang))])),
        }
        parts.join("\n\n")
    }

    /// Asks for the token that these facts have. Whether it was typed.
    fn token(&mut self, title: &str, text: &str, token: &Token) -> io::Result<bool> {
        let (lang, shown) = manners(Some(self.dialog.lang), self.place.site().as_ref());
        let text = format!("{text}\n\n{}", self.dialog.t("disks_token", &[("token", &token.to_string())]));
        let mut ask = text.clone();
        loop {
            let Some(typed) = self.dialog.line(title, &ask, false)? else { return Ok(false) };
            let wrong = match typed.parse::<Token>() {
                Ok(typed) if typed == *token => return Ok(true),
                Ok(_) => self.dialog.t("disks_token_wrong", &[]),
                Err(_) => disk::in_words(&Refusal::Token(TokenError::Malformed), &shown, lang),
            };
            ask = format!("{text}\n\n{wrong}");
        }
    }

    fn release(&mut self, title: &str, machine: &Machine<'_>, chosen: &Chosen) -> io::Result<()> {
        let values = [("disk", chosen.by_id.as_str())];
        let why = if chosen.named.is_some() { "disks_release_why_used" } else { "disks_release_why" };
        let why = self.dialog.t(why, &values);
        if !self.dialog.pin(&self.place.state, &why)? {
            return Ok(());
        }
        self.dialog.say(title, &why)?;
        let named = chosen.named.as_deref();
        let done = machine.release_after(&chosen.by_id, &RealClock, &mut |ours| {
            if named == Some(ours.volume.as_str()) {
                return storage::let_go(machine.commands, &ours.volume);
            }
            // Of another site's volume the service manager knows nothing, and what this service unmounts stays mounted for all others.
            match &ours.mounted {
                Some(at) => anyhow::bail!(
                    "it is mounted at {} and no volume of the site in force: restart the machine",
                    at.display()
                ),
                None => Ok(()),
            }
        });
        match done {
            Ok(()) => self.end(title, Paint::Good, "disks_released", &values),
            Err(e) => self.failed_at(title, &e),
        }
    }

    fn erase(&mut self, title: &str, machine: &Machine<'_>, chosen: &Chosen) -> io::Result<()> {
        let Ok(token) = &chosen.sheet.erase else { return Ok(()) };
        let (lang, shown) = manners(Some(self.dialog.lang), self.place.site().as_ref());
        let guarded = chosen.may_be_footage();
        let why = self.dialog.t(if guarded { "disks_erase_why_footage" } else { "disks_erase_why" }, &[]);
        let text = format!("{}\n\n{why}", disk::facts(&chosen.sheet, &shown, lang));
        if !self.token(title, &text, token)? || !self.dialog.pin(&self.place.state, &why)? {
            return Ok(());
        }
        let word = if guarded {
            let ask = self.dialog.t("disks_erase_reason", &[("disk", &chosen.by_id)]);
            match self.sealed(&ask)? {
                Some(word) => Some(word),
                None => return Ok(()),
            }
        } else {
            None
        };
        self.dialog.say(title, &self.dialog.t("disks_erasing", &[("disk", &chosen.by_id)]))?;
        // What is on it now is what the token says, or nothing is erased: so it is not footage where no code was asked for.
        let who = word.map(|_| SealedWord::WHO);
        match machine.erase_on(&chosen.by_id, token, who, &RealClock) {
            Ok(()) => self.end(title, Paint::Good, "disks_erased", &[("disk", &chosen.by_id)]),
            Err(e) => self.failed_at(title, &e),
        }
    }

    fn end(&mut self, title: &str, paint: Paint, key: &str, values: &[(&str, &str)]) -> io::Result<()> {
        let text = self.dialog.t(key, values);
        self.dialog.read(title, paint, &text, &[]).map(|_| ())
    }

    /// What went wrong with a disk.
    fn failed_at(&mut self, title: &str, e: &anyhow::Error) -> io::Result<()> {
        let (lang, shown) = manners(Some(self.dialog.lang), self.place.site().as_ref());
        let why = match e.downcast_ref::<Refusal>() {
            Some(refusal) => disk::in_words(refusal, &shown, lang),
            None => format!("{e:#}"),
        };
        self.end(title, Paint::Bad, "disks_failed", &[("why", &why)])
    }
}

/// All disks, and the volumes of this recorder that are not among them.
fn list(found: &Inventory, site: Option<&InForce>, shown: &Shown, lang: Lang) -> String {
    let t = |key: &str, values: &[(&str, &str)]| crate::lang::t(lang, &format!("console.{key}"), values);
    let mut parts: Vec<String> = KEYS
        .chars()
        .zip(&found.disks)
        .map(|(key, disk)| {
            let known = [Some(disk.name.as_str()), disk.model.as_deref(), disk.serial.as_deref()];
            let head = known.into_iter().flatten().chain([&*disk.size.to_string()]).collect::<Vec<_>>().join("  ");
            let volume = match site.and_then(|site| site.of_disk(disk)) {
                Some((volume, _)) => t("disks_is", &[("volume", volume.name.as_str())]),
                None if disk.system => String::new(),
                None if site.is_some_and(|site| site.backs_up_to(disk)) => t("disks_is_backups", &[]),
                None => t("disks_is_none", &[]),
            };
            let content = inventory::content(disk, shown, lang);
            let lines = [inventory::best_name(disk).unwrap_or_default(), content.text(), &volume];
            let lines = lines.into_iter().filter(|line| !line.is_empty()).map(|line| format!("\n   {line}"));
            format!("{key}  {head}{}", lines.collect::<String>())
        })
        .collect();
    if parts.is_empty() {
        parts.push(crate::lang::t(lang, "inventory.no_disks", &[]));
    }
    let missing = site.into_iter().flat_map(InForce::volumes).filter(|(_, by_id)| found.disk(by_id).is_none());
    let missing =
        missing.map(|(volume, by_id)| t("disks_missing", &[("volume", volume.name.as_str()), ("disk", by_id)]));
    let problems =
        found.problems.iter().map(|problem| crate::lang::t(lang, "inventory.problem", &[("problem", problem)]));
    parts.extend(missing.chain(problems));
    if site.is_none() {
        parts.push(t("disks_no_site", &[]));
    }
    parts.join("\n")
}
