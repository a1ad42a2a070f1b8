//! Verifying: footage is read again, beside a recorder at work or without one, and compared with the index and the ledger. The verifier
//! changes nothing; what it found it leaves in the state folder, for health, and in the ledger's spool.

mod archive;
mod ask;
mod kept;
mod ledger;
mod order;
mod report;
mod sets;
mod verifier;

use std::{collections::BTreeSet, sync::atomic::AtomicBool, time::Duration};

pub use ask::{Ask, Scope};
pub use kept::{Last, Round, Scrub};
pub use report::{Absent, Event, Progress, Report, finding_json};

use self::{archive::Archive, kept::Kept, ledger::Ledger, order::Rows, verifier::Verifier};
use crate::{
    ledger::spool,
    services::paths::Paths,
    store::index::Cursor,
    sys::{Clock, RealFiles},
    types::{Span, VolumeName, WallNs, event},
};

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// Footage was read.
    Verified(Report),
    /// The next round of a scrub is not due before then.
    NotDue(WallNs),
}

/// How often a scrub notes how far it has come.
const NOTE: Duration = Duration::from_secs(30);

/// Verifies what was asked for. `tell` hears of findings as they are found; once `stop` is set, all ends as soon as it can.
///
/// # Errors
/// If the index cannot be read, names are unknown, or this user may not read footage. Damage is none: the report is about that.
pub fn verify(
    ask: &Ask,
    clock: &dyn Clock,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<Outcome> {
    match ask.every {
        Some(every) => scrub(ask, every, clock, stop, tell),
        None => once(ask, clock, stop, tell).map(Outcome::Verified),
    }
}

fn once(ask: &Ask, clock: &dyn Clock, stop: &AtomicBool, tell: &mut dyn FnMut(Event<'_>)) -> anyhow::Result<Report> {
    let paths = Paths::new(&ask.state);
    let mut verifier = Verifier::new(ask, (Archive::open(ask)?, Ledger::of(&paths)), clock, stop, tell);
    run(&mut verifier, None, &mut |_, _| Ok(()))?;
    let report = verifier.report;
    tell_damage(&report);
    // Whoever may read footage need not be one who may write there.
    if let Err(e) = keep(&Kept::of(&paths), &paths, &report) {
        log::warn!("neither health nor the ledger hears of this verification: {e:#}");
    }
    Ok(report)
}

/// A round through all footage, or the rest of one.
fn scrub(
    ask: &Ask,
    every: Duration,
    clock: &dyn Clock,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Event<'_>),
) -> anyhow::Result<Outcome> {
    let paths = Paths::new(&ask.state);
    let kept = Kept::of(&paths);
    let _turn = kept.turn()?;
    let mut state = kept.read_scrub()?;
    if let Some(next) = state.due(clock.wall(), every) {
        return Ok(Outcome::NotDue(next));
    }
    let mut verifier = Verifier::new(ask, (Archive::open(ask)?, Ledger::of(&paths)), clock, stop, tell);
    let mut volumes: BTreeSet<VolumeName> = verifier.archive.here.keys().cloned().collect();
    let mut behind = None;
    if let Some(round) = state.round.take() {
        verifier.report = Report { interrupted: false, absent: Vec::new(), ..round.report };
        volumes.retain(|volume| round.volumes.contains(volume));
        behind = round.at;
    }
    let (mut at, mut noted) = (behind.clone(), clock.monotonic());
    let round = |verifier: &Verifier<'_>, at: &Option<Cursor>| {
        let here = &verifier.archive.here;
        let volumes = volumes.iter().filter(|volume| here.contains_key(*volume)).cloned().collect();
        Round { at: at.clone(), volumes, report: verifier.report.clone() }
    };
    run(&mut verifier, behind.as_ref(), &mut |verifier, place| {
        at = Some(place);
        if clock.monotonic().since(noted) >= NOTE {
            noted = clock.monotonic();
            state.note(round(verifier, &at));
            kept.write_scrub(&state)?;
        }
        Ok(())
    })?;
    state.note(round(&verifier, &at));
    if !verifier.report.interrupted {
        state.end();
    }
    kept.write_scrub(&state)?;
    tell_damage(&verifier.report);
    keep(&kept, &paths, &verifier.report)?;
    Ok(Outcome::Verified(verifier.report))
}

/// For the log: what was found is told one by one already, to who has asked.
fn tell_damage(report: &Report) {
    if report.is_damaged() {
        log::error!(
            MESSAGE_ID = event::VERIFICATION_FOUND_DAMAGE, COUNT = report.found;
            "{} findings: footage is not what was recorded, or cannot be read", report.found
        );
    }
}

/// Keeps what was found, for health and for the ledger.
fn keep(kept: &Kept, paths: &Paths, report: &Report) -> anyhow::Result<()> {
    kept.write_last(report)?;
    if report.segments > 0 && ledger::is_kept(paths) {
        spool::leave(&RealFiles, &paths.ledger_spool(), report.ended, ledger::word(report))?;
    }
    Ok(())
}

/// Looks at everything that there is now, from behind a place on; `passed` hears of each place.
fn run(
    verifier: &mut Verifier<'_>,
    behind: Option<&Cursor>,
    passed: &mut dyn FnMut(&Verifier<'_>, Cursor) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    verifier.ledger.refresh();
    let streams: Vec<_> = verifier.archive.streams().collect();
    // What is recorded from now on is not run after. The clock is not asked, which may be wrong.
    let newest = verifier.archive.newest()?.offset(1);
    let time = verifier.ask.scope.time();
    let time = Span { end: time.end.min(newest), ..time };
    verifier.count(time, behind)?;
    let mut rows = Rows::new(verifier.archive.index.reader()?, streams, time, behind)?;
    while let Some(row) = rows.next(verifier.archive.index.reader()?)? {
        let place = Cursor::of(&row);
        if verifier.is_stopped() || !verifier.segment(row)? {
            break;
        }
        passed(verifier, place)?;
    }
    if !verifier.is_stopped() {
        verifier.missing_rows()?;
    }
    if !verifier.is_stopped() && verifier.ask.scope.is_whole() {
        verifier.unknown_files()?;
    }
    verifier.report.ledger = verifier.ledger.entries();
    verifier.report.ledger_problem = verifier.ledger.problem.take();
    verifier.report.interrupted = verifier.is_stopped();
    verifier.report.absent = verifier.archive.absent(verifier.ask)?;
    verifier.report.ended = verifier.now();
    Ok(())
}
