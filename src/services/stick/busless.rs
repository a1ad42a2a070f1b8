//! The same cage where there is no bus, as in systemd's emergency mode: then systemd-run can neither pass on what a program says nor
//! wait for it by the bus, so a service of one step takes its input from a file and leaves its complaints in another one.

use std::{io, path::Path};

use super::{Access, LIMIT, SANDBOX, Stick, StickError};

/// Of the cage, what wants the bus or goes with it; and its limit on time, which such a service has by another name.
const OTHERWISE: [&str; 4] = ["--wait", "--pipe", "--service-type=exec", "--property=RuntimeMaxSec=30s"];
/// In emergency mode nothing may be asked for that was given up.
const INSTEAD: [&str; 3] =
    ["--service-type=oneshot", "--property=TimeoutStartSec=30s", "--property=DefaultDependencies=no"];

impl Stick<'_> {
    /// Writes a file of this machine to the stick, in the place of one of that name. What is complained about goes to `said`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_busless(&self, name: &str, from: &Path, said: &Path) -> Result<(), StickError> {
        let (to, device) = (format!("::{name}"), self.allowed(Access::Write));
        let input = format!("--property=StandardInput=file:{}", from.display());
        let error = format!("--property=StandardError=truncate:{}", said.display());
        let cage = SANDBOX.iter().filter(|word| !OTHERWISE.contains(word)).chain(&INSTEAD).copied();
        let mtools = ["--", "mcopy", "-o", "-i", &self.device, "-", &to];
        let args: Vec<&str> = cage.chain([&*device, &*input, &*error]).chain(mtools).collect();
        let out = match self.commands.run("systemd-run", &args, b"", LIMIT) {
            Ok(out) => out,
            Err(e) if e.kind() == io::ErrorKind::TimedOut => return Err(StickError::Gone(e.to_string())),
            Err(e) => return Err(StickError::Program(e.to_string())),
        };
        let said = String::from_utf8_lossy(&std::fs::read(said).unwrap_or_default()).trim().to_owned();
        // mtools tells a full stick by its words alone.
        if out.ok() && !said.to_lowercase().contains("full") {
            return Ok(());
        }
        Err(StickError::Written(if said.is_empty() { out.stderr } else { said }))
    }
}
