//! The machine's clock, for a person at the console: who keeps it, whether deletion waits for it, a word that it is right, and setting it
//! by hand where nobody else keeps it.

use std::{io, path::Path, time::Duration};

use jiff::{civil::DateTime, tz::TimeZone};

use super::{paths::Paths, socket};
use crate::{
    sys::{Clock, Commands, Monotonic, is_synchronised},
    types::{
        WallNs,
        wire::{Doubt, Retention, Trust},
    },
};

/// The time service of our machines; on others its name is another's, and systemd says so.
const SERVICE: &str = "chronyd.service";
/// For systemd to start, stop or set something.
const ORDER: Duration = Duration::from_secs(30);
/// So much is a step that wants a person's word: the recorder's own measure.
pub const STEP_NS: i64 = 60 * 1_000_000_000;
/// What can be the present: what lies outside was mistyped.
const YEARS: std::ops::RangeInclusive<i16> = 2026..=2099;

/// Who keeps the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// A time service, by a server's word.
    Server,
    /// A time service runs, and has no server's word.
    Unanswered,
    /// Nobody.
    Nobody,
}

/// What waits for somebody's word that the clock is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// Nothing.
    Nothing,
    /// All deletion, for this reason.
    Deletion(String),
    /// Footage counts as so many seconds younger.
    Younger(u64),
    /// The recorder does not say, for this reason.
    Unknown(String),
}

/// Why the clock was not set, or not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// A time service keeps it.
    #[error("a time service keeps the clock")]
    Kept,
    /// It is as it was.
    #[error("{0}")]
    Failed(String),
    /// It is set, but the time service is down.
    #[error("the clock is set, but {0}")]
    Service(String),
}

/// Who keeps it now.
pub fn keeper(commands: &dyn Commands) -> Keeper {
    match (is_synchronised(commands), serves(commands)) {
        (true, _) => Keeper::Server,
        (false, true) => Keeper::Unanswered,
        (false, false) => Keeper::Nobody,
    }
}

