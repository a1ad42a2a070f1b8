//! One look: all that a judgement rests on, from those who know it. Nothing of it is judged here.

mod clock;
mod left;
mod machine;
mod recorder;
mod units;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub(super) use self::recorder::Answers;
use super::{
    heard::Heard,
    source::Source,
    state::{Memory, Numbers},
};
use crate::{
    health::facts::{Facts, NoSite, RootLook},
    services::paths::{self, Paths},
    site::{BackupWhat, Site},
    sys::{Clock, Commands, Files, Monotonic},
    types::{RecorderId, Span, WallNs},
};

/// The machine, as far as health may touch it.
#[derive(Clone)]
pub(super) struct World {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) commands: Arc<dyn Commands>,
    pub(super) files: Arc<dyn Files>,
}

/// The kernel's links.
const NET: &str = "/sys/class/net";

/// Looks again and again.
pub(super) struct Gatherer {
    paths: Paths,
    world: World,
    pub(super) source: Source,
    machine: machine::Watched,
    kept_clock: clock::Watched,
    units: units::Watched,
    /// When this process looked first, by the time since boot.
    began: Option<Monotonic>,
}

/// What is to be asked of the recorder.
#[derive(Debug, Clone)]
pub(super) struct Question {
    socket: PathBuf,
    gaps: Option<Span>,
}

impl Question {
    /// Asks it.
    pub(super) async fn ask(&self) -> Answers {
        recorder::ask(&self.socket, self.gaps).await
    }
}

impl Gatherer {
    pub(super) fn new(paths: Paths, world: World, source: Source) -> Self {
        let (machine, kept_clock, units) = Default::default();
        Self { paths, world, source, machine, kept_clock, units, began: None }
    }

    /// What is to be asked now.
    pub(super) fn question(&self, memory: &mut Memory) -> Question {
        Question { socket: self.paths.status_socket(), gaps: memory.uncounted(self.world.clock.wall()) }
    }

    /// Looks at everything else.
    pub(super) fn look(
        &mut self,
        answers: Answers,
        (memory, numbers): (&mut Memory, &mut Numbers),
        heard: &Heard,
    ) -> Facts {
        let (clock, commands, files) = (&*self.world.clock, &*self.world.commands, &*self.world.files);
        let (at, boot) = (clock.wall(), clock.monotonic());
        self.kept_clock.look(clock, commands);
        let is_unit = self.paths.state() == Path::new(paths::STATE);
        self.units.look(boot, commands, answers.status.is_err(), is_unit);
        if let Some((span, missing)) = answers.gaps {
            memory.count(span, missing);
        }
        let site = self.source.read().site.clone();
        let commits = left::commits(files, &self.paths.commits());
        let newest = memory.newest((at, boot), left::newest(&commits));
        let mut wanted = Vec::new();
        if let Ok((site, recorder)) = &site {
            numbers.meet(site.cameras_of(recorder).map(|camera| &camera.id));
            let local = at.timestamp().to_zoned(site.timezone().clone()).datetime();
            let now = site.cameras_of(recorder).filter(|camera| camera.wanted_at(local));
            wanted.extend(now.map(|camera| camera.id.clone()));
        }
        let wanted_since = memory.want(at, wanted);
        numbers.meet(answers.status.iter().flat_map(|status| &status.streams).map(|stream| &stream.camera));
        let mut machine = self.machine.look(self.paths.state());
        machine.clock_offset = self.kept_clock.offset;
        machine.clock_synchronised = self.kept_clock.synchronised;
        machine.clock_steps = self.kept_clock.steps;
        let root = left::root(files, &self.paths.look());
        let witnessed = memory.witnessed(at, heard.witnessed.max(backed_up(&site, root.as_ref())));
        let of_site = site.as_ref().map(|(site, id)| machine::missing_links(site, id, Path::new(NET)));
        let missing_links = of_site.unwrap_or_default();
        Facts {
            at,
            site,
            numbers: numbers.all().clone(),
            status: answers.status,
            retention: answers.retention,
            holds: answers.holds,
            commits,
            newest,
            still: memory.still(boot),
            gap_totals: memory.gaps().clone(),
            machine,
            root,
            missing_links,
            failed_units: self.units.failed.clone(),
            recorder_restarts: self.units.restarts,
            verified: left::verified(files, &self.paths.verify().join("last.json")),
            certificates: heard.certificates.clone(),
            endpoints: heard.endpoints.clone(),
            witnessed,
            vendor_until: heard.vendor_until.filter(|until| *until > at),
            // By the time since boot: a clock that is set changes nothing of it.
            looking_since: at - boot.since(*self.began.get_or_insert(boot)),
            first_looked: memory.since(at),
            wanted_since,
            clock_step: self.kept_clock.step,
        }
    }
}

/// A backup of the ledger has its checkpoint: when the newest one was complete, at whichever place.
fn backed_up(site: &Result<(Arc<Site>, RecorderId), NoSite>, root: Option<&RootLook>) -> Option<WallNs> {
    let backup = site.as_ref().ok()?.0.backup()?;
    let places = &root?.backups.as_ref()?.places;
    backup.what.contains(&BackupWhat::Ledger).then(|| places.iter().filter_map(|place| place.newest).max())?
}
