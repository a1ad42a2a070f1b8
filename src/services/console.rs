//! What the console is made from: all that can be seen of this machine at once.

use std::path::Path;

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

use super::{
    doctor::{self, Seen},
    paths::Paths,
    updating,
};
use crate::{
    apply::{self, Listed},
    health::door::certificate,
    ledger,
    sys::RealFiles,
    types::WallNs,
    update::Version,
};

/// In the environment of a program that has a screen of its own: which of them it is.
pub const SCREEN: &str = "CUSTODIAN_SCREEN";

/// A key that people compare with paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Print {
    /// That of the ledger, as verifiers take it.
    Ledger(String),
    /// The certificate of a door.
    Door {
        /// Which.
        name: &'static str,
        /// SHA-256, as openssl prints it.
        fingerprint: String,
        /// When it ends.
        until: WallNs,
    },
}

/// What was seen.
#[derive(Debug)]
pub struct Looked {
    /// What health says, or what can be seen without it.
    pub seen: Seen,
    /// What is in force.
    pub generation: Option<Listed>,
    /// Links and their addresses, those that others can reach.
    pub addresses: Vec<(String, Vec<String>)>,
    /// Keys.
    pub prints: Vec<Print>,
    /// The version of the system that waits for somebody.
    pub waits: Option<Version>,
}

/// Looks.
///
/// # Errors
/// If there can be no runtime to ask with.
pub fn look(state: &Path) -> anyhow::Result<Looked> {
    let generation = apply::list(&RealFiles, state).unwrap_or_default().into_iter().find(|g| g.current);
    let waits = updating::waiting(state);
    Ok(Looked {
        seen: doctor::look(state)?,
        generation,
        addresses: addresses(),
        prints: prints(&Paths::new(state)),
        waits,
    })
}

impl Print {
    /// Whose and what, as receipts have it.
    pub fn pair(self) -> (String, String) {
        match self {
            Self::Ledger(key) => ("ledger".to_owned(), key),
            Self::Door { name, fingerprint, .. } => (name.to_owned(), fingerprint),
        }
    }
}

/// The keys of a recorder that there are so far.
pub fn prints(paths: &Paths) -> Vec<Print> {
    let ledger = ledger::verifier(&RealFiles, &ledger::public(&paths.ledger())).ok();
    let door = |name| {
        let shown = certificate::presented(&RealFiles, &paths.doors(), name).ok().flatten()?;
        Some(Print::Door { name, fingerprint: shown.fingerprint, until: shown.not_after })
    };
    let doors = ["pull", "vendor"].into_iter().filter_map(door);
    ledger.map(|key| Print::Ledger(key.to_string())).into_iter().chain(doors).collect()
}

fn addresses() -> Vec<(String, Vec<String>)> {
    let mut links: Vec<(String, Vec<String>)> = Vec::new();
    // A machine that does not tell has none to show.
    for one in getifaddrs().into_iter().flatten() {
        let address = one.address.as_ref();
        let v4 = address.and_then(|a| a.as_sockaddr_in()).map(|a| a.ip().to_string());
        let v6 = address
            .and_then(|a| a.as_sockaddr_in6())
            .map(nix::sys::socket::SockaddrIn6::ip)
            .filter(|ip| !ip.is_unicast_link_local());
        let Some(ip) = v4.or_else(|| v6.map(|ip| ip.to_string())) else { continue };
        if one.flags.contains(InterfaceFlags::IFF_LOOPBACK) || !one.flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        match links.iter_mut().find(|(name, _)| *name == one.interface_name) {
            Some((_, all)) => all.push(ip),
            None => links.push((one.interface_name, vec![ip])),
        }
    }
    links.sort();
    links
}
