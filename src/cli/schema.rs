//! `custodian schema`: the JSON Schema of site.toml, for editors.

use std::{io::Write, process::ExitCode};

use anyhow::Context;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = if args.markdown {
        crate::site::reference()
    } else {
        serde_json::to_string_pretty(&crate::site::schema())? + "\n"
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("the schema could not be written")?;
    Ok(ExitCode::SUCCESS)
}
