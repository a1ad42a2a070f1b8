//! What an installation has made so far that must not be lost when it is cut short: it lies on the new state partition, for root only, until the
//! machine starts from its disk for the first time.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    sys::Files,
    types::{RecorderId, VolumeName, WallNs},
};

/// The file, in the state folder. tmpfiles.d removes it at the first start.
pub const FILE: &str = "install.json";
const FORMAT: u16 = 1;

/// Keys and codes, for the recovery sheet. Has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    format: u16,
    /// The recorder.
    pub recorder: RecorderId,
    /// When it was begun.
    pub at: WallNs,
    /// The state's recovery key.
    pub state: Option<String>,
    /// Those of volumes that were prepared.
    pub volumes: BTreeMap<VolumeName, String>,
    /// Disks whose preparing was begun, by volume.
    #[serde(default)]
    pub preparing: BTreeMap<VolumeName, String>,
    /// The leaders' sealed code.
    pub sealed: Option<String>,
    /// The name of the recovery sheet on the stick.
    #[serde(default)]
    pub sheet: Option<String>,
    /// Whether what opens it was written down.
    #[serde(default)]
    pub told: bool,
}

impl Begun {
    /// With nothing but the state's key.
    pub fn new(recorder: RecorderId, at: WallNs, state: Option<String>) -> Self {
        let (volumes, preparing) = (BTreeMap::new(), BTreeMap::new());
        Self { format: FORMAT, recorder, at, state, volumes, preparing, sealed: None, sheet: None, told: false }
    }

    fn path(state: &Path) -> PathBuf {
        state.join(FILE)
    }

    /// What was written down in a state folder.
    pub fn read(files: &dyn Files, state: &Path) -> io::Result<Option<Self>> {
        let Some(text) = files.read(&Self::path(state))? else { return Ok(None) };
        let begun: Self = serde_json::from_slice(&text).map_err(io::Error::other)?;
        if begun.format == FORMAT { Ok(Some(begun)) } else { Err(io::Error::other("it is of another version")) }
    }

    /// Writes it down, durably: before what it says is relied on.
    pub fn write(&self, files: &dyn Files, state: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        files.write(&Self::path(state), &text, 0o600, None)
    }
}
