//! `custodian console`: the pages at the machine itself. There is no log-in: what changes something asks for the PIN.

mod clock;
mod dialog;
mod disks;
mod fetching;
mod keys;
mod model;
mod reapply;
mod receipt;
mod updates;

use std::{io, path::PathBuf, process::ExitCode, sync::mpsc, thread, time::Duration};

use nix::sys::signal::{SigSet, Signal};

use self::dialog::Dialog;
use super::{chosen, doctor, inventory::manners, screen, time::Shown};
use crate::{
    console::{self, Paint, Verdict},
    lang::t,
    services::{
        applying::{Place, UNIT_DIR},
        console::{Looked, look},
        paths,
    },
    sys::{Clock as _, Commands as _, Key, RawTerminal, RealClock, RealCommands},
    types::{Lang, WallNs},
};

/// Between two looks.
const PACE: Duration = Duration::from_secs(5);
/// Nobody has pressed a key for so long: the page rests.
const REST: Duration = Duration::from_mins(10);
/// How long a resting page stays where it is.
const PLACE: Duration = Duration::from_secs(30);
/// For systemd to take the order.
const ORDER: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "DIR", default_value = UNIT_DIR)]
    unit_dir: PathBuf,
}

pub(super) fn run(args: Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let place = Place { state: args.state, unit_dir: args.unit_dir };
    let lang = chosen(flag, place.site().map(|s| s.language()));
    // If the screen goes, what was begun comes to its end: a disk, a recorder that was stopped for a moment. The terminal says that it is gone.
    if let Err(e) = SigSet::from(Signal::SIGHUP).thread_block() {
        log::warn!("without its screen this program ends: {e}");
    }
    let mut terminal = RawTerminal::new()?;
    let (send, looks) = mpsc::sync_channel(1);
    let state = place.state.clone();
    // A disk that is dying answers late: keys are read meanwhile.
    thread::spawn(move || {
        while send.send(look(&state)).is_ok() {
            thread::sleep(PACE);
        }
    });
    let mut console = Console { dialog: Dialog { terminal: &mut terminal, lang }, place, looks, last: None, why: None };
    match console.run() {
        // The terminal was hung up: systemd starts a new one.
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(ExitCode::SUCCESS),
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}

struct Console<'a> {
    dialog: Dialog<'a>,
    place: Place,
    looks: mpsc::Receiver<anyhow::Result<Looked>>,
    last: Option<Looked>,
    /// Why there is no newer look.
    why: Option<String>,
}

impl Console<'_> {
    fn run(&mut self) -> io::Result<()> {
        let mut touched = RealClock.monotonic();
        while !screen::is_stale() {
            while let Ok(looked) = self.looks.try_recv() {
                match looked {
                    Ok(looked) => (self.last, self.why) = (Some(looked), None),
                    Err(e) => self.why = Some(format!("{e:#}")),
                }
            }
            let idle = RealClock.monotonic().since(touched);
            self.draw(idle)?;
            let Some(key) = self.dialog.terminal.key(Duration::from_secs(1))? else { continue };
            touched = RealClock.monotonic();
            // Whoever wakes the page has not read it yet.
            if idle < REST {
                self.pressed(key)?;
                touched = RealClock.monotonic();
            }
        }
        Ok(())
    }

    fn draw(&mut self, idle: Duration) -> io::Result<()> {
        let (lang, size) = (self.dialog.lang, self.dialog.terminal.size());
        let lines = match (&self.last, &self.why) {
            (Some(looked), None) => {
                let model = model::of(looked, &self.place.state, lang, RealClock.wall());
                if idle < REST {
                    console::status(&model, lang, size)
                } else {
                    let times = idle.as_secs() / PLACE.as_secs();
                    console::rest(&model, lang, size, usize::try_from(times).unwrap_or(0))
                }
            }
            (_, Some(why)) => console::message("custodian", &t(lang, "console.look_failed", &[("why", why)]), size),
            (None, None) => console::message("custodian", "…", size),
        };
        self.dialog.draw(&lines)
    }

    fn pressed(&mut self, key: Key) -> io::Result<()> {
        let Key::Char(key) = key else { return Ok(()) };
        if let Some(lang) = key.to_digit(10).and_then(|n| Lang::ALL.get((n as usize).checked_sub(1)?)) {
            self.dialog.lang = *lang;
            return Ok(());
        }
        match key.to_ascii_lowercase() {
            'a' => self.reapply(),
            'd' => self.details(),
            'k' => self.keys(),
            'p' => self.power_off(),
            's' => self.disks(),
            't' => self.clock(),
            'u' => self.updates(),
            _ => Ok(()),
        }
    }

    /// What is wrong, in full, as `custodian doctor` says it.
    fn details(&mut self) -> io::Result<()> {
        let Some(looked) = &self.last else { return Ok(()) };
        let (lang, shown) = manners(Some(self.dialog.lang), looked.seen.site.as_ref());
        let text = doctor::in_words(&looked.seen, &self.place.state, lang, &shown);
        // What is to be done is said for whoever has a command line, which here nobody has.
        let text =
            if text.contains('`') { format!("{}\n\n{text}", t(lang, "console.details_keys", &[])) } else { text };
        let title = t(lang, "console.key_d", &[]);
        self.dialog.read(&title, Paint::Title, &text, &[]).map(|_| ())
    }

    fn keys(&mut self) -> io::Result<()> {
        let Some(looked) = &self.last else { return Ok(()) };
        let lang = self.dialog.lang;
        let text = model::prints(looked, lang);
        self.dialog.read(&t(lang, "console.keys_title", &[]), Paint::Title, &text, &[]).map(|_| ())
    }

    fn power_off(&mut self) -> io::Result<()> {
        let lang = self.dialog.lang;
        if !self.dialog.pin(&self.place.state, &t(lang, "console.pin_for_power", &[]))? {
            return Ok(());
        }
        let title = t(lang, "console.key_p", &[]);
        self.dialog.say(&title, &t(lang, "console.powering_off", &[]))?;
        log::warn!("the machine is switched off from the console");
        let why = match RealCommands.run("systemctl", &["poweroff"], &[], ORDER) {
            Ok(out) if out.ok() => return Ok(()),
            Ok(out) => out.stderr,
            Err(e) => e.to_string(),
        };
        self.dialog.read(&title, Paint::Bad, &t(lang, "console.power_failed", &[("why", &why)]), &[]).map(|_| ())
    }
}
