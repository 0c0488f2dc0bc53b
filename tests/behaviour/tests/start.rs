//! What keeps a runner from starting: all of it at once, each with its place and its remedy.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{any::TypeId, sync::Arc, time::Duration};

use behaviour::{HOUR, Log, MINUTE, SECOND, at, secs};
use jobs_core::{
    Declared, Location,
    descriptor::{self, GroupBlock, Handler, JobDef, inventory},
};
use jobs_runner::{
    FailureKind, MemoryStore, RunnerBuilder, StartError, StartProblem, StoreError, prelude::*,
    testing::Harness,
};

/// No `Default`, so it has to be provided.
struct Needy(Log<&'static str>);
#[cron_group("needy")]
impl Needy {
    #[job("work")]
    async fn work(&self) {
        self.0.note("work");
    }
}

struct NeedyToo;
#[cron_group("needy-too")]
impl NeedyToo {
    #[job("work", "0 * * * *")]
    async fn work(&self) {}
}

struct Explosive;
impl Default for Explosive {
    fn default() -> Self {
        panic!("no database url is set")
    }
}
#[cron_group("explosive")]
impl Explosive {
    #[job("work")]
    async fn work(&self) {}
}

#[derive(Default)]
struct Twin;
#[cron_group("twin")]
impl Twin {
    #[job("one")]
    async fn one(&self) {}
}

#[derive(Default)]
struct OtherTwin;
#[cron_group("twin")]
impl OtherTwin {
    #[job("two")]
    async fn two(&self) {}
}

#[derive(Default)]
struct Double;
#[cron_group("double")]
impl Double {
    #[job("same")]
    async fn same(&self) {}
}
// The macro refuses this at compile time, so it is written as a macro of another version might write it.
inventory::submit! {
    GroupBlock {
        name: "double",
        type_id: || TypeId::of::<Double>(),
        type_name: std::any::type_name::<Double>,
        default: None,
        shared: descriptor::shared::<Double>,
        location: Location { file: file!(), line: line!(), column: 1 },
        options: Declared::NONE,
        jobs: &[JobDef {
            name: "same",
            was: None,
            options: Declared::NONE,
            location: Location { file: file!(), line: line!(), column: 1 },
            item: None,
            handler: Handler::Async(|_, _, _| Ok(Box::pin(async { Ok(Outcome::Done.into()) }))),
            query: None,
        }],
    }
}

#[derive(Default)]
struct Plain;
#[cron_group("plain", retries = 2, tz = "Europe/Paris", late_after = "1m")]
impl Plain {
    #[job("work", "0 9 * * *", retries = 3)]
    async fn work(&self) -> Result<()> {
        Err("no".into())
    }
    #[job("group", "0 9 * * *")]
    async fn group(&self) -> Result<()> {
        Err("no".into())
    }
    #[query("items")]
    async fn q_items(&self) -> Vec<u32> {
        vec![1]
    }
    #[job("items")]
    async fn items(&self, _n: u32) {}
}

struct NoGroup;

fn builder() -> RunnerBuilder {
    Runner::builder().store(MemoryStore::new())
}

async fn refused(builder: RunnerBuilder) -> StartError {
    match builder.start().await {
        Ok(runner) => panic!("it starts: {runner:?}"),
        Err(error) => error,
    }
}

/// The only problem there is.
async fn problem(builder: RunnerBuilder) -> (String, StartProblem) {
    let mut error = refused(builder).await;
    assert_eq!(error.problems().len(), 1, "{error}");
    let text = error.to_string();
    let text = text.strip_prefix("the runner does not start: ").expect("a prefix").to_owned();
    // The problems are only lent.
    let problem = std::mem::replace(&mut error, refused(builder_of_nothing()).await);
    (text, own(&problem))
}

fn builder_of_nothing() -> RunnerBuilder {
    builder().only(Vec::<String>::new())
}

fn own(error: &StartError) -> StartProblem {
    match &error.problems()[0] {
        StartProblem::NoGroups => StartProblem::NoGroups,
        StartProblem::NoInstance { group, type_name, at } => {
            StartProblem::NoInstance { group: group.clone(), type_name: type_name.clone(), at: *at }
        }
        StartProblem::NotAGroup { type_name } => StartProblem::NotAGroup { type_name: type_name.clone() },
        StartProblem::ProvidedTwice { type_name } => {
            StartProblem::ProvidedTwice { type_name: type_name.clone() }
        }
        StartProblem::DuplicateGroup { group, first, second } => {
            StartProblem::DuplicateGroup { group: group.clone(), first: *first, second: *second }
        }
        StartProblem::DuplicateJob { job, first, second } => {
            StartProblem::DuplicateJob { job: job.clone(), first: *first, second: *second }
        }
        StartProblem::UnknownJob { pattern, suggestion } => {
            StartProblem::UnknownJob { pattern: pattern.clone(), suggestion: suggestion.clone() }
        }
        StartProblem::BadOption { job, key, message } => {
            StartProblem::BadOption { job: job.clone(), key: key.clone(), message: message.clone() }
        }
        StartProblem::Panicked { group, message } => {
            StartProblem::Panicked { group: group.clone(), message: message.clone() }
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn nothing_linked_says_to_name_the_crate() {
    let (text, problem) = problem(builder_of_nothing()).await;
    assert!(matches!(problem, StartProblem::NoGroups));
    assert_eq!(text, "no job groups are linked; if they are in another crate, name it: `use my_jobs as _;`");
}

#[tokio::test]
async fn a_group_without_instance_says_both_remedies_and_its_place() {
    let (text, problem) = problem(builder().only(["needy.*"])).await;
    let StartProblem::NoInstance { group, type_name, at } = problem else { panic!("{text}") };
    assert_eq!((&*group, type_name.ends_with("Needy")), ("needy", true));
    assert!(at.file.ends_with("start.rs") && at.line > 10 && at.column > 0, "{at}");
    assert!(text.starts_with(&format!("{at}: group `needy` has no instance")), "{text}");
    assert!(text.contains("derive `Default`") && text.contains("`.provide(Needy { .. })`"), "{text}");
}

#[tokio::test]
async fn a_default_that_panics_is_a_problem_and_not_a_panic() {
    let (text, problem) = problem(builder().only(["explosive.*"])).await;
    let StartProblem::Panicked { group, message } = problem else { panic!("{text}") };
    assert_eq!((&*group, &*message), ("explosive", "no database url is set"));
    assert!(text.ends_with("; pass a value with `.provide(..)`"), "{text}");
}

#[tokio::test]
async fn a_value_that_is_no_group_is_a_problem() {
    let (text, problem) = problem(builder().only(["plain.*"]).provide(NoGroup)).await;
    assert!(
        matches!(problem, StartProblem::NotAGroup { type_name } if type_name.ends_with("NoGroup")),
        "{text}"
    );
    assert!(text.contains("; add one, or leave it out"), "{text}");
}

#[tokio::test]
async fn two_values_of_a_type_are_a_problem_also_as_an_arc() {
    for builder in [
        builder().only(["plain.*"]).provide(Plain).provide(Plain),
        builder().only(["plain.*"]).provide(Plain).provide(Arc::new(Plain)),
    ] {
        let (text, problem) = problem(builder).await;
        assert!(matches!(problem, StartProblem::ProvidedTwice { type_name } if type_name.ends_with("Plain")));
        assert!(text.ends_with("is provided twice; a group has one instance"), "{text}");
    }
}

#[tokio::test]
async fn two_types_under_one_group_name_do_not_start() {
    let (text, problem) = problem(builder().only(["twin.*"])).await;
    let StartProblem::DuplicateGroup { group, first, second } = problem else { panic!("{text}") };
    assert_eq!(group, "twin");
    assert!(first.line < second.line && text.starts_with(&second.to_string()), "{text}");
    assert!(text.contains(&first.to_string()) && text.contains("; give one of them another name"), "{text}");
}

#[tokio::test]
async fn two_jobs_of_one_id_do_not_start() {
    let (text, problem) = problem(builder().only(["double.*"])).await;
    let StartProblem::DuplicateJob { job, first, second } = problem else { panic!("{text}") };
    assert_eq!(job, "double.same");
    assert!(first.line < second.line && text.starts_with(&second.to_string()), "{text}");
}

#[tokio::test]
async fn a_pattern_that_names_nothing_is_a_problem_with_a_suggestion() {
    for builder in [
        builder().only(["plain.*"]).configure("plain.wrok", JobOptions::new()),
        builder().only(["plain.*", "plain.wrok"]),
    ] {
        let (text, problem) = problem(builder).await;
        let StartProblem::UnknownJob { pattern, suggestion } = problem else { panic!("{text}") };
        assert_eq!((&*pattern, suggestion.as_deref()), ("plain.wrok", Some("plain.work")));
        assert_eq!(text, "no job is named `plain.wrok`; did you mean `plain.work`?");
    }
    let (text, _) = problem(builder().only(["plain.*"]).configure("zz.*", JobOptions::new())).await;
    assert!(text.starts_with("no job is named `zz.*`"), "{text}");
}

#[tokio::test]
async fn an_option_that_cannot_be_names_its_job_its_key_and_the_remedy() {
    let new = JobOptions::new;
    let day = Duration::from_secs(86_400);
    for (job, options, key, remedy) in [
        ("plain.work", new().schedule("0 9 * *"), "schedule", ""),
        ("plain.work", new().schedule("0 0 30 2 *"), "schedule", ""),
        ("plain.work", new().schedule("61 * * * *"), "schedule", ""),
        ("plain.work", new().tz("Europe/Pariss"), "tz", "Europe/Paris"),
        ("plain.work", new().schedule("5m").tz("Europe/Paris"), "tz", "leave it out"),
        ("plain.work", new().backoff("quadratic"), "backoff", "exponential, linear, fixed"),
        ("plain.work", new().overlap("maybe"), "overlap", "skip, queue, allow"),
        ("plain.work", new().catch_up("twice"), "catch_up", "skip, once, all"),
        ("plain.work", new().concurrency(0), "concurrency", "use 1 or more"),
        ("plain.work", new().global_concurrency(0), "global_concurrency", "use 1 or more"),
        ("plain.work", new().timeout(Duration::ZERO), "timeout", "leave it out"),
        ("plain.work", new().max_compute_time(Duration::ZERO), "max_compute_time", "leave it out"),
        ("plain.work", new().timeout(HOUR * 2).max_compute_time(HOUR), "timeout", "lower it"),
    ] {
        let (text, problem) = problem(builder().only(["plain.*"]).configure(job, options.clone())).await;
        let StartProblem::BadOption { job: of, key: which, message } = problem else { panic!("{text}") };
        assert_eq!((&*of, &*which), (job, key), "{options:?}: {text}");
        assert!(message.contains(remedy), "{options:?}: {message}");
        assert!(text.starts_with(&format!("`{key}` of `{job}`: ")), "{text}");
    }
    // On a job with a query the bounds are of different things.
    let bounds = new().timeout(day).max_compute_time(HOUR);
    let runner = builder().only(["plain.*"]).configure("plain.items", bounds).start().await.unwrap();
    runner.shutdown(SECOND).await.unwrap();
}

#[tokio::test]
async fn the_runners_own_options_are_checked() {
    for (builder, key) in [
        (builder().lease(Duration::from_millis(499)), "lease"),
        (builder().max_concurrency(0), "max_concurrency"),
        (builder().poll_interval(Duration::ZERO), "poll_interval"),
    ] {
        let (text, problem) = problem(builder.only(["plain.*"])).await;
        assert!(matches!(&problem, StartProblem::BadOption { key: of, .. } if of == key), "{text}");
        assert!(text.contains(&format!("`{key}` of `the runner`")), "{text}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_open_is_a_problem_and_shows_no_password() {
    for (url, expected) in [
        ("bogus://x", "BadUrl"),
        ("no-scheme", "BadUrl"),
        ("memory:x", "BadUrl"),
        ("mysql://me:secret@host/db", "BadUrl"),
    ] {
        let error = refused(Runner::builder().only(["plain.*"]).store(url)).await;
        let [StartProblem::Store(store)] = error.problems() else { panic!("{error}") };
        assert!(matches!(store, StoreError::BadUrl { .. }), "{expected}: {store:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    assert!(matches!(Client::connect("bogus://x").await, Err(StoreError::BadUrl { .. })));
}

#[tokio::test]
async fn all_problems_come_at_once_in_the_order_of_files() {
    let error = refused(
        Runner::builder()
            .store("bogus://x")
            .only(["needy.*", "needy-too.*", "explosive.*", "twin.*", "double.*", "plain.*", "nobody.*"])
            .provide(NoGroup)
            .provide(Plain)
            .provide(Plain)
            .configure("plain.work", JobOptions::new().backoff("quadratic").concurrency(0))
            .lease(Duration::ZERO),
    )
    .await;
    let kinds: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| format!("{problem:?}").split([' ', '(']).next().unwrap().to_owned())
        .collect();
    assert_eq!(kinds[..4], ["NoInstance", "NoInstance", "DuplicateGroup", "DuplicateJob"], "{error}");
    let mut rest = kinds[4..].to_vec();
    rest.sort();
    assert_eq!(
        rest,
        [
            "BadOption",
            "BadOption",
            "BadOption",
            "NotAGroup",
            "Panicked",
            "ProvidedTwice",
            "Store",
            "UnknownJob"
        ],
        "{error}"
    );
    let text = error.to_string();
    assert!(text.starts_with("the runner does not start, for 12 reasons:\n  - "), "{text}");
    assert_eq!(format!("{error:?}"), text, "`main` prints the Debug");
    for line in text.lines().skip(1) {
        assert!(!line.ends_with('.'), "{line}");
    }
}

#[tokio::test]
async fn only_decides_what_is_linked_and_needs_an_instance() -> Result<()> {
    let log = Log::default();
    let runner = builder().only(["needy.work", "plain.*"]).provide(Needy(log.clone())).start().await?;
    let ids: Vec<_> = runner.client().jobs().await?.into_iter().map(|job| job.id).collect();
    assert_eq!(ids, ["needy.work", "plain.group", "plain.items", "plain.work"]);
    runner.run(Needy::WORK).await?.wait().await?.ok()?;
    assert_eq!(log.all(), ["work"]);
    runner.shutdown(SECOND).await?;
    Ok(())
}

#[tokio::test]
async fn an_arc_may_be_provided_and_stays_the_callers() -> Result<()> {
    let needy = Arc::new(Needy(Log::default()));
    let runner = builder().only(["needy.*"]).provide(needy.clone()).start().await?;
    runner.run(Needy::WORK).await?.wait().await?.ok()?;
    assert_eq!(needy.0.all(), ["work"]);
    runner.shutdown(SECOND).await?;
    Ok(())
}

#[tokio::test]
async fn options_weigh_builtin_defaults_group_job_configure_in_this_order() -> Result<()> {
    // How often each is tried tells which `retries` is in force.
    let cases: [(Option<u32>, Option<u32>, u64, u64); 4] = [
        // defaults(), configure("plain.*"), retries of `work`, retries of `group`
        (None, None, 3, 2),
        (Some(7), None, 3, 2),
        (None, Some(1), 1, 1),
        (Some(7), Some(0), 0, 0),
    ];
    for (weak, strong, work, group) in cases {
        let options = |retries: Option<u32>| match retries {
            Some(retries) => JobOptions::new().retries(retries),
            None => JobOptions::new(),
        };
        let t = Harness::new()
            .group::<Plain>()
            .with(move |b| b.defaults(options(weak)).configure("plain.*", options(strong)))
            .start()
            .await?;
        assert_eq!(t.run("plain.work").await?.counts.retries, work, "{weak:?} {strong:?}");
        assert_eq!(t.run("plain.group").await?.counts.retries, group, "{weak:?} {strong:?}");
    }
    Ok(())
}

#[tokio::test]
async fn of_two_configures_the_later_is_stronger_and_patterns_cover_what_they_say() -> Result<()> {
    let retries = |n| JobOptions::new().retries(n);
    let t = Harness::new()
        .group::<Plain>()
        .with(move |b| {
            b.configure("*", retries(5))
                .configure("plain.work", retries(1))
                .configure("plain.group", retries(4))
        })
        .with(move |b| b.configure("plain.group", retries(0)))
        .start()
        .await?;
    assert_eq!(t.run("plain.work").await?.counts.retries, 1);
    assert_eq!(t.run("plain.group").await?.counts.retries, 0);
    Ok(())
}

#[tokio::test]
async fn defaults_reach_what_nobody_else_sets_and_a_groups_zone_is_inherited() -> Result<()> {
    let t = Harness::new()
        .group::<Plain>()
        .with(|b| b.defaults(JobOptions::new().tz("Asia/Tokyo").timeout(secs(5))))
        .start()
        .await?;
    assert_eq!(t.client().job("plain.work").await?.tz, "Europe/Paris");
    assert_eq!(t.client().next_ticks("plain.work", 1).await?, [at::<Timestamp>("2026-01-01T08:00:00Z")]);
    Ok(())
}

#[tokio::test]
async fn a_schedule_may_be_configured_and_the_zone_of_the_group_stays() -> Result<()> {
    let t = Harness::new()
        .group::<Plain>()
        .with(|b| b.configure("plain.items", JobOptions::new().schedule("30 6 * * *")))
        .start()
        .await?;
    assert_eq!(t.advance_to_next("plain.items").await, at("2026-01-01T05:30:00Z"));
    t.advance(MINUTE).await;
    assert_eq!(t.fired("plain.items").len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_harness_runs_exactly_what_it_is_given() -> Result<()> {
    let t = Harness::new().group::<Plain>().start().await?;
    assert_eq!(t.client().jobs().await?.len(), 3);
    let none = Harness::new().start().await.unwrap_err();
    assert!(matches!(none.problems(), [StartProblem::NoGroups]), "{none}");
    Ok(())
}

#[tokio::test]
async fn linked_lists_every_job_sorted_as_declared() {
    let linked = jobs_runner::testing::linked();
    let ids: Vec<_> = linked.iter().map(|job| &*job.id).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(ids, sorted);
    assert!(ids.contains(&"plain.work") && ids.contains(&"twin.two"), "{ids:?}");
    let work = linked.iter().find(|job| job.id == "plain.work").unwrap();
    assert_eq!((work.schedule.as_deref(), &*work.tz), (Some("0 9 * * *"), "Europe/Paris"));
    assert!(work.location.file.ends_with("start.rs"));
}

#[tokio::test]
async fn a_node_has_the_name_it_is_given_and_failures_carry_it() -> Result<()> {
    let runner = builder()
        .only(["plain.*"])
        .node("web-7")
        .configure("*", JobOptions::new().retries(0))
        .start()
        .await?;
    assert_eq!(runner.node(), "web-7");
    let report = runner.run("plain.work").await?.wait().await?;
    let dead = runner.client().dead(jobs_runner::DeadFilter::new().run(report.id)).await?;
    assert_eq!((&*dead[0].attempts[0].node, dead[0].attempts[0].kind), ("web-7", FailureKind::Error));
    runner.shutdown(SECOND).await?;
    let unnamed = builder().only(["plain.*"]).start().await?;
    assert!(!unnamed.node().is_empty() && unnamed.node() != "web-7");
    unnamed.shutdown(SECOND).await?;
    Ok(())
}

/// In a process of its own, its stderr is read by the next.
#[tokio::test]
async fn a_runner_that_starts() -> Result<()> {
    let options = JobOptions::new().retries(1).retry_delay(secs(20));
    let runner = builder()
        .only(["plain.*", "needy.*"])
        .provide(Needy(Log::default()))
        .configure("needy.work", options)
        .node("web-7");
    runner.start().await?.shutdown(SECOND).await?;
    Ok(())
}

#[test]
fn the_banner_has_a_line_per_job_and_goes_to_stderr_when_nobody_traces() {
    let program = std::env::current_exe().unwrap();
    let child = std::process::Command::new(program)
        .args(["--exact", "a_runner_that_starts", "--nocapture"])
        .output()
        .unwrap();
    assert!(child.status.success());
    let text = String::from_utf8(child.stderr).unwrap();
    assert!(text.contains("4 jobs on web-7"), "{text}");
    let line =
        |job: &str| text.lines().find(|line| line.contains(job)).unwrap_or_else(|| panic!("{job}: {text}"));
    for (job, words) in [
        (
            "plain.work",
            &["0 9 * * * Europe/Paris", "next 20", "3 retries", "exponential", "10s", "default instance"][..],
        ),
        ("plain.group", &["2 retries", "default instance"]),
        ("plain.items", &["on demand"]),
        ("needy.work", &["on demand", "1 retry", "20s", "1h"]),
    ] {
        for word in words {
            assert!(line(job).contains(word), "{job} without `{word}`: {text}");
        }
    }
    assert!(!line("needy.work").contains("default instance"), "{text}");
    assert!(text.contains("memory") || text.contains("store"), "{text}");
}

#[tokio::test]
async fn a_runner_beside_items_of_a_job_that_nobody_links() -> Result<()> {
    let store = MemoryStore::new();
    let runner = Runner::builder().store(store.clone()).only(["plain.*"]).start().await?;
    let client = runner.client().clone();
    runner.shutdown(SECOND).await?;
    client.run("plain.items").await?;
    let other = Runner::builder().store(store).only(["needy.*"]).provide(Needy(Log::default()));
    other.start().await?.shutdown(SECOND).await?;
    Ok(())
}

#[test]
fn the_banner_reports_items_of_a_job_that_nobody_links() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_runner_beside_items_of_a_job_that_nobody_links", "--nocapture"])
        .output()
        .unwrap();
    assert!(child.status.success());
    let text = String::from_utf8(child.stderr).unwrap();
    let line = "  plain.items: 1 item waits, and no runner links the job\n";
    assert_eq!(text.matches(line).count(), 1, "{text}");
}

#[test]
fn the_banner_says_what_memory_means() {
    // The store by URL, so that it is the runner that names it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if std::env::var_os("BEHAVIOUR_CHILD").is_some() {
        runtime.block_on(async {
            let runner = Runner::builder().store("memory:").only(["plain.*"]).start().await.unwrap();
            runner.shutdown(SECOND).await.unwrap();
        });
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_banner_says_what_memory_means", "--nocapture"])
        .env("BEHAVIOUR_CHILD", "1")
        .output()
        .unwrap();
    let text = String::from_utf8(child.stderr).unwrap();
    assert!(text.contains("memory") && text.contains("gone when this program ends"), "{text}");
}
