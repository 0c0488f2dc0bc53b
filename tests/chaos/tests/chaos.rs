//! Every scenario in its short form: the promises of DESIGN §8 under real signals.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)] // A test may panic.

use std::path::Path;

use chaos::scenario::{Play, play};

async fn clean(name: &str, store: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_chaos"));
    let outcome = play(name, &Play { program, store, faults: 10, short: true }).await.unwrap();
    assert!(outcome.is_clean(), "{outcome:#?}");
}

macro_rules! scenarios {
    ($($name:ident)*) => { $(
        #[tokio::test]
        async fn $name() {
            clean(stringify!($name), "sqlite").await;
        }
    )* };
}

scenarios! { kill pages memory share2 share4 stop commit }
