//! The Redis store keeps every rule of the contract.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use common::Place;

jobs_conformance::conformance!(Place::new());

#[test]
#[ignore = "takes some ten minutes"]
fn the_suite_notices_every_wrong_store_on_top_of_this_one() {
    let missed = jobs_conformance::wrong::missed(&|| Box::new(Place::new()));
    assert!(missed.is_empty(), "{missed:#?}");
}
