//! The macro as a function from tokens to tokens.

use proc_macro2::TokenStream;
use quote::quote;

use crate::group::expand;

/// The errors of a block, each as it is shown.
fn errors(args: TokenStream, item: TokenStream) -> Vec<String> {
    let text = expand(args, &item).to_string();
    let all = text.split("compile_error ! { \"").skip(1).chain(text.split("compile_error ! (\"").skip(1));
    all.map(|rest| {
        let end = rest.find("\" }").or_else(|| rest.find("\")")).unwrap_or(rest.len());
        rest[..end].replace("\\\"", "\"")
    })
    .collect()
}

fn method(attrs: TokenStream) -> Vec<String> {
    errors(quote!("g"), quote!(impl G { #attrs async fn run(&self) {} }))
}

fn pretty(args: TokenStream, item: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(expand(args, &item)).unwrap())
}

#[test]
fn a_job_without_item() {
    let item = quote! {
        impl Sweeper {
            /// Sweeps.
            #[daily("sweep-up", retries = 3, timeout = "1m 30s", enabled = ON)]
            pub fn sweep(&self) {}
        }
    };
    insta::assert_snapshot!(pretty(quote!("house", tz = "Europe/Paris"), item));
}

#[test]
fn a_query_with_its_job() {
    let item = quote! {
        impl Digest<Smtp> {
            #[query("send")]
            async fn users(&self, cx: &JobContext) -> Result<Vec<User>> { self.db.users(cx).await }
            #[jobs_runner::job("send", "0 9 * * *", was = "post", handle = SEND_DIGEST)]
            #[cfg(feature = "mail")]
            async fn send(&self, user: User, cx: &JobContext) -> Result<(), Error> { self.mail.send(user).await }
            fn helper(&self) {}
        }
    };
    insta::assert_snapshot!(pretty(quote!("digest"), item));
}

#[test]
fn a_paged_query_and_a_blocking_one() {
    let item = quote! {
        impl Import {
            #[query("rows")]
            async fn rows(&self, after: Option<u64>) -> Result<Page<Row, u64>> { todo() }
            #[job("rows", "5m")]
            async fn row(&self, row: Row) {}
            #[query("files")]
            fn files(&self) -> impl Iterator<Item = PathBuf> { self.dir.walk() }
            #[job("files")]
            fn file(&self, file: PathBuf) -> Outcome { Outcome::Done }
        }
    };
    insta::assert_snapshot!(pretty(quote!("import", crate = my::jobs), item));
}

#[test]
fn a_block_with_errors_is_still_there_without_its_attributes() {
    let item = quote! {
        impl G {
            #[inline]
            #[job("a", "61 * * * *")]
            pub async fn run(&self) { body + of - user }
        }
    };
    let text = expand(quote!("g"), &item).to_string();
    assert!(
        text.starts_with("impl G { # [inline] pub async fn run (& self) { body + of - user } }"),
        "{text}"
    );
    assert!(text.contains("pub const RUN : :: jobs_runner :: __private :: Job < () >"), "{text}");
    assert!(text.contains("# [job (__in_group)]"), "{text}");
    assert!(!text.contains("inventory"), "{text}");
}

#[test]
fn what_is_no_impl_block_is_given_back() {
    let text = expand(
        quote!("g"),
        &quote!(
            struct S;
        ),
    )
    .to_string();
    assert!(text.starts_with("struct S ;") && text.contains("is for an `impl` block"), "{text}");
}

#[test]
fn every_option_is_read() {
    let attrs = quote! {
        #[job(
            "a", "0 9 * * *", tz = "UTC", retries = 0, retry_delay = "0s", max_retry_delay = WAIT, backoff = "linear",
            timeout = "1h", max_compute_time = "1h", concurrency = 1, global_concurrency = Self::MANY, priority = -7,
            overlap = "allow", catch_up = "all", catch_up_window = "1d", jitter = "5s", late_after = "1m",
            keep_runs = 0, keep_ticks = 10_000, keep_dead = "30d", enabled = cfg!(unix), handle = THE_JOB, was = "b",
        )]
    };
    assert_eq!(method(attrs), [""; 0]);
}

