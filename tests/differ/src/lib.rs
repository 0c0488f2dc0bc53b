//! All stores give the same answers.
//!
//! A sequence of operations is drawn from a seed, each from what the answers before it said. It is done on two stores,
//! and their answers are compared one by one, and at the end all that can be read. Numbers that a store gives out
//! (runs, leases, versions) are told by the order in which they appear, and times by the second: see [`names`]. What
//! the contract leaves open is made equal: see [`open`]. A sequence that differs is made as short as it can be, and its
//! seed plays it again.

pub mod canonical;
pub mod draw;
pub mod names;
pub mod open;
pub mod places;
pub mod sequence;
pub mod shrink;
pub mod time;
pub mod view;
pub mod world;

pub use places::{Kind, Places};
pub use sequence::{Difference, Sequence};
