//! Pictures of the machine's screen, for docs/guide. They are taken into the folder that `CUSTODIAN_SCREENS` names; where it names none, nothing
//! is. The installation itself is in one language; its questions, the console and rescue mode are shown in all. With `CUSTODIAN_SCREENS_LANGUAGE` only
//! what is shown of an installation in that language is.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use custodian::types::Lang;

use crate::{pictures::PICTURES, vm::Vm};

fn folder() -> Option<PathBuf> {
    // As the root of the repository sees it, which is where QEMU may not run.
    env::var_os("CUSTODIAN_SCREENS").map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
}

/// Whether pictures are taken.
pub fn wanted() -> bool {
    folder().is_some()
}

fn named() -> Option<Lang> {
    let name = env::var("CUSTODIAN_SCREENS_LANGUAGE").ok()?;
    Some(name.parse().expect("CUSTODIAN_SCREENS_LANGUAGE is vi, zh or en"))
}

/// Whether pictures of more than the installation are taken.
pub fn wanted_of_all() -> bool {
    wanted() && named().is_none()
}

/// The language of the installation.
pub fn language() -> Lang {
    named().unwrap_or(Lang::En)
}

/// What is typed where a number chooses the language.
pub fn number(lang: Lang) -> String {
    (Lang::ALL.iter().position(|l| *l == lang).unwrap() + 1).to_string()
}

/// Keeps what the screen shows now.
pub fn keep(vm: &mut Vm, name: &str, lang: Lang) {
    assert!(PICTURES.contains(&name), "{name} is in no guide");
    if let Some(folder) = folder() {
        // It may be there.
        let _ = fs::create_dir(&folder);
        vm.picture(&folder.join(format!("install-{name}.{lang}.png")));
    }
}

/// The console's pages in all languages. At its end it shows the first page again, in the language of before.
pub fn of_console(vm: &mut Vm, before: Lang) {
    if !wanted_of_all() {
        return;
    }
    // A screen that rests is woken by a key; one that does not, has no use for this one.
    vm.type_text("x");
    let mut page = vm.wait_for_screen(&[]);
    let others = Lang::ALL.into_iter().filter(|l| *l != before);
    for lang in others.chain([before]) {
        vm.type_text(&number(lang));
        page = vm.wait_for_screen(&page);
        keep(vm, "console", lang);
        for (key, name) in [("a", "apply-from-stick"), ("u", "update")] {
            vm.type_text(key);
            let below = vm.wait_for_screen(&page);
            keep(vm, name, lang);
            vm.type_text("\u{1b}");
            page = vm.wait_for_screen(&below);
        }
    }
}

/// Rescue mode in all languages; English comes first there.
pub fn of_rescue(vm: &mut Vm) {
    vm.wait("rescue mode to be on the screen", 240, |vm| {
        (vm.try_run("systemctl is-active custodian-rescue.service", 60)?.code == 0).then_some(())
    });
    let mut page = vm.wait_for_screen(&[]);
    keep(vm, "rescue", Lang::En);
    for lang in [Lang::Vi, Lang::Zh] {
        vm.type_text("9\n");
        page = vm.wait_for_screen(&page);
        keep(vm, "rescue", lang);
    }
}
