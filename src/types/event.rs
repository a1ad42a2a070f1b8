//! What operators watch: messages that bear a stable id in the journal, `MESSAGE_ID` in systemd.journal-fields(7).
//!
//! An id, once given, means the same for ever: rules and the catalogs in `modules/catalog/` go by it. A log call names the event before its
//! other fields: `log::warn!(MESSAGE_ID = event::VOLUME_LEFT, VOLUME = name.as_str(); "…")`. `tests/it/events.rs` compares the events
//! with the log calls, the catalogs and the table in `docs/ref/journal.md`.

use log::kv::{ToValue, Value};

/// A kind of message. In a log call it stands for its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// As the constant is called.
    pub name: &'static str,
    /// 128 random bits, 32 hexadecimal digits.
    pub id: &'static str,
}

impl ToValue for Event {
    fn to_value(&self) -> Value<'_> {
        self.id.into()
    }
}

/// The field of an event's id.
pub const MESSAGE_ID: &str = "MESSAGE_ID";

/// The fields that log calls give besides, and what is in them.
pub const FIELDS: &[(&str, &str)] = &[
    ("BACKUP", "a backup: when it began, as `custodian backup list` shows it"),
    ("BACK_TO", "the generation that is gone back to"),
    ("CAMERA", "a camera, as in site.toml"),
    ("CAUSE", "why, in words"),
    ("COUNT", "how many: of what, the message says"),
    ("DAYS", "days"),
    ("DISK", "a disk, by its name in /dev/disk/by-id"),
    ("DOUBT", "what is in doubt: clock, index, ledger, holds, contents, volume"),
    ("FILE", "a file or folder"),
    ("GENERATION", "a generation, by its number"),
    ("HOLD", "a hold, by its id"),
    ("PLACE", "where backups go: the kind of place and its name"),
    ("RECORDER", "a recorder, as in site.toml"),
    ("RUN", "a run, by its id"),
    ("SECONDS", "seconds; of a step with its sign"),
    ("STREAM", "main or sub"),
    ("UNIT", "a unit of the service manager"),
    ("VERSION", "a version of the system"),
    ("VOLUME", "a volume, as in site.toml"),
];

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        $($(#[$doc])* pub const $name: Event = Event { name: stringify!($name), id: $id };)*
        /// All of them.
        pub const ALL: &[Event] = &[$($name),*];
    };
}

