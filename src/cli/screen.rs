//! `custodian screen <what>`: shows one of custodian's own programs on this terminal, so that Vietnamese and Chinese can be read there.
//!
//! The kernel's console knows 512 glyphs. Where there is a framebuffer, bterm draws instead, as in Debian's installer, with a font of all of
//! Unicode's first plane. bterm starts a program without arguments: it starts this one again, which learns from the environment
//! what it is to be. No shell takes part.

use std::{
    env, fs,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::Context as _;
use clap::ValueEnum;
use nix::unistd::ttyname;

use super::install;
pub(super) use crate::services::console::SCREEN;
use crate::sys::{Clock as _, RealClock};

/// Which framebuffer is drawn on: see [`framebuffer`].
const FRAMEBUFFER: &str = "CUSTODIAN_FRAMEBUFFER";
/// The font for bterm, where it is elsewhere.
const FONT: &str = "CUSTODIAN_FONT";
const FONT_FILE: &str = "/usr/share/custodian/unifont.bgf";
const DEVICE: &str = "/dev/fb0";
const SIZE: &str = "/sys/class/graphics/fb0/virtual_size";
/// bterm that ends badly so soon has never drawn anything.
const SOON: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(value_enum, value_name = "console|install|rescue", hide_possible_values = true)]
    what: What,
}

/// What is shown. Nothing else can be started in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Console,
    Install,
    Rescue,
}

impl What {
    fn verb(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Install => "install",
            Self::Rescue => "rescue",
        }
    }
}

/// How it is shown.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// By bterm with this font.
    Drawn(PathBuf),
    /// As it is. On the kernel's own console English only: it has no other letters.
    Plain { english: bool },
}

fn way(terminal: &Path, framebuffer: bool, font: Option<PathBuf>) -> Way {
    let name = terminal.to_str().and_then(|t| t.strip_prefix("/dev/tty")).unwrap_or_default();
    let virtual_one = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    match font {
        Some(font) if virtual_one && framebuffer => Way::Drawn(font),
        _ => Way::Plain { english: virtual_one },
    }
}

/// How many pixels of the screen a pixel of the font takes, so that it is read from where people stand and 80 by 25 letters fit.
/// `size`: what the kernel says of the framebuffer, `1920,1080`.
fn scale(size: &str) -> u32 {
    let mut of = size.trim().split(',').map(|n| n.parse::<u32>().unwrap_or(0));
    let mut fits = |letter: u32, letters: u32| of.next().unwrap_or(0) / (letter * letters);
    fits(8, 80).min(fits(16, 25)).clamp(1, 8)
}

/// The arguments of this program: those that it has, or, where it has none, what [`SCREEN`] says.
pub(super) fn arguments(own: Vec<String>, screen: Option<&str>) -> Vec<String> {
    match screen.and_then(|s| What::from_str(s, false).ok()) {
        Some(what) if own.len() == 1 => [own, vec![what.verb().to_owned()]].concat(),
        _ => own,
    }
}

/// Whether the framebuffer that is drawn on is the machine's no more: when the graphics driver takes over from the firmware's, the screen
/// shows another one. Who may be started again ends then.
pub(super) fn is_stale() -> bool {
    env::var(FRAMEBUFFER).is_ok_and(|before| framebuffer().as_deref() != Some(&*before))
}

/// Which one is there now. A new one is a new node, with another number or another time.
fn framebuffer() -> Option<String> {
    let node = fs::metadata(DEVICE).ok()?;
    Some(format!("{}.{}.{}.{}", node.dev(), node.ino(), node.ctime(), node.ctime_nsec()))
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // The graphics driver may be about to take over.
    let settled = Command::new("udevadm").args(["settle", "--timeout=15"]).status();
    if let Err(e) = settled {
        log::info!("drivers are not waited for: udevadm: {e}");
    }
    let font = PathBuf::from(env::var_os(FONT).unwrap_or_else(|| FONT_FILE.into()));
    let font = Some(font).filter(|f| f.is_file());
    let terminal = ttyname(std::io::stdin().as_fd()).unwrap_or_default();
    let program = env::current_exe().context("where this program is")?;
    let mut plain = way(&terminal, false, None);
    if let Way::Drawn(font) = way(&terminal, framebuffer().is_some(), font) {
        // The C library, too, which this program and bterm share.
        let font = if args.what == What::Install { install::in_memory(&font) } else { font };
        let began = RealClock.monotonic();
        let drawn = Command::new("bterm")
            .arg("-f")
            .arg(&font)
            .args(["-s", &scale(&fs::read_to_string(SIZE).unwrap_or_default()).to_string(), "-l", "C.UTF-8"])
            .arg(&program)
            .env(SCREEN, args.what.verb())
            .env(FRAMEBUFFER, framebuffer().unwrap_or_default())
            .status();
        match drawn {
            Ok(status) if status.success() => return Ok(ExitCode::SUCCESS),
            Ok(_) if RealClock.monotonic().since(began) > SOON => {
                // The service is over when this ends, and takes along whoever is left of it.
                if args.what == What::Install {
                    install::until_it_is_finished();
                }
                return Ok(ExitCode::FAILURE);
            }
            Ok(status) => log::warn!("bterm does not draw on this screen ({status}): English only"),
            Err(e) => log::warn!("bterm cannot be started: English only: {e}"),
        }
        plain = Way::Plain { english: true };
    }
    let english = plain == Way::Plain { english: true };
    let language: &[&str] = if english { &["--lang", "en"] } else { &[] };
    let gone = Command::new(program).args(language).arg(args.what.verb()).env(SCREEN, args.what.verb()).exec();
    Err(gone).context("this program cannot be started again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framebuffer_is_drawn_on_and_a_serial_line_takes_all_letters_as_they_are() {
        let font = || Some(PathBuf::from("f"));
        let way = |tty: &str, framebuffer, font| way(Path::new(tty), framebuffer, font);
        assert_eq!(way("/dev/tty1", true, font()), Way::Drawn("f".into()));
        for (framebuffer, font) in [(false, font()), (true, None)] {
            assert_eq!(way("/dev/tty1", framebuffer, font), Way::Plain { english: true });
        }
        for tty in ["/dev/ttyS0", "/dev/pts/3", "/dev/hvc0", "", "/dev/tty"] {
            assert_eq!(way(tty, true, font()), Way::Plain { english: false }, "{tty}");
        }
    }

    #[test]
    fn letters_are_as_large_as_the_screen_allows() {
        let sizes =
            ["640,480", "800,600", "1024,768", "1280,800", "1920,1080\n", "2560,1440", "3840,2160", "", "x", "9,9"];
        assert_eq!(sizes.map(scale), [1, 1, 1, 2, 2, 3, 5, 1, 1, 1]);
    }

    #[test]
    fn only_what_may_be_shown_is_started_and_only_where_nothing_else_is_asked() {
        let arguments = |own: &[&str], screen| super::arguments(own.iter().map(ToString::to_string).collect(), screen);
        assert_eq!(arguments(&["custodian"], Some("console")), ["custodian", "console"]);
        assert_eq!(arguments(&["custodian"], Some("rescue")), ["custodian", "rescue"]);
        for screen in [None, Some(""), Some("disk"), Some("console --state /x")] {
            assert_eq!(arguments(&["custodian"], screen), ["custodian"]);
        }
        assert_eq!(arguments(&["custodian", "status"], Some("console")), ["custodian", "status"]);
    }
}
