//! `custodian reset-config`: the configuration is set aside, once a person has read what that means.

use std::{path::PathBuf, process::ExitCode};

use super::{NOT_ALL, chosen, print};
use crate::{
    disks::Token,
    lang::t,
    services::{
        applying::{Place, UNIT_DIR},
        paths,
        resetting::{self, Done, Sheet},
        updating,
    },
    types::Lang,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long, value_name = "TOKEN", requires = "reason")]
    token: Option<Token>,
    #[arg(long, value_name = "TEXT", requires = "token")]
    reason: Option<String>,
    #[arg(long)]
    factors: bool,
    #[arg(long, requires = "token")]
    no_restart: bool,
    #[arg(long, value_name = "DIR", default_value = paths::STATE)]
    state: PathBuf,
    #[arg(long, value_name = "DIR", default_value = UNIT_DIR)]
    unit_dir: PathBuf,
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, flag: Option<Lang>) -> anyhow::Result<ExitCode> {
    let place = Place { state: args.state, unit_dir: args.unit_dir };
    let lang = chosen(flag, place.site().map(|s| s.language()));
    let Some(token) = args.token else {
        let sheet = resetting::sheet(&place.state, args.factors)?;
        let text = if args.json { sheet_json(&sheet) } else { sheet_in_words(&sheet, args.factors, &place, lang) };
        print(&text);
        return Ok(ExitCode::from(NOT_ALL));
    };
    let word = updating::word(args.reason)?;
    let done = resetting::reset(&place, args.factors, &token, &word)?;
    if args.json {
        let said = serde_json::json!({ "ok": true, "generation": done.generation, "moved": done.moved, "folder": done.folder });
        print(&said.to_string());
    } else {
        print(&done_in_words(&done, args.no_restart, &place, lang));
    }
    if !args.no_restart {
        updating::restart()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sheet_json(sheet: &Sheet) -> String {
    let Sheet { generation, moves, token } = sheet;
    serde_json::json!({ "ok": true, "generation": generation, "moves": moves, "token": token.to_string() }).to_string()
}

/// What is in force, what moves, what stays, and the token.
pub(super) fn sheet_in_words(sheet: &Sheet, factors: bool, place: &Place, lang: Lang) -> String {
    let say = |key: &str, values: &[(&str, &str)]| t(lang, &format!("reset.{key}"), values);
    let folder = place.state.join("set-aside").display().to_string();
    let [in_force, moves] = [
        match sheet.generation {
            Some(number) => say("in_force", &[("number", &number.to_string())]),
            None => say("nothing", &[]),
        },
        match sheet.moves.as_slice() {
            [] => say("moves_nothing", &[]),
            names => say("moves", &[("folder", &folder), ("names", &names.join(", "))]),
        },
    ];
    let factors = say(if factors { "factors_move" } else { "factors_stay" }, &[]);
    let stays = say("stays", &[("factors", &factors)]);
    [in_force, moves, stays, say("then", &[("token", &sheet.token.to_string())])].join("\n")
}

fn done_in_words(done: &Done, no_restart: bool, place: &Place, lang: Lang) -> String {
    let say = |key: &str, values: &[(&str, &str)]| t(lang, &format!("reset.{key}"), values);
    let mut lines = vec![say("done", &[("folder", &done.folder.display().to_string())])];
    if let Some(number) = done.generation {
        let site = place.state.join(format!("generations/{number}/site.toml"));
        lines.push(say("back", &[("site", &site.display().to_string())]));
    }
    lines.push(say(if no_restart { "runs_on" } else { "restarts" }, &[]));
    lines.join("\n")
}
