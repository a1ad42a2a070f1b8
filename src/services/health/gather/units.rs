//! What the service manager says.

use std::{collections::BTreeSet, time::Duration};

use crate::sys::{Commands, Monotonic};

/// To ask takes processes: not more often than this, unless the recorder has just fallen silent.
const PAUSE: Duration = Duration::from_mins(1);
/// How often the recorder was started again is counted for so long.
const LATELY: Duration = Duration::from_hours(1);
const LIMIT: Duration = Duration::from_secs(3);
const RECORDER: &str = "custodian-record.service";

/// What is known from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Watched {
    asked: Option<Monotonic>,
    silent: bool,
    pub(super) failed: Option<BTreeSet<String>>,
    /// How often the recorder was started again within [`LATELY`], as far as was seen.
    pub(super) restarts: Option<u64>,
    /// What the manager's counter said last, and when it was seen to grow. It counts ever since somebody started the unit.
    counter: Option<u64>,
    grown: Vec<(Monotonic, u64)>,
}

impl Watched {
    /// `silent`: the recorder does not answer now. `is_unit`: it is one; a trial elsewhere than in the standard folder is none.
    pub(super) fn look(&mut self, now: Monotonic, commands: &dyn Commands, silent: bool, is_unit: bool) {
        let news = silent || self.silent;
        self.silent = silent;
        if news || self.asked.is_none_or(|asked| now.since(asked) >= PAUSE) {
            self.asked = Some(now);
            self.failed = failed(commands);
            let counter = if is_unit { restarts(commands) } else { None };
            self.restarts = counter.map(|counter| self.count(now, counter));
        }
    }

    fn count(&mut self, now: Monotonic, counter: u64) -> u64 {
        // What was before anybody looked may be months old. A counter that is less than it was began at nothing.
        let before = self.counter.replace(counter).unwrap_or(counter);
        let more = counter.checked_sub(before).unwrap_or(counter);
        self.grown.retain(|(at, _)| now.since(*at) < LATELY);
        if more > 0 {
            self.grown.push((now, more));
        }
        self.grown.iter().map(|(_, more)| more).sum()
    }
}

fn ask(commands: &dyn Commands, args: &[&str]) -> Option<String> {
    let said = commands.run("systemctl", args, &[], LIMIT).ok().filter(crate::sys::Output::ok)?;
    String::from_utf8(said.stdout).ok()
}

fn failed(commands: &dyn Commands) -> Option<BTreeSet<String>> {
    let text = ask(commands, &["list-units", "--failed", "--plain", "--no-legend", "--no-pager"])?;
    Some(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn restarts(commands: &dyn Commands) -> Option<u64> {
    let text = ask(commands, &["show", RECORDER, "--property=LoadState,NRestarts"])?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    if value("LoadState") == Some("not-found") {
        return None;
    }
    value("NRestarts")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::sys::{FakeCommands, Output};

    fn says(list: &'static str, show: &'static str) -> impl Fn(&str, &[&str]) -> io::Result<Output> + Send + Sync {
        move |_, args| {
            let text = if args[0] == "show" { show } else { list };
            Ok(Output { code: Some(0), stdout: text.as_bytes().to_vec(), stderr: String::new() })
        }
    }

    #[test]
    fn the_manager_is_understood_and_asked_once_a_minute_or_when_the_recorder_falls_silent() {
        let commands = FakeCommands::new(says(
            "custodian-backup.service loaded failed failed custodian: backs up\nsshd.service loaded failed failed x\n",
            "NRestarts=3\nLoadState=loaded\n",
        ));
        let second = |s: i64| Monotonic(s * 1_000_000_000);
        let mut watched = Watched::default();
        watched.look(second(0), &commands, false, true);
        let failed: Vec<&str> = watched.failed.iter().flatten().map(String::as_str).collect();
        assert_eq!(failed, ["custodian-backup.service", "sshd.service"]);
        assert_eq!(watched.restarts, Some(0), "before anybody looked");
        watched.look(second(30), &commands, false, true);
        assert_eq!(commands.asked().len(), 2);
        watched.look(second(31), &commands, true, true);
        assert_eq!(commands.asked().len(), 4, "it is silent");
        watched.look(second(32), &commands, false, true);
        assert_eq!(commands.asked().len(), 6, "it speaks again: its state has changed");
        watched.look(second(33), &commands, false, true);
        assert_eq!(commands.asked().len(), 6);
        watched.look(second(93), &commands, false, true);
        assert_eq!(commands.asked().len(), 8);
        watched.look(second(200), &commands, false, false);
        assert_eq!((commands.asked().len(), watched.restarts), (9, None), "a trial");
    }

    #[test]
    fn restarts_are_counted_for_an_hour() {
        let mut watched = Watched::default();
        let mut count = |minute: i64, counter| watched.count(Monotonic(minute * 60_000_000_000), counter);
        assert_eq!(count(0, 7), 0, "they may be months old");
        assert_eq!((count(1, 8), count(2, 8), count(30, 10)), (1, 1, 3));
        assert_eq!((count(60, 10), count(61, 10), count(89, 10)), (3, 2, 2));
        assert_eq!(count(90, 10), 0, "it has stayed up");
        assert_eq!((count(91, 0), count(92, 2)), (0, 2), "somebody started it");
    }

    #[test]
    fn where_nobody_says_anything_nothing_is_known() {
        let mut watched = Watched::default();
        watched.look(Monotonic(0), &FakeCommands::new(|_, _| Err(io::ErrorKind::NotFound.into())), false, true);
        assert_eq!((&watched.failed, watched.restarts), (&None, None));
        let absent = says("", "NRestarts=0\nLoadState=not-found\n");
        watched.look(Monotonic(0), &FakeCommands::new(absent), true, true);
        assert_eq!((&watched.failed, watched.restarts), (&Some(BTreeSet::new()), None));
    }
}
