//! The integration tests: one binary, a module per subject.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![expect(unreachable_pub, reason = "one binary of many modules, of which nothing is seen from outside")]

mod acceptance;
mod activation;
mod apply;
mod backup;
mod browser;
mod capture;
mod console;
mod disks;
mod disks_fail;
mod doctor;
mod events;
mod evidence;
mod faults;
mod firewall;
#[path = "../support/footage.rs"]
mod footage;
mod format;
mod guide;
mod health;
mod health_look;
mod holds;
mod image;
mod install;
mod layering;
mod ledger;
mod nix;
mod plan;
mod power;
mod pull;
mod recovery_key;
mod reset;
mod retention;
mod retrieve;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod system_disk;
mod units;
mod update;
mod update_units;
mod verify;
mod watchdog;
