//! Where log lines go: to the journal when the service manager connected stderr with it, else to stderr.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
};

use log::{Level, LevelFilter, Log, Metadata, Record, kv};
use systemd_journal_logger::{JournalLog, connected_to_journal};

use crate::{
    sys::{Clock, RealClock},
    types::WallNs,
};

enum Target {
    /// With the key-values as journal fields.
    Journal(JournalLog),
    /// One line each, coloured on a terminal.
    Stderr { colour: bool },
}

struct Logger {
    target: Target,
    own: LevelFilter,
    libraries: LevelFilter,
}

/// Installs the logger; `verbose` counts the `-v`s. A second call changes nothing.
pub fn install(verbose: u8) {
    let (own, libraries) = match verbose {
        0 => (LevelFilter::Info, LevelFilter::Warn),
        1 => (LevelFilter::Debug, LevelFilter::Info),
        _ => (LevelFilter::Trace, LevelFilter::Debug),
    };
    let journal = if connected_to_journal() { JournalLog::new().ok() } else { None };
    let target = journal.map_or_else(|| Target::Stderr { colour: std::io::stderr().is_terminal() }, Target::Journal);
    if log::set_boxed_logger(Box::new(Logger { target, own, libraries })).is_ok() {
        log::set_max_level(own.max(libraries));
    }
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
        match &self.target {
            Target::Journal(journal) => journal.log(record),
            Target::Stderr { colour } => {
                let line = line(record, RealClock.wall(), *colour);
                // If stderr is gone there is nowhere left to say so.
                let _ = std::io::stderr().lock().write_all(line.as_bytes());
            }
        }
    }

    fn flush(&self) {}
}

/// One line: UTC time of day, level, message, then the key-values.
fn line(record: &Record<'_>, now: WallNs, colour: bool) -> String {
    struct Pairs(String);
    impl<'kvs> kv::VisitSource<'kvs> for Pairs {
        fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
            write!(self.0, " {key}={value}").map_err(kv::Error::from)
        }
    }
    let (paint, name) = match record.level() {
        Level::Error => ("\x1b[31m", "error"),
        Level::Warn => ("\x1b[33m", "warn "),
        Level::Info => ("\x1b[32m", "info "),
        Level::Debug => ("\x1b[36m", "debug"),
        Level::Trace => ("\x1b[90m", "trace"),
    };
    let (paint, dim, plain) = if colour { (paint, "\x1b[90m", "\x1b[0m") } else { ("", "", "") };
    let mut pairs = Pairs(String::new());
    // Formatting into a String does not fail, and a value that cannot be shown is not worth losing the line.
    let _ = record.key_values().visit(&mut pairs);
    let time = now.timestamp().strftime("%H:%M:%S%.3f");
    // A message of several lines, or a control character from a camera, must not forge another line.
    let message: String = format!("{}{dim}{}", record.args(), pairs.0);
    let message = message.replace('\n', " ⏎ ");
    format!("{dim}{time}Z{plain} {paint}{name}{plain} {message}{plain}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_level_message_and_values() {
        let pairs = [("camera", "gate-1")];
        let record = Record::builder()
            .args(format_args!("connected\nagain"))
            .level(Level::Warn)
            .target("custodian::capture")
            .key_values(&pairs)
            .build();
        let now = WallNs(3_723_004_000_000);
        assert_eq!(line(&record, now, false), "01:02:03.004Z warn  connected ⏎ again camera=gate-1\n");
        assert!(line(&record, now, true).contains("\x1b[33mwarn "));
    }

    #[test]
    fn libraries_say_less_than_we_do() {
        let logger =
            Logger { target: Target::Stderr { colour: false }, own: LevelFilter::Info, libraries: LevelFilter::Warn };
        let of = |target, level| logger.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(of("custodian::store", Level::Info));
        assert!(!of("custodian::store", Level::Debug));
        assert!(!of("retina::client", Level::Info));
        assert!(!of("custodian_other", Level::Info));
        assert!(of("retina::client", Level::Warn));
    }
}
