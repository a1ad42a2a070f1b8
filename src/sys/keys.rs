//! A terminal that a person sits at: keys one by one, and a screen that is drawn on.

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    os::fd::AsFd as _,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr},
};

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A letter.
    Char(char),
    /// Enter.
    Enter,
    /// Backspace, or delete.
    Back,
    /// Escape, or Ctrl-C.
    Escape,
    /// Up, or page up.
    Up,
    /// Down, or page down.
    Down,
    /// Any other.
    Other,
}

/// A terminal.
pub trait Terminal {
    /// The next key; none within that time.
    ///
    /// # Errors
    /// If there is nobody any more: the terminal is gone.
    fn key(&mut self, wait: Duration) -> io::Result<Option<Key>>;
    /// Columns and rows.
    fn size(&self) -> (usize, usize);
    /// Writes as it is.
    fn write(&mut self, text: &str) -> io::Result<()>;
}

/// Standard input and output, without lines and echo until this is dropped.
pub struct RawTerminal {
    before: Termios,
    bytes: VecDeque<u8>,
}

/// A screen that does not say how large it is.
const SIZE: (usize, usize) = (80, 24);

impl RawTerminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If standard input is none.
    pub fn new() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin.as_fd(), SetArg::TCSAFLUSH, &raw)?;
        Ok(Self { before, bytes: VecDeque::new() })
    }

    /// Takes in what was typed within that time. Whether it was something.
    fn fill(&mut self, wait: Duration) -> io::Result<bool> {
        let stdin = io::stdin();
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, wait) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        let mut bytes = [0; 256];
        match nix::unistd::read(stdin.as_fd(), &mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.bytes.extend(&bytes[..n]);
                Ok(true)
            }
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

impl Terminal for RawTerminal {
    fn key(&mut self, wait: Duration) -> io::Result<Option<Key>> {
        if self.bytes.is_empty() && !self.fill(wait)? {
            return Ok(None);
        }
        // The rest of a letter, or of what a key sends, follows at once.
        while is_begun(self.bytes.make_contiguous()) && self.fill(Duration::from_millis(50))? {}
        Ok(take(&mut self.bytes))
    }

    fn size(&self) -> (usize, usize) {
        let known = terminal_size::terminal_size_of(io::stdout()).map(|(w, h)| (usize::from(w.0), usize::from(h.0)));
        known.filter(|(w, h)| *w > 0 && *h > 0).unwrap_or(SIZE)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Err(e) = tcsetattr(io::stdin().as_fd(), SetArg::TCSAFLUSH, &self.before) {
            log::warn!("the terminal stays as the console has set it: {e}");
        }
    }
}

/// How many bytes the letter has that begins with this one.
fn length(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

/// Where a sequence ends that begins with escape: with a letter, or `~`.
fn end_of_sequence(bytes: &[u8]) -> Option<usize> {
    let from = match bytes {
        // Function keys of the Linux console: `ESC [ [ A`.
        [_, b'[', b'[', ..] => 3,
        [_, b'[' | b'O', ..] => 2,
        _ => return None,
    };
    bytes.iter().skip(from).position(|b| matches!(b, 0x40..=0x7e)).map(|n| from + n + 1)
}

/// Whether more is to come of what was typed.
fn is_begun(bytes: &[u8]) -> bool {
    match bytes {
        [] => false,
        [0x1b] => true,
        [0x1b, b'[' | b'O', ..] => end_of_sequence(bytes).is_none() && bytes.len() < 16,
        [first, ..] => bytes.len() < length(*first),
    }
}

/// Takes a key from the front.
fn take(bytes: &mut VecDeque<u8>) -> Option<Key> {
    let all = bytes.make_contiguous();
    let first = *all.first()?;
    let (used, key) = match first {
        b'\r' | b'\n' => (1, Key::Enter),
        0x08 | 0x7f => (1, Key::Back),
        0x03 => (1, Key::Escape),
        0x1b => match end_of_sequence(all) {
            Some(end) => {
                let key = match &all[..end] {
                    [_, _, b'A'] | b"\x1b[5~" => Key::Up,
                    [_, _, b'B'] | b"\x1b[6~" => Key::Down,
                    b"\x1b[3~" => Key::Back,
                    _ => Key::Other,
                };
                (end, key)
            }
            None => (1, Key::Escape),
        },
        0x20..=0x7e => (1, Key::Char(char::from(first))),
        _ => {
            let length = length(first).min(all.len());
            let letter = std::str::from_utf8(&all[..length]).ok().and_then(|s| s.chars().next());
            (length, letter.filter(|c| !c.is_control()).map_or(Key::Other, Key::Char))
        }
    };
    bytes.drain(..used);
    Some(key)
}

/// A terminal at which somebody sits who knows in advance what to type, and reads all that is shown.
#[derive(Debug, Default)]
pub struct FakeTerminal {
    /// What is going to be typed. None: nothing is, for a while.
    pub keys: VecDeque<Option<Key>>,
    /// All that was written.
    pub shown: String,
    /// Columns and rows.
    pub size: (usize, usize),
}

impl FakeTerminal {
    /// With these keys, on a screen of 80 by 25.
    pub fn typing(keys: &str) -> Self {
        let key = |c: char| match c {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            '\x08' => Key::Back,
            c => Key::Char(c),
        };
        Self { keys: keys.chars().map(|c| Some(key(c))).collect(), shown: String::new(), size: (80, 25) }
    }
}

impl Terminal for FakeTerminal {
    fn key(&mut self, _wait: Duration) -> io::Result<Option<Key>> {
        self.keys.pop_front().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.shown.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(typed: &[u8]) -> Vec<Key> {
        let mut bytes: VecDeque<u8> = typed.iter().copied().collect();
        std::iter::from_fn(|| take(&mut bytes)).collect()
    }

    #[test]
    fn keys_are_known_however_a_terminal_sends_them() {
        let (up, down) = (Key::Up, Key::Down);
        assert_eq!(
            keys(b"a\r\n\x7f\x08\x03"),
            [Key::Char('a'), Key::Enter, Key::Enter, Key::Back, Key::Back, Key::Escape]
        );
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[3~\x1b[[A\x1b[1;5C"),
            [up, down, up, down, Key::Back, Key::Other, Key::Other]
        );
        assert_eq!(keys("ế中😀".as_bytes()), [Key::Char('ế'), Key::Char('中'), Key::Char('😀')]);
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(keys(b"\x1bx"), [Key::Escape, Key::Char('x')]);
        assert_eq!(keys(b"\xffx\xe4\xb8"), [Key::Other, Key::Char('x'), Key::Other]);
        assert_eq!(keys("\u{9b}".as_bytes()), [Key::Other], "no control character is a letter");
        for begun in [&b"\x1b"[..], b"\x1b[", b"\x1b[1;5", b"\xe4\xb8"] {
            assert!(is_begun(begun), "{begun:?}");
        }
        assert!(!is_begun(b"\x1b[1;5C") && !is_begun(b"\x1bx") && !is_begun("中".as_bytes()) && !is_begun(b""));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_typed_comes_to_an_end(typed: Vec<u8>) {
            proptest::prop_assert!(keys(&typed).len() <= typed.len());
        }
    }
}
