//! What is linked into a program, and what is not.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // A test may panic.

use jobs_linking as _;
use jobs_linking_plugin as _;
use jobs_linking_renamed as _;
use jobs_runner::{
    __private::{
        Declared,
        descriptor::{GroupBlock, JobDef, Query},
    },
    prelude::*,
};

mod transport {
    #[derive(Debug, Default)]
    pub(crate) struct Smtp;
    #[derive(Debug, Default)]
    pub(crate) struct Webhook;
}

#[derive(Debug, Default)]
struct Digest<T> {
    transport: T,
}

#[cron_group("smtp")]
impl Digest<transport::Smtp> {
    #[job("send", "0 9 * * *")]
    async fn send(&self, _address: String) {
        let _ = &self.transport;
    }
    #[query("send")]
    async fn addresses(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cron_group("webhook")]
impl Digest<transport::Webhook> {
    #[job("send", "0 9 * * *")]
    async fn send(&self) {}
}

#[derive(Debug, Default)]
struct Mail;

#[cron_group("mail", retries = 2, enabled = !cfg!(test))]
impl Mail {
    #[job("send-email")]
    async fn send_email(&self, _to: String) {}
    #[job("send_email", handle = SEND_EMAIL_OLD, enabled = true)]
    async fn send_email_old(&self, _to: String) {}
    #[cfg(any())]
    #[job("gone")]
    async fn gone(&self, _item: NotEvenAType) {}
    #[cfg(any())]
    #[query("send-email")]
    async fn gone_query(&self) -> NotEvenAType {}

    #[cfg(test)]
    #[job("either", "1h")]
    async fn either(&self) {}
    #[cfg(not(test))]
    #[job("either", "2h")]
    async fn either(&self) {}
}

#[cron_group("mail")]
impl Mail {
    #[job("later", "@hourly", catch_up = "skip")]
    async fn later(&self) {}
}

fn blocks(group: &str) -> Vec<&'static GroupBlock> {
    GroupBlock::linked().into_iter().filter(|block| block.name == group).collect()
}

fn jobs(group: &str) -> Vec<&'static JobDef> {
    blocks(group).into_iter().flat_map(|block| block.jobs).collect()
}

fn names(group: &str) -> Vec<&'static str> {
    jobs(group).iter().map(|job| job.name).collect()
}

#[test]
fn a_group_of_any_crate_that_is_named_is_linked() {
    assert_eq!(names("housekeeping"), ["sweep"]);
    assert_eq!(names("plugin"), ["tick"]);
    assert_eq!(names("renamed"), ["items", "pages", "plain"]);
    let queries: Vec<_> = jobs("renamed").iter().map(|job| job.query).collect();
    assert!(matches!(queries[..], [Some(Query::Items(_)), Some(Query::BlockingPage(_)), None]));
}

#[test]
fn one_type_with_other_parameters_is_another_group() {
    assert_eq!((names("smtp"), names("webhook")), (vec!["send"], vec!["send"]));
    assert_ne!((blocks("smtp")[0].type_id)(), (blocks("webhook")[0].type_id)());
    assert!((blocks("smtp")[0].type_name)().ends_with("Digest<linking::transport::Smtp>"));
    assert_eq!(Digest::<transport::Smtp>::SEND.id(), "smtp.send");
}

#[test]
fn several_blocks_of_one_type_are_one_group() {
    assert_eq!(names("mail"), ["send-email", "send_email", "either", "later"]);
    let [first, second] = blocks("mail")[..] else { panic!("two blocks") };
    assert_eq!((first.type_id)(), (second.type_id)());
    assert!(first.location < second.location);
}

#[test]
fn what_is_configured_out_is_not_there() {
    assert!(jobs("mail")[0].query.is_none());
    assert_eq!(jobs("mail")[2].options.schedule, Some("1h"));
}

#[test]
fn options_of_the_block_and_of_the_job_are_kept_apart() {
    let Declared { retries, enabled, tz, .. } = blocks("mail")[0].options;
    assert_eq!((retries, enabled, tz), (Some(2), Some(false), None));
    let enabled: Vec<_> = jobs("mail").iter().map(|job| job.options.enabled).collect();
    assert_eq!(enabled, [None, Some(true), None, None]);
    assert_eq!(jobs("mail")[3].options.catch_up, Some("skip"));
    assert_eq!(blocks("renamed")[0].options.retries, Some(2));
}
