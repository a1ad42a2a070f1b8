//! Programs of the system that do what they do best: lsblk, cryptsetup, systemctl. Behind a trait, so that tests can answer.

use std::{
    io::{self, Read, Write as _},
    os::fd::AsFd as _,
    process::{ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// Whether it ended well.
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs programs.
pub trait Commands: Send + Sync {
    /// Runs a program to its end with `input` as its standard input, in the C locale. One that takes longer than
    /// `limit` is killed, which is an error of kind `TimedOut`; one that is not installed is one of kind `NotFound`; one that prints more than
    /// 64 MiB is one of kind `InvalidData`.
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output>;

    /// Runs a program without input to its end; what it prints goes to `to` as it comes, however much that is. One that prints nothing for as
    /// long as `limit` is killed, which is an error of kind `TimedOut`; if `to` takes no more, the program is killed, and that is the error.
    fn pour(&self, program: &str, args: &[&str], to: &mut dyn io::Write, limit: Duration) -> io::Result<Output> {
        let out = self.run(program, args, b"", limit)?;
        to.write_all(&out.stdout)?;
        Ok(Output { stdout: Vec::new(), ..out })
    }

    /// Runs a program without input to its end, however long that takes, or until `enough` says that nobody needs it any more: that is asked
    /// several times a second. The program is told to end by SIGTERM then, and that is an error of kind `Interrupted`.
    fn run_until(&self, program: &str, args: &[&str], enough: &mut dyn FnMut() -> bool) -> io::Result<Output> {
        let _ = enough;
        self.run(program, args, b"", Duration::MAX)
    }
}

/// The system's programs.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealCommands;

impl Commands for RealCommands {
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output> {
        to_end(program, args, input, limit, &mut || false)
    }

    fn run_until(&self, program: &str, args: &[&str], enough: &mut dyn FnMut() -> bool) -> io::Result<Output> {
        to_end(program, args, b"", Duration::MAX, enough)
    }

    fn pour(&self, program: &str, args: &[&str], to: &mut dyn io::Write, limit: Duration) -> io::Result<Output> {
        let mut child = Command::new(program)
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        let err = collect(child.stderr.take());
        let poured = child.stdout.take().map_or(Ok(()), |mut from| pour(&mut from, to, program, limit));
        if let Err(e) = poured {
            child.kill()?;
            // As above.
            thread::spawn(move || child.wait());
            return Err(e);
        }
        // It has closed its output, and has nothing else to do.
        let said = err.recv_timeout(limit).unwrap_or_else(|_| Err(too_long(program, limit)));
        if said.is_err() {
            child.kill()?;
        }
        let code = child.wait()?.code();
        Ok(Output { code, stdout: Vec::new(), stderr: String::from_utf8_lossy(&said?).trim().to_owned() })
    }
}

/// Whether a program is needed still is asked every so many steps of waiting.
const ASK: u64 = 100;
/// One that is told to end has so long for it.
const GRACE: Duration = Duration::from_secs(5);

fn to_end(
    program: &str,
    args: &[&str],
    input: &[u8],
    limit: Duration,
    enough: &mut dyn FnMut() -> bool,
) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // A program that does not want its input closes it.
        thread::spawn(move || stdin.write_all(&input));
    }
    let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let (step, mut waited, mut turn) = (Duration::from_millis(2), Duration::ZERO, 1_u64);
    let mut ended: Option<Duration> = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let limit = ended.map_or(limit, |at| at + GRACE);
        if waited >= limit {
            child.kill()?;
            // One that hangs in the kernel on a dead disk does not die before the kernel lets go of it.
            thread::spawn(move || child.wait());
            return Err(too_long(program, limit));
        }
        // Whether it is needed still may take reading a disk: not each time.
        if ended.is_none() && turn.is_multiple_of(ASK) && enough() {
            ended = Some(waited);
            // What has ended meanwhile is waited for above, so that no other one has its number.
            if let Ok(pid) = i32::try_from(child.id()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
        thread::sleep(step);
        waited += step;
        turn += 1;
    };
    if ended.is_some() {
        return Err(io::Error::new(io::ErrorKind::Interrupted, format!("{program}: it is not needed any more")));
    }
    // What it has started itself may live on and keep its output open.
    let text = |from: mpsc::Receiver<io::Result<Vec<u8>>>| {
        from.recv_timeout(limit).unwrap_or_else(|_| Err(too_long(program, limit)))
    };
    Ok(Output {
        code: status.code(),
        stdout: text(out)?,
        stderr: String::from_utf8_lossy(&text(err)?).trim().to_owned(),
    })
}

/// Takes all of a pipe elsewhere, piece by piece.
fn pour(from: &mut ChildStdout, to: &mut dyn io::Write, program: &str, limit: Duration) -> io::Result<()> {
    let wait = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    let mut piece = vec![0; 1 << 16];
    loop {
        let ready = match poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], wait) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other?,
        };
        if ready == 0 {
            return Err(too_long(program, limit));
        }
        match from.read(&mut piece)? {
            0 => return Ok(()),
            n => to.write_all(&piece[..n])?,
        }
    }
}

