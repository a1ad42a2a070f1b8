//! One thing that was ordered of a hold: what, by whom, why. It never changes afterwards.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    extent::Extent,
    words::{Day, Salt, Words},
};
use crate::{
    ledger::{self, Salted},
    types::WallNs,
};

/// Who ordered something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who ordered it.
    pub by: Words,
    /// Why.
    pub reason: Words,
    /// The case that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Words>,
    /// The user of the machine who gave the command.
    pub entered_by: Words,
    /// Whether it was ordered though the promise of cameras breaks by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub even_if_short: bool,
}

/// What makes a change one of its own: chance, and the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its identity.
    pub id: Uuid,
    /// When it was ordered, by the recorder's clock.
    pub at: WallNs,
    /// Salt of who ordered it.
    pub by_salt: Salt,
    /// Salt of why.
    pub reason_salt: Salt,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// The hold was made.
    Added {
        /// When somebody is to look whether it is needed still.
        review: Day,
    },
    /// It was made wider or longer, or is to be looked at on another day.
    Extended {
        /// The other day.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        review: Option<Day>,
    },
    /// It was let go: all of it that was known then.
    Released {
        /// The changes that were known. A copy of the hold that turns up later and has others stands again.
        known: BTreeSet<Uuid>,
    },
}

/// One thing that was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which one.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// What was done.
    #[serde(flatten)]
    pub act: Act,
    /// The footage that is held from then on; of a release, that was held until then.
    #[serde(flatten)]
    pub extent: Extent,
    /// By whom and why.
    #[serde(flatten)]
    pub order: Order,
    /// Whether the ledger has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub logged: bool,
}

impl Change {
    /// Who, as the ledger says it.
    pub fn salted_by(&self) -> Salted {
        Salted::new(self.stamp.by_salt.bytes(), self.order.by.as_str())
    }

    /// Why, as the ledger says it: the reason, and on a line below it the case.
    pub fn salted_reason(&self) -> Salted {
        let reason = self.order.reason.as_str();
        let text = self.order.case.as_ref().map_or(reason.to_owned(), |case| format!("{reason}\n{}", case.as_str()));
        Salted::new(self.stamp.reason_salt.bytes(), &text)
    }

    /// What was done, in the ledger's word.
    pub fn word(&self) -> ledger::Change {
        match self.act {
            Act::Added { .. } => ledger::Change::Added,
            Act::Extended { .. } => ledger::Change::Extended,
            Act::Released { .. } => ledger::Change::Released,
        }
    }
}
