//! What the service manager says.

use std::{collections::BTreeSet, time::Duration};

use crate::sys::{Commands, Monotonic};

/// To ask takes processes: not more often than this, unless the recorder has just fallen silent.
const PAUSE: Duration = Duration::from_mins(1);
const LIMIT: Duration = Duration::from_secs(3);
const RECORDER: &str = "custodian-record.service";

/// What is known from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Watched {
    asked: Option<Monotonic>,
    silent: bool,
    pub(super) failed: Option<BTreeSet<String>>,
    /// The recorder's state, and how often it was started again.
    pub(super) recorder: Option<(String, u64)>,
}

impl Watched {
    /// `silent`: the recorder does not answer now.
    pub(super) fn look(&mut self, now: Monotonic, commands: &dyn Commands, silent: bool) {
        let news = silent || self.silent;
        self.silent = silent;
        if news || self.asked.is_none_or(|asked| now.since(asked) >= PAUSE) {
            self.asked = Some(now);
            self.failed = failed(commands);
            self.recorder = recorder(commands);
        }
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

fn recorder(commands: &dyn Commands) -> Option<(String, u64)> {
    let text = ask(commands, &["show", RECORDER, "--property=LoadState,ActiveState,NRestarts"])?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    if value("LoadState") == Some("not-found") {
        return None;
    }
    Some((value("ActiveState")?.to_owned(), value("NRestarts")?.parse().ok()?))
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
            "NRestarts=3\nLoadState=loaded\nActiveState=activating\n",
        ));
        let second = |s: i64| Monotonic(s * 1_000_000_000);
        let mut watched = Watched::default();
        watched.look(second(0), &commands, false);
        let failed: Vec<&str> = watched.failed.iter().flatten().map(String::as_str).collect();
        assert_eq!(failed, ["custodian-backup.service", "sshd.service"]);
        assert_eq!(watched.recorder, Some(("activating".into(), 3)));
        watched.look(second(30), &commands, false);
        assert_eq!(commands.asked().len(), 2);
        watched.look(second(31), &commands, true);
        assert_eq!(commands.asked().len(), 4, "it is silent");
        watched.look(second(32), &commands, false);
        assert_eq!(commands.asked().len(), 6, "it speaks again: its state has changed");
        watched.look(second(33), &commands, false);
        assert_eq!(commands.asked().len(), 6);
        watched.look(second(93), &commands, false);
        assert_eq!(commands.asked().len(), 8);
    }

    #[test]
    fn where_nobody_says_anything_nothing_is_known() {
        let mut watched = Watched::default();
        watched.look(Monotonic(0), &FakeCommands::new(|_, _| Err(io::ErrorKind::NotFound.into())), false);
        assert_eq!((&watched.failed, &watched.recorder), (&None, &None));
        let absent = says("", "NRestarts=0\nLoadState=not-found\nActiveState=inactive\n");
        watched.look(Monotonic(0), &FakeCommands::new(absent), true);
        assert_eq!((&watched.failed, &watched.recorder), (&Some(BTreeSet::new()), &None));
    }
}
