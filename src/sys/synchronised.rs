//! Whether a time service keeps the machine's clock.

use std::time::Duration;

use super::Commands;

/// Whether a time service keeps the machine's clock. timedatectl tells what the kernel knows, adjtimex(2): whoever sets the clock by hand
/// takes that back, until a service has set it again.
pub fn is_synchronised(commands: &dyn Commands) -> bool {
    let asked =
        commands.run("timedatectl", &["show", "--property=NTPSynchronized", "--value"], &[], Duration::from_secs(5));
    asked.is_ok_and(|said| said.ok() && said.stdout.trim_ascii() == b"yes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn timedatectl_says_so_in_its_own_words() {
        let answers = |text: &str| {
            let (text, code) = (text.as_bytes().to_vec(), Some(0));
            FakeCommands::new(move |_, _| Ok(Output { code, stdout: text.clone(), stderr: String::new() }))
        };
        let commands = answers("yes\n");
        assert!(is_synchronised(&commands));
        assert_eq!(commands.asked(), ["timedatectl show --property=NTPSynchronized --value"]);
        assert!(!is_synchronised(&answers("no\n")));
        assert!(!is_synchronised(&FakeCommands::new(|_, _| Err(std::io::ErrorKind::NotFound.into()))));
    }
}
