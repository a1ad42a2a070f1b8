//! From what the site wants and what the machine has to the ordered steps between them. Pure: nothing here looks at the machine.

mod model;
mod steps;
mod touched;
mod units;

pub use model::{Base, Layout, Plan, Step};
pub use steps::steps;
pub use touched::{Touched, touched};
pub use units::{
    HEADER, RECORD, Units, VOLUMES, WEB, escape_path, mapper, mount_point, mount_unit, partition, units, unlock_unit,
};
