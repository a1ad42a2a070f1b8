//! Everything that a judgement can say.

use crate::types::wire::health::{Finding, Level, Probe, Subject};

/// How a code behaves when looks differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It says that something is in order.
    Fine,
    /// Said when it was seen twice.
    Damped,
    /// What it says does not come and go by chance: said at once.
    Sure,
    /// It says only that something else, which is told by itself, is in the way of knowing: nobody is alarmed.
    Quiet,
}

/// What can be said of a probe: the text `health.<probe>_<text>`, and what to do, `health.<probe>_<text>_do`, unless it is fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    /// Of which probe.
    pub probe: Probe,
    /// As in findings and keys.
    pub text: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The names of its values, all of which are always there.
    pub values: &'static [&'static str],
}

impl Code {
    /// That what was found is no longer; of each probe. Its text is `health.over`.
    pub(crate) const OVER: &'static str = "over";

    /// The code of a finding.
    pub(crate) fn find(probe: Probe, text: &str) -> Option<&'static Self> {
        ALL.iter().copied().flatten().find(|code| code.probe == probe && code.text == text)
    }

    /// A finding that says this.
    pub(super) fn at(&self, level: Level, subject: impl Into<Option<Subject>>, look: &super::Look<'_>) -> Finding {
        Finding::new(self.probe, subject.into(), level, self.text, look.facts.at)
    }

    /// A finding that says this about the recorder.
    pub(super) fn plain(&self, level: Level, look: &super::Look<'_>) -> Finding {
        self.at(level, None, look)
    }

    /// A finding that says that this is in order.
    pub(super) fn fine(&self, look: &super::Look<'_>) -> Finding {
        self.plain(Level::Ok, look)
    }
}

macro_rules! codes {
    ($($module:ident $probe:ident { $($name:ident = $text:literal $kind:ident [$($value:ident)*];)+ })+) => {
        $(
            /// What is said of this probe.
            pub(super) mod $module {
                use super::{Code, Kind, Probe};
                $(
                    pub(in crate::health::judge) const $name: Code = Code {
                        probe: Probe::$probe,
                        text: $text,
                        kind: Kind::$kind,
                        values: &[$(stringify!($value)),*],
                    };
                )+
                pub(super) const ALL: &[Code] = &[$($name),+];
            }
        )+
        /// All of them, by probe.
        pub(crate) const ALL: &[&[Code]] = &[$($module::ALL),+];
    };
}

