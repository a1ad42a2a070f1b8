//! site.toml: from text to a checked [`Site`], or to everything that is wrong with it at once.
//!
//! The way of a file: `read` walks the TOML tree into the tables that `raw` declares, `validate` makes a [`Site`] of
//! them. Both go on after a mistake, and every mistake knows its place; [`Errors`] shows them to people and machines.
//! [`schema()`] is the same declaration as a JSON Schema. Nothing here does I/O except [`load`] and [`secrets::load`].

mod camera_url;
mod choices;
mod health;
mod model;
mod network;
mod problem;
mod raw;
mod read;
mod recipient;
mod render;
mod s3_address;
mod schedule;
mod schema;
pub mod secrets;
mod source;
mod syntax;
mod validate;
mod values;
mod web_address;
mod wire;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use choices::{
    AlarmKind, AreaKind, BackupKind, BackupWhat, Paper, Permission, Privacy, Promise, PushKind, SmtpSecurity,
    Transport, Unlock, WhenShort,
};
pub use health::{Alarm, AlarmPlace, Door, Fail, Health, Push, Warn};
pub use model::{
    Approval, Area, Backup, BackupPlace, Camera, Matter, Person, Recorder, Register, Retention, Role, Site, VOLUMES,
    Volume, VolumePlace, mount_point,
};
pub use problem::{Code, Errors, Report};
pub use recipient::Recipient;
pub use s3_address::{BadS3Address, S3Address};
pub use schedule::Hours;
pub use schema::{json as schema, reference};
pub use secrets::{Credentials, Secret, Secrets};
pub use web_address::{BadToken, BadWebAddress, bearer, web_address};
pub use wire::{Cidr, Link, Network, Wire};

use self::{
    read::{Reader, Value},
    source::Source,
};

/// Parses and checks a site. `file` is how the file is named in what is said about it.
pub fn parse(text: &str, file: &str) -> Result<Site, Errors> {
    let source = Arc::new(Source { name: file.to_owned(), text: text.to_owned(), secret: false });
    let tree = syntax::tree(text);
    let mut r = Reader::default();
    let raw = raw::File::read(&tree.root, &(0..0), &mut r).unwrap_or_default();
    let site = validate::site(&raw, &source, &mut r);
    let language = raw.site.and_then(|s| s.value.language).map(|l| l.value);
    let problems = tree.with(r.problems);
    match site {
        Some(site) if problems.is_empty() => Ok(site),
        _ => Err(Errors::new(source, problems, language)),
    }
}

/// Why there is no site.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read, or isn't text.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it says is wrong.
    #[error("{} is refused: {} error(s), the first: {}", path.display(), errors.len(), errors.to_string().lines().next().unwrap_or_default())]
    Refused {
        /// Which.
        path: PathBuf,
        /// All that is wrong.
        errors: Errors,
    },
}

/// Reads and parses a file.
pub fn load(path: &Path) -> Result<Site, LoadError> {
    let text = fs::read_to_string(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string()).map_err(|errors| LoadError::Refused { path: path.to_owned(), errors })
}

#[cfg(test)]
mod tests;