events! {
    /// The recorder is at work.
    RECORDER_STARTED = "7119bdbc97d040cf945e82e977ac3c0f";
    /// The recorder was stopped in order.
    RECORDER_STOPPED = "ca3d0b5b079f4708a79cfb1a7f0d8c5d";
    /// The recorder had not been stopped in order before it was started.
    RECORDER_KILLED = "81335021435342569ad1d2d1d60a063b";
    /// The recorder does not go on: the service manager is about to start it anew.
    RECORDER_HANGS = "8660ecc7a02745ce88b8c29292c1d76d";
    /// A camera brings no pictures; said once until the cause is another one.
    CAMERA_LOST = "52c6bad1ab144ebe89ffe2f79bf05cf4";
    /// A camera that was lost brings pictures again, and has for a while.
    CAMERA_BACK = "fffa44eefafd46b6b5e69490bd5603b9";
    /// A camera sends another picture than before: its size or its encoding.
    CAMERA_CHANGED = "84bd62ed6418401dbb5692097b2cd78b";
    /// A camera's media clock jumped.
    CAMERA_CLOCK_JUMPED = "a50fb31092414ba49e6dcde48dbadde1";
    /// Nothing has been recorded of a stream for a minute, though the site wants it.
    RECORDING_GAP = "aac8564d48834e52babd79cfa0436601";
    /// A volume of the site cannot be used.
    VOLUME_ABSENT = "bfe17d4da3e44176ba04644221c6229e";
    /// A volume that was in use does not take footage any more.
    VOLUME_FAILED = "ade4b58457894b97b28a03f70bf98bcf";
    /// A volume takes footage, for the first time since the start or again.
    VOLUME_BACK = "e40a72dbb0a847f6b842aa655c0639ad";
    /// A volume is full of footage that must be kept: a camera is not recorded there.
    VOLUME_FULL = "77305726705a409dafd1ec816cf849fb";
    /// A volume has room again for a camera that was not recorded there.
    VOLUME_ROOM_AGAIN = "d8bf46ad37874920a50e9578f55024b8";
    /// A volume that is in use is not in the site any more.
    VOLUME_LEFT = "46d6a6febd494c19864459c989b98dbe";
    /// A volume is another disk than the last time.
    VOLUME_EXCHANGED = "d7ba3fbfa5c342eda1a325662c7ad132";
    /// Footage that the index knew is not on its volume any more.
    FOOTAGE_LOST = "3a9e24cce1f34538aabc3b0d670ba819";
    /// A file of footage is damaged and was left as it is.
    FOOTAGE_DAMAGED = "1f02aa1b1b9441029a1ed667dac3842b";
    /// A file on a volume is not ours, or cannot be read.
    FOOTAGE_FOREIGN = "882f7a0609aa45a1a383b0e9e87e2de5";
    /// The index is damaged; a new one is made from the volumes.
    INDEX_DAMAGED = "4bb4b4ea2a294b06895e1259332abc6d";
    /// The index cannot be written; recording goes on.
    INDEX_NOT_WRITTEN = "140253f18aac45bf96ec9aa679a6305f";
    /// The index is written again.
    INDEX_WRITTEN_AGAIN = "84e3b7d662a84d0f950517d7a9849202";
    /// The clock of this machine was set while the recorder was at work.
    CLOCK_STEPPED = "d09362a3e0ad43dfa9619c631c007038";
    /// The clock may be wrong, so nothing is deleted.
    CLOCK_IN_DOUBT = "d6e089827e514119b65c569bcc514cd1";
    /// Nothing is deleted on any volume, for something is in doubt.
    DELETION_SUSPENDED = "e9b2a7fc464842109058611bd663b335";
    /// Nothing is deleted on a volume, for something about it is in doubt.
    VOLUME_DELETION_SUSPENDED = "94a753ad6f1d4532a4ebe2fb927d57fc";
    /// A doubt that suspended deletion is settled.
    DELETION_RESUMED = "a2d10a70d42146fb9b0264799e9b86ca";
    /// In some days more is promised than a volume holds; said once a day.
    PROMISE_WILL_BREAK = "23ba97b9f7c24c31b810273a88b1d52a";
    /// Promised footage of a camera is not there; said once a day.
    PROMISE_BROKEN = "1841ec18012b474dbedde1be6a1e5be8";
    /// The promise is a target, and promised footage goes to make room.
    PROMISED_FOOTAGE_GOES = "75e9ffab436f43f08f4c82b695046124";
    /// The disks are short: a camera is recorded by its sub stream.
    SUBSTREAM_ONLY = "07e253f6ec964dc59810e0c52469a55e";
    /// The ledger cannot be written; recording goes on.
    LEDGER_NOT_WRITTEN = "236b4b98259c45d59ec7df4e80ea43c3";
    /// The ledger is written again.
    LEDGER_WRITTEN_AGAIN = "633c78fdd75d4fa6a7e49f90dec099fb";
    /// A configuration was put in force.
    GENERATION_IN_FORCE = "4d4e0d86ab8840718c3dcbf76ea2e367";
    /// An earlier configuration was put in force again.
    GENERATION_ROLLED_BACK = "a95e2caf3d6a4f33b733c1d34e1631b4";
    /// A configuration on trial was not confirmed in time.
    TRIAL_EXPIRED = "4a2b518ed06a4174a9db553307d62e6c";
    /// Footage is held from now on.
    HOLD_SET = "b2041962d236417c9a5821c4c2e1e3dd";
    /// Footage is not held any more.
    HOLD_RELEASED = "e926bf3136d84b18a52c19ae0593c25b";
    /// A backup is complete.
    BACKUP_MADE = "9fec0b90e7bc4f77a223245fc4330acb";
    /// A backup was made, but something is missing in it.
    BACKUP_INCOMPLETE = "7921e9fc686d4682b1dc4647b9cf42fa";
    /// A backup could not be made.
    BACKUP_FAILED = "018ee3e95a164161ba29197bed1e248c";
    /// Something in a backup is not as it was written.
    BACKUP_DAMAGED = "57c6b38f3a6044baab6f8d14f7bb3f3e";
    /// Footage that was read again is not what was recorded.
    VERIFICATION_FOUND_DAMAGE = "f2a14c43660246c59ddeda63bf3eef06";
    /// A disk was made a volume.
    DISK_PREPARED = "393378766f6c4d3ca0931df706e7a2fb";
    /// A disk was made empty.
    DISK_ERASED = "8dba754c17af4484bb4f6d41d467676d";
    /// Another version of the system is written, and comes with the next start.
    UPDATE_WRITTEN = "b1eb3374e8384af7b6aebaa4c46d3302";
    /// Another version of the system came up as it should, and stays.
    UPDATE_GOOD = "032c37710727465288e47a5deba2a50b";
    /// A version that was good before is counted still: the loader was not told.
    UPDATE_STILL_COUNTED = "b5a7f031533847f39063c0adff73a5da";
    /// This start was to prove another version, and did not: the machine restarts.
    UPDATE_NOT_GOOD = "14bf42c62f1443299abe3b4cb9516aa0";
    /// Another version of the system did not come up: the one before runs again.
    UPDATE_FELL_BACK = "27831e12f7fb4a37afa2c4ddc03d0b65";
    /// A person has set the configuration aside: no site is in force.
    CONFIGURATION_RESET = "918142cdecb341588221eaf717bc7d68";
    /// A site that was to be taken over is wrong; recording goes on by the one before.
    SITE_REFUSED = "8bbf0495a0244c31b49d952d8b088ac4";
    /// A wrong PIN or a wrong leaders' code was typed at the console.
    FACTOR_REFUSED = "ee1ab394c00f41c6a463f259202746e9";
    /// The leaders' sealed code was used.
    SEALED_CODE_USED = "39be1b1ec30244beb33826fb2904d14c";
}
