//! Every decision of a store, once: plain values and pure functions, tested without a store.
//!
//! An operation of a store is *load, decide, write*. This module decides. It knows what a run, a schedule, a session, a
//! queue and a lane are, and what each operation of the [contract](crate::Store) does to them; a store knows how they are
//! kept, and finds them. So a rule is changed here, and nowhere else. (The Redis store decides in its scripts, where the
//! data is; a differential test holds it to the same answers.)
//!
//! A value that is serialized here is stored as it is written: `docs/design.md` lists the bytes, and a field that is added
//! needs a default for records that lack it.

mod cells;
mod clock;
mod cursor;
mod fate;
mod filling;
mod firing;
mod granting;
mod lane;
mod open_items;
mod queue;
mod renaming;
mod retention;
mod room;
mod run;
#[cfg(test)]
mod sample;
mod session;
mod tally;
mod verdicts;

pub use cells::{Pauses, ahead_cell, fits, is_live, pause_note};
pub use clock::{Patience, SET_BACK, held_back};
pub use cursor::{Claim, Cursor, SUPERSEDED};
pub use fate::{Fate, after_crash_of, fate, poison_message};
pub use filling::{Fill, FillEnd, Filling};
pub use firing::{Decision, Known, Made, decide, pass};
pub use granting::{Head, InFlight, next_due, share};
pub use lane::{Lane, Turn};
pub use open_items::OpenItems;
pub use queue::{QueueKey, QueueKind};
pub use renaming::{Yields, yields};
pub use retention::{REPEATED, discard_cell, over, share_of};
pub use room::Room;
pub use run::{GONE, Run, RunRecord};
pub use session::Session;
pub use tally::Tally;
pub use verdicts::merged;
