//! The health service: looks at the recorder again and again, from outside, and says how it is. It goes on whether the recorder runs,
//! hangs, is dead or never started; none of its ways out holds up a look. [`look`] and [`prepare`] are what root does for it.

pub mod announcing;
mod apart;
mod gather;
mod heard;
pub mod look;
mod looker;
pub mod prepare;
mod serve;
mod socket;
mod source;
mod state;
pub mod ways;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use self::{gather::World, looker::Looker, source::Source};
pub use self::{
    heard::{Ear, Heard},
    serve::{Sight, serve},
};
use crate::{
    health::pages,
    services::paths::Paths,
    site::Site,
    sys::{RealClock, RealCommands, RealFiles},
    types::{CameraId, RecorderId, WallNs, wire::health::Report},
};

/// The longest interval of a site.
const LONGEST: Duration = Duration::from_mins(10);

/// What `custodian health` was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// site.toml, where the service manager hands over none.
    pub site: PathBuf,
    /// secrets.toml, where the service manager hands over none.
    pub secrets: Option<PathBuf>,
    /// The folder in which the service manager hands over files, `CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// Which recorder of the site this is; may be left out where there is only one.
    pub recorder: Option<RecorderId>,
    /// The recorder's state folder.
    pub state: PathBuf,
}

impl Options {
    fn source(&self) -> Source {
        let files = (self.site.clone(), self.secrets.clone());
        Source::new(self.credentials.as_deref(), files, self.recorder.clone())
    }
}

/// How old a report of `at` is, if that is older than three looks: whoever looks hangs. Where the site cannot be read, nothing is said of a report
/// that may be in time by some site.
pub fn overdue(at: WallNs, site: Option<&Site>, now: WallNs) -> Option<Duration> {
    let every = site.map_or(LONGEST, |site| site.health().every);
    pages::overdue(at, every, now)
}

fn world() -> World {
    World { clock: Arc::new(RealClock), commands: Arc::new(RealCommands), files: Arc::new(RealFiles) }
}

/// One look without the service. It leaves no trace.
///
/// # Errors
/// If there can be no runtime to ask with.
pub fn glance(options: &Options) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut looker = Looker::new(&Paths::new(&options.state), world(), options.source(), Default::default());
    let question = looker.question();
    let answers = runtime.block_on(question.ask());
    Ok(looker.glance(answers))
}

/// The numbers of all cameras that health has ever seen: what was recorded under the name of one that has left still has it.
pub fn numbers(paths: &Paths) -> BTreeMap<CameraId, u32> {
    state::Numbers::read(&RealFiles, &paths.health()).all().clone()
}
