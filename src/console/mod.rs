//! The console: what the screen at the machine shows. Pages are made from what is known and a size, and drawn elsewhere.

pub mod page;
mod pages;
mod status;

pub use page::{Line, Paint, Size, draw, wrap};
pub use pages::{Choice, Paged, message};
pub use status::{Generation, Kept, Model, Trouble, Verdict, VolumeLine, rest, status};
