//! The toy keeps the rules of the suite, but for those that it leaves out.

#![allow(clippy::panic, reason = "these are tests")]

use std::sync::Arc;

use jobs_conformance::{Fixture, check, rules};
use jobs_core::{BoxError, BoxFuture, Store};
use toy::Toy;

/// What the toy does not promise.
const LEFT_OUT: &[&str] = &[
    "a_renamed_job_takes_over",
    "a_former_name_gives_way_until_a_rollback",
    "what_comes_back_in_a_rename_goes_with_its_job",
    "pruning_is_bounded",
    "jobs_that_keep_too_much_are_pruned_alike",
    "what_is_due_at_once_becomes_ready_step_by_step",
    "a_cancel_of_many_goes_on_until_all_have_ended",
    "a_reap_of_many_leases_goes_on_until_all_are_back",
    "a_detach_of_many_leases_gives_all_back_uncharged",
    "undecodable_items_end_step_by_step",
];

#[derive(Default)]
struct Place(Toy);

impl Fixture for Place {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        let store: Arc<dyn Store> = Arc::new(self.0.shifted(offset));
        Box::pin(async { Ok(store) })
    }
}

#[test]
fn a_store_of_a_thousand_lines_keeps_the_rules() {
    let kept = rules().iter().filter(|rule| !LEFT_OUT.contains(&rule.name));
    let broken: Vec<String> = kept
        .filter_map(|rule| check(rule, &|| Box::new(Place::default())).err())
        .map(|v| v.to_string())
        .collect();
    assert!(broken.is_empty(), "{} rules are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn what_it_leaves_out_it_does_not_keep() {
    for name in LEFT_OUT {
        let Some(rule) = rules().iter().find(|rule| rule.name == *name) else {
            panic!("there is no rule `{name}`");
        };
        assert!(
            check(rule, &|| Box::new(Place::default())).is_err(),
            "it keeps `{name}`: take it off the list"
        );
    }
}
