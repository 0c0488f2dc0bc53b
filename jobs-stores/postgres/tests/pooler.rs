//! The store keeps its rules behind a pooler that gives a connection for a transaction alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::sync::{Arc, OnceLock};

use jobs_conformance::{Fixture, check, rules};
use jobs_core::{BoxError, BoxFuture, Store};
use jobs_postgres::{Pooler, PostgresOptions, PostgresStore};
use servers::pgbouncer;

/// Fewer connections to the server than the tests have to the pooler, so that all are handed around.
fn pooler() -> &'static pgbouncer::Pooler {
    static POOLER: OnceLock<pgbouncer::Pooler> = OnceLock::new();
    POOLER.get_or_init(|| match pgbouncer::Pooler::start(common::server(), 4) {
        Ok(pooler) => pooler,
        Err(error) => panic!("{error}"),
    })
}

struct Place(PostgresOptions);

impl Place {
    fn new() -> Self {
        let url = common::server().url_through(pooler().port());
        let options = PostgresOptions::from_url(&url).unwrap().pooler(Pooler::Transaction).connections(3);
        Self(options.schema(common::unique("pooled")))
    }
}

impl Fixture for Place {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        Box::pin(async move {
            let store: Arc<dyn Store> = Arc::new(PostgresStore::open(self.0.clone()).await?.shifted(offset));
            Ok(store)
        })
    }
}

/// One of so many rules, from this one on: all of them take minutes here, where each statement is planned anew.
fn every(nth: usize, from: usize) {
    for rule in rules().iter().skip(from).step_by(nth) {
        if let Err(violation) = check(rule, &|| Box::new(Place::new())) {
            panic!("{violation}");
        }
    }
}

#[test]
fn a_part_of_the_rules() {
    every(16, 0);
}

#[test]
fn a_second_part_of_the_rules() {
    every(16, 4);
}

#[test]
fn a_third_part_of_the_rules() {
    every(16, 8);
}

#[test]
fn a_fourth_part_of_the_rules() {
    every(16, 12);
}
