//! The Redis store keeps every rule of the contract.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use common::Place;

jobs_conformance::conformance!(Place::new());

#[test]
fn a_store_that_breaks_a_rule_is_told_so() {
    let unnoticed = jobs_conformance::wrong::unnoticed(&|| Box::new(Place::new()));
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}
