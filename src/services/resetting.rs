//! `custodian reset-config`: the configuration is set aside, on the word of a person who has read what goes where.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::{applying::Place, paths::Paths};
use crate::{
    apply::{self, MOVED},
    disks::Token,
    ledger::{Salted, What, new_salt, salt_of, spool},
    sys::{Clock as _, Files as _, RealClock, RealFiles},
    types::{WallNs, event},
    update::Word,
};

/// Version of what is noted.
const FORMAT: u16 = 1;
/// Below it, in the state folder, lies what was set aside.
const FOLDER: &str = "set-aside";
/// PIN and sealed code: they move only if that is asked for.
pub const FACTORS: &str = "factors.json";

/// What would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// The generation in force; none: nothing is.
    pub generation: Option<u64>,
    /// What moves, of what is there: names in the state folder.
    pub moves: Vec<String>,
    /// What a person types to say that they have read it.
    pub token: Token,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The generation that was in force.
    pub generation: Option<u64>,
    /// What moved.
    pub moved: Vec<String>,
    /// To where.
    pub folder: PathBuf,
}

/// What is noted beside what was set aside. The ledger has the person and the reason with this salt.
#[derive(Debug, Serialize)]
struct Noted<'a> {
    format: u16,
    at: WallNs,
    generation: Option<u64>,
    by: &'a str,
    reason: &'a str,
    salt: &'a str,
}

fn also(factors: bool) -> &'static [&'static str] {
    if factors { &[FACTORS] } else { &[] }
}

/// What would be set aside, and the token for just that.
///
/// # Errors
/// If it cannot be read.
pub fn sheet(state: &Path, factors: bool) -> anyhow::Result<Sheet> {
    let generation = apply::current(&RealFiles, state)?;
    let names = MOVED.iter().chain(also(factors));
    let moves: Vec<String> = names.filter(|name| state.join(name).exists()).map(|name| (*name).to_owned()).collect();
    let site = RealFiles.read(&state.join("current/site.toml"))?;
    let site = site.map(|text| crate::plan::digest(&String::from_utf8_lossy(&text)));
    let token = Token::of("reset-config", &(generation, site, &moves));
    Ok(Sheet { generation, moves, token })
}

/// Sets the configuration aside. The ledger knows before. Services run on as they are until the machine starts again.
///
/// # Errors
/// If the token is that of something else, the ledger cannot be told, or it cannot be done to its end: then it is to be given again.
pub fn reset(place: &Place, factors: bool, token: &Token, word: &Word) -> anyhow::Result<Done> {
    let state = &place.state;
    anyhow::ensure!(
        sheet(state, factors)?.token == *token,
        "this token is not for what would be set aside now: nothing was changed; read it again, and give the token that stands there"
    );
    let at = RealClock.wall();
    let name = at.timestamp().strftime("%Y%m%dT%H%M%SZ").to_string();
    let folder = Path::new(FOLDER).join(name);
    let text = new_salt().context("random bytes")?;
    let salt = salt_of(&text).context("random bytes")?;
    let (generation, moved) = place.act(|env| {
        apply::set_aside(env, &folder, also(factors), |generation| {
            let (by, reason) = (Salted::new(&salt, &word.by), Salted::new(&salt, &word.reason));
            let what = What::Reset { generation, by, reason };
            let spool = Paths::new(state).ledger_spool();
            spool::leave(env.files, &spool, at, what).map_err(|e| apply::ApplyError::Ledger(e.to_string()))?;
            let noted = Noted { format: FORMAT, at, generation, by: &word.by, reason: &word.reason, salt: &text };
            Ok(serde_json::to_vec_pretty(&noted).expect("texts and integers always serialise"))
        })
    })?;
    let folder = state.join(folder);
    log::warn!(
        MESSAGE_ID = event::CONFIGURATION_RESET, FILE:% = folder.display();
        "the configuration was set aside, to {}: no site is in force", folder.display()
    );
    Ok(Done { generation, moved, folder })
}
