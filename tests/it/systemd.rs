//! Applying, on a machine with a real systemd.

use crate::support::container::{Machine, possible};

#[test]
fn boots() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::boot(dir.path(), &[(env!("CARGO_BIN_EXE_custodian").into(), "/usr/bin/custodian")]);
    assert!(machine.run(&["custodian", "--version"]).contains("custodian"));
    machine.cut();
}
