//! At boot the network's files come first: links come up as the site in force says, whatever becomes of the rest of activation.

use super::{
    ApplyError, Env,
    generations::{current, damaged, place, read, read_units, target, write_unit},
};
use crate::{
    plan::{is_system_file, silent},
    types::story,
};

/// Writes them, or, where they cannot be read, one that keeps all links down: without any the image's own would have addresses by DHCP on
/// every wire, the cameras' among them.
pub(super) fn lay(env: &Env<'_>) {
    let Err(e) = lay_current(env) else { return };
    log::error!(
        "the network cannot be as the site in force says, so links that it does not know stay down: {}",
        story(&e)
    );
    let (name, text) = silent();
    if let Err(e) = write_unit(env.files, &place(&env.unit_dir, &name), &text) {
        log::error!("nor can that be written: {}", story(&e));
    }
}

fn lay_current(env: &Env<'_>) -> Result<(), ApplyError> {
    let Some(number) = current(env.files, &env.state)? else { return Ok(()) };
    let folder = env.state.join(target(number)).join("units");
    let units = read_units(env.files, &folder, |_| true)?;
    if units.is_empty() {
        return Err(damaged(&folder, &"it is empty, or missing"));
    }
    for (name, text) in units.iter().filter(|(name, _)| is_system_file(name)) {
        let path = place(&env.unit_dir, name);
        if read(env.files, &path)?.as_ref() != Some(text) {
            write_unit(env.files, &path, text)?;
        }
    }
    Ok(())
}
