//! The machine, behind small traits: time here, files and processes as they are needed.
//!
//! Nothing else in the crate asks the kernel for the time; clippy's `disallowed-methods` keeps it so. Tests use the fakes.

mod clock;
mod cold;
mod command;
mod disk;
mod fake_files;
mod files;
pub mod notify;
mod pace;
mod random;
mod terminal;

pub use clock::{Clock, FakeClock, Monotonic, RealClock};
pub use cold::ColdFile;
pub use command::{Commands, FakeCommands, Output, RealCommands};
pub use disk::{Disk, DiskFile, Faults, FaultyDisk, RealDisk, Space, forget_cached};
pub use fake_files::{Cut, FakeFiles};
pub use files::{Files, RealFiles, unfinished};
pub use pace::Pace;
pub use random::random;
pub use terminal::ask_hidden;
