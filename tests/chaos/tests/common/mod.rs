//! What the tests of all stores share.

use std::path::Path;

use chaos::{
    backend::Kind,
    scenario::{Play, play},
};

/// Plays a scenario in its short form, and demands that every promise was kept.
pub(crate) async fn clean(store: Kind, name: &str) {
    if !servers::is_wanted(store.name()) {
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_chaos"));
    let outcome =
        play(name, &Play { program, store, faults: 10, seconds: 3, short: true, old: None }).await.unwrap();
    assert!(outcome.is_clean(), "{outcome:#?}");
}