codes! {
    recorder Recorder {
        RUNS = "runs" Fine [version started];
        STARTING = "starting" Fine [];
        DOWN = "down" Damped [];
        SLOW = "slow" Damped [];
        UNCLEAR = "unclear" Damped [why];
        INDEX = "index" Damped [why];
    }
    footage Footage {
        RECORDED = "recorded" Fine [count age];
        PARTLY = "partly" Fine [count of];
        IDLE = "idle" Fine [];
        FULL = "full" Damped [count];
        NONE = "none" Damped [at cameras];
        NONE_EVER = "none_ever" Damped [cameras];
        MANY = "many" Damped [count of cameras];
        LATE = "late" Damped [at age];
        NEVER = "never" Damped [];
        SUB_LATE = "sub_late" Damped [at age];
        SUB_NEVER = "sub_never" Damped [];
        AHEAD = "ahead" Damped [at];
    }
    gaps Gaps {
        FEW = "few" Fine [most];
        PARTLY = "partly" Fine [count of];
        MISSING = "missing" Damped [day today];
        MANY = "many" Damped [count of most cameras];
        UNKNOWN = "unknown" Quiet [];
    }
    kept Kept {
        KEPT = "kept" Fine [count days];
        FREE = "free" Fine [];
        MEASURING = "measuring" Fine [];
        UNMEASURED = "unmeasured" Damped [];
        UNKNOWN = "unknown" Quiet [];
        PARTLY = "partly" Fine [count of];
        LOST = "lost" Damped [length promised];
        UNREADABLE = "unreadable" Damped [length promised];
        GONE = "gone" Damped [length];
        AWAY = "away" Damped [length];
        SHORT = "short" Damped [days promised];
        STOPPED = "stopped" Damped [];
        SUBSTREAM = "substream" Damped [];
        MANY = "many" Damped [count of cameras];
        CLOCK = "clock" Damped [why];
        INDEX = "index" Damped [why];
        LEDGER = "ledger" Damped [why];
        HOLDS = "holds" Damped [why];
        COMPARING = "comparing" Fine [];
        CONTENTS = "contents" Damped [why];
        VOLUME = "volume" Damped [why];
        HOLDS_DUE = "holds_due" Sure [count];
        HOLDS_COPY = "holds_copy" Damped [why];
    }
    forecast Forecast {
        HOLDS = "holds" Fine [];
        ELSE = "else" Fine [];
        LATER = "later" Fine [days at missing];
        SOON = "soon" Damped [days at missing count];
        SHORT = "short" Damped [missing count];
        RECKONING = "reckoning" Fine [];
        UNRECKONED = "unreckoned" Damped [];
        UNKNOWN = "unknown" Quiet [];
    }
    volume Volume {
        WRITTEN = "written" Fine [free size];
        SEEN = "seen" Fine [at];
        ABSENT = "absent" Damped [why];
        FULL = "full" Damped [size];
        FAILED = "failed" Damped [why];
        STALE = "stale" Damped [at age];
        UNHEARD = "unheard" Damped [];
        UNKNOWN = "unknown" Quiet [];
    }
    disk Disk {
        WELL = "well" Fine [temperature];
        PASSED = "passed" Fine [];
        UNTOLD = "untold" Fine [];
        NOT_YET = "not_yet" Fine [];
        GONE = "gone" Damped [];
        SMART = "smart" Sure [];
        SECTORS = "sectors" Sure [count];
        HOT = "hot" Damped [temperature];
        SILENT = "silent" Damped [];
        UNKNOWN = "unknown" Quiet [];
    }
    latency Latency {
        FAST = "fast" Fine [write commit];
        SLOWEST = "slowest" Fine [write commit];
        REST = "rest" Fine [];
        SLOW = "slow" Damped [write commit];
        UNKNOWN = "unknown" Quiet [];
    }
    system_disk SystemDisk {
        ROOM = "room" Fine [used free];
        FILLING = "filling" Damped [used free];
        UNKNOWN = "unknown" Quiet [];
    }
    memory Memory {
        ROOM = "room" Fine [used free];
        SHORT = "short" Damped [used free];
        UNKNOWN = "unknown" Quiet [];
    }
    load Load {
        EASY = "easy" Fine [load];
        HIGH = "high" Damped [load];
        UNKNOWN = "unknown" Quiet [];
    }
    temperature Temperature {
        COOL = "cool" Fine [temperature];
        HOT = "hot" Damped [temperature];
    }
    clock Clock {
        RIGHT = "right" Fine [offset];
        SYNCHRONISED = "synchronised" Fine [];
        UNSYNCHRONISED = "unsynchronised" Damped [];
        OFFSET = "offset" Damped [offset];
        STEPPED = "stepped" Sure [at by];
        UNKNOWN = "unknown" Damped [];
    }
    camera_clock CameraClock {
        RIGHT = "right" Fine [most];
        UNTOLD = "untold" Fine [];
        PARTLY = "partly" Fine [count of];
        WRONG = "wrong" Damped [error];
        MANY = "many" Damped [count of cameras];
        UNKNOWN = "unknown" Quiet [];
    }
    units Units {
        WELL = "well" Fine [];
        FAILED = "failed" Damped [];
        RESTARTING = "restarting" Damped [count];
        UNKNOWN = "unknown" Damped [];
    }
    generation Generation {
        CONFIRMED = "confirmed" Fine [number];
        TRIAL = "trial" Fine [number until left];
        TRIAL_OVER = "trial_over" Damped [number until];
        UNCONFIRMED = "unconfirmed" Damped [number];
        NONE = "none" Damped [];
        BROKEN = "broken" Damped [why];
        UNKNOWN = "unknown" Quiet [];
        DRIFT = "drift" Damped [count what];
        LINK_SCHOOL = "link_school" Damped [];
        LINK_CAMERAS = "link_cameras" Damped [];
        LOOK_OLD = "look_old" Damped [at];
        LOOK_NONE = "look_none" Damped [];
    }
    certificate Certificate {
        VALID = "valid" Fine [until];
        ELSE = "else" Fine [];
        ENDING = "ending" Sure [until left];
        ENDED = "ended" Sure [until];
    }
    backup Backup {
        FRESH = "fresh" Fine [at age];
        NOT_YET = "not_yet" Fine [];
        OLD = "old" Damped [at age];
        NEVER = "never" Damped [];
        FAILED = "failed" Damped [at age];
        MISSING = "missing" Damped [count];
        DAMAGED = "damaged" Sure [count];
        UNKNOWN = "unknown" Quiet [];
    }
    verification Verification {
        INTACT = "intact" Fine [at segments];
        NOT_YET = "not_yet" Fine [];
        NEVER = "never" Damped [];
        OLD = "old" Damped [at age];
        INCOMPLETE = "incomplete" Damped [at];
        DAMAGED = "damaged" Sure [at count];
    }
    ledger Ledger {
        SOUND = "sound" Fine [entries at];
        OPENING = "opening" Fine [];
        LATE = "late" Damped [at waiting];
        PROBLEM = "problem" Damped [why waiting];
        DROPPED = "dropped" Sure [count];
        UNKNOWN = "unknown" Quiet [];
    }
    witness Witness {
        TAKEN = "taken" Fine [at];
        NOT_YET = "not_yet" Fine [];
        OLD = "old" Damped [at age];
        NEVER = "never" Damped [];
        NOWHERE = "nowhere" Damped [];
    }
    push Push {
        TAKEN = "taken" Fine [count of];
        UNTRIED = "untried" Fine [];
        FAILING = "failing" Damped [at why];
        MISCONFIGURED = "misconfigured" Sure [why];
    }
    update Update {
        NONE = "none" Fine [];
        UNTOLD = "untold" Fine [];
        SECURITY = "security" Sure [count];
        OFFERED = "offered" Sure [version];
        FELL_BACK = "fell_back" Sure [version];
        LEFT_BEHIND = "left_behind" Damped [version];
        NOT_TOLD = "not_told" Damped [];
        NOT_LOOKED = "not_looked" Damped [at];
        NEVER_LOOKED = "never_looked" Damped [];
        FAILED = "failed" Damped [];
        UNKNOWN = "unknown" Quiet [];
    }
    vendor Vendor {
        SHUT = "shut" Fine [];
        OPEN = "open" Fine [until];
    }
}
