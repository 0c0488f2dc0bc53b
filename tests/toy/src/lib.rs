//! A store of your own begins small.
//!
//! This one keeps everything in maps and lists behind one lock, and looks through all of them for whatever it is asked:
//! how a store finds things is its own affair. What it decides, it asks the ledger of `jobs-core`. It has no namespaces,
//! it renames no jobs, and nothing bounds what one of its steps does. It keeps all other rules of the suite.

mod items;
mod leasing;
mod reading;
mod runs;
mod sessions;
mod state;
mod store;

pub use store::Toy;