fn serves(commands: &dyn Commands) -> bool {
    commands.run("systemctl", &["is-active", SERVICE], &[], ORDER).is_ok_and(|said| said.ok())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// What waits, as the recorder says.
pub fn waits(state: &Path) -> Waits {
    let socket = Paths::new(state).status_socket();
    let ask = async { socket::at_once(socket::ask::<Retention>(&socket, reqwest::Method::GET, "/v1/retention")).await };
    match runtime().map(|runtime| runtime.block_on(ask)) {
        Ok(Ok(told)) => of(told),
        Ok(Err(e)) => Waits::Unknown(e.to_string()),
        Err(e) => Waits::Unknown(e.to_string()),
    }
}

fn of(told: Retention) -> Waits {
    if let Some(doubt) = told.suspended.into_iter().find(|s| s.doubt == Doubt::Clock) {
        return Waits::Deletion(doubt.why);
    }
    // Less is not looked at by the recorder either.
    if told.younger_seconds > STEP_NS.unsigned_abs() / 1_000_000_000 {
        return Waits::Younger(told.younger_seconds);
    }
    Waits::Nothing
}

/// Tells the recorder that somebody says that the clock is right.
///
/// # Errors
/// If the recorder does not take it, or does not answer.
pub fn trust(state: &Path, by: &str, reason: &str) -> anyhow::Result<()> {
    let word = Trust { volume: None, by: by.to_owned(), reason: reason.to_owned() };
    let socket = Paths::new(state).control_socket();
    runtime()?.block_on(socket::tell::<serde_json::Value>(&socket, "/v1/trust", &word))?;
    Ok(())
}

/// Reads a date and a time as people type them into a clock, in the site's zone. None: it is none, or cannot be the present.
pub fn typed(text: &str, zone: &TimeZone) -> Option<WallNs> {
    let forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
    let read = forms.iter().find_map(|form| DateTime::strptime(form, text.trim()).ok())?;
    let at = read.to_zoned(zone.clone()).ok()?;
    // Not an hour that a change to summer time leaves out.
    (YEARS.contains(&read.year()) && at.datetime() == read).then(|| at.timestamp().into())
}

/// Sets the clock, and the one in the hardware, to what it was `at` that moment; the time since then is added.
///
/// systemd does not set a clock beside a time service that runs, whether or not that knows the time: it is stopped meanwhile.
///
/// # Errors
/// If a time service keeps the clock, or something of it fails.
pub fn set(commands: &dyn Commands, clock: &dyn Clock, wanted: WallNs, at: Monotonic) -> Result<(), SetError> {
    if is_synchronised(commands) {
        return Err(SetError::Kept);
    }
    let serves = serves(commands);
    let stopped = if serves { order(commands, "systemctl", &["stop", SERVICE]) } else { Ok(()) };
    let done = stopped.and_then(|()| {
        let passed = i64::try_from(clock.monotonic().since(at).as_nanos()).unwrap_or(i64::MAX);
        let micros = wanted.offset(passed).0 / 1000;
        let now = format!("@{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        order(commands, "timedatectl", &["set-time", &now])
    });
    // Whatever came of it: the cameras have their time from it.
    let started = if serves { order(commands, "systemctl", &["start", SERVICE]) } else { Ok(()) };
    match (done, started) {
        (Ok(()), started) => started.map_err(SetError::Service),
        (Err(why), Ok(())) => Err(SetError::Failed(why)),
        (Err(why), Err(too)) => Err(SetError::Failed(format!("{why}; {too}"))),
    }
}

fn order(commands: &dyn Commands, program: &str, args: &[&str]) -> Result<(), String> {
    match commands.run(program, args, &[], ORDER) {
        Ok(out) if out.ok() => Ok(()),
        Ok(out) => Err(format!("{program}: {}", out.stderr)),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sys::{FakeClock, FakeCommands, Output},
        types::wire::Suspension,
    };

    /// 2026-11-22T08:30:00Z.
    const NOW: WallNs = WallNs(1_795_336_200_000_000_000);

    #[test]
    fn dates_and_times_are_those_of_the_site_or_none() {
        let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
        for text in ["2026-11-22 15:30", " 2026-11-22 15:30:00 "] {
            assert_eq!(typed(text, &zone), Some(NOW), "{text}");
        }
        assert_eq!(typed("2026-11-22 15:30:07", &zone), Some(NOW.offset(7_000_000_000)));
        for text in [
            "",
            "now",
            "+2h",
            "15:30",
            "2026-11-22",
            "22.11.2026 15:30",
            "2026-11-22 24:00",
            "2026-11-31 15:30",
            "2026-13-01 15:30",
            "2026-11-22 15:30 PM",
            "2026-11-22 15:61",
            "0026-11-22 15:30",
            "1970-01-01 00:00",
            "2025-12-31 23:59",
            "2100-01-01 00:00",
            "2026-11-22T15:30:00Z",
        ] {
            assert_eq!(typed(text, &zone), None, "{text}");
        }
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(typed("2026-03-29 02:30", &berlin), None, "that hour does not exist");
        assert!(typed("2026-03-29 03:30", &berlin).is_some());
    }

    /// Sets the clock at a machine where only some commands fail, 2.5 s after the time was typed. What was asked for, without questions.
    fn set_where(synchronised: &str, active: bool, fails: &'static str) -> (Result<(), SetError>, Vec<String>) {
        let synchronised = synchronised.to_owned();
        let commands = FakeCommands::new(move |_, args| {
            let bad = match args[0] {
                "is-active" => !active,
                verb => fails.split(' ').any(|f| f == verb),
            };
            let (code, stderr) = if bad { (Some(1), "it does not".to_owned()) } else { (Some(0), String::new()) };
            Ok(Output { code, stdout: synchronised.clone().into_bytes(), stderr })
        });
        let clock = FakeClock::at(WallNs(0));
        let at = clock.monotonic();
        clock.advance(Duration::from_millis(2500));
        let done = set(&commands, &clock, NOW, at);
        let asked = commands.asked().into_iter().filter(|c| !c.contains(" show ") && !c.contains("is-active"));
        (done, asked.collect())
    }

    #[test]
    fn the_clock_is_set_with_the_time_service_out_of_the_way() {
        let [stop, time, start] = [
            "systemctl stop chronyd.service",
            "timedatectl set-time @1795336202.500000",
            "systemctl start chronyd.service",
        ];
        let all = [stop, time, start].map(str::to_owned).to_vec();
        assert_eq!(set_where("no\n", true, ""), (Ok(()), all.clone()));
        assert_eq!(set_where("no\n", false, ""), (Ok(()), vec![time.to_owned()]));
        // The service is started again whatever fails.
        let failed = |program: &str| Err(SetError::Failed(format!("{program}: it does not")));
        assert_eq!(set_where("no\n", true, "set-time"), (failed("timedatectl"), all.clone()));
        assert_eq!(set_where("no\n", true, "stop"), (failed("systemctl"), vec![stop.to_owned(), start.to_owned()]));
        assert_eq!(set_where("no\n", true, "start"), (Err(SetError::Service("systemctl: it does not".into())), all));
        let both = SetError::Failed("timedatectl: it does not; systemctl: it does not".into());
        assert_eq!(set_where("no\n", true, "set-time start").0, Err(both));
    }

    #[test]
    fn a_clock_that_a_server_keeps_is_not_set() {
        assert_eq!(set_where("yes\n", true, ""), (Err(SetError::Kept), vec![]));
        assert_eq!(set_where("yes\n", false, ""), (Err(SetError::Kept), vec![]));
    }

    #[test]
    fn who_keeps_it_is_what_the_kernel_and_systemd_say() {
        let keeper = |synchronised: &'static str, code| {
            keeper(&FakeCommands::new(move |program, _| {
                let code = if program == "systemctl" { code } else { 0 };
                Ok(Output { code: Some(code), stdout: synchronised.into(), stderr: String::new() })
            }))
        };
        assert_eq!(keeper("yes\n", 0), Keeper::Server);
        assert_eq!(keeper("yes\n", 3), Keeper::Server, "another service than ours");
        assert_eq!(keeper("no\n", 0), Keeper::Unanswered);
        assert_eq!(keeper("no\n", 3), Keeper::Nobody);
    }

    #[test]
    fn what_waits_is_what_the_recorder_would_take_a_word_for() {
        let told = |doubt: Option<Doubt>, younger_seconds| {
            let suspended = doubt.map(|doubt| Suspension { volume: None, doubt, why: "it was set".into() });
            of(Retention {
                recorder: "a".parse().unwrap(),
                now: NOW,
                target: false,
                warn_days: 7.0,
                reckoned: None,
                suspended: suspended.into_iter().collect(),
                younger_seconds,
                volumes: Vec::new(),
                cameras: Vec::new(),
            })
        };
        assert_eq!(told(None, 60), Waits::Nothing);
        assert_eq!(told(Some(Doubt::Ledger), 0), Waits::Nothing);
        assert_eq!(told(None, 61), Waits::Younger(61));
        assert_eq!(told(Some(Doubt::Clock), 61), Waits::Deletion("it was set".into()));
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(waits(dir.path()), Waits::Unknown(why) if why.contains("no recorder answers")));
        assert!(trust(dir.path(), "Hoa", "my watch").unwrap_err().to_string().contains("no recorder answers"));
    }
}
