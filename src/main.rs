//! The `custodian` program: parses its arguments, installs the logger, and leaves the rest to [`custodian::cli`].

use std::process::ExitCode;

use custodian::cli;

fn main() -> ExitCode {
    let cli = cli::parse();
    cli::logger::install(cli.verbose, !cli.is_demo());
    match cli::run(cli) {
        Ok(code) => code,
        Err(e) => {
            log::error!("{e:#}");
            ExitCode::FAILURE
        }
    }
}
