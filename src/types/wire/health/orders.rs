//! What root tells health, and what it is answered.

use serde::{Deserialize, Serialize};

use super::Silence;
use crate::types::WallNs;

/// An announcement of work (`POST /v1/silence` at the control socket of health). Whoever sends it has told the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceOrder {
    /// What is announced.
    pub silence: Silence,
    /// The salt of person and reason in the ledger, 32 hexadecimal digits.
    pub salt: String,
}

/// The end of announced work before its time (`POST /v1/silence/{id}/end`). Whoever sends it has told the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceEnd {
    /// Who ends it.
    pub by: String,
    /// The salt of the person in the ledger, 32 hexadecimal digits.
    pub salt: String,
}

/// The school lets the vendor reach this recorder (`POST /v1/vendor` on health's control socket; the entry in the ledger is left before).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorAllow {
    /// Until when, by the wall clock.
    pub until: WallNs,
    /// Who allows it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// With which both are salted in the ledger, 32 hexadecimal digits.
    pub salt: String,
}

/// Whether the vendor may reach this recorder (`GET /v1/vendor` on health's socket).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorAccess {
    /// The address that it is answered at; none: the site has no `[health.vendor]`.
    pub listen: Option<std::net::SocketAddr>,
    /// The unit that makes the tunnel.
    pub tunnel: Option<String>,
    /// Until when; none: not now.
    pub until: Option<WallNs>,
    /// Who has allowed it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// How often something was asked for since.
    pub uses: u64,
    /// When something was asked for last.
    pub last_use: Option<WallNs>,
}
