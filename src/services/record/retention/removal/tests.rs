//! The power is cut at every change that a removal makes: to the ledger, to the index, to the footage disk. Whatever is left then, the
//! next start completes it.

mod power;
mod world;

use std::{collections::BTreeSet, sync::Arc};

use self::world::{Lost, Machine, Template, until};
use super::*;
use crate::sys::Cut;

/// A removal that is cut short at its `n`th change. Nothing if it has no so many.
fn cut_short(template: &Template, n: u64, how: Cut, lost: Lost) -> Option<Machine> {
    let mut machine = template.machine();
    let life = Arc::new(machine.start(how));
    life.power.files.cut_at(n, how);
    let (inside, going) = (life.clone(), template.going.clone());
    // It may wait long for a disk that has no power; nobody waits for it.
    let pass = std::thread::spawn(move || inside.pass(&going));
    until("the cut, or the end", || life.power.is_off() || pass.is_finished());
    if !life.power.is_off() {
        pass.join().unwrap().unwrap();
        life.end();
        return None;
    }
    life.power.settle();
    machine.power_on(&life, lost);
    life.perish();
    Some(machine)
}

/// What holds at any moment.
fn look(machine: &Machine, template: &Template, at: &str) {
    let told = machine.told();
    for row in &template.rows {
        let goes = template.going.iter().any(|g| g.piece.segment == row.id) && row.id != template.held;
        assert!(machine.is_there(row) || goes, "{at}: {} is gone", row.path);
        assert!(
            machine.is_there(row) || told.contains_key(&(row.id.run, row.id.seq)),
            "{at}: nobody says of {}",
            row.path
        );
    }
    for row in machine.seen() {
        assert!(machine.is_there(&row), "{at}: readers are told of {}, which is gone", row.path);
        assert_ne!(row.state, SegmentState::Retiring, "{at}");
    }
}

/// What holds once a pass has come to its end: so much stays, and nothing is left of all else.
fn look_at_end(machine: &Machine, template: &Template, late: Option<&SegmentRow>, at: &str) {
    look(machine, template, at);
    let stays = |row: &SegmentRow| {
        let goes = template.going.iter().any(|g| g.piece.segment == row.id);
        !goes || row.id == template.held || late.is_some_and(|l| l.id == row.id)
    };
    let expected: BTreeSet<String> = template.rows.iter().filter(|r| stays(r)).map(|r| r.path.clone()).collect();
    let (files, empty) = machine.found();
    assert_eq!(files, expected, "{at}: files");
    // A camera's own folders stay, for it may be recorded again.
    let days: Vec<_> = empty.iter().filter(|dir| !dir.ends_with("main")).collect();
    assert!(days.is_empty(), "{at}: empty folders: {days:?}");
    let paths = |rows: Vec<SegmentRow>| rows.into_iter().map(|r| r.path).collect::<BTreeSet<String>>();
    assert_eq!(paths(machine.rows()), expected, "{at}: rows");
    assert_eq!(paths(machine.seen()), expected, "{at}: what readers see");
}

/// The next start after a cut. `late`: somebody holds one that was marked and is there still.
fn go_on(machine: &Machine, template: &Template, late: bool, at: &str) -> bool {
    let life = machine.start(Cut::After);
    let report = life.compare();
    assert_eq!((report.gone, report.added), (0, 0), "{at}: {report:?}");
    assert!(report.lost.is_empty() && report.foreign.is_empty(), "{at}: {report:?}");
    let marked = |r: &&SegmentRow| r.state == SegmentState::Retiring && machine.is_there(r);
    let rows = machine.rows();
    let held = rows.iter().find(marked).filter(|_| late);
    if let Some(row) = held {
        life.hold(row, 2);
    }
    life.pass(&template.going).unwrap();
    life.end();
    look_at_end(machine, template, held, at);
    held.is_some()
}

#[test]
fn a_removal_that_nobody_cuts_short_leaves_what_stays_and_nothing_else() {
    let template = Template::new();
    let machine = template.machine();
    let life = machine.start(Cut::After);
    life.pass(&template.going).unwrap();
    look_at_end(&machine, &template, None, "the end");
    assert!(machine.told().values().all(|n| *n == 1), "told once");
    let story = life.power.story.lock().unwrap().clone();
    life.end();
    // Beside the ledger's: the mark, six files, three folders, two that are empty now and those above them, the rows.
    let count = |what: &str| story.iter().filter(|s| **s == what).count();
    assert_eq!((count("mark"), count("unlink"), count("sync"), count("rmdir")), (1, 6, 5, 3), "{story:?}");
}

#[test]
fn what_was_decided_by_another_site_or_another_clock_stays() {
    let template = Template::new();
    let machine = template.machine();
    let life = machine.start(Cut::After);
    life.pass_of([1; 32], &template.going).unwrap();
    life.clock.step(2 * 1_000_000_000);
    life.pass(&template.going).unwrap();
    assert!(template.rows.iter().all(|row| machine.is_there(row)), "nothing has gone");
    assert!(machine.told().is_empty() && machine.rows().iter().all(|r| r.state != SegmentState::Retiring));
    life.clock.step(-2 * 1_000_000_000);
    life.pass(&template.going).unwrap();
    look_at_end(&machine, &template, None, "by that site and clock");
    life.end();
}

#[test]
fn wherever_the_power_fails_in_a_removal_nothing_else_goes_and_nothing_is_left_over() {
    let template = Template::new();
    let (mut cuts, mut rescued) = (0, 0);
    let lost = [(true, true), (true, false), (false, true), (false, false)];
    let lost = lost.map(|(footage, system)| Lost { footage, system });
    let before = lost[..2].iter().map(|lost| (Cut::Before, *lost));
    let seen = lost.iter().map(|lost| (Cut::Seen, *lost));
    let after = lost[..2].iter().map(|lost| (Cut::After, *lost));
    for (how, lost) in before.chain(seen).chain(after) {
        for n in 0.. {
            let at = format!("{how:?} at change {n}, {lost:?}");
            let Some(machine) = cut_short(&template, n, how, lost) else { break };
            cuts += 1;
            look(&machine, &template, &at);
            // A hold that comes now spares what can still be spared.
            rescued += usize::from(go_on(&machine, &template, n % 2 == 1, &at));
        }
    }
    assert!(cuts > 100, "{cuts} cuts");
    assert!(rescued > 10, "{rescued} were held in time");
}
