//! How far it has come: a bar on a terminal, else a line now and then.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use crate::{
    cli::time,
    lang::t,
    services::verify::Progress,
    sys::{Clock as _, Monotonic, RealClock},
    types::{ByteSize, Lang},
};

/// Between two looks of the bar, and between two lines where there is no terminal.
const LOOK: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(60);
/// Characters of the bar.
const WIDTH: u64 = 24;

/// Draws on standard error.
pub(super) struct Bar {
    lang: Lang,
    terminal: bool,
    quiet: bool,
    began: Option<(Monotonic, u64)>,
    last: Monotonic,
    drawn: bool,
}

impl Bar {
    pub(super) fn new(lang: Lang, json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let last = RealClock.monotonic();
        Self { lang, terminal, quiet: json && !terminal, began: None, last, drawn: false }
    }

    /// Shows it, if it is time to.
    pub(super) fn show(&mut self, progress: Progress) {
        let now = RealClock.monotonic();
        let (began, from) = *self.began.get_or_insert((now, progress.bytes));
        if self.quiet || now.since(self.last) < if self.terminal { LOOK } else { LINE } {
            return;
        }
        self.last = now;
        let text = line(self.lang, progress, progress.bytes.saturating_sub(from), now.since(began));
        // A progress that cannot be shown is none that is missed.
        let mut out = io::stderr().lock();
        let _ = if self.terminal {
            self.drawn = true;
            write!(out, "\r\x1b[K{} {text}", bar(progress)).and_then(|()| out.flush())
        } else {
            writeln!(out, "{text}")
        };
    }

    /// Takes it away, for a line of something else.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar(p: Progress) -> String {
    let full = if p.of_bytes == 0 { WIDTH } else { (p.bytes.min(p.of_bytes)).saturating_mul(WIDTH) / p.of_bytes };
    let chars = |c: char, n: u64| std::iter::repeat_n(c, usize::try_from(n).unwrap_or(0)).collect::<String>();
    format!("[{}{}]", chars('#', full), chars('-', WIDTH - full))
}

/// `42 %, 1.2 GB of 3.4 GB, 38.1 MB/s, 0:01:05 left`; `read` bytes took that long.
fn line(lang: Lang, p: Progress, read: u64, took: Duration) -> String {
    let percent = p.bytes.min(p.of_bytes).saturating_mul(100).checked_div(p.of_bytes).unwrap_or(100);
    let rate = read as f64 / took.as_secs_f64().max(0.001);
    let rest = p.of_bytes.saturating_sub(p.bytes) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people to read; casts saturate")]
    let (per_second, left) = (rate as u64, if rate > 0.0 { (rest / rate * 1e9) as i64 } else { i64::MAX });
    let left = if left == i64::MAX { "–".to_owned() } else { time::length(left) };
    let values = [
        ("percent", &*percent.to_string()),
        ("done", &*ByteSize(p.bytes).to_string()),
        ("all", &*ByteSize(p.of_bytes).to_string()),
        ("rate", &*ByteSize(per_second).to_string()),
        ("left", &*left),
    ];
    t(lang, "verify.progress", &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_and_the_time_left_is_that_of_the_rate() {
        let at = |bytes| Progress { segments: 1, bytes, of_segments: 2, of_bytes: 1_000_000_000 };
        assert_eq!(bar(at(0)), format!("[{}]", "-".repeat(24)));
        assert_eq!(bar(at(500_000_000)), format!("[{}{}]", "#".repeat(12), "-".repeat(12)));
        // What has grown since it was counted does not overflow.
        assert_eq!(bar(at(2_000_000_000)), format!("[{}]", "#".repeat(24)));
        let text = line(Lang::En, at(400_000_000), 300_000_000, Duration::from_secs(10));
        assert_eq!(text, "40 %, 400 MB of 1.0 GB, 30.0 MB/s, 20.0 s left");
        assert!(line(Lang::Vi, at(0), 0, Duration::ZERO).contains('–'));
    }
}
