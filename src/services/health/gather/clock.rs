//! The recorder's clock: whether a time service keeps it, how far it is off, and whether it was set.

use std::time::Duration;

use crate::{
    sys::{Clock, Commands, Monotonic, is_synchronised},
    types::WallNs,
};

/// To ask takes a process: not more often than this.
const PAUSE: Duration = Duration::from_mins(1);
/// A time service that slews moves the clock by half a millisecond in a second at most; more is a step.
const STEP_NS: i64 = 500_000_000;
const LIMIT: Duration = Duration::from_secs(3);

/// What is known of the clock from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Watched {
    asked: Option<Monotonic>,
    pub(super) synchronised: Option<bool>,
    pub(super) offset: Option<f64>,
    wall_less_boot: Option<i64>,
    /// How often it was set.
    pub(super) steps: u64,
    /// When it was set last, and by how many seconds.
    pub(super) step: Option<(WallNs, f64)>,
}

impl Watched {
    pub(super) fn look(&mut self, clock: &dyn Clock, commands: &dyn Commands) {
        let wall_less_boot = clock.offset();
        let before = self.wall_less_boot.replace(wall_less_boot);
        let by = wall_less_boot.saturating_sub(before.unwrap_or(wall_less_boot));
        let stepped = by.saturating_abs() > STEP_NS;
        if stepped {
            self.steps += 1;
            self.step = Some((clock.wall(), by as f64 / 1e9));
        }
        let now = clock.monotonic();
        if stepped || self.asked.is_none_or(|asked| now.since(asked) >= PAUSE) {
            self.asked = Some(now);
            self.synchronised = Some(is_synchronised(commands));
            self.offset = offset(commands);
        }
    }
}

/// The clock less that of the time service, seconds: as chrony says, else as systemd-timesyncd does. None: neither does.
fn offset(commands: &dyn Commands) -> Option<f64> {
    let ask = |program, args: &[&str]| {
        let said = commands.run(program, args, &[], LIMIT).ok().filter(crate::sys::Output::ok)?;
        String::from_utf8(said.stdout).ok()
    };
    let chrony = ask("chronyc", &["-n", "-c", "tracking"]).and_then(|text| of_chrony(&text));
    chrony.or_else(|| of_timesyncd(&ask("timedatectl", &["timesync-status"])?))
}

/// The reference that chrony names when it goes by its own clock (`local` in chrony.conf), 127.127.1.1: then it is behind nobody's.
const OWN_CLOCK: &str = "7F7F0101";

/// chronyc(1), `tracking` with `-c`: the first field is whose time it is, the fifth how far the clock is behind; the last one says whether that is known.
fn of_chrony(text: &str) -> Option<f64> {
    let fields: Vec<&str> = text.trim().split(',').collect();
    if fields.first() == Some(&OWN_CLOCK) {
        return None;
    }
    let behind: f64 = fields.get(4)?.parse().ok()?;
    fields.last().filter(|leap| **leap != "Not synchronised").map(|_| -behind)
}

/// timedatectl(1), `timesync-status`: `Offset: +1.029ms`, how far the clock is behind.
fn of_timesyncd(text: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("Offset:"))?.trim();
    let (sign, length) = match value.strip_prefix('-') {
        Some(rest) => (1.0, rest),
        None => (-1.0, value.strip_prefix('+').unwrap_or(value)),
    };
    length.split_whitespace().map(seconds).sum::<Option<f64>>().map(|s| sign * s)
}

/// A part of a time span as systemd writes it: `1min`, `2.5s`, `1.029ms`.
fn seconds(part: &str) -> Option<f64> {
    let unit = part.find(|c: char| c.is_alphabetic() || c == 'μ').unwrap_or(part.len());
    let number: f64 = part[..unit].parse().ok()?;
    let unit = match &part[unit..] {
        "us" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "" if number == 0.0 => 0.0,
        _ => return None,
    };
    Some(number * unit)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::sys::{FakeClock, FakeCommands, Output};

    #[test]
    fn both_time_services_are_understood() {
        let tracking = "C0248F82,192.36.143.130,2,1795336200.123456789,-0.000123456,0.000011,0.000037,-14.5,0.002,0.05,0.016,\
                        0.0005,64.4,Normal\n";
        assert_eq!(of_chrony(tracking), Some(0.000_123_456), "it is fast");
        assert_eq!(of_chrony(&tracking.replace("Normal", "Not synchronised")), None);
        assert_eq!(of_chrony(&tracking.replace("C0248F82", OWN_CLOCK)), None);
        assert_eq!(of_chrony("506 Cannot talk to daemon\n"), None);
        let status =
            |offset: &str| format!("       Server: 185.125.190.56\n       Offset: {offset}\n        Delay: 37ms\n");
        for (text, offset) in [
            ("+1.029ms", Some(-0.001_029)),
            ("-45us", Some(0.000_045)),
            ("+1min 2.5s", Some(-62.5)),
            ("-0", Some(0.0)),
            ("n/a", None),
        ] {
            let nanoseconds = |s: Option<f64>| s.map(|s| (s * 1e9).round());
            assert_eq!(nanoseconds(of_timesyncd(&status(text))), nanoseconds(offset), "{text}");
        }
        assert_eq!(of_timesyncd("       Server: n/a\n"), None);
    }

    #[test]
    fn it_is_asked_once_a_minute_and_a_step_is_seen_at_once() {
        let commands = FakeCommands::new(|program, args| match (program, args[0]) {
            ("timedatectl", "show") => Ok(Output { code: Some(0), stdout: b"yes\n".to_vec(), stderr: String::new() }),
            _ => Err(io::ErrorKind::NotFound.into()),
        });
        let clock = FakeClock::at(WallNs(0));
        let mut watched = Watched::default();
        watched.look(&clock, &commands);
        assert_eq!((watched.synchronised, watched.offset, watched.steps), (Some(true), None, 0));
        let once = commands.asked().len();
        clock.advance(Duration::from_secs(30));
        clock.step(15_000_000);
        watched.look(&clock, &commands);
        assert_eq!((commands.asked().len(), watched.steps), (once, 0), "it was slewed");
        clock.step(-3_600_000_000_000);
        watched.look(&clock, &commands);
        assert_eq!((commands.asked().len(), watched.steps), (2 * once, 1));
        assert_eq!(watched.step, Some((clock.wall(), -3600.0)));
        clock.advance(PAUSE);
        watched.look(&clock, &commands);
        assert_eq!((commands.asked().len(), watched.steps), (3 * once, 1));
    }
}
