//! The menu: plain lines, so that it works on a screen and on a serial line.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Page, Talk, Trouble};
use crate::{
    apply::Listed,
    disks::Token,
    lang::t,
    services::resetting::Sheet,
    sys::{Clock, Monotonic},
    types::Lang,
    update::{Version, Word},
};

/// What can be done. A machine's own, or a test's.
pub trait Hands {
    /// What the page says.
    fn page(&self) -> Page;
    /// What is wrong.
    fn troubles(&self) -> Vec<Trouble>;
    /// Whether the partition of the state is open.
    fn is_open(&self) -> bool;
    /// Checks the key that was typed, and opens the partition of the state if it is not open. Nothing else is opened.
    fn open(&self, typed: &str) -> anyhow::Result<()>;
    /// Configurations that there were.
    fn generations(&self) -> anyhow::Result<Vec<Listed>>;
    /// Puts a former one in force, from the next start on.
    fn go_back(&self, number: u64, word: &Word) -> anyhow::Result<()>;
    /// What would be set aside.
    fn sheet(&self) -> anyhow::Result<Sheet>;
    /// Sets the configuration aside. Says where it is.
    fn reset(&self, token: &Token, word: &Word) -> anyhow::Result<PathBuf>;
    /// Lets the other version start next, once.
    fn start_other(&self) -> anyhow::Result<Version>;
    /// Writes what a technician wants to know to a file, without names.
    fn diagnosis(&self, to: &Path) -> anyhow::Result<()>;
    /// The same to a stick. Says under which name.
    fn to_stick(&self) -> anyhow::Result<String>;
    /// Starts the machine again.
    fn restart(&self) -> anyhow::Result<()>;
    /// Switches it off.
    fn power_off(&self) -> anyhow::Result<()>;
}

/// In which order languages come.
const LANGUAGES: [Lang; 3] = [Lang::Vi, Lang::Zh, Lang::En];

/// Whoever has typed the recovery key is believed to be still there for so long, as at the console.
const TRUST: Duration = Duration::from_mins(5);

struct Menu<'a> {
    hands: &'a dyn Hands,
    talk: &'a mut dyn Talk,
    clock: &'a dyn Clock,
    lang: Lang,
    /// When somebody here had the recovery key.
    trusted: Option<Monotonic>,
}

/// What follows a choice.
#[derive(PartialEq, Eq)]
enum Next {
    Menu,
    End,
}

/// Shows what is wrong, and does what is chosen, until the machine goes down or nobody can choose any more.
///
/// # Errors
/// If the terminal is gone.
pub fn run(hands: &dyn Hands, talk: &mut dyn Talk, clock: &dyn Clock, lang: Lang) -> io::Result<()> {
    let mut menu = Menu { hands, talk, clock, lang, trusted: None };
    menu.overview()?;
    loop {
        menu.choices()?;
        let Some(line) = menu.line("choose", false)? else { return Ok(()) };
        let next = match line.as_str() {
            "1" | "" => menu.overview().map(|()| Next::Menu)?,
            "2" => menu.key()?,
            "3" => menu.go_back()?,
            "4" => menu.reset()?,
            "5" => menu.other()?,
            "6" => menu.stick()?,
            "7" => menu.down(|hands| hands.restart(), "restarts")?,
            "8" => menu.down(|hands| hands.power_off(), "goes_off")?,
            "9" => menu.language()?,
            _ => menu.say("not_understood", &[]).map(|()| Next::Menu)?,
        };
        if next == Next::End {
            return Ok(());
        }
    }
}

