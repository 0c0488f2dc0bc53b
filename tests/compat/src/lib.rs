//! Places that an earlier version has written, and what has to hold when this version opens them.
//!
//! [`story`] fills an empty place with everything that a store keeps: it is how the kept places were made. The tests
//! open a copy of each of them and go on with what it tells of. `kept/README.md` says what is in them.

pub mod kept;
pub mod place;
pub mod reading;
pub mod story;
pub mod teller;
