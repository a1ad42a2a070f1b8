//! From what the site wants and what the machine has to the ordered steps between them. Pure: nothing here looks at the machine.

mod model;

pub use model::{Base, Layout, Plan, Step};
