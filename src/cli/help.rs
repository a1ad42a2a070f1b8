//! The command line's own help in the three languages.

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::Cli;
use crate::{
    lang::{raw, t},
    types::Lang,
};

/// The command line with its help in `lang`.
pub(super) fn command(lang: Lang) -> Command {
    localise(Cli::command(), "custodian", lang)
}

/// Puts in the texts `help.<name>` for the command and `help.<name>-<argument>` for its arguments; further down by
/// subcommand.
fn localise(command: Command, name: &str, lang: Lang) -> Command {
    let subcommands: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let usage = t(lang, "help.usage", &[]);
    let heading = |key: &'static str| raw(lang, key).unwrap_or(key);
    let (arguments, options) = (heading("help.arguments"), heading("help.options"));
    let mut command = command
        .about(t(lang, &format!("help.{name}"), &[]))
        .help_template(format!("{{about}}\n\n{usage} {{usage}}\n\n{{all-args}}"))
        .subcommand_help_heading(heading("help.commands"))
        .disable_help_flag(true)
        .mut_args(|arg| {
            let text = t(lang, &format!("help.{name}-{}", arg.get_id()), &[]);
            arg.help(text)
        })
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::Help).help(t(lang, "help.help", &[])));
    if name == "custodian" {
        let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
        command = command.disable_version_flag(true).arg(version.help(t(lang, "help.version", &[])));
    }
    command = command.mut_args(|arg| {
        let heading = if arg.is_positional() { arguments } else { options };
        arg.help_heading(heading)
    });
    for sub in subcommands {
        // `volume init` and `disk init` are two: the second has texts of its own, under `disk-init`.
        let own = format!("{name}-{sub}");
        let key = if raw(lang, &format!("help.{own}")).is_some() { &own } else { &sub };
        command = command.mut_subcommand(&sub, |c| localise(c, key, lang));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts_missing(command: &Command, lang: Lang) -> Vec<String> {
        let help = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
        let args = command.get_arguments().map(|a| (a.get_id().to_string(), help(a.get_help())));
        let mut missing: Vec<String> = std::iter::once((command.get_name().to_owned(), help(command.get_about())))
            .chain(args)
            // A key without a text comes back as itself.
            .filter(|(_, text)| text.is_empty() || text.starts_with("help."))
            .map(|(name, text)| format!("{lang} {}: {name} ({text})", command.get_name()))
            .collect();
        for sub in command.get_subcommands() {
            missing.extend(texts_missing(sub, lang));
        }
        missing
    }

    #[test]
    fn every_command_and_argument_is_explained_in_each_language() {
        for lang in Lang::ALL {
            assert_eq!(texts_missing(&command(lang), lang), Vec::<String>::new());
            command(lang).debug_assert();
        }
    }

    #[test]
    fn help_speaks_the_language_asked_for() {
        let help = |lang| command(lang).render_help().to_string();
        assert!(help(Lang::Vi).contains("Cách dùng:"), "{}", help(Lang::Vi));
        assert!(help(Lang::Zh).contains("用法："), "{}", help(Lang::Zh));
        assert!(help(Lang::En).contains("Usage:"), "{}", help(Lang::En));
    }
}
