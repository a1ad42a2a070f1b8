//! Why an update does not go on.

use std::{io, path::PathBuf};

use super::{state::Why, version::Version};
use crate::ledger::LedgerError;

/// Why something was not done. Nothing has changed then that would have to be undone.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// No image.
    #[error("this system is not updated as a whole: {0} names no IMAGE_VERSION; its package manager updates it")]
    NoImage(PathBuf),
    /// Nothing lies here.
    #[error("no version is offered: `custodian update fetch` looks for one")]
    Nothing,
    /// Another one does.
    #[error("version {offered} is offered, not {asked}")]
    OtherVersion {
        /// What was named.
        asked: Version,
        /// What there is.
        offered: Version,
    },
    /// It would be a step back.
    #[error("version {found} is no newer than {than}")]
    NotNewer {
        /// What was found.
        found: Version,
        /// What there is.
        than: Version,
    },
    /// It was refused.
    #[error(
        "version {version} is not offered again, {}: `custodian update fetch --again {version}` offers it all the same",
        match why { Why::Person => "for a person refused it", Why::FellBack => "for it was tried and did not come up" }
    )]
    WasRefused {
        /// Which.
        version: Version,
        /// Why.
        why: Why,
    },
    /// Another one is on its way.
    #[error(
        "version {version} is being written, or is written and waits for the next start: see what becomes of it first"
    )]
    UnderWay {
        /// Which.
        version: Version,
    },
    /// An older one waits, with the school's consent.
    #[error("the school has consented to version {version}, which waits to be written: what is newer comes after it")]
    Awaits {
        /// Which.
        version: Version,
    },
    /// It was tried often enough.
    #[error(
        "version {version} could not be written several times, and is not tried again by itself: install it by hand, or refuse it, and the next one is fetched"
    )]
    GivenUp {
        /// Which.
        version: Version,
    },
    /// The machine restarted for it, and the loader started another one.
    #[error(
        "the machine restarted for version {version}, and the loader did not start it; it does not restart for it again by itself: restart it by hand, and see which version the loader's menu prefers, or refuse it"
    )]
    NotStarted {
        /// Which.
        version: Version,
    },
    /// Nobody has consented.
    #[error("version {version} waits for the school's consent: `custodian update consent {version} --reason \"…\"`")]
    NoConsent {
        /// Which.
        version: Version,
    },
    /// What lies here is something else.
    #[error(
        "what lies here is not what was consented to for version {version}: `custodian update fetch`, then consent again"
    )]
    OtherFiles {
        /// Which.
        version: Version,
    },
    /// The ledger is to know first.
    #[error("the ledger was not told of the consent, so nothing is written")]
    NotInLedger,
    /// One does not refuse what one stands on.
    #[error(
        "version {version} runs now: to leave it, start the other slot (rescue console, or `custodian update other`)"
    )]
    Runs {
        /// Which.
        version: Version,
    },
    /// What runs was not proven: what is good lies in the other slot.
    #[error(
        "version {version} runs and has not proven itself: the other slot, with the version that is good, is not written over"
    )]
    OnTrial {
        /// Which.
        version: Version,
    },
    /// There is no update directory.
    #[error("{place} holds no whole version: SHA256SUMS must name custodian_VERSION.root.raw, .verity.raw and .efi")]
    NoVersion {
        /// Where.
        place: String,
    },
    /// Not enough room.
    #[error("{} holds {free} free bytes, and {wanted} are wanted: make room, nothing was fetched", dir.display())]
    Room {
        /// Where.
        dir: PathBuf,
        /// What there is.
        free: u64,
        /// What it takes.
        wanted: u64,
    },
    /// The definitions of the image are not what they must be.
    #[error("{}: {what}; so nothing is written", file.display())]
    Transfer {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A server that does not answer, a line that broke, a file that is not there or not what was signed.
    #[error("it cannot be fetched: {said}")]
    NotFetched {
        /// What was said.
        said: String,
    },
    /// A program says no.
    #[error("{what}: {said}")]
    Program {
        /// What was to be done.
        what: &'static str,
        /// What was said.
        said: String,
    },
    /// The state is damaged.
    #[error("{} cannot be understood: {why}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// A disk, most likely.
    #[error("{what} {}", path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// What was said.
        source: io::Error,
    },
    /// The ledger does not take it.
    #[error("no word can be left for the ledger, so nothing was done")]
    Ledger(#[from] LedgerError),
    /// Somebody else has signed the list, or it was changed.
    #[error("SHA256SUMS is not signed by the vendor, or was changed: {said}")]
    NotSigned {
        /// What systemd-pull said.
        said: String,
    },
    /// A file is not what the list says.
    #[error("{file} is not what was signed: copy the version once more")]
    Spoilt {
        /// Its name.
        file: String,
    },
    /// A file could not be brought.
    #[error(transparent)]
    Brought(Box<dyn std::error::Error + Send + Sync>),
}

impl UpdateError {
    /// Whether the directory was looked at to the end, and has nothing that is to come now.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::NotNewer { .. } | Self::WasRefused { .. } | Self::UnderWay { .. } | Self::Awaits { .. })
    }
}

/// With what was to be done, and to what.
pub(super) fn failed(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> UpdateError {
    let path = path.to_owned();
    move |source| UpdateError::Io { what, path, source }
}
