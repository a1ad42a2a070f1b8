//! What a message says, in its receiver's language.

use jiff::tz::TimeZone;

use super::outbox::{Event, Kind, Message};
use crate::{
    health::text::Words,
    lang::t,
    types::{Lang, WallNs, wire::health::CameraHealth},
};

/// Alarms of a mail that are told at length.
const AT_LENGTH: usize = 100;
/// Characters of a subject.
const SUBJECT: usize = 150;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) subject: String,
    pub(super) body: String,
}

/// How somebody is spoken to.
pub(super) struct Manner<'a> {
    pub(super) lang: Lang,
    pub(super) zone: &'a TimeZone,
    /// Those whose names may be told.
    pub(super) cameras: &'a [CameraHealth],
}

impl Manner<'_> {
    pub(super) fn words(&self) -> Words<'_> {
        Words::new(self.lang, self.zone, self.cameras)
    }

    fn time(&self, at: WallNs) -> String {
        at.timestamp().to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// All of a message as a mail.
    pub(super) fn mail(&self, message: &Message) -> Said {
        let words = self.words();
        let recorder = message.recorder.as_ref().map_or("custodian", |r| r.as_str());
        let count = |kind| message.events.iter().filter(|e| e.kind == kind).count().to_string();
        let subject = match &message.events[..] {
            [one] if one.kind == Kind::Ended => {
                let (probe, was) = (words.probe(one.finding.probe), words.sentence(&one.first));
                self.say("subject_ended", &[("recorder", recorder), ("probe", &probe), ("was", &was)])
            }
            [one] => {
                let (level, sentence) = (words.level(one.finding.level), words.sentence(&one.finding));
                self.say("subject_one", &[("recorder", recorder), ("level", &level), ("sentence", &sentence)])
            }
            many => {
                let worst = many.iter().map(|e| e.finding.level).max().unwrap_or_default();
                let (level, new) = (words.level(worst), count(Kind::Raised));
                let (changed, ended) = (count(Kind::Changed), count(Kind::Ended));
                let values = [
                    ("recorder", recorder),
                    ("level", &level),
                    ("new", &new),
                    ("changed", &changed),
                    ("ended", &ended),
                ];
                self.say("subject_many", &values)
            }
        };
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let at = self.time(message.at);
        let mut body = self.say("head", &[("recorder", recorder), ("at", &at), ("zone", zone)]);
        let mut left = AT_LENGTH;
        for kind in [Kind::Raised, Kind::Changed, Kind::Ended] {
            let mut events: Vec<&Event> = message.events.iter().filter(|e| e.kind == kind).collect();
            if events.is_empty() {
                continue;
            }
            events.sort_by_key(|e| (std::cmp::Reverse(e.finding.level), e.finding.probe, e.finding.subject.clone()));
            body = format!("{body}\n\n== {} ==", self.say(kind.as_str(), &[]));
            let all = events.len();
            for event in events.into_iter().take(left) {
                body = format!("{body}\n\n{}", self.event(event, &words));
            }
            if all > left {
                body = format!("{body}\n\n{}", self.say("more", &[("count", &(all - left).to_string())]));
            }
            left = left.saturating_sub(all);
        }
        let foot = self.say("foot", &[("version", env!("CARGO_PKG_VERSION"))]);
        // "-- " begins a signature.
        Said { subject: one_line(&subject), body: format!("{body}\n\n-- \n{foot}\n") }
    }

    fn event(&self, event: &Event, words: &Words<'_>) -> String {
        let sentence = words.sentence(&event.finding);
        let (began, at) = (self.time(event.began), self.time(event.at));
        let level = words.level(event.finding.level);
        let mut lines = vec![format!("[{level}] {sentence}")];
        match event.kind {
            Kind::Raised => lines.push(self.say("since", &[("began", &began)])),
            Kind::Changed => {
                let from = words.level(event.from);
                lines.push(self.say("was_level", &[("from", &from), ("began", &began), ("at", &at)]));
            }
            Kind::Ended => {
                let was = words.sentence(&event.first);
                lines.push(self.say("was", &[("was", &was), ("began", &began), ("at", &at)]));
                if event.raised_by.is_none() {
                    lines.push(self.say("unsaid", &[]));
                }
            }
        }
        if let Some(to_do) = words.to_do(&event.finding) {
            lines.push(self.say("to_do", &[("to_do", &to_do)]));
        }
        lines.join("\n")
    }

    fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        t(self.lang, &format!("alarm.{key}"), values)
    }
}

/// For a header: one line, not too long, cut between characters.
fn one_line(text: &str) -> String {
    let plain = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|w| !w.is_empty());
    let plain = plain.collect::<Vec<_>>().join(" ");
    if plain.chars().count() <= SUBJECT {
        return plain;
    }
    let cut: String = plain.chars().take(SUBJECT - 1).collect();
    format!("{}…", cut.trim_end())
}
