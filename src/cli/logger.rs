//! Where log lines go: to the journal when the service manager connected stderr with it, else to stderr. What operators watch goes to the
//! journal also where a person gave the command.

use std::{
    borrow::Cow,
    env,
    ffi::OsStr,
    fmt::Write as _,
    io::{IsTerminal, Write as _},
};

use jiff::tz::TimeZone;
use log::{Level, LevelFilter, Log, Metadata, Record, kv};
use systemd_journal_logger::{JournalLog, connected_to_journal};

use crate::{
    sys::{Clock, RealClock},
    types::{WallNs, event},
};

/// `SYSLOG_IDENTIFIER`, whatever the file of the program is called: `journalctl -t custodian`.
const IDENTIFIER: &str = "custodian";

enum Target {
    /// With the key-values as journal fields.
    Journal(JournalLog),
    /// One line each. Beside it, the journal that events are noted in.
    Stderr { look: Look, events: Option<JournalLog> },
}

/// How lines on stderr look.
struct Look {
    colour: bool,
    /// Times are told in this zone; UTC where no person reads along.
    zone: TimeZone,
}

struct Logger {
    target: Target,
    own: LevelFilter,
    libraries: LevelFilter,
}

/// Installs the logger; `verbose` counts the `-v`s, `in_earnest` says whether what is done concerns this machine's recorder, so that its
/// journal has events of it. A second call changes nothing.
pub fn install(verbose: u8, in_earnest: bool) {
    let (own, libraries) = match verbose {
        0 => (LevelFilter::Info, LevelFilter::Warn),
        1 => (LevelFilter::Debug, LevelFilter::Info),
        _ => (LevelFilter::Trace, LevelFilter::Debug),
    };
    // On a screen of its own standard error is the page.
    let own_screen = env::var_os(super::screen::SCREEN).is_some();
    let journal = if connected_to_journal() || own_screen { journal() } else { None };
    let target = journal.map_or_else(|| to_stderr(in_earnest), Target::Journal);
    if log::set_boxed_logger(Box::new(Logger { target, own, libraries })).is_ok() {
        log::set_max_level(own.max(libraries));
    }
}

fn journal() -> Option<JournalLog> {
    Some(JournalLog::new().ok()?.with_syslog_identifier(IDENTIFIER.to_owned()))
}

fn to_stderr(in_earnest: bool) -> Target {
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && may_colour(env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref());
    let zone = if terminal { TimeZone::system() } else { TimeZone::UTC };
    // Disks are erased, and sites applied, by root at a terminal. What others try out is no affair of this machine's.
    let events = if in_earnest && nix::unistd::geteuid().is_root() { journal() } else { None };
    Target::Stderr { look: Look { colour, zone }, events }
}

/// Whether a terminal that calls itself `term` is to show colours; `no_color` if somebody does not want them (<https://no-color.org>).
fn may_colour(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some("custodian");
        metadata.level() <= if ours { self.own } else { self.libraries }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = Line::of(record);
        match &self.target {
            Target::Journal(journal) => line.send(record, journal),
            Target::Stderr { look, events } => {
                let text = line.show(record.level(), RealClock.wall(), look);
                // If stderr is gone there is nowhere left to say so.
                let _ = std::io::stderr().lock().write_all(text.as_bytes());
                if let Some(journal) = events.as_ref().filter(|_| line.is_event()) {
                    line.send(record, journal);
                }
            }
        }
    }

    fn flush(&self) {}
}

/// What a record says, with nothing in it that could forge another line or steer a terminal: cameras and file names may say anything.
struct Line {
    message: String,
    pairs: Vec<(String, String)>,
}

impl Line {
    fn of(record: &Record<'_>) -> Self {
        let mut pairs = Pairs(Vec::new());
        // Collecting does not fail.
        let _ = record.key_values().visit(&mut pairs);
        Self { message: harmless(&record.args().to_string()).into_owned(), pairs: pairs.0 }
    }

    fn is_event(&self) -> bool {
        self.pairs.iter().any(|(key, _)| key == event::MESSAGE_ID)
    }

    /// Time of day, level, message, and those values that the message does not say itself.
    fn show(&self, level: Level, now: WallNs, look: &Look) -> String {
        let (paint, name) = match level {
            Level::Error => ("\x1b[1;31m", "error"),
            Level::Warn => ("\x1b[33m", "warn "),
            Level::Info => ("\x1b[32m", "info "),
            Level::Debug => ("\x1b[36m", "debug"),
            Level::Trace => ("\x1b[35m", "trace"),
        };
        let (paint, dim, plain) = if look.colour { (paint, "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let time = now.timestamp().to_zoned(look.zone.clone()).strftime("%H:%M:%S%.3f");
        let utc = if look.zone == TimeZone::UTC { "Z" } else { "" };
        let new = |(key, value): &&(String, String)| key != event::MESSAGE_ID && !says(&self.message, value);
        let mut line = format!("{dim}{time}{utc}{plain} {paint}{name}{plain} {}", self.message);
        for (key, value) in self.pairs.iter().filter(new) {
            // Writing into a String does not fail.
            let _ = write!(line, " {dim}{key}={value}{plain}");
        }
        line + "\n"
    }

    fn send(&self, record: &Record<'_>, journal: &JournalLog) {
        journal.log(
            &Record::builder()
                .args(format_args!("{}", self.message))
                .metadata(record.metadata().clone())
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .key_values(&self.pairs)
                .build(),
        );
    }
}

struct Pairs(Vec<(String, String)>);

impl<'kvs> kv::VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push((key.to_string(), harmless(&value.to_string()).into_owned()));
        Ok(())
    }
}

