//! How far long work has come: a line that is written over on a terminal, lines of JSON for machines, nothing for a journal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use unicode_width::UnicodeWidthStr as _;

use super::table;
use crate::sys::{Clock as _, Monotonic, RealClock};

/// Often enough for people.
const LOOK: Duration = Duration::from_millis(200);
/// Often enough for machines.
const TELL: Duration = Duration::from_secs(1);
/// Width of the bar.
const WIDTH: u64 = 24;

/// Says how far something has come.
pub(super) struct Progress {
    /// Lines of JSON on standard output instead of a bar.
    json: bool,
    terminal: bool,
    last: Option<Monotonic>,
    /// Columns of what stands on the terminal's line.
    shown: usize,
}

impl Progress {
    pub(super) fn new(json: bool) -> Self {
        Self { json, terminal: io::stderr().is_terminal(), last: None, shown: 0 }
    }

    /// `done` of `of`, with what people read beside the bar and what machines read.
    pub(super) fn show(
        &mut self,
        done: u64,
        of: u64,
        words: impl FnOnce() -> String,
        machine: impl FnOnce() -> serde_json::Value,
    ) {
        if !self.json && !self.terminal {
            return;
        }
        let now = RealClock.monotonic();
        let every = if self.json { TELL } else { LOOK };
        if self.last.is_some_and(|last| now.since(last) < every) {
            return;
        }
        self.last = Some(now);
        if self.json {
            // Whoever does not listen any more does not want to hear of it.
            let _ = table::print(&format!("{}\n", serde_json::json!({ "progress": machine() })));
            return;
        }
        let line = format!("{} {}", bar(done, of), words());
        let over = " ".repeat(self.shown.saturating_sub(line.width()));
        self.shown = line.width();
        let _ = write!(io::stderr(), "\r{line}{over}");
    }

    /// Takes the bar away, before something else is printed.
    pub(super) fn clear(&mut self) {
        if self.shown > 0 {
            let _ = write!(io::stderr(), "\r{}\r", " ".repeat(self.shown));
            self.shown = 0;
        }
        self.last = None;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `[######------------------]  25 %`
fn bar(done: u64, of: u64) -> String {
    let part = |whole: u64| {
        let whole = u128::from(whole) * u128::from(done.min(of));
        u64::try_from(whole.checked_div(u128::from(of)).unwrap_or(0)).unwrap_or(0)
    };
    let full = usize::try_from(part(WIDTH)).unwrap_or(0);
    let width = usize::try_from(WIDTH).unwrap_or(0);
    format!("[{}{}] {:3} %", "#".repeat(full), "-".repeat(width - full), part(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_to_its_end() {
        assert_eq!(bar(0, 0), "[------------------------]   0 %");
        assert_eq!(bar(1, 4), "[######------------------]  25 %");
        assert_eq!(bar(u64::MAX, u64::MAX), "[########################] 100 %");
        assert_eq!(bar(9, 4), bar(4, 4));
    }
}
