//! Programs of the system that do what they do best: lsblk, cryptsetup, systemctl. Behind a trait, so that tests can answer.

use std::{
    io::{self, Read as _, Write as _},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
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
    /// `limit` is killed, which is an error of kind `TimedOut`; one that is not installed is one of kind `NotFound`.
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output>;
}

/// The system's programs.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealCommands;

impl Commands for RealCommands {
    fn run(&self, program: &str, args: &[&str], input: &[u8], limit: Duration) -> io::Result<Output> {
        let mut child = Command::new(program)
            .args(args)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            scope.spawn(move || {
                // A program that does not want its input closes it.
                stdin.map(|mut stdin| stdin.write_all(input))
            });
            let out = scope.spawn(move || {
                let mut all = Vec::new();
                stdout.map_or(Ok(0), |mut s| s.read_to_end(&mut all)).map(|_| all)
            });
            let err = scope.spawn(move || {
                let mut all = Vec::new();
                stderr.map_or(Ok(0), |mut s| s.read_to_end(&mut all)).map(|_| all)
            });
            let mut waited = Duration::ZERO;
            let step = Duration::from_millis(2);
            let status = loop {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                if waited >= limit {
                    child.kill()?;
                    child.wait()?;
                    return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{program}: no end after {limit:?}")));
                }
                thread::sleep(step);
                waited += step;
            };
            let join = |t: thread::ScopedJoinHandle<'_, io::Result<Vec<u8>>>| {
                t.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
            };
            Ok(Output {
                code: status.code(),
                stdout: join(out)?,
                stderr: String::from_utf8_lossy(&join(err)?).trim().to_owned(),
            })
        })
    }
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
        assert_eq!(run("sleep", &["30"], "", 20).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(run("no-such-program", &[], "", 20).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
