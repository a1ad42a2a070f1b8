//! Whether a time service keeps the machine's clock.

use std::{path::Path, time::Duration};

use super::Commands;

/// systemd-timesyncd makes this file once it has set the clock.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";

/// Whether a time service keeps the machine's clock: systemd-timesyncd says so by a file, any other one through timedatectl.
pub fn is_synchronised(commands: &dyn Commands) -> bool {
    says(Path::new(TIMESYNCD), commands)
}

fn says(file: &Path, commands: &dyn Commands) -> bool {
    if file.exists() {
        return true;
    }
    let asked =
        commands.run("timedatectl", &["show", "--property=NTPSynchronized", "--value"], &[], Duration::from_secs(5));
    asked.is_ok_and(|said| said.ok() && said.stdout.trim_ascii() == b"yes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn timesyncd_or_timedatectl_says_so_in_its_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("synchronized");
        let answers = |text: &str| {
            let (text, code) = (text.as_bytes().to_vec(), Some(0));
            FakeCommands::new(move |_, _| Ok(Output { code, stdout: text.clone(), stderr: String::new() }))
        };
        let commands = answers("yes\n");
        assert!(says(&file, &commands));
        assert_eq!(commands.asked(), ["timedatectl show --property=NTPSynchronized --value"]);
        assert!(!says(&file, &answers("no\n")));
        let none = FakeCommands::new(|_, _| Err(std::io::ErrorKind::NotFound.into()));
        assert!(!says(&file, &none));
        std::fs::write(&file, "").unwrap();
        assert!(says(&file, &none));
    }
}
