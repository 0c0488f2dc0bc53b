//! `jobs-runner` under another name, in a scope where every name that generated code might lean on means something
//! else.
#![allow(dead_code, missing_docs, non_camel_case_types, non_snake_case, unreachable_pub)]

mod core {}
mod std {}
mod jobs_runner {}
mod __jobs {}
mod serde {}
struct Option;
struct Result;
struct Box;
struct Vec;
struct String;
struct Arc;
struct Job;
struct Duration;
struct Ok;
struct Err;
struct None;
struct Send;
struct Sync;
trait Default {}
trait Single {}
trait NoDefault {}
fn Some() {}
fn finish() {}

use work::JobContext;

pub struct Shadowed;

impl ::std::default::Default for Shadowed {
    fn default() -> Self {
        Self
    }
}

const TWICE: u32 = 2;

#[work::cron_group("renamed", crate = work, retries = TWICE)]
impl Shadowed {
    #[work::query("items")]
    async fn find(&self, _cx: &JobContext) -> ::std::vec::Vec<u8> {
        ::std::vec![1, 2]
    }
    #[work::job("items", "* * * * *", timeout = "3s", overlap = "queue", tz = "Europe/Paris")]
    async fn items(&self, _item: u8, _cx: &JobContext) -> ::std::result::Result<(), ::std::string::String> {
        ::std::result::Result::Ok(())
    }
    #[work::query("pages")]
    fn pages(&self, _after: ::std::option::Option<u8>) -> work::Page<u8, u8> {
        work::Page::last(::std::vec![3])
    }
    #[work::job("pages", "5m", enabled = false)]
    fn page(&self, _item: u8) {}
    #[work::hourly("plain", handle = SHADOWED)]
    fn plain(&self) {}
}
