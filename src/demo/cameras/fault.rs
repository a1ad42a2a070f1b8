//! What can be wrong with a camera.

use std::{fmt, str::FromStr, time::Duration};

use tokio::time::Instant;

/// A fault of a simulated camera, switched on and off while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Closes its connections, is gone for 8 s, is there for 12 s, and so on.
    Drop,
    /// Keeps its sessions and answers, but sends no more pictures or sound.
    Stall,
    /// Accepts connections and never says a word, in open sessions neither.
    Mute,
    /// Its clock is 7 h ahead and drifts, its RTP timestamps run 0.5 % fast and jump, forward by 8 s and back by 3 s, in
    /// turn every 20 s.
    LieAboutTime,
    /// Refuses every password and closes open sessions.
    RefuseCredentials,
    /// Changes its resolution every 10 s, in mid-stream.
    Resolution,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Drop, Self::Stall, Self::Mute, Self::LieAboutTime, Self::RefuseCredentials, Self::Resolution];

    /// The name used on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Stall => "stall",
            Self::Mute => "mute",
            Self::LieAboutTime => "lie-about-time",
            Self::RefuseCredentials => "refuse-credentials",
            Self::Resolution => "resolution",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no fault's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fault: use drop, stall, mute, lie-about-time, refuse-credentials or resolution")]
pub struct UnknownFault(pub String);

impl FromStr for Fault {
    type Err = UnknownFault;
    fn from_str(s: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|f| f.as_str() == s).ok_or_else(|| UnknownFault(s.to_owned()))
    }
}

const GONE: Duration = Duration::from_secs(8);
const CYCLE: Duration = Duration::from_secs(20);
const RESIZE: Duration = Duration::from_secs(10);
const JUMP: Duration = Duration::from_secs(20);

/// A fault with the moment since when it is so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) fault: Option<Fault>,
    pub(crate) since: Instant,
}

impl Trouble {
    pub(crate) fn is(self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether nothing is to be sent.
    pub(crate) fn silent(self) -> bool {
        matches!(self.fault, Some(Fault::Stall | Fault::Mute))
    }

    /// Whether the camera is gone, as [`Fault::Drop`] has it.
    pub(crate) fn gone(self, now: Instant) -> bool {
        self.is(Fault::Drop) && in_cycle(now - self.since, CYCLE) < GONE
    }

    /// When open sessions are closed, if ever: now or later.
    pub(crate) fn closes(self, now: Instant) -> Option<Instant> {
        match self.fault {
            Some(Fault::RefuseCredentials) => Some(now),
            Some(Fault::Drop) if self.gone(now) => Some(now),
            Some(Fault::Drop) => Some(now + CYCLE.saturating_sub(in_cycle(now - self.since, CYCLE))),
            _ => None,
        }
    }

    /// Whether the stream has its other size now.
    pub(crate) fn resized(self, now: Instant) -> bool {
        self.is(Fault::Resolution) && in_cycle(now - self.since, RESIZE * 2) < RESIZE
    }

    /// What is to be added to the RTP clock and to the wall clock, in nanoseconds.
    pub(crate) fn lie(self, now: Instant) -> (i64, i64) {
        if !self.is(Fault::LieAboutTime) {
            return (0, 0);
        }
        let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
        let past = now - self.since;
        let jumps = nanos(past) / nanos(JUMP);
        let (forward, back) = ((jumps + 1) / 2, jumps / 2);
        let rtp = nanos(past) / 200 + forward * 8_000_000_000 - back * 3_000_000_000;
        (rtp, 7 * 3_600_000_000_000 + nanos(past) / 2_000)
    }
}

fn in_cycle(past: Duration, cycle: Duration) -> Duration {
    Duration::from_nanos(u64::try_from(past.as_nanos() % cycle.as_nanos()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
        }
        let error = "dropp".parse::<Fault>().unwrap_err().to_string();
        assert!(Fault::ALL.iter().all(|f| error.contains(f.as_str())), "{error}");
    }

    #[test]
    fn a_dropping_camera_comes_back_and_goes_again() {
        let t = Trouble { fault: Some(Fault::Drop), since: Instant::now() };
        let at = |s: u64| t.since + Duration::from_secs(s);
        assert!(t.gone(at(0)) && t.gone(at(7)) && !t.gone(at(8)) && !t.gone(at(19)) && t.gone(at(20)));
        assert_eq!(t.closes(at(12)), Some(at(20)));
        assert_eq!(t.closes(at(21)), Some(at(21)));
    }

    #[test]
    fn a_lying_camera_jumps_both_ways() {
        let t = Trouble { fault: Some(Fault::LieAboutTime), since: Instant::now() };
        let rtp = |s: u64| t.lie(t.since + Duration::from_secs(s)).0 / 1_000_000;
        assert_eq!([rtp(10), rtp(20), rtp(40), rtp(60)], [50, 8_100, 5_200, 13_300]);
    }
}
