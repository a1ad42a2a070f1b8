//! Signals, with who sent them: a stop goes on record.

use std::{os::fd::AsFd as _, time::Duration};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal as Number},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// What a signal asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Stop, and who asked.
    Stop(String),
    /// Read the site again.
    Reload,
}

/// The signals of this process. Must be made before any thread is started, so that all inherit the mask.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// From now on SIGTERM, SIGINT and SIGHUP come here.
    pub fn take() -> nix::Result<Self> {
        let mut set = SigSet::empty();
        for number in [Number::SIGTERM, Number::SIGINT, Number::SIGHUP] {
            set.add(number);
        }
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map(Self)
    }

    /// Waits for the next one, at most `limit`.
    pub fn next_within(&self, limit: Option<Duration>) -> nix::Result<Option<Signal>> {
        if let Some(limit) = limit {
            let ready = PollFd::new(self.0.as_fd(), PollFlags::POLLIN);
            let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
            if poll(&mut [ready], limit)? == 0 {
                return Ok(None);
            }
        }
        self.next().map(Some)
    }

    /// Waits for the next one.
    pub fn next(&self) -> nix::Result<Signal> {
        loop {
            let Some(info) = self.0.read_signal()? else { continue };
            let number = i32::try_from(info.ssi_signo).ok().and_then(|n| Number::try_from(n).ok());
            return Ok(match number {
                Some(Number::SIGHUP) => Signal::Reload,
                Some(Number::SIGINT) => Signal::Stop(sender("interrupted (Ctrl-C)", info.ssi_pid, info.ssi_uid)),
                _ => Signal::Stop(sender("SIGTERM", info.ssi_pid, info.ssi_uid)),
            });
        }
    }
}

fn sender(what: &str, pid: u32, uid: u32) -> String {
    // The kernel's own signals, such as a terminal's, come from nobody.
    if pid == 0 {
        return what.to_owned();
    }
    let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten().map_or_else(|| uid.to_string(), |u| u.name);
    format!("{what} by user {user} ({} {pid})", program.trim())
}
