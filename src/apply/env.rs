//! What apply works on: folders, clocks, the service manager, the cameras. Tests bring their own.

use std::path::PathBuf;

use super::{Generation, Manager};
use crate::{
    plan::guard::Word,
    sys::{Clock, Files},
    types::{CameraId, WallNs},
};

/// What the recorder says of a camera that is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Which.
    pub camera: CameraId,
    /// Whether all of its streams that are to be recorded are, at this moment.
    pub recording: bool,
    /// End of the newest second that is safe on disk, of the stream that is furthest behind.
    pub newest: Option<WallNs>,
}

/// A look at the cameras of this machine.
pub trait Cameras: Send + Sync {
    /// All that are to be recorded; or why there is no answer.
    fn look(&self) -> Result<Vec<Look>, String>;
}

/// Says what is wrong with a site and its secrets, if anything.
pub type Judge<'a> = &'a dyn Fn(&str, Option<&str>) -> Result<(), String>;

/// Asks for leadership's word on going back from a generation to an older one, whose site (with the present people) is the text.
/// Nothing, if that wants none.
pub type Consent<'a> = &'a dyn Fn(&Generation, &Generation, &str) -> Result<Option<Word>, String>;

/// What apply works on.
pub struct Env<'a> {
    /// Generations lie here.
    pub state: PathBuf,
    /// Units of this boot go here; systemd reads `/run/systemd/system`. Files for other services go into folders beside it.
    pub unit_dir: PathBuf,
    /// The kernel's name for this boot.
    pub boot: String,
    /// Who may read site.toml, besides root.
    pub site_group: Option<u32>,
    /// Who may read secrets.toml, besides root.
    pub secrets_group: Option<u32>,
    /// Writes what is kept.
    pub files: &'a dyn Files,
    /// Starts and stops units.
    pub manager: &'a dyn Manager,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Looks at the cameras.
    pub cameras: &'a dyn Cameras,
    /// Says what is wrong with a site and its secrets that apply has put together itself.
    pub judge: Judge<'a>,
}