#[test]
fn every_option_may_be_a_default_of_the_group() {
    let args = quote! {
        "g", tz = "UTC", retries = 1, retry_delay = "1s", max_retry_delay = "1h", backoff = "fixed", timeout = "2h",
        max_compute_time = "1h", concurrency = 1, global_concurrency = 2, priority = 1, overlap = "skip",
        catch_up = "once", catch_up_window = "1d", jitter = "5s", late_after = "1m", keep_runs = 1, keep_ticks = 1,
        keep_dead = "30d", enabled = true, crate = crate::jobs
    };
    assert_eq!(errors(args, quote!(impl G { #[job("a", "5m")] fn run(&self) {} })), [""; 0]);
}

#[test]
fn a_bound_is_judged_where_both_are_written_on_a_job_without_a_query() {
    let bounds = quote!(timeout = "2h", max_compute_time = "1h");
    assert_eq!(method(quote!(#[job("a", #bounds)])).len(), 1);
    assert_eq!(method(quote!(#[job("a", timeout = "2h")])).len(), 0);
    assert_eq!(method(quote!(#[job("a", timeout = LONG, max_compute_time = "1h")])).len(), 0);
    let with_query = quote! {
        impl G {
            #[query("a")] async fn find(&self) -> Vec<u8> {}
            #[job("a", #bounds)] async fn run(&self, item: u8) {}
        }
    };
    assert_eq!(errors(quote!("g"), with_query), [""; 0]);
}

#[test]
fn a_zone_is_judged_where_it_is_written_on_the_job() {
    assert_eq!(method(quote!(#[job("a", "5m", tz = "UTC")])).len(), 1);
    assert_eq!(method(quote!(#[job("a", "2026-12-25T09:00:00Z", tz = "UTC")])).len(), 1);
    assert_eq!(method(quote!(#[job("a", tz = "UTC")])).len(), 0);
    let inherited = quote!(impl G { #[job("a", "5m")] async fn run(&self) {} });
    assert_eq!(errors(quote!("g", tz = "Europe/Paris"), inherited), [""; 0]);
}

#[test]
fn alternatives_of_a_configuration_are_no_duplicates() {
    let item = quote! {
        impl G {
            #[cfg(unix)] #[job("a", "5m")] fn run(&self) {}
            #[cfg(windows)] #[job("a", "5m")] fn run(&self) {}
        }
    };
    assert_eq!(errors(quote!("g"), item), [""; 0]);
    let item = quote! {
        impl G {
            #[job("a", "5m")] fn one(&self) {}
            #[cfg(windows)] #[job("a", "5m")] fn two(&self) {}
        }
    };
    assert_eq!(errors(quote!("g"), item).len(), 2);
}

#[test]
fn a_mistake_is_reported_once() {
    for (attrs, what) in [
        (quote!(#[job]), "the name of the job is missing"),
        (quote!(#[job = "a"]), "the name of the job is missing"),
        (quote!(#[job("a", "5m",, retries = 3)]), "expected"),
        (quote!(#[job("a", "5m", retries = 3 timeout = "3s")]), "expected `,`"),
        (quote!(#[job("a", "5m", retries = )]), "`retries` has no value"),
        (quote!(#[job("a", retries)]), "`retries` has no value"),
        (quote!(#[job("a", "5m", "6m")]), "write options as `key = value`"),
        (quote!(#[job("a", "5m", retries = 1.5)]), "is a whole number"),
        (quote!(#[job("a", "5m", retries = 5_000_000_000)]), "is a whole number"),
        (quote!(#[job("a", "5m", priority = -32769)]), "-32768"),
        (quote!(#[job("a", "5m", timeout = true)]), "is a duration"),
        (quote!(#[job("a", "5m", tz = PARIS)]), "is a string literal"),
        (quote!(#[job("a", "5m", overlap = "Skip")]), "did you mean \"skip\""),
        (quote!(#[job("a", "5m", was = "a")]), "is still a job"),
        (quote!(#[job("a", "5m", was = 3)]), "`was` is the name"),
        (quote!(#[job("a", "5m", handle = run)]), "its own method"),
        (quote!(#[hourly("a", "5m")]), "`#[hourly]` has its schedule"),
        (quote!(#[weekly()]), "write `#[weekly(\"name\")]`"),
        (quote!(#[job("a")] #[job("b")]), "take this `#[job]` off"),
    ] {
        let errors = method(attrs.clone());
        assert!(errors.len() == 1 && errors[0].contains(what), "{attrs}: {errors:?}");
    }
}

#[test]
fn a_reference_that_is_meant_as_the_item_is_named() {
    let item = quote! {
        impl G {
            #[query("a")] async fn find(&self) -> Vec<Order> {}
            #[job("a", "5m")] async fn run(&self, order: &Order, cx: &JobContext) {}
        }
    };
    let errors = errors(quote!("g"), item);
    assert!(errors.iter().any(|error| error.contains("take the item by value, without `&`")), "{errors:?}");
}
