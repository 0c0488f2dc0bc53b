//! What a program is told that is built without a store: `cargo test -p jobs-runner --no-default-features`.

#![allow(clippy::panic, reason = "these are tests")]

use jobs_runner::{Client, StoreError};

#[tokio::test]
async fn a_store_whose_feature_is_off_names_the_feature() {
    let stores = [
        ("sqlite://jobs.db", "sqlite", cfg!(feature = "sqlite")),
        ("redis://h", "redis", cfg!(feature = "redis")),
        ("rediss://h", "redis", cfg!(feature = "redis")),
        ("postgres://h/d", "postgres", cfg!(feature = "postgres")),
    ];
    for (url, name, _) in stores.into_iter().filter(|(.., is_on)| !is_on) {
        let error = match Client::connect(url).await {
            Err(error) => error,
            Ok(_) => panic!("{url} was opened"),
        };
        let StoreError::MissingFeature { feature } = &error else { panic!("{error}") };
        assert_eq!(*feature, name);
        assert!(error.to_string().contains(name), "{error}");
    }
}