/// Whether a message has that value in it as a word or words of its own.
fn says(message: &str, value: &str) -> bool {
    let within = |a: &str, b: &str| a.ends_with(char::is_alphanumeric) && b.starts_with(char::is_alphanumeric);
    let alone = |at: usize| !within(&message[..at], value) && !within(value, &message[at + value.len()..]);
    message.match_indices(value).any(|(at, _)| alone(at))
}

/// The text in one line, with the characters shown that would not be: controls (C0, DEL, C1), separators of lines, and those that turn the
/// direction of writing.
fn harmless(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(harmful) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.trim_end_matches('\n').chars() {
        match c {
            '\n' => out.push_str(" ⏎ "),
            '\t' => out.push(' '),
            c if harmful(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallNs = WallNs(3_723_004_000_000);

    fn shown(message: &str, level: Level, pairs: &[(&str, &str)], look: &Look) -> String {
        let line = Line::of(&Record::builder().args(format_args!("{message}")).level(level).key_values(&pairs).build());
        line.show(level, NOW, look)
    }

    fn plain(message: &str, pairs: &[(&str, &str)]) -> String {
        shown(message, Level::Warn, pairs, &Look { colour: false, zone: TimeZone::UTC })
    }

    #[test]
    fn a_line_has_time_level_message_and_values() {
        let said = plain("connected\nagain", &[("CAMERA", "gate-1")]);
        assert_eq!(said, "01:02:03.004Z warn  connected ⏎ again CAMERA=gate-1\n");
        let look = Look { colour: true, zone: TimeZone::fixed(jiff::tz::offset(7)) };
        let said = shown("no disk", Level::Error, &[("VOLUME", "a1")], &look);
        let painted = "\x1b[2m08:02:03.004\x1b[0m \x1b[1;31merror\x1b[0m no disk \x1b[2mVOLUME=a1\x1b[0m\n";
        assert_eq!(said, painted);
        let long = "x".repeat(5000);
        assert!(plain(&long, &[]).contains(&long), "long lines stay whole");
    }

    #[test]
    fn colours_are_for_those_who_want_them() {
        let may = |no_color: Option<&'static str>, term: Option<&'static str>| {
            may_colour(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(may(None, None) && may(None, Some("xterm-256color")) && may(Some(""), None));
        assert!(!may(Some("1"), Some("xterm")) && !may(Some("0"), None) && !may(None, Some("dumb")));
    }

    #[test]
    fn what_the_message_says_is_not_said_twice_and_ids_are_for_the_journal() {
        let id = (event::MESSAGE_ID, event::VOLUME_FAILED.id);
        let pairs = [id, ("VOLUME", "a1"), ("CAUSE", "no such device")];
        assert_eq!(plain("volume a1: no such device", &pairs), "01:02:03.004Z warn  volume a1: no such device\n");
        assert_eq!(plain("volume a12", &pairs[..2]), "01:02:03.004Z warn  volume a12 VOLUME=a1\n");
        assert_eq!(plain("volume", &[("VOLUME", "a1\nb")]), "01:02:03.004Z warn  volume VOLUME=a1 ⏎ b\n");
    }

    #[test]
    fn a_camera_cannot_forge_lines_nor_steer_a_terminal() {
        let evil = "a\r\n01:00:00Z error fake\x1b[2J\x1b]0;t\x07\u{9b}31m\u{202e}x\u{2028}y\u{7f}\tz";
        for text in [plain(evil, &[]), plain("m", &[("CAUSE", evil)])] {
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            let body = text.trim_end_matches('\n');
            assert!(!body.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')), "{text:?}");
            assert!(body.contains("\\u{d} ⏎ 01:00:00Z error fake\\u{1b}[2J"), "{text:?}");
        }
        assert!(matches!(harmless("cổng chính 校门 📷"), Cow::Borrowed(_)), "letters of any language stay as they are");
    }

    #[test]
    fn a_record_goes_to_the_journal_as_harmless_as_to_a_terminal() {
        let pairs = [("CAUSE", "x\ny\x1b")];
        let record = Record::builder().args(format_args!("a\nb")).level(Level::Warn).key_values(&pairs).build();
        let line = Line::of(&record);
        assert_eq!((&*line.message, &*line.pairs[0].0, &*line.pairs[0].1), ("a ⏎ b", "CAUSE", "x ⏎ y\\u{1b}"));
        assert!(!line.is_event());
    }

    #[test]
    fn an_event_in_a_log_call_is_its_id() {
        use log::kv::ToValue as _;
        assert_eq!(event::VOLUME_LEFT.to_value().to_string(), event::VOLUME_LEFT.id);
    }

    #[test]
    fn libraries_say_less_than_we_do() {
        let target = Target::Stderr { look: Look { colour: false, zone: TimeZone::UTC }, events: None };
        let logger = Logger { target, own: LevelFilter::Info, libraries: LevelFilter::Warn };
        let of = |target, level| logger.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(of("custodian::store", Level::Info));
        assert!(!of("custodian::store", Level::Debug));
        assert!(!of("retina::client", Level::Info));
        assert!(!of("custodian_other", Level::Info));
        assert!(of("retina::client", Level::Warn));
    }
}
