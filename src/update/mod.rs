//! Updates of the whole system: two slots, a signed directory, the school's consent, and the way back.
//!
//! systemd-sysupdate writes and checks signatures, systemd-boot counts, systemd-bless-boot ends the counting. This is what remembers: what
//! is offered, who has consented to what, what was tried and failed. `docs/design/update.md` tells the whole of it.

mod error;
mod kept;
mod machine;
mod probation;
mod run;
mod source;
#[cfg(test)]
mod source_tests;
mod state;
mod sums;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod transfers;
mod version;

pub use error::UpdateError;
pub use kept::{FILE, read};
pub use machine::{Entry, Machine, PULL, folder_url, running};
pub use probation::{Verdict, Watch, wait};
pub use run::{Fetched, Updates};
pub use source::{Bring, Source};
pub use state::{Candidate, Facts, Good, Note, Refusal, Seen, Stage, State, Trial, Tries, Why, Word};
pub use transfers::{DEFINITIONS, Target, judge};
pub use version::{NoVersion, Version};