/// What prints more does so without an end, as a file on a hostile stick may.
const MOST: u64 = 64 << 20;

/// Reads all of a pipe in a thread of its own.
fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut all = Vec::new();
        let read = pipe.map_or(Ok(0), |pipe| pipe.take(MOST + 1).read_to_end(&mut all));
        let too_much = || io::Error::new(io::ErrorKind::InvalidData, "it prints without an end");
        // The pipe is closed here: who goes on printing is ended by that.
        send.send(read.and_then(|n| if n as u64 > MOST { Err(too_much()) } else { Ok(all) }))
    });
    receive
}

fn too_long(program: &str, limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{program}: no end after {limit:?}"))
}

/// Answers from a function, and remembers what was asked.
pub struct FakeCommands<F> {
    answer: F,
    asked: Mutex<Vec<String>>,
}

impl<F: Fn(&str, &[&str]) -> io::Result<Output> + Send + Sync> FakeCommands<F> {
    /// With this function.
    pub fn new(answer: F) -> Self {
        Self { answer, asked: Mutex::default() }
    }

    /// The command lines so far, arguments joined by spaces.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<F: Fn(&str, &[&str]) -> io::Result<Output> + Send + Sync> Commands for FakeCommands<F> {
    fn run(&self, program: &str, args: &[&str], _input: &[u8], _limit: Duration) -> io::Result<Output> {
        let line = std::iter::once(&program).chain(args).copied().collect::<Vec<_>>().join(" ");
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        (self.answer)(program, args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_speak_fail_hang_and_lack() {
        let run = |program, args: &[&str], input: &str, ms| {
            RealCommands.run(program, args, input.as_bytes(), Duration::from_millis(ms))
        };
        let out = run("sh", &["-c", "cat; echo oops >&2; exit 3"], "hello", 5000).unwrap();
        assert_eq!(out, Output { code: Some(3), stdout: b"hello".to_vec(), stderr: "oops".into() });
        assert!(run("true", &[], &"x".repeat(1 << 20), 5000).unwrap().ok(), "input that nobody reads");
        assert_eq!(run("cat", &["/dev/zero"], "", 20_000).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(run("sleep", &["30"], "", 20).unwrap_err().kind(), io::ErrorKind::TimedOut);
        // What it has started lives on and keeps the pipe open.
        assert_eq!(run("sh", &["-c", "sleep 5 & exit 0"], "", 200).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(run("no-such-program", &[], "", 20).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_program_that_nobody_needs_any_more_is_told_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let (ready, bye) = (dir.path().join("ready"), dir.path().join("bye"));
        let script = format!("trap 'touch {}; exit 0' TERM; touch {}; sleep 60 & wait", bye.display(), ready.display());
        let told = RealCommands.run_until("sh", &["-c", &script], &mut || ready.exists());
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert!(bye.exists(), "it could tidy up");
        let by_itself = RealCommands.run_until("sh", &["-c", "echo done; exit 3"], &mut || false).unwrap();
        assert_eq!((by_itself.code, &*by_itself.stdout), (Some(3), &b"done\n"[..]));
    }

    #[test]
    fn what_a_program_prints_is_poured_however_much_it_is() {
        struct Count {
            seen: u64,
            most: u64,
        }
        impl io::Write for Count {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.seen += bytes.len() as u64;
                if self.seen > self.most { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let pour = |program, args: &[&str], most, ms| {
            let mut to = Count { seen: 0, most };
            (RealCommands.pour(program, args, &mut to, Duration::from_millis(ms)), to.seen)
        };
        let (out, seen) = pour("sh", &["-c", "head -c 100000000 /dev/zero; echo oops >&2; exit 3"], u64::MAX, 20_000);
        assert_eq!(out.unwrap(), Output { code: Some(3), stdout: Vec::new(), stderr: "oops".into() });
        assert_eq!(seen, 100_000_000, "more than is kept in memory");
        let kind = |(out, _): (io::Result<Output>, u64)| out.unwrap_err().kind();
        assert_eq!(kind(pour("cat", &["/dev/zero"], 1 << 20, 20_000)), io::ErrorKind::StorageFull);
        assert_eq!(kind(pour("sleep", &["30"], u64::MAX, 20)), io::ErrorKind::TimedOut);
        assert_eq!(kind(pour("sh", &["-c", "exec 1>&-; sleep 30"], u64::MAX, 20)), io::ErrorKind::TimedOut);
        assert_eq!(kind(pour("no-such-program", &[], u64::MAX, 20)), io::ErrorKind::NotFound);
        let fake = FakeCommands::new(|_: &str, _: &[&str]| Ok(Output { stdout: b"ab".to_vec(), ..Output::default() }));
        let mut to = Vec::new();
        assert_eq!(fake.pour("x", &[], &mut to, Duration::ZERO).unwrap(), Output::default());
        assert_eq!(to, b"ab");
    }
}
