//! What a machine writes to its serial line, each line with the time since it was switched on.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use custodian::sys::{Clock, RealClock};

/// The text so far, and a file of it.
#[derive(Clone, Default)]
pub struct Console(Arc<Mutex<String>>);

impl Console {
    /// Reads until the other end closes.
    pub fn read(mut from: impl Read + Send + 'static, to: &Path) -> Self {
        let console = Self::default();
        let mut file = fs::File::options().create(true).append(true).open(to).unwrap();
        let (lines, born) = (console.clone(), RealClock.monotonic());
        thread::spawn(move || {
            let (mut bytes, mut rest) = ([0; 4096], Vec::new());
            while let Ok(n) = from.read(&mut bytes) {
                rest.extend_from_slice(&bytes[..n]);
                let whole =
                    if n == 0 { rest.len() } else { rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1) };
                // A prompt has no end of line; whatever stands there longer is taken as it is when more comes.
                let whole = if whole == 0 && rest.len() > 512 { rest.len() } else { whole };
                let seconds = (RealClock.monotonic().0 - born.0) / 100_000_000;
                for line in String::from_utf8_lossy(&rest[..whole]).lines() {
                    let line = format!("[{:4}.{}] {}\n", seconds / 10, seconds % 10, plain(line));
                    // A full disk ends the test elsewhere.
                    let _ = file.write_all(line.as_bytes());
                    lines.0.lock().unwrap().push_str(&line);
                }
                rest.drain(..whole);
                if n == 0 {
                    break;
                }
            }
        });
        console
    }

    /// Adds a line of the test's own, which the file does not get.
    pub fn note(&self, line: &str) {
        let mut text = self.0.lock().unwrap();
        text.push_str(line);
        text.push('\n');
    }

    /// All of it so far.
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    /// Its last lines.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let skip = text.lines().count().saturating_sub(lines);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }
}

/// Without what moves a terminal's cursor or colours it.
fn plain(line: &str) -> String {
    let (mut out, mut letters) = (String::new(), line.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' if letters.next_if_eq(&'[').is_some() => {
                while letters.next().is_some_and(|l| !l.is_ascii_alphabetic()) {}
            }
            '\u{1b}' => drop(letters.next()),
            l if l.is_control() && l != '\t' => {}
            l => out.push(l),
        }
    }
    out
}
