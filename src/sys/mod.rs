//! The machine, behind small traits: time here, files and processes as they are needed.
//!
//! Nothing else in the crate asks the kernel for the time; clippy's `disallowed-methods` keeps it so. Tests use the fakes.

mod clock;
mod cold;
mod command;
mod disk;
mod fake_files;
mod files;
mod keys;
pub mod notify;
mod owner;
mod pace;
mod random;
mod synchronised;
mod terminal;

pub use clock::{Clock, FakeClock, Monotonic, RealClock, processor_time};
pub use cold::ColdFile;
pub use command::{Commands, FakeCommands, Output, RealCommands};
pub use disk::{Disk, DiskFile, Faults, FaultyDisk, RealDisk, Space, forget_cached};
pub use fake_files::{Cut, FakeFiles};
pub use files::{Files, Found, RealFiles, unfinished};
pub use keys::{FakeTerminal, Key, RawTerminal, Terminal};
pub use owner::Owner;
pub use pace::Pace;
pub use random::random;
pub use synchronised::is_synchronised;
pub use terminal::ask_hidden;
