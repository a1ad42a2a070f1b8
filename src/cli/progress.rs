//! How far long work has come: a line that is written over on a terminal, a line now and then in a journal, lines of JSON for machines.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use unicode_width::UnicodeWidthStr as _;

use super::{table, time};
use crate::{
    lang::t,
    sys::{Clock as _, Monotonic, RealClock},
    types::{ByteSize, Lang},
};

/// Often enough for people who look on.
const LOOK: Duration = Duration::from_millis(200);
/// Often enough for machines.
const TELL: Duration = Duration::from_secs(1);
/// Often enough for those who read it afterwards.
const NOTE: Duration = Duration::from_mins(1);
/// Width of the bar.
const WIDTH: u64 = 24;

/// So many of so many.
#[derive(Clone, Copy)]
pub(super) enum Done {
    /// Bytes: it is told how many a second.
    Bytes(u64, u64),
    /// Other things.
    Things(u64, u64),
}

impl Done {
    fn numbers(self) -> (u64, u64) {
        let (Self::Bytes(done, of) | Self::Things(done, of)) = self;
        (done, of)
    }

    fn part(self, whole: u64) -> u64 {
        let (done, of) = self.numbers();
        let part = (u128::from(whole) * u128::from(done.min(of))).checked_div(u128::from(of));
        part.and_then(|part| u64::try_from(part).ok()).unwrap_or(0)
    }
}

/// Says how far something has come.
pub(super) struct Progress {
    lang: Lang,
    /// Lines of JSON on standard output.
    json: bool,
    terminal: bool,
    /// When it began, and how much was done then.
    began: Option<(Monotonic, u64)>,
    last: Option<Monotonic>,
    /// Columns of what stands on the terminal's line.
    shown: usize,
}

impl Progress {
    pub(super) fn new(lang: Lang, json: bool) -> Self {
        Self { lang, json, terminal: io::stderr().is_terminal(), began: None, last: None, shown: 0 }
    }

    /// Something has come so far, with what people read beside the numbers and what machines read.
    pub(super) fn show(
        &mut self,
        done: Done,
        words: impl FnOnce() -> String,
        machine: impl FnOnce() -> serde_json::Value,
    ) {
        let now = RealClock.monotonic();
        let (began, from) = *self.began.get_or_insert((now, done.numbers().0));
        let every = match (self.json, self.terminal) {
            (true, _) => TELL,
            (false, true) => LOOK,
            (false, false) => NOTE,
        };
        if self.json || !self.terminal {
            // What is over soon is not worth telling.
            self.last.get_or_insert(now);
        }
        if self.last.is_some_and(|last| now.since(last) < every) {
            return;
        }
        self.last = Some(now);
        // Whoever does not listen any more does not want to hear of it.
        if self.json {
            let _ = table::print(&format!("{}\n", machine()));
            return;
        }
        let text = format!("{:3} % {}{}", done.part(100), words(), pace(self.lang, done, from, now.since(began)));
        let _ = if self.terminal {
            let line = format!("{} {text}", bar(done));
            let over = " ".repeat(self.shown.saturating_sub(line.width()));
            self.shown = line.width();
            write!(io::stderr(), "\r{line}{over}")
        } else {
            writeln!(io::stderr(), "{}", text.trim_start())
        };
    }

    /// Takes the line away, before something else is printed.
    pub(super) fn clear(&mut self) {
        if self.shown > 0 {
            let _ = write!(io::stderr(), "\r{}\r", " ".repeat(self.shown));
            self.shown = 0;
        }
    }

    /// Something else begins.
    pub(super) fn begin(&mut self) {
        self.clear();
        (self.began, self.last) = (None, None);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `, 38.1 MB/s, 0:01:05 left`; as fast as since it began with `from`, `took` ago.
fn pace(lang: Lang, done: Done, from: u64, took: Duration) -> String {
    let (now, of) = done.numbers();
    let rate = now.saturating_sub(from) as f64 / took.as_secs_f64().max(0.001);
    if rate <= 0.0 {
        return String::new();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people to read; casts saturate")]
    let (per_second, left) = (rate as u64, (of.saturating_sub(now) as f64 / rate * 1e9) as i64);
    let left = t(lang, "progress.left", &[("left", &time::length(left))]);
    match done {
        Done::Bytes(..) => t(lang, "progress.rate", &[("rate", &ByteSize(per_second).to_string())]) + &left,
        Done::Things(..) => left,
    }
}

/// `[######------------------]`
fn bar(done: Done) -> String {
    let full = usize::try_from(done.part(WIDTH)).unwrap_or(0);
    let width = usize::try_from(WIDTH).unwrap_or(0);
    format!("[{}{}]", "#".repeat(full), "-".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_to_its_end() {
        let bar = |done, of| bar(Done::Bytes(done, of));
        assert_eq!(bar(0, 0), "[------------------------]");
        assert_eq!(bar(1, 4), "[######------------------]");
        assert_eq!(bar(u64::MAX, u64::MAX), "[########################]");
        // What has grown since it was counted does not overflow.
        assert_eq!(bar(9, 4), bar(4, 4));
        assert_eq!(Done::Bytes(1, 4).part(100), 25);
    }

    #[test]
    fn the_time_left_is_that_of_the_rate_since_it_began() {
        let ten = Duration::from_secs(10);
        let done = Done::Bytes(400_000_000, 1_000_000_000);
        assert_eq!(pace(Lang::En, done, 100_000_000, ten), ", 30.0 MB/s, 20.0 s left");
        assert_eq!(pace(Lang::En, Done::Things(4, 10), 1, ten), ", 20.0 s left");
        assert_eq!(pace(Lang::Vi, done, 400_000_000, Duration::ZERO), "", "nobody knows yet");
    }
}
