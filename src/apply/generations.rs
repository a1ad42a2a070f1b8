//! Generations on disk: applied sites with their numbers.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{ApplyError, Env};
use crate::{
    plan::{NETWORK, Plan, SYSTEM, Units, guard::Word, is_system_file},
    sys::{Files, unfinished},
    types::{CameraId, WallNs},
};

/// An applied site. Has no `Debug`: it holds the cameras' passwords.
pub struct Generation {
    /// What is known about it.
    pub meta: Meta,
    /// site.toml.
    pub site: String,
    /// secrets.toml, if there was one.
    pub secrets: Option<String>,
    /// How it came into force.
    pub plan: Plan,
    /// Its units.
    pub units: Units,
}

/// What is known about a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of this structure.
    pub format: u16,
    /// Its number, from 1.
    pub number: u64,
    /// When it was made.
    pub at: WallNs,
    /// Who made it.
    pub by: String,
    /// Leadership's word, where the change wanted it.
    pub word: Option<Word>,
    /// The version of custodian that made it.
    pub version: String,
    /// The generation that was current before.
    pub from: Option<u64>,
    /// The generation whose site it repeats, where one had to be made to go back.
    pub repeats: Option<u64>,
    /// For how many seconds it was on trial.
    pub trial: Option<u64>,
    /// What is looked at before it is confirmed.
    pub watch: Watch,
}

/// What is looked at before a generation is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Watch {
    /// Cameras that the change does not concern and that were recorded when it began: they must be still.
    pub recording: Vec<CameraId>,
    /// Cameras that are new or recorded otherwise: they must have footage since.
    pub changed: Vec<CameraId>,
}

/// A generation in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What is known about it.
    #[serde(flatten)]
    pub meta: Meta,
    /// Whether it is in force.
    pub current: bool,
    /// Whether it is the one that a trial goes back to.
    pub confirmed: bool,
    /// Whether it is on trial.
    pub on_trial: bool,
}

/// Version of [`Meta`].
pub(super) const FORMAT: u16 = 1;

pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ApplyError {
    let path = path.to_owned();
    move |source| ApplyError::Files { what, path, source }
}

pub(super) fn damaged(path: &Path, what: &dyn std::fmt::Display) -> ApplyError {
    ApplyError::Damaged { path: path.to_owned(), what: what.to_string() }
}

pub(super) fn read(files: &dyn Files, path: &Path) -> Result<Option<String>, ApplyError> {
    let bytes = files.read(path).map_err(failed("cannot read", path))?;
    bytes.map(|b| String::from_utf8(b).map_err(|e| damaged(path, &e))).transpose()
}

pub(super) fn read_json<T: DeserializeOwned>(files: &dyn Files, path: &Path) -> Result<Option<T>, ApplyError> {
    read(files, path)?.map(|text| serde_json::from_str(&text).map_err(|e| damaged(path, &e))).transpose()
}

fn as_json(path: &Path, value: &impl Serialize) -> Result<String, ApplyError> {
    Ok(serde_json::to_string_pretty(value).map_err(|e| damaged(path, &e))? + "\n")
}

pub(super) fn write_json(files: &dyn Files, path: &Path, value: &impl Serialize) -> Result<(), ApplyError> {
    let text = as_json(path, value)?;
    files.write(path, text.as_bytes(), 0o644, None).map_err(failed("cannot write", path))
}

fn folder(state: &Path) -> PathBuf {
    state.join("generations")
}

pub(super) fn link(state: &Path) -> PathBuf {
    state.join("current")
}

/// Where the link to generation `n` leads, relative to the state folder.
pub(super) fn target(n: u64) -> PathBuf {
    Path::new("generations").join(n.to_string())
}

/// The number of the generation that is in force.
pub fn current(files: &dyn Files, state: &Path) -> Result<Option<u64>, ApplyError> {
    let link = link(state);
    let Some(to) = files.target(&link).map_err(failed("cannot read", &link))? else { return Ok(None) };
    let number = to.strip_prefix("generations").ok().and_then(|n| n.to_str()).and_then(|n| n.parse().ok());
    number.map(Some).ok_or_else(|| damaged(&link, &format!("it leads to {}", to.display())))
}

/// The number of the generation that was confirmed last.
pub(super) fn confirmed(files: &dyn Files, state: &Path) -> Result<Option<u64>, ApplyError> {
    let path = state.join("confirmed");
    read(files, &path)?.map(|text| text.trim().parse().map_err(|e| damaged(&path, &e))).transpose()
}

pub(super) fn set_confirmed(env: &Env<'_>, n: u64) -> Result<(), ApplyError> {
    if confirmed(env.files, &env.state)? == Some(n) {
        return Ok(());
    }
    let path = env.state.join("confirmed");
    env.files.write(&path, format!("{n}\n").as_bytes(), 0o644, None).map_err(failed("cannot write", &path))
}

