//! Opening a database: by many at once, in the wrong place, without the right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use common::{attach, filled, fire, numbers, open, options, run, server, settle, start, unique};
use jobs_core::{Store, StoreError};
use jobs_postgres::{PostgresOptions, PostgresStore};
use sqlx::postgres::PgPoolOptions;

fn at(schema: &str, user: &str) -> PostgresOptions {
    let url = format!("postgres://{user}@127.0.0.1:{}/postgres?schema={schema}", server().port());
    PostgresOptions::from_url(&url).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_nodes_open_an_empty_database_at_once() {
    let options = options();
    let opening = (0..10).map(|_| tokio::spawn(PostgresStore::open(options.clone())));
    let opening: Vec<_> = opening.collect();
    for (session, opened) in (1..).zip(opening) {
        attach(&opened.await.unwrap().unwrap(), session).await;
    }
    let store = PostgresStore::open(options).await.unwrap();
    assert_eq!(store.sessions().await.unwrap().value.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused() {
    let schema = unique("newer");
    PostgresStore::open(at(&schema, "postgres")).await.unwrap();
    run(server(), &format!("UPDATE {schema}.jobs_store SET schema = 7")).await;
    let error = PostgresStore::open(at(&schema, "postgres")).await.unwrap_err();
    assert_eq!(error, StoreError::NewerSchema { found: 7, supported: 2 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_program_is_left_alone() {
    let schema = unique("foreign");
    run(server(), &format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.job (id integer)")).await;
    let error = PostgresStore::open(at(&schema, "postgres")).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("tables of another program"), "{error}");
    let empty = unique("empty");
    run(server(), &format!("CREATE SCHEMA {empty}")).await;
    PostgresStore::open(at(&empty, "postgres")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_lacks_is_named() {
    let (role, schema) = (unique("poor"), unique("granted"));
    run(server(), &format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'")).await;
    let user = format!("{role}:secret");
    let refused = |text: &'static str| {
        let options = at(&schema, &user);
        async move {
            let error = PostgresStore::open(options).await.unwrap_err();
            assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
            assert!(error.to_string().contains(text), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    };
    refused("permission denied for database").await;
    PostgresStore::open(at(&schema, "postgres")).await.unwrap();
    refused("permission denied for schema").await;
    run(server(), &format!("GRANT USAGE ON SCHEMA {schema} TO {role}")).await;
    refused("permission denied for table jobs_store").await;
    run(server(), &format!("GRANT SELECT ON {schema}.jobs_store TO {role}")).await;
    refused("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE").await;
    run(
        server(),
        &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"),
    )
    .await;
    refused("GRANT USAGE, UPDATE ON SEQUENCE").await;
    run(server(), &format!("GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")).await;
    attach(&PostgresStore::open(at(&schema, &user)).await.unwrap(), 1).await;
    run(server(), &format!("ALTER ROLE {role} SET default_transaction_read_only = on")).await;
    refused("its transactions are read-only").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_becomes_read_only_says_so() {
    let server = start();
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    run(&server, "ALTER SYSTEM SET default_transaction_read_only = on; ").await;
    run(&server, "SELECT pg_reload_conf()").await;
    let began = std::time::Instant::now();
    loop {
        match fire(&store, 1, began.elapsed().as_nanos() as u64).await {
            Ok(_) => assert!(began.elapsed().as_secs() < 5, "it can still be written"),
            Err(error) => {
                assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
                break;
            }
        }
    }
    assert_eq!(store.jobs().await.unwrap().value.len(), 1, "it can be read");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_enter_is_told_so_and_no_password_is_shown() {
    for (user, database, text) in [
        ("nobody:secret", "postgres", "check the user, the password and the database"),
        ("postgres", "nowhere", "check the user, the password and the database"),
    ] {
        let url = format!("postgres://{user}@127.0.0.1:{}/{database}", server().port());
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert!(matches!(error, StoreError::BadUrl { .. }), "{error}");
        let (shown, debugged) = (error.to_string(), format!("{error:?}"));
        assert!(shown.contains(text) && !shown.contains("secret") && !debugged.contains("secret"), "{shown}");
    }
    let error = PostgresStore::connect("postgres://a:secret@127.0.0.1:1/a?deadline=300ms").await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    let store = open().await;
    assert!(format!("{store:?}").contains("namespace"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_the_programs_own_is_left_as_it_was() {
    let pool = PgPoolOptions::new().max_connections(2).connect(&server().url()).await.unwrap();
    let store = PostgresStore::from_pool(pool.clone(), options()).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 10).await;
    assert_eq!(numbers(&settle(&store, 1, 1, Vec::new(), 10).await.unwrap()), (0..10).collect::<Vec<_>>());
    for _ in 0..4 {
        let settings = "SELECT current_setting('search_path'), current_setting('enable_seqscan'),
                        current_setting('statement_timeout')";
        let seen: (String, String, String) = sqlx::query_as(settings).fetch_one(&pool).await.unwrap();
        assert_eq!(seen, ("\"$user\", public".to_owned(), "on".to_owned(), "0".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_kept_up_to_their_limits() {
    let options = options();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    attach(&store, u64::MAX).await;
    let (run_of, lease) = fire(&store, u64::MAX, u64::MAX).await.unwrap();
    assert_eq!(fire(&store, u64::MAX, u64::MAX).await.unwrap(), (run_of, lease.clone()), "it is a repeat");
    assert_eq!(store.sessions().await.unwrap().value[0].session, jobs_core::SessionId(u64::MAX));
    let leases = settle(&store, u64::MAX, u64::MAX, Vec::new(), 1).await.unwrap();
    assert_eq!(leases, []);
    // The last numbers that there are, and none after them.
    let debugged = format!("{options:?}");
    let schema = debugged.split("schema: \"").nth(1).unwrap().split('"').next().unwrap();
    let last = jobs_core::Token::MAX.0;
    run(server(), &format!("SELECT setval('{schema}.source', {})", last - 2)).await;
    let (run_of, lease) = fire(&store, u64::MAX, 2).await.unwrap();
    assert_eq!((run_of.number(), lease.unwrap().token.0), (last - 1, last));
    let error = fire(&store, u64::MAX, 3).await.unwrap_err();
    assert!(error.to_string().contains("reached maximum value of sequence"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn news_from_another_process_wake_who_waits() {
    let options = options();
    let (here, there) =
        (PostgresStore::open(options.clone()).await.unwrap(), PostgresStore::open(options).await.unwrap());
    attach(&here, 1).await;
    let wakeups = there.wakeups();
    let seen = wakeups.marks().work;
    // It may listen a moment later: then what happened before is news to it.
    filled(&here, 1, 1, 10).await;
    let woken = wakeups.changed(|marks| marks.work, seen);
    tokio::time::timeout(std::time::Duration::from_secs(5), woken).await.unwrap();
}
