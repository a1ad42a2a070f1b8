//! custodian: a video recorder for schools that keeps its promises.
//!
//! Read from top to bottom, the modules tell the story: the words of the system, the machine, who may (`factors`), what a school wants
//! (`site`), what the machine has (`inventory`, `disks`), the steps between the two (`plan`) and their execution (`apply`), what
//! happened for good (`ledger`), where footage lies (`store`), how it comes in (`capture`), how long it stays (`retention`), how it goes
//! out (`retrieve`, `web`), what is kept of it elsewhere (`backup`), how it all is (`health`), how the system itself is renewed
//! (`update`), what the screen at the machine shows (`console`), and the programs that are made of it (`demo`, `services`, `cli`). See also
//! `docs/ARCHITECTURE.md`.
//!
//! Who may import whom. `tests/it/layering.rs` reads this table and compares it with every `crate::…` in the source:
//!
//! ```text
//! types → nothing
//! lang → types
//! sys → types
//! factors → types sys
//! site → types lang
//! inventory → types sys
//! disks → types sys inventory
//! plan → types lang site inventory
//! apply → types sys plan
//! state → types lang sys inventory disks plan
//! install → types lang sys factors site inventory disks plan
//! ledger → types sys
//! store → types sys ledger
//! capture → types sys site store
//! retention → types sys site store ledger
//! backup → types sys site store
//! health → types lang sys site
//! update → types sys ledger
//! retrieve → types sys store
//! web → types lang
//! console → types lang
//! demo → types sys site
//! services → everything
//! cli → everything
//! ```

pub mod apply;
pub mod backup;
pub mod capture;
pub mod cli;
pub mod console;
pub mod demo;
pub mod disks;
pub mod factors;
pub mod health;
pub mod install;
pub mod inventory;
pub mod lang;
pub mod ledger;
pub mod plan;
pub mod retention;
pub mod retrieve;
pub mod services;
pub mod site;
pub mod state;
pub mod store;
pub mod sys;
pub mod types;
pub mod update;
pub mod web;
