//! Pictures of the machine's screen, for docs/guide. They are kept where `CUSTODIAN_SCREENS` says; where it says nothing, none are.

use std::{env, path::Path};

use crate::vm::Vm;

/// Keeps what the screen shows now as `install-NAME.png`.
pub fn keep(vm: &mut Vm, name: &str) {
    if let Some(folder) = env::var_os("CUSTODIAN_SCREENS") {
        vm.picture(&Path::new(&folder).join(format!("install-{name}.png")));
    }
}
