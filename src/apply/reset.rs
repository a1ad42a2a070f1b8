//! Setting the configuration aside: nothing is in force any more, and nothing of footage, index, ledger or keys is touched.
//!
//! First of all `current` goes: from then on no site is in force, whatever comes in between. What would only confuse the next apply, and what a
//! person has given, moves into a folder. Generations stay where they are, so that numbers go on, and a former site can be applied again. Cut short
//! anywhere, it is given again.

use std::path::{Path, PathBuf};

use super::{
    env::Env,
    error::ApplyError,
    generations::{self, failed},
    run,
};

/// What moves, in this order: names in the state folder.
pub const MOVED: [&str; 5] = ["trial.json", "pending.json", "confirmed", "etc/site.toml", "etc/secrets.toml"];

/// Sets the configuration aside, into a new folder of the state folder, after `noted` was written there. `also` moves, too. Says which
/// generation was in force, and what was moved.
///
/// # Errors
/// If it cannot be done to its end: then it is to be given again.
pub fn set_aside(
    env: &Env<'_>,
    folder: &Path,
    also: &[&str],
    noted: impl FnOnce(Option<u64>) -> Result<Vec<u8>, ApplyError>,
) -> Result<(Option<u64>, Vec<String>), ApplyError> {
    let _lock = run::lock(env)?;
    let was = generations::current(env.files, &env.state)?;
    let folder = env.state.join(folder);
    for dir in
        [folder.parent().map(Path::to_owned), Some(folder.clone()), Some(folder.join("etc"))].into_iter().flatten()
    {
        env.files.make_dir(&dir).map_err(failed("cannot make", &dir))?;
    }
    let note = folder.join("reset.json");
    env.files.write(&note, &noted(was)?, 0o600, None).map_err(failed("cannot write", &note))?;
    let current = generations::link(&env.state);
    env.files.remove(&current).map_err(failed("cannot remove", &current))?;
    let mut moved = Vec::new();
    for name in MOVED.iter().chain(also) {
        let (from, to): (PathBuf, PathBuf) = (env.state.join(name), folder.join(name));
        if env.files.read(&from).map_err(failed("cannot read", &from))?.is_some() {
            env.files.rename(&from, &to).map_err(failed("cannot move", &from))?;
            moved.push((*name).to_owned());
        }
    }
    Ok((was, moved))
}
