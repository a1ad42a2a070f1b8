//! From cameras to fragments.
//!
//! One task per stream, all on one thread. A stream's [`stream`] task loops: connect ([`session`]), bring each picture into
//! decode order on an unbroken time line ([`intake`]: [`random_access`], [`reorder`], [`clockmap`]), give it to those who
//! watch ([`tap`]), gather it into fragments ([`fragmenter`]), group fragments into runs and hand them to the store
//! ([`recorder`]). What a session needs, apart from the network, is synchronous and never waits.
//!
//! Who looks from outside sees the [`Supervisor`], its [`CaptureStatus`] and [`LiveTap`]s.

mod audio;
mod backoff;
mod cause;
mod clockmap;
mod config;
pub mod fake;
mod fragmenter;
mod intake;
mod parameters;
mod random_access;
mod recorder;
mod reorder;
mod session;
mod status;
mod stream;
mod supervisor;
mod tap;
mod tracks;

pub use config::{Credentials, Env, Settings, StreamConfig, Transport};
pub use status::CaptureStatus;
pub use supervisor::{StartError, Supervisor};
pub use tap::{LiveEvent, LiveTap};

#[cfg(test)]
mod tests;
