//! Asking a person at a terminal for what nobody beside them should read.

use std::{
    io::{self, Write as _},
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};

/// Nobody types as much.
const LONGEST: usize = 4096;

/// Ctrl-C.
const GIVE_UP: u8 = 3;

/// The terminal shows what is typed again when this is dropped.
struct Hidden<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(terminal: BorrowedFd<'a>) -> nix::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        // That the line has ended is seen.
        hidden.local_flags.insert(LocalFlags::ECHONL | LocalFlags::ICANON);
        // Who gives up ends the line, not this program: it has something to put away.
        hidden.local_flags.remove(LocalFlags::ISIG);
        hidden.control_chars[SpecialCharacterIndices::VEOL as usize] = GIVE_UP;
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, SetArg::TCSAFLUSH, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if let Err(e) = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before) {
            log::warn!("the terminal goes on hiding what is typed ({e}): `stty echo` shows it again");
        }
    }
}

/// Shows `prompt` on standard error and reads a line that is not shown. None: there is nobody any more, or they gave up with Ctrl-C.
///
/// # Errors
/// If it is no terminal, or it cannot be read.
pub fn ask_hidden(terminal: &impl AsFd, prompt: &str) -> io::Result<Option<String>> {
    let hidden = Hidden::new(terminal.as_fd())?;
    let mut error = io::stderr();
    error.write_all(prompt.as_bytes()).and_then(|()| error.flush())?;
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match nix::unistd::read(hidden.terminal, &mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(_) if byte[0] == GIVE_UP => {
                let _ = error.write_all(b"\n");
                return Ok(None);
            }
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' || line.len() >= LONGEST => break,
            Ok(_) => line.push(byte[0]),
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read as _, thread, time::Duration};

    use nix::poll::{PollFd, PollFlags, poll};

    use super::*;

    /// What the terminal shows, until these words are among it.
    fn shown(screen: &mut File, words: &str) -> String {
        let mut shown = String::new();
        while !shown.contains(words) {
            let mut ready = [PollFd::new(screen.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut ready, 5000_u16), Ok(1), "the terminal shows {shown:?}");
            let mut bytes = [0; 100];
            let n = screen.read(&mut bytes).unwrap();
            shown.push_str(&String::from_utf8_lossy(&bytes[..n]));
        }
        shown
    }

    #[test]
    fn what_is_typed_is_read_and_not_shown() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let echo = || tcgetattr(&pty.slave).unwrap().local_flags.contains(LocalFlags::ECHO);
        assert!(echo());
        let mut person = File::from(pty.master.try_clone().unwrap());
        person.write_all(b"typed too early\n").unwrap();
        shown(&mut person, "early");
        let answer = |typed: &[u8]| {
            thread::scope(|scope| {
                let asking = scope.spawn(|| ask_hidden(&pty.slave, "").unwrap());
                while echo() && !asking.is_finished() {
                    thread::sleep(Duration::from_millis(1));
                }
                (&person).write_all(typed).unwrap();
                asking.join().unwrap()
            })
        };
        assert_eq!(answer(b"open sesame\n").as_deref(), Some("open sesame"));
        assert_eq!(answer(b"open ses\x03"), None, "they gave up");
        assert!(echo(), "and afterwards all is as it was");
        person.write_all(b"seen\n").unwrap();
        let shown = shown(&mut person, "seen");
        assert!(!shown.contains("sesame"), "{shown:?}");
    }

    #[test]
    fn a_file_is_no_terminal() {
        assert!(ask_hidden(&tempfile::tempfile().unwrap(), "").is_err());
    }
}
