//! What is where the store should be: another version's keys, somebody else's, a server that only reads, that is full,
//! that asks for a password, that speaks TLS, that forgets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use common::{append, ask, attach, filled, fire, refused, server, settle};
use jobs_core::{Beat, Millis, RunFilter, SessionId, Settlement, Store, StoreError};
use jobs_redis::{RedisOptions, RedisStore};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use servers::redis::{Options, Server, Tls};

async fn connect(server: &Server) -> Result<RedisStore, StoreError> {
    RedisStore::connect(&server.url()).await
}

#[tokio::test]
async fn a_newer_schema_is_refused_at_start_and_while_it_runs() {
    let server = server(Options::new());
    let store = connect(&server).await.unwrap();
    attach(&store, 1).await;
    let _: i64 = ask(&server.url(), &["HSET", "{jobs}:meta", "schema", "99"]);
    let newer =
        |error: StoreError| assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
    newer(refused(RedisOptions::new(server.url())).await);
    newer(store.jobs().await.unwrap_err());
    newer(fire(&store, 1, 1).await.unwrap_err());
}

#[tokio::test]
async fn keys_of_another_program_are_refused_and_left_as_they_are() {
    for command in [
        ["SET", "{jobs}:meta", "a song"].as_slice(),
        &["HSET", "{jobs}:meta", "title", "a song"],
        &["HSET", "{jobs}:meta", "schema", "a song"],
        &["SADD", "{jobs}:jobs", "a song"],
        &["SET", "{jobs}:runs", "a song"],
    ] {
        let server = server(Options::new());
        let _: redis::Value = ask(&server.url(), command);
        let error = refused(RedisOptions::new(server.url())).await;
        assert!(matches!(error, StoreError::Foreign { .. }), "{command:?}: {error}");
        let keys: Vec<String> = ask(&server.url(), &["KEYS", "*"]);
        assert_eq!(keys, [command[1]], "nothing was added");
    }
}

#[tokio::test]
async fn a_key_of_another_kind_is_told_while_it_runs() {
    let server = server(Options::new());
    let store = connect(&server).await.unwrap();
    let _: i64 = ask(&server.url(), &["DEL", "{jobs}:cells"]);
    let _: () = ask(&server.url(), &["SET", "{jobs}:cells", "a song"]);
    let error = store.get("a").await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn a_replica_is_refused_and_a_primary_that_becomes_one_is_told() {
    let primary = server(Options::new());
    let store = connect(&primary).await.unwrap();
    attach(&store, 1).await;
    let replica = server(Options::new().replica_of(&primary));
    let begun = Instant::now();
    // Until it has what the primary has, it says that it is loading.
    let error = loop {
        match refused(RedisOptions::new(replica.url())).await {
            StoreError::Unreachable { .. } if begun.elapsed() < Duration::from_secs(20) => {}
            error => break error,
        }
    };
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    let _: () = ask(&primary.url(), &["REPLICAOF", "127.0.0.1", &replica.port().to_string()]);
    let error = fire(&store, 1, 1).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. } | StoreError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_full_server_says_so_settles_all_the_same_and_goes_on_when_there_is_room() {
    let server = server(Options::new());
    let store = connect(&server).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 1_000).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1_000).await.unwrap();
    let (_, fill) = fire(&store, 1, 2).await.unwrap();
    let _: () = ask(&server.url(), &["CONFIG", "SET", "maxmemory", "1"]);
    let fill = fill.unwrap().token;
    for attempt in
        [append(&store, fill, 0, 0..1_000, true).await.map(drop), fire(&store, 1, 3).await.map(drop)]
    {
        let error = attempt.unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
    assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.total, 1_000, "it is read all the same");
    let half = Settlement { to: 500, ..common::done(&leases[0]) };
    settle(&store, 1, 2, vec![half], 0).await.unwrap();
    let beat = Beat { session: SessionId(1), held: None, as_of: Millis::MAX, reconnected: false };
    assert!(store.beat(beat).await.unwrap().value.alive, "what keeps it alive and makes room is done");
    let _: () = ask(&server.url(), &["CONFIG", "SET", "maxmemory", "0"]);
    settle(&store, 1, 3, leases.iter().map(common::done).collect(), 0).await.unwrap();
    append(&store, fill, 0, 0..1_000, true).await.unwrap();
    let runs = store.runs(RunFilter::new()).await.unwrap().value;
    let counts: Vec<_> = runs.iter().map(|run| (run.counts.total, run.counts.ok)).collect();
    assert_eq!(counts, [(1_000, 0), (1_000, 1_000)], "what was refused left nothing");
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_shown() {
    let server = server(Options::new().password("se@cret"));
    let at = |who: &str| format!("redis://{who}127.0.0.1:{}", server.port());
    RedisStore::connect(&at(":se%40cret@")).await.unwrap();
    for who in ["", ":wr0ng@", "nobody:wr0ng@"] {
        let error = RedisStore::connect(&at(who)).await.unwrap_err();
        assert!(matches!(error, StoreError::BadUrl { .. }), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("wr0ng") && shown.contains("redis://user:password@host"), "{shown}");
    }
    let store = RedisStore::connect(&at(":se%40cret@")).await.unwrap();
    drop(server);
    let shown = format!("{store:?} {}", store.jobs().await.unwrap_err());
    assert!(!shown.contains("cret"), "{shown}");
}