/// Numbers of all generations, ascending.
pub(super) fn numbers(files: &dyn Files, state: &Path) -> Result<Vec<u64>, ApplyError> {
    let folder = folder(state);
    let names = files.list(&folder).map_err(failed("cannot list", &folder))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|n| n.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads a generation.
pub fn load(files: &dyn Files, state: &Path, n: u64) -> Result<Generation, ApplyError> {
    let dir = state.join(target(n));
    let meta = dir.join("meta.json");
    let meta = read_json(files, &meta)?.ok_or(ApplyError::NoSuch(n))?;
    let (site, plan) = (dir.join("site.toml"), dir.join("plan.json"));
    Ok(Generation {
        meta,
        site: read(files, &site)?.ok_or_else(|| damaged(&site, &"it is missing"))?,
        secrets: read(files, &dir.join("secrets.toml"))?,
        plan: read_json(files, &plan)?.ok_or_else(|| damaged(&plan, &"it is missing"))?,
        units: read_units(files, &dir.join("units"), |_| true)?,
    })
}

/// Where a generated file lies: below the folder of units, or, if it is none, below the folder of its kind beside that.
pub(super) fn place(unit_dir: &Path, name: &str) -> PathBuf {
    if is_system_file(name) { unit_dir.with_file_name(name) } else { unit_dir.join(name) }
}

/// All generated files of this boot whose text is wanted.
pub(super) fn read_boot(
    files: &dyn Files,
    unit_dir: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<Units, ApplyError> {
    let mut all = read_units(files, unit_dir, &wanted)?;
    for folder in [NETWORK, SYSTEM] {
        read_folder(files, &unit_dir.with_file_name(folder), folder, &wanted, &mut all)?;
    }
    Ok(all)
}

/// The files of a folder, under its name.
fn read_folder(
    files: &dyn Files,
    path: &Path,
    name: &str,
    wanted: &dyn Fn(&str) -> bool,
    all: &mut Units,
) -> Result<(), ApplyError> {
    for part in files.list(path).map_err(failed("cannot list", path))? {
        let part_path = path.join(&part);
        all.extend(text(files, &part_path, wanted)?.map(|text| (format!("{name}/{part}"), text)));
    }
    Ok(())
}

/// Others have files there too, of which nothing is expected.
fn text(files: &dyn Files, path: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Option<String>, ApplyError> {
    let bytes = files.read(path).map_err(failed("cannot read", path))?;
    Ok(bytes.and_then(|b| String::from_utf8(b).ok()).filter(|t| wanted(t)))
}

/// Units, drop-ins and files for the system's services below a folder, of those whose text is wanted.
pub(super) fn read_units(files: &dyn Files, dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Units, ApplyError> {
    let mut units = Units::new();
    for name in files.list(dir).map_err(failed("cannot list", dir))? {
        let path = dir.join(&name);
        let kind = name.rsplit_once('.').map(|(_, kind)| kind);
        if kind == Some("d") || matches!(&*name, NETWORK | SYSTEM) {
            read_folder(files, &path, &name, &wanted, &mut units)?;
        } else if matches!(kind, Some("mount" | "service")) {
            units.extend(text(files, &path, &wanted)?.map(|text| (name, text)));
        }
    }
    Ok(units)
}

/// Writes a generated file, whose folder is made if it is not there; that one's own must be.
pub(super) fn write_unit(files: &dyn Files, path: &Path, text: &str) -> Result<(), ApplyError> {
    if let Some(folder) = path.parent() {
        files.make_dir(folder).map_err(failed("cannot make", folder))?;
    }
    files.write(path, text.as_bytes(), 0o644, None).map_err(failed("cannot write", path))
}

/// Writes a generation. It gets its name when all of it is durable: so it is there whole, or not at all.
pub(super) fn save(env: &Env<'_>, generation: &Generation) -> Result<(), ApplyError> {
    let files = env.files;
    let dir = env.state.join(target(generation.meta.number));
    let draft = unfinished(&dir);
    let make = |path: &Path| files.make_dir(path).map_err(failed("cannot make", path));
    make(&folder(&env.state))?;
    // What an earlier attempt left.
    files.remove_dir(&draft).map_err(failed("cannot remove", &draft))?;
    make(&draft)?;
    make(&draft.join("units"))?;
    for (name, text) in &generation.units {
        write_unit(files, &draft.join("units").join(name), text)?;
    }
    let write = |name: &str, text: &str, group| {
        let path = draft.join(name);
        files.write(&path, text.as_bytes(), 0o640, group).map_err(failed("cannot write", &path))
    };
    write("site.toml", &generation.site, env.site_group)?;
    if let Some(secrets) = &generation.secrets {
        write("secrets.toml", secrets, env.secrets_group)?;
    }
    write("plan.json", &as_json(&draft, &generation.plan)?, env.site_group)?;
    write("meta.json", &as_json(&draft, &generation.meta)?, env.site_group)?;
    files.rename(&draft, &dir).map_err(failed("cannot name", &dir))
}

/// Forgets a generation that never came into force.
pub(super) fn forget(env: &Env<'_>, n: u64) -> Result<(), ApplyError> {
    let dir = env.state.join(target(n));
    for dir in [unfinished(&dir), dir] {
        env.files.remove_dir(&dir).map_err(failed("cannot remove", &dir))?;
    }
    Ok(())
}

/// All generations, ascending.
pub fn list(files: &dyn Files, state: &Path) -> Result<Vec<Listed>, ApplyError> {
    let (current, confirmed) = (current(files, state)?, confirmed(files, state)?);
    let trial = super::trial::read(files, state)?;
    let mut all = Vec::new();
    for n in numbers(files, state)? {
        let meta = state.join(target(n)).join("meta.json");
        let Some(meta) = read_json::<Meta>(files, &meta)? else { continue };
        all.push(Listed {
            meta,
            current: current == Some(n),
            confirmed: confirmed == Some(n),
            on_trial: current == Some(n) && confirmed != Some(n) && trial.as_ref().is_some_and(|t| t.generation == n),
        });
    }
    Ok(all)
}
