//! What `tracing` hears: the same as `Events`, with the same field names, under the target `jobs`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
};

use behaviour::{HOUR, Log, MINUTE};
use jobs_runner::{prelude::*, testing::Harness};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

#[derive(Default)]
struct Shop;

#[cron_group("shop")]
impl Shop {
    #[query("sell")]
    async fn find(&self) -> Vec<u32> {
        vec![1, 2]
    }
    #[job("sell", "0 * * * *", retries = 1, retry_delay = "10s", global_concurrency = 1)]
    async fn sell(&self, n: u32) -> Result<()> {
        tokio::task::yield_now().await;
        tracing::info!(target: "jobs", n, "the handler's own");
        if n == 2 { Err("sold out".into()) } else { Ok(()) }
    }
}

/// One event: its level, its message, its fields.
#[derive(Clone, Debug)]
struct Line {
    level: Level,
    message: String,
    fields: BTreeMap<&'static str, String>,
    within: Vec<&'static str>,
}

/// Keeps what it hears.
struct Ear {
    lines: Log<Line>,
    spans: Log<(&'static str, Vec<&'static str>)>,
    entered: std::sync::Mutex<Vec<u64>>,
    names: std::sync::Mutex<BTreeMap<u64, &'static str>>,
    next: AtomicU64,
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "jobs"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let name = span.metadata().name();
        self.spans.note((name, span.metadata().fields().iter().map(|field| field.name()).collect()));
        self.names.lock().unwrap().insert(id, name);
        Id::from_u64(id)
    }
    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let names = self.names.lock().unwrap();
        let within = self.entered.lock().unwrap().iter().map(|id| names[id]).collect();
        self.lines.note(Line { level: *event.metadata().level(), message, fields: fields.0, within });
    }
    fn enter(&self, span: &Id) {
        self.entered.lock().unwrap().push(span.into_u64());
    }
    fn exit(&self, span: &Id) {
        let mut entered = self.entered.lock().unwrap();
        let place = entered.iter().rposition(|id| *id == span.into_u64());
        entered.remove(place.expect("a span is left that was entered"));
    }
}

type Heard = (Vec<Line>, Vec<(&'static str, Vec<&'static str>)>);

/// What is heard while a tick is fired and worked.
async fn listen() -> Result<Heard> {
    let (lines, spans) = (Log::default(), Log::default());
    let ear = Ear {
        lines: lines.clone(),
        spans: spans.clone(),
        entered: std::sync::Mutex::default(),
        names: std::sync::Mutex::default(),
        next: AtomicU64::new(0),
    };
    let _listening = tracing::subscriber::set_default(ear);
    let t = Harness::new().group::<Shop>().start().await?;
    t.advance(HOUR + MINUTE).await;
    t.client().pause("shop.*", "stocktaking").await?;
    t.advance(HOUR).await;
    Ok((lines.all(), spans.all()))
}

#[tokio::test]
async fn tracing_hears_what_events_say_with_the_same_field_names() -> Result<()> {
    let (lines, _) = listen().await?;
    for (message, level, fields) in [
        ("tick fired", Level::INFO, &["job", "tick", "run"][..]),
        ("run started", Level::INFO, &["job", "run", "trigger"]),
        ("run filled", Level::INFO, &["job", "run", "total"]),
        ("run finished", Level::INFO, &["job", "run", "state", "total", "ok", "dead", "retries"]),
        ("attempt started", Level::DEBUG, &["job", "run", "item", "attempt"]),
        ("attempt failed", Level::WARN, &["job", "run", "item", "attempt", "kind", "error"]),
        ("item done", Level::DEBUG, &["job", "run", "item", "attempt"]),
        ("item dead", Level::ERROR, &["job", "run", "item", "kind", "error"]),
        ("paused", Level::INFO, &["pattern", "note"]),
        ("tick skipped", Level::INFO, &["job", "tick", "reason"]),
    ] {
        let line = lines.iter().find(|line| line.message == message);
        let line = line.unwrap_or_else(|| panic!("`{message}` is not heard: {lines:#?}"));
        assert_eq!(line.level, level, "{message}");
        for field in fields {
            assert!(line.fields.contains_key(field), "{message} has no `{field}`: {line:?}");
        }
    }
    let failed: Vec<_> = lines.iter().filter(|line| line.message == "attempt failed").collect();
    assert_eq!(failed.len(), 2, "each attempt once");
    assert!(
        failed
            .iter()
            .all(|line| line.fields["error"].contains("sold out") && line.fields["job"] == "shop.sell")
    );
    Ok(())
}

#[tokio::test]
async fn ticks_queries_and_attempts_are_spans_and_a_handlers_own_events_are_within() -> Result<()> {
    let (lines, spans) = listen().await?;
    let names: BTreeSet<_> = spans.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, BTreeSet::from(["attempt", "query", "tick"]));
    let own: Vec<_> = lines.iter().filter(|line| line.message == "the handler's own").collect();
    assert_eq!(own.len(), 3);
    assert!(own.iter().all(|line| line.within.last() == Some(&"attempt")), "{own:#?}");
    let (_, fields) = spans.iter().find(|(name, _)| *name == "attempt").unwrap();
    for field in ["job", "item", "attempt"] {
        assert!(fields.contains(&field), "{fields:?}");
    }
    Ok(())
}
