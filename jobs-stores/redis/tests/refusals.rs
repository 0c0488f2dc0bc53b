//! What the server does not take, and what this version cannot read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use common::{JOB, append, ask, attach, filled, fire, numbers, server, settle};
use jobs_core::{Append, Body, PutCell, RunFilter, Store, StoreError};
use jobs_redis::RedisStore;
use servers::redis::{Options, Server};

async fn connect(server: &Server) -> RedisStore {
    RedisStore::connect(&server.url()).await.unwrap()
}

fn is_refused<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Refused { .. }))
}

#[tokio::test]
async fn a_value_that_is_too_long_fails_its_own_operation_and_no_other() {
    let server = server(Options::new().setting("proto-max-bulk-len", 1 << 20));
    let store = connect(&server).await;
    attach(&store, 1).await;
    let (_, lease) = fire(&store, 1, 1).await.unwrap();
    let long = "x".repeat(2 << 20);
    let body = Body::one(&long).unwrap();
    let token = lease.unwrap().token;
    let too_long =
        Append { token, seq: 0, item_type: "String".into(), bodies: vec![body], page: None, last: true };
    let answer = store.append(too_long).await;
    assert!(is_refused(&answer), "{answer:?}");
    assert!(answer.unwrap_err().to_string().contains("proto-max-bulk-len"));
    let put = PutCell { value: Some(long.into()), ..PutCell::default() };
    let answer = store.put_if("a", 0, put).await;
    assert!(is_refused(&answer), "{answer:?}");
    append(&store, token, 0, 0..10, true).await.unwrap();
    assert_eq!(settle(&store, 1, 1, Vec::new(), 10).await.unwrap().len(), 1, "all else goes on");
}

#[tokio::test]
async fn a_value_for_which_a_server_has_no_room_is_refused_while_it_has_room_for_others() {
    let server = server(Options::new());
    let store = connect(&server).await;
    attach(&store, 1).await;
    // The server knows the scripts: one that comes after something large would be kept in a buffer of that size.
    fire(&store, 1, 3).await.unwrap();
    store.put_if("b", 0, PutCell::default()).await.unwrap().value.unwrap();
    let info: String = ask(&server.url(), &["INFO", "memory"]);
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let most = used.trim().parse::<u64>().unwrap() + (4 << 20);
    let _: () = ask(&server.url(), &["CONFIG", "SET", "maxmemory", &most.to_string()]);
    let put = PutCell { value: Some("x".repeat(16 << 20).into()), ..PutCell::default() };
    let answer = store.put_if("a", 0, put).await;
    assert!(is_refused(&answer), "{answer:?}");
    // Once what was sent is forgotten, there is room again.
    let begun = std::time::Instant::now();
    while let Err(error) = fire(&store, 1, 1).await {
        assert!(begun.elapsed().as_secs() < 20, "{error}");
    }
    let _: () = ask(&server.url(), &["CONFIG", "SET", "maxmemory", "1"]);
    let answer = fire(&store, 1, 2).await;
    assert!(
        matches!(answer, Err(StoreError::Full { .. })),
        "a server that is full is no refusal: {answer:?}"
    );
}

/// Changes the chunk that stands first in the queue of what a query found.
fn change(server: &Server, script: &str) {
    let lines: Vec<String> = ask(&server.url(), &["KEYS", "{jobs}:q:*"]);
    let _: redis::Value = ask(&server.url(), &["EVAL", script, "1", &lines[0]]);
}

#[tokio::test]
async fn a_chunk_that_does_not_parse_is_left_alone_and_nothing_waits_behind_it() {
    for change_it in [
        // A trigger and a stage that a newer version has, a field of another kind, and what is no chunk.
        "c.trigger = 'Webhook'",
        "c.stage = 7",
        "c.due = 'soon'",
        "c = 'a song'",
    ] {
        let server = server(Options::new());
        let store = connect(&server).await;
        attach(&store, 1).await;
        filled(&store, 1, 1, 2_000).await;
        let script = format!(
            "local c = cmsgpack.unpack(redis.call('LINDEX', KEYS[1], 0)) {change_it} \
             redis.call('LSET', KEYS[1], 0, cmsgpack.pack(c))"
        );
        change(&server, &script);
        let leases = settle(&store, 1, 1, Vec::new(), 2_000).await.unwrap();
        assert_eq!(numbers(&leases), (1_000..2_000).collect::<Vec<_>>(), "{change_it}");
        assert_eq!(settle(&store, 1, 2, Vec::new(), 2_000).await.unwrap(), [], "{change_it}");
        let bodies: Vec<String> = ask(&server.url(), &["KEYS", "{jobs}:b:*"]);
        assert_eq!(bodies.len(), 2, "its payload is kept; {change_it}");
        assert_eq!(store.runs(RunFilter::new()).await.unwrap().value.len(), 1);
        assert_eq!(&*store.jobs().await.unwrap().value[0].link.job, JOB);
    }
}

#[tokio::test]
async fn a_record_that_does_not_parse_is_left_out_of_a_list_and_the_others_are_shown() {
    let server = server(Options::new());
    let store = connect(&server).await;
    attach(&store, 1).await;
    let odd = filled(&store, 1, 1, 1).await;
    let run = filled(&store, 1, 2, 1).await;
    let of = format!("{{jobs}}:r:{}", odd.number());
    let _: i64 = ask(&server.url(), &["HSET", &of, "trigger", "Webhook"]);
    let runs = store.runs(RunFilter::new()).await.unwrap().value;
    assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [run]);
    for name in ["a", "b"] {
        let put = PutCell { value: Some(1.into()), ..PutCell::default() };
        store.put_if(name, 0, put).await.unwrap().value.unwrap();
    }
    let _: i64 = ask(&server.url(), &["HSET", "{jobs}:cells", "a", "a song"]);
    assert_eq!(store.list("").await.unwrap().value.len(), 1);
    let put = PutCell { value: Some(2.into()), ..PutCell::default() };
    store.put_if("a", 0, put).await.unwrap().value.unwrap();
}
