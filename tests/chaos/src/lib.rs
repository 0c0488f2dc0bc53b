//! Real processes on a real store, killed and stopped, and an oracle that reads only what their handlers wrote down
//! outside the store.
//!
//! `scripts/chaos` plays a scenario and prints one line of JSON.

pub mod backend;
pub mod by_hand;
pub mod durations;
pub mod jobs;
mod limits;
pub mod oracle;
pub mod process;
pub mod record;
pub mod scenario;
pub mod stage;
pub mod witness;
pub mod worker;