impl Menu<'_> {
    fn t(&self, key: &str, values: &[(&str, &str)]) -> String {
        t(self.lang, &format!("rescue.{key}"), values)
    }

    /// Writes lines. What units, disks and files say cannot move the cursor.
    fn print(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            let plain: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            self.talk.write(&format!("{plain}\r\n"))?;
        }
        Ok(())
    }

    fn say(&mut self, key: &str, values: &[(&str, &str)]) -> io::Result<()> {
        let text = self.t(key, values);
        self.print(&text)
    }

    /// What is typed after a question; nothing if nobody types any more.
    fn line(&mut self, question: &str, hidden: bool) -> io::Result<Option<String>> {
        let text = self.t(question, &[]);
        self.talk.write(&format!("{text} "))?;
        self.talk.line(hidden)
    }

    fn failed(&mut self, e: &anyhow::Error) -> io::Result<Next> {
        self.say("failed", &[("why", &format!("{e:#}"))]).map(|()| Next::Menu)
    }

    fn overview(&mut self) -> io::Result<()> {
        let page = self.hands.page();
        self.print("")?;
        self.say("title", &[("version", page.system.as_deref().unwrap_or(&page.program))])?;
        if page.on_probation {
            self.say(if page.asked_for { "on_probation_asked_for" } else { "on_probation" }, &[])?;
        }
        self.say(if page.open { "state_open" } else { "state_locked" }, &[])?;
        let troubles = self.hands.troubles();
        if troubles.is_empty() {
            self.say("no_trouble", &[])?;
        }
        for trouble in troubles {
            self.say("trouble", &[("unit", &trouble.unit)])?;
            for line in trouble.lines {
                self.print(&format!("    {line}"))?;
            }
        }
        for disk in page.disks {
            self.say("disk", &[("disk", &disk)])?;
        }
        if !page.asked_for {
            self.say("here_only", &[])?;
        }
        Ok(())
    }

    fn choices(&mut self) -> io::Result<()> {
        self.print("")?;
        let keys = ["again", "key", "back", "reset", "other", "stick", "restart", "off"];
        for (n, key) in (1..).zip(keys) {
            let text = self.t(&format!("menu_{key}"), &[]);
            self.print(&format!("  {n}  {text}"))?;
        }
        self.print("  9  Ngôn ngữ / 语言 / Language")
    }

    fn language(&mut self) -> io::Result<Next> {
        let at = LANGUAGES.iter().position(|l| *l == self.lang).unwrap_or(0);
        self.lang = LANGUAGES[(at + 1) % LANGUAGES.len()];
        // One who cannot read what stands there needs it no longer.
        self.talk.write("\u{1b}[2J\u{1b}[H")?;
        self.overview().map(|()| Next::Menu)
    }

    fn key(&mut self) -> io::Result<Next> {
        // Whoever gives up is asked for a number again, and there it is seen whether anybody is left.
        let text = self.line("ask_key", true)?.unwrap_or_default();
        if text.is_empty() {
            return Ok(Next::Menu);
        }
        match self.hands.open(&text) {
            Ok(()) => {
                self.trusted = Some(self.clock.monotonic());
                self.say("opened", &[])?;
                Ok(Next::Menu)
            }
            Err(e) => self.failed(&e),
        }
    }

    /// Whether what wants the recovery key may be done.
    fn may(&mut self) -> io::Result<bool> {
        let now = self.clock.monotonic();
        self.trusted.take_if(|at| now.since(*at) >= TRUST);
        let may = self.trusted.is_some() && self.hands.is_open();
        if !may {
            self.say("key_first", &[])?;
        }
        Ok(may)
    }

    /// Who, and why: for the record.
    fn word(&mut self) -> io::Result<Option<Word>> {
        let Some(by) = self.line("ask_who", false)? else { return Ok(None) };
        let Some(reason) = self.line("ask_why", false)? else { return Ok(None) };
        if by.is_empty() || reason.is_empty() {
            self.say("not_done", &[])?;
            return Ok(None);
        }
        // Questions may have been left standing.
        Ok(self.may()?.then_some(Word { by, reason }))
    }

    fn go_back(&mut self) -> io::Result<Next> {
        if !self.may()? {
            return Ok(Next::Menu);
        }
        let all = match self.hands.generations() {
            Ok(all) => all,
            Err(e) => return self.failed(&e),
        };
        for one in &all {
            let (number, at) = (one.meta.number.to_string(), one.meta.at.to_string());
            let key = if one.current { "generation_current" } else { "generation" };
            self.say(key, &[("number", &number), ("at", &at), ("by", &one.meta.by)])?;
        }
        let Some(line) = self.line("ask_generation", false)? else { return Ok(Next::End) };
        let Some(number) = line.parse().ok().filter(|n| all.iter().any(|one| one.meta.number == *n)) else {
            return self.say("not_done", &[]).map(|()| Next::Menu);
        };
        let Some(word) = self.word()? else { return Ok(Next::Menu) };
        match self.hands.go_back(number, &word) {
            Ok(()) => self.say("went_back", &[("number", &number.to_string())]).map(|()| Next::Menu),
            Err(e) => self.failed(&e),
        }
    }

    fn reset(&mut self) -> io::Result<Next> {
        if !self.may()? {
            return Ok(Next::Menu);
        }
        let sheet = match self.hands.sheet() {
            Ok(sheet) => sheet,
            Err(e) => return self.failed(&e),
        };
        let token = sheet.token.to_string();
        let moves = if sheet.moves.is_empty() { "–".to_owned() } else { sheet.moves.join(", ") };
        self.say("reset", &[("names", &moves), ("token", &token)])?;
        let Some(line) = self.line("ask_token", false)? else { return Ok(Next::End) };
        if line.parse() != Ok(sheet.token.clone()) {
            return self.say("not_done", &[]).map(|()| Next::Menu);
        }
        let Some(word) = self.word()? else { return Ok(Next::Menu) };
        match self.hands.reset(&sheet.token, &word) {
            Ok(folder) => self.say("was_reset", &[("folder", &folder.display().to_string())]).map(|()| Next::Menu),
            Err(e) => self.failed(&e),
        }
    }

    fn other(&mut self) -> io::Result<Next> {
        match self.hands.start_other() {
            Ok(version) => self.say("starts_other", &[("version", version.as_str())]).map(|()| Next::Menu),
            Err(e) => self.failed(&e),
        }
    }

    fn stick(&mut self) -> io::Result<Next> {
        match self.hands.to_stick() {
            Ok(name) => self.say("on_stick", &[("name", &name)]).map(|()| Next::Menu),
            Err(e) => self.failed(&e),
        }
    }

    fn down(&mut self, act: impl Fn(&dyn Hands) -> anyhow::Result<()>, key: &str) -> io::Result<Next> {
        match act(self.hands) {
            Ok(()) => self.say(key, &[]).map(|()| Next::End),
            Err(e) => self.failed(&e),
        }
    }
}
