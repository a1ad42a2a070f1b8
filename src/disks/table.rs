//! The partition table of a system disk, as definitions for systemd-repart, see repart.d(5). Pure.
//!
//! | number | what | name | size |
//! |---|---|---|---|
//! | 1 | EFI system partition | `custodian-esp` | 1 GiB |
//! | 2, 3 | root and its verity, slot A | `custodian_V`, `custodian_V_verity` | 1 GiB, 64 MiB |
//! | 4, 5 | the same, slot B | `_empty` | 1 GiB, 64 MiB |
//! | 6 | state | `custodian-state` | the rest |

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::Token;

/// How many partitions there are.
pub const PARTS: u8 = 6;
pub(super) const ESP: u8 = 1;
pub(super) const ROOT: u8 = 2;
pub(super) const VERITY: u8 = 3;
pub(super) const STATE: u8 = 6;

/// The name of the partition with the state, and of what is on it.
pub(super) const STATE_LABEL: &str = "custodian-state";
pub(super) const ESP_LABEL: &str = "custodian-esp";
const EMPTY: &str = "_empty";

/// What the table of a system disk depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The version that goes into slot A.
    pub version: String,
    /// The identity of the state's partition: by it an installation is known that was begun with a token, see [`Table::id`].
    pub state: Uuid,
}

impl Table {
    /// For a version, on a disk whose token was given.
    pub fn new(version: &str, token: &Token) -> Self {
        Self { version: version.to_owned(), state: Self::id(token) }
    }

    /// What the state's partition is called in the table if the installation was begun with this token. So a second run knows, with nothing
    /// kept anywhere else, that what it finds on the disk is what the first one has left.
    pub fn id(token: &Token) -> Uuid {
        let hash = Sha256::digest(format!("custodian install 1\n{token}"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The names of the partitions.
    pub fn labels(&self) -> [String; PARTS as usize] {
        let root = format!("custodian_{}", self.version);
        let verity = format!("{root}_verity");
        [ESP_LABEL.to_owned(), root, verity, EMPTY.to_owned(), EMPTY.to_owned(), STATE_LABEL.to_owned()]
    }

    /// The definitions, by file name.
    pub(super) fn definitions(&self) -> Vec<(&'static str, String)> {
        let [esp, root, verity, ..] = self.labels();
        let part = |kind: &str, label: &str, size: &str, more: &str| {
            format!("[Partition]\nType={kind}\nLabel={label}\nSizeMinBytes={size}\nSizeMaxBytes={size}\n{more}")
        };
        // No generator of systemd may take the slots for what it should mount: which one is root stands on the kernel's command line.
        let slot = "NoAuto=yes\n";
        let state = self.state;
        vec![
            ("10-esp.conf", part("esp", &esp, "1G", "")),
            ("20-root-a.conf", part("root", &root, "1G", slot)),
            ("30-verity-a.conf", part("root-verity", &verity, "64M", slot)),
            ("40-root-b.conf", part("root", EMPTY, "1G", slot)),
            ("50-verity-b.conf", part("root-verity", EMPTY, "64M", slot)),
            ("60-state.conf", format!("[Partition]\nType=linux-generic\nLabel={STATE_LABEL}\nUUID={state}\n")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_with_which_token_it_was_made() {
        let token = |text: &str| text.parse::<Token>().unwrap();
        let table = Table::new("1.2.3", &token("etjx-5zwc-n8fr-6g4d"));
        assert_eq!(table.state, Table::id(&token("etjx-5zwc-n8fr-6g4d")));
        assert_ne!(table.state, Table::id(&token("etjx-5zwc-n8fr-6g4e")));
        let state = &table.definitions()[5].1;
        assert!(state.contains(&format!("UUID={}\n", table.state)) && !state.contains("Size"), "{state}");
        assert_eq!(table.labels()[1..3], ["custodian_1.2.3", "custodian_1.2.3_verity"]);
    }
}
