//! What is shown before and while it is installed.

use std::time::Duration;

use super::{Desk, Session};
use crate::{
    install::{FootageState, Order, Question, Step, View, text},
    inventory::{Content, Disk},
    lang::{secrecy, t},
    plan::{self, Plan},
    services::installing::{Looked, Tell, Told},
    site::Recorder,
    types::{ByteSize, Lang},
};

impl Session<'_> {
    /// Disks and links.
    pub(super) fn show_machine(&mut self, looked: &Looked, view: &View) {
        self.say("machine", &[]);
        for candidate in &view.systems {
            let line = disk_line(&candidate.disk, self.lang);
            self.desk.say(&format!("  {line}"));
            let content = self.content(&candidate.disk);
            self.desk.say(&format!("      {}", t(self.lang, "install.on_it", &[("content", &content)])));
            let system = match &candidate.token {
                Ok(token) => t(self.lang, "install.code", &[("code", &token.to_string())]),
                Err(why) => text::unfit(self.lang, why),
            };
            self.desk.say(&format!("      {}: {system}", t(self.lang, "install.for_system", &[])));
        }
        self.say("footage_disks", &[]);
        for disk in &view.footage {
            let line = disk.disk.as_ref().map_or_else(|| disk.by_id.clone(), |d| disk_line(d, self.lang));
            let line = t(self.lang, "install.footage_line", &[("volume", disk.volume.as_str()), ("disk", &line)]);
            self.desk.say(&format!("  {line}"));
            self.desk.say(&format!("      {}", text::footage(self.lang, &disk.state)));
            if let FootageState::New(token) | FootageState::Unfinished { now: token, .. } = &disk.state {
                let code = t(self.lang, "install.code", &[("code", &token.to_string())]);
                self.desk.say(&format!("      {code}"));
            }
        }
        self.say("links", &[]);
        for link in &looked.survey.inventory.links {
            let up = if link.up == Some(true) { "install.link_up" } else { "install.link_down" };
            let addresses = link.addresses.join(" ");
            let mac = link.mac.as_deref().unwrap_or("–");
            self.desk.say(format!("  {}  {mac}  {}  {addresses}", link.name, t(self.lang, up, &[])).trim_end());
        }
    }

    /// The codes that are asked for, once more: on a screen of 25 lines the disks are out of sight by now.
    pub(super) fn show_codes(&mut self, question: Question, view: &View) {
        let mut lines = Vec::new();
        match question {
            Question::System => {
                for c in &view.systems {
                    if let Ok(token) = &c.token {
                        let on_it = t(self.lang, "install.on_it", &[("content", &self.content(&c.disk))]);
                        lines.push(format!("  {token}  {}\n      {on_it}", disk_line(&c.disk, self.lang)));
                    }
                }
            }
            Question::Footage => {
                for d in &view.footage {
                    if let FootageState::New(token) | FootageState::Unfinished { now: token, .. } = &d.state {
                        let disk = d.disk.as_ref().map_or_else(|| d.by_id.clone(), |disk| disk_line(disk, self.lang));
                        lines.push(format!("  {token}  {}  {disk}", d.volume));
                    }
                }
            }
            Question::Pin | Question::PinAndPassphrase => {}
        }
        if !lines.is_empty() {
            self.desk.say(&format!("\n{}", lines.join("\n")));
        }
    }

    fn content(&self, disk: &Disk) -> String {
        let say = |key: &str, values: &[(&str, &str)]| t(self.lang, &format!("install.{key}"), values);
        match &disk.content {
            Content::Empty => say("empty", &[]),
            Content::Ours(v) => {
                let values = [("volume", v.volume.as_str()), ("site", &v.site)];
                match disk.by_id.first().and_then(|id| self.hands.days(id)) {
                    Some(days) => say("ours_days", &[&values[..], &[("days", &days.to_string())]].concat()),
                    None => say("ours", &values),
                }
            }
            Content::Foreign { found } => found.join(", "),
            Content::Unknown { why } => say("unknown", &[("why", why)]),
        }
    }

    pub(super) fn show_plan(&mut self, plan: &Plan, recorder: &Recorder) {
        self.say("plan", &[]);
        for change in &plan.changes {
            self.desk.say(&format!("  - {}", plan::text::change(self.lang, change)));
        }
        if let Some(note) = &plan.short {
            self.say_plan("accepted_short");
            for line in plan::text::short(self.lang, note) {
                self.desk.say(&format!("  {line}"));
            }
        }
        for line in secrecy(self.lang, recorder.unlock.as_str()) {
            self.desk.say(&format!("  - {line}"));
        }
    }

    fn say_plan(&mut self, key: &str) {
        let text = t(self.lang, &format!("plan.{key}"), &[]);
        self.desk.say(&text);
    }
}

/// A disk in a line.
fn disk_line(disk: &Disk, lang: Lang) -> String {
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
    let values = [
        ("name", disk.name.as_str()),
        ("model", &dash(&disk.model)),
        ("serial", &dash(&disk.serial)),
        ("size", &ByteSize(disk.size.0).to_string()),
    ];
    t(lang, "install.disk_line", &values)
}

/// Where nobody is asked, nobody may be there to write the code down.
const SOON: Duration = Duration::from_mins(2);

/// The steps as lines.
pub(super) struct Shown<'a> {
    pub(super) desk: &'a mut dyn Desk,
    pub(super) lang: Lang,
    pub(super) order: &'a Order,
    /// Whether a step was begun: whether something may be changed.
    pub(super) begun: bool,
}

impl Shown<'_> {
    fn say(&mut self, key: &str, values: &[(&str, &str)]) {
        self.desk.say(&t(self.lang, &format!("install.{key}"), values));
    }
}

impl Tell for Shown<'_> {
    fn begins(&mut self, step: &Step, n: usize, of: usize) {
        self.begun = true;
        let what = text::step(self.lang, step);
        self.say("step", &[("n", &n.to_string()), ("of", &of.to_string()), ("what", &what)]);
    }
    fn copied(&mut self, done: u64, all: u64) {
        self.desk.copied(done, all);
    }
    fn ended(&mut self, _: &Step, changed: bool) {
        let key = if changed { "install.done" } else { "install.was_done" };
        self.desk.say(&format!("      {}", t(self.lang, key, &[])));
    }
    fn told(&mut self, told: &Told<'_>) -> anyhow::Result<bool> {
        self.say("receipt_is", &[("file", told.receipt)]);
        for (whose, key) in told.keys {
            self.desk.say(&format!("  {whose}: {key}"));
        }
        let order = self.order;
        // Who has chosen the code knows it.
        if order.sheet_code.is_some() {
            return Ok(order.wipe_secrets);
        }
        self.say("sheet_is", &[("file", told.sheet), ("code", &told.code.reveal())]);
        if !order.asked {
            self.say("soon", &[]);
            self.desk.wait(SOON);
            return Ok(order.wipe_secrets);
        }
        let (key, prompt) = if order.wipe_secrets { ("ask_wipe", "ask_yes") } else { ("ask_written", "ask_one") };
        self.say(key, &[]);
        let prompt = t(self.lang, &format!("install.{prompt}"), &[]);
        loop {
            let line = self.desk.ask(&prompt)?;
            match line.as_deref().map(str::trim) {
                Some("1") => return Ok(order.wipe_secrets),
                Some("2") if order.wipe_secrets => return Ok(false),
                Some(_) => self.say("wrong_choice", &[]),
                None => anyhow::bail!("nobody says that the code was written down"),
            }
        }
    }
}
