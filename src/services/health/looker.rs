//! From a look to a report: gathered, judged, damped, silenced; and what has turned goes to the ledger.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    gather::{Answers, Gatherer, Question, World},
    heard::Ear,
    source::{Said, Source},
    state::{Memory, Numbers, Silences, Turns},
    ways::First,
};
use crate::{
    health::{
        judge, report, silence,
        steady::{Ground, Steady},
    },
    services::paths::Paths,
    sys::processor_time,
    types::wire::health::{Report, Turn},
};

/// How often it is looked where no site says it.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// What a look brings.
pub(super) struct Look {
    pub(super) report: Report,
    pub(super) turns: Vec<Turn>,
    /// Site and secrets that it was judged by.
    pub(super) said: Said,
    /// When to look again.
    pub(super) every: Duration,
}

/// Looks, with all that it knows of earlier looks.
pub(super) struct Looker {
    gatherer: Gatherer,
    numbers: Numbers,
    memory: Memory,
    turns: Turns,
    silences: Arc<Mutex<Silences>>,
    ear: Ear,
    first: First,
    world: World,
    spool: PathBuf,
    /// Why its own folder, or the ledger's spool, could not be written last.
    trouble: Option<String>,
}

impl Looker {
    pub(super) fn new(paths: &Paths, world: World, source: Source, (ear, first): (Ear, First)) -> Self {
        let (files, dir) = (&*world.files, paths.health());
        Self {
            numbers: Numbers::read(files, &dir),
            memory: Memory::read(files, &dir),
            turns: Turns::read(files, &dir),
            silences: Arc::new(Mutex::new(Silences::read(files, &dir))),
            gatherer: Gatherer::new(paths.clone(), world.clone(), source),
            ear,
            first,
            spool: paths.ledger_spool(),
            trouble: None,
            world,
        }
    }

    pub(super) fn silences(&self) -> Arc<Mutex<Silences>> {
        self.silences.clone()
    }

    pub(super) fn question(&mut self) -> Question {
        self.gatherer.question(&mut self.memory)
    }

    /// One look that leaves no trace, for who asks while nobody looks: what is found is said as it is.
    pub(super) fn glance(&mut self, answers: Answers) -> Report {
        let heard = self.ear.heard();
        let facts = self.gatherer.look(answers, (&mut self.memory, &mut self.numbers), &heard);
        let silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner).running();
        let mut found = judge::judge(&facts);
        silence::apply(&silences, &mut found, facts.at);
        let (findings, _) =
            Steady::default().settle(found, &Ground::of(&facts), (facts.at, self.world.clock.monotonic().0));
        report::assemble(&facts, findings, silences)
    }

    /// One look of the service. `spent` is what asking has cost the processor.
    pub(super) fn look(&mut self, answers: Answers, spent: Duration) -> Look {
        let began = processor_time();
        let (files, boot) = (self.world.files.clone(), self.world.clock.monotonic());
        let heard = self.ear.heard();
        let facts = self.gatherer.look(answers, (&mut self.memory, &mut self.numbers), &heard);
        let told = facts.status.as_ref().ok().and_then(|status| status.ledger.as_ref()?.entries);
        let entries = self.turns.entries(told);
        let mut troubles = Vec::new();
        // A number that somebody was told must stay.
        troubles.extend(self.numbers.save(&*files).err());
        let silences = {
            let mut silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
            let camera = |number| self.numbers.camera(number).cloned();
            troubles.extend(silences.pass((&*files, &self.spool), (facts.at, boot), entries, camera).err());
            silences.running()
        };
        let mut found = judge::judge(&facts);
        silence::apply(&silences, &mut found, facts.at);
        let (findings, turns) = self.turns.settle(found, &Ground::of(&facts), (facts.at, boot));
        let mut report = report::assemble(&facts, findings, silences);
        // They keep it before it is noted here that it was told.
        self.first.tell(&turns, &report);
        troubles.extend(self.turns.tell((&*files, &self.spool), self.numbers.all(), boot).err());
        troubles.extend(self.turns.save(&*files, boot, false).err());
        troubles.extend(self.memory.save(&*files, boot, false).err());
        self.say(&troubles);
        let said = self.gatherer.source.read().clone();
        let every = said.site.as_ref().map_or(EVERY, |(site, _)| site.health().every);
        report.cost_us = (spent + processor_time().saturating_sub(began)).as_micros().try_into().unwrap_or(u64::MAX);
        Look { report, turns, said, every }
    }

    /// Once for each trouble, not at each look.
    fn say(&mut self, troubles: &[anyhow::Error]) {
        let now = troubles.first().map(|e| format!("{e:#}"));
        if now != self.trouble {
            match &now {
                Some(why) => log::error!("health goes on, and may forget: {why}"),
                None => log::info!("what health knows can be written down again"),
            }
            self.trouble = now;
        }
    }

    /// Writes down what it knows, before an end.
    pub(super) fn save(&mut self) {
        let (files, boot) = (self.world.files.clone(), self.world.clock.monotonic());
        let all =
            [self.numbers.save(&*files), self.turns.save(&*files, boot, true), self.memory.save(&*files, boot, true)];
        self.say(&all.into_iter().filter_map(Result::err).collect::<Vec<_>>());
    }
}