#[tokio::test]
async fn a_user_of_the_access_lists_needs_no_more_than_the_keys_of_the_namespace() {
    let rules = "~{mail}:* &{mail}:* -@all +@read +@write +@scripting +@pubsub +@connection +time";
    let server = server(Options::new().user("mailer", "secret", rules));
    let at = |who: &str, name: &str| format!("redis://{who}@127.0.0.1:{}?namespace={name}", server.port());
    let store = RedisStore::connect(&at("mailer:secret", "mail")).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 10).await;
    assert_eq!(settle(&store, 1, 1, Vec::new(), 10).await.unwrap().len(), 1);
    for (who, name) in [("mailer:wrong", "mail"), ("mailer:secret", "jobs")] {
        let error = RedisStore::connect(&at(who, name)).await.unwrap_err();
        assert!(matches!(error, StoreError::BadUrl { .. }), "{error}");
    }
}

/// A server's certificate, and that of its authority.
fn certificates() -> Tls {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    Tls { ca: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
}

#[tokio::test]
async fn tls_is_spoken_and_an_authority_that_nobody_trusts_is_refused() {
    let server = server(Options::new().tls(certificates()).password("secret"));
    let url = format!("{}?ca={}", server.url(), server.folder().join("ca-cert.pem").display());
    let store = RedisStore::connect(&url).await.unwrap();
    attach(&store, 1).await;
    filled(&store, 1, 1, 2_000).await;
    assert_eq!(settle(&store, 1, 1, Vec::new(), 10).await.unwrap().len(), 1);
    let error = RedisStore::connect(&server.url()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    let plain = RedisStore::connect(&server.url().replace("rediss", "redis")).await;
    assert!(plain.is_err(), "it speaks nothing else");
}

/// Something that gives every command the same answer.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut read = [0; 64 * 1024];
            while stream.read(&mut read).is_ok_and(|n| n > 0) {
                // Commands come in one piece here; each begins with the number of its words.
                let commands =
                    read.windows(2).filter(|two| two[0] == b'*' && two[1].is_ascii_digit()).count();
                let _sent = stream.write_all(answer.repeat(commands.max(1)).as_bytes());
                read.fill(0);
            }
        }
    });
    format!("redis://127.0.0.1:{port}")
}

#[tokio::test]
async fn a_node_of_a_cluster_and_a_server_that_starts_are_told() {
    let error = refused(RedisOptions::new(answering("-MOVED 42 127.0.0.1:7001\r\n"))).await;
    assert!(error.to_string().contains("is a node of a Redis Cluster"), "{error}");
    for answer in
        ["-LOADING Redis is loading the dataset in memory\r\n", "-MASTERDOWN Link with MASTER is down\r\n"]
    {
        let error = refused(RedisOptions::new(answering(answer))).await;
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_speaks_something_else_is_told() {
    let options = RedisOptions::new(answering("HTTP/1.1 400 Bad Request\r\n\r\n"));
    let error = refused(options.deadline(Duration::from_millis(500))).await;
    assert!(!error.to_string().is_empty());
}

/// What was warned of on this thread.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_server_that_forgets_is_warned_of_at_start() {
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _heard = tracing::subscriber::set_default(subscriber);
    let said = || String::from_utf8(std::mem::take(&mut *heard.0.lock().unwrap())).unwrap();
    connect(&server(Options::new())).await.unwrap();
    assert_eq!(said(), "", "one that keeps everything is not warned of");
    connect(&server(Options::new().setting("appendonly", "no"))).await.unwrap();
    let warned = said();
    assert!(warned.contains("set `appendonly yes`") && !warned.contains("noeviction"), "{warned}");
    connect(&server(Options::new().setting("maxmemory-policy", "allkeys-lru"))).await.unwrap();
    let warned = said();
    assert!(
        warned.contains("set `maxmemory-policy noeviction`") && !warned.contains("appendonly"),
        "{warned}"
    );
}
