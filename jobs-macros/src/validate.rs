//! What the parts of a block must be to each other.

use std::time::Duration;

use jobs_schedule::{Expression, suggest::nearest};
use proc_macro2::Span;
use quote::ToTokens;
use syn::{Attribute, Ident, LitStr, spanned::Spanned};

use crate::{
    attr::GroupArgs,
    block::{Block, Member},
    errors::Errors,
    model::{Declared, Job, Param, Query, Used, is_named},
    options::Value,
};

/// A block whose parts fit together.
pub(crate) struct Group {
    pub(crate) args: GroupArgs,
    pub(crate) jobs: Vec<(Job, Option<usize>)>,
    pub(crate) queries: Vec<Query>,
    pub(crate) helpers: Vec<Used>,
}

impl Group {
    /// Gives each job its query, and checks that everything fits.
    pub(crate) fn new(declared: Declared, block: &Block, errors: &mut Errors) -> Self {
        let Declared { args, mut jobs, queries, helpers } = declared;
        if jobs.is_empty() && queries.is_empty() {
            let place = args.name.as_ref().map_or_else(|| block.head.self_ty.span(), LitStr::span);
            errors.at(
                place,
                "this block has no job; write `#[job(\"name\", \"0 9 * * *\")]` above a method of it",
            );
        }
        unique("job", jobs.iter().filter_map(|job| Some((job.args.name.as_ref()?, &*job.cfg))), errors);
        unique(
            "query for",
            queries.iter().filter_map(|query| Some((query.name.as_ref()?, &*query.cfg))),
            errors,
        );
        constants(&mut jobs, block, errors);
        renamed(&jobs, errors);

        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|job| {
                let query = query_of(&job, &queries);
                (job, query)
            })
            .collect();
        let mut all_found = true;
        for (index, query) in queries.iter().enumerate() {
            let taken = jobs.iter().any(|(job, found)| *found == Some(index) || is_for(query, job));
            if taken {
                continue;
            }
            all_found = false;
            // A job whose name could not be read may be the one that this query looks for.
            if let Some(name) =
                query.name.as_ref().filter(|_| jobs.iter().all(|(job, _)| job.args.name.is_some()))
            {
                errors.at(name.span(), without_job(name, &jobs));
            }
        }
        for (job, query) in &jobs {
            items(job, query.and_then(|index| queries.get(index)), all_found, errors);
            zone(job, errors);
            bounds(job, query.is_some(), errors);
        }
        Self { args, jobs, queries, helpers }
    }

    /// The query of a job.
    pub(crate) fn query(&self, index: Option<usize>) -> Option<&Query> {
        self.queries.get(index?)
    }
}

fn is_for(query: &Query, job: &Job) -> bool {
    query.name.as_ref().is_some_and(|name| Some(name.value()) == job.name())
}

/// The query of the same name; of several for different configurations, the one for the job's own.
fn query_of(job: &Job, queries: &[Query]) -> Option<usize> {
    let all = || queries.iter().enumerate().filter(|(_, query)| is_for(query, job));
    let own = all().find(|(_, query)| text(&query.cfg) == text(&job.cfg));
    own.or_else(|| all().next()).map(|(index, _)| index)
}

pub(crate) fn text(cfg: &[Attribute]) -> String {
    cfg.iter().map(|attr| attr.to_token_stream().to_string()).collect()
}

/// Whether two things can be in one program: with different `#[cfg]`s they may be alternatives, which is for rustc to
/// see.
fn both_present(a: &[Attribute], b: &[Attribute]) -> bool {
    text(a) == text(b) || a.is_empty() || b.is_empty()
}

fn unique<'a>(what: &str, named: impl Iterator<Item = (&'a LitStr, &'a [Attribute])>, errors: &mut Errors) {
    let mut seen: Vec<(&LitStr, &[Attribute])> = Vec::new();
    for (name, cfg) in named {
        let same = |(other, other_cfg): &&(&LitStr, &[Attribute])| {
            other.value() == name.value() && both_present(other_cfg, cfg)
        };
        match seen.iter().find(same) {
            Some((first, _)) => {
                let name_text = name.value();
                errors.at(
                    name.span(),
                    format!("the {what} `{name_text}` is in this block twice; rename one of them"),
                );
                errors.at(first.span(), "the first one is here");
            }
            None => seen.push((name, cfg)),
        }
    }
}

/// The constants of the jobs are members of the type, as its methods and constants are. One that clashes is taken out,
/// so that rustc does not say it again.
fn constants(jobs: &mut [Job], block: &Block, errors: &mut Errors) {
    let mut taken: Vec<(Ident, String, Vec<Attribute>)> = Vec::new();
    for member in &block.members {
        let name = match member {
            Member::Method(method) => &method.sig.ident,
            Member::Const(name, _) => name,
            Member::Other(_) => continue,
        };
        taken.push((name.clone(), "another member of this block".into(), Vec::new()));
    }
    for job in jobs {
        let Some(constant) = job.constant.take() else { continue };
        let method = &job.call.method;
        match taken.iter().find(|(name, _, cfg)| *name == constant && both_present(cfg, &job.cfg)) {
            Some((_, owner, _)) => {
                let owner = if constant == *method { "its own method" } else { owner };
                let problem = format!(
                    "the constant of this job would be `{constant}`, and that is {owner}; \
                     name it otherwise, as in `handle = OTHER`"
                );
                errors.at(constant.span(), problem);
            }
            None => {
                taken.push((constant.clone(), format!("the constant of `{method}`"), job.cfg.clone()));
                job.constant = Some(constant);
            }
        }
    }
}

fn renamed(jobs: &[Job], errors: &mut Errors) {
    for (index, job) in jobs.iter().enumerate() {
        let Some(was) = &job.args.was else { continue };
        let old = was.value();
        if jobs.iter().any(|other| other.name().is_some_and(|name| name == old)) {
            errors.at(
                was.span(),
                format!("`{old}` is still a job of this block; `was` is for a name that is gone"),
            );
        } else if jobs[..index]
            .iter()
            .any(|other| other.args.was.as_ref().is_some_and(|was| was.value() == old))
        {
            errors.at(
                was.span(),
                format!("another job of this block was `{old}` too; let one of them take it over"),
            );
        }
    }
}

fn without_job(name: &LitStr, jobs: &[(Job, Option<usize>)]) -> String {
    let wanted = name.value();
    let names: Vec<_> = jobs.iter().filter_map(|(job, _)| job.name()).collect();
    match nearest(&wanted, names.iter().map(String::as_str)) {
        Some(meant) => format!("no job of this block is named `{wanted}`; did you mean `{meant}`?"),
        None if names.is_empty() => format!(
            "no job of this block is named `{wanted}`; write the query in the block of its `#[job]`, whose item it yields"
        ),
        None => format!(
            "no job of this block is named `{wanted}`; its jobs are `{}`, and a query is in the block of its job",
            names.join("`, `")
        ),
    }
}

fn items(job: &Job, query: Option<&Query>, all_found: bool, errors: &mut Errors) {
    let Some(name) = job.name() else { return };
    let method = &job.call.method;
    match (job.call.owned(), query) {
        (None, Some(query)) => {
            let query = &query.call.method;
            let by_reference = job.call.params.iter().find_map(|param| match param {
                Param::Context(ty) if !is_named(ty, "JobContext") => Some(ty),
                _ => None,
            });
            match by_reference {
                Some(ty) => errors.on(
                    ty,
                    format!(
                        "`{method}` takes no item, and the query `{query}` finds items for it: \
                         a reference is the context; take the item by value, without `&`"
                    ),
                ),
                None => errors.at(
                    method.span(),
                    format!(
                        "`{method}` takes no item, and the query `{query}` finds items for it; \
                         add a parameter, as in `{method}(&self, item: Item)`"
                    ),
                ),
            }
        }
        (Some(item), None) if job.args.schedule.is_some() && all_found => errors.on(
            item,
            format!(
                "`{method}` takes an item and runs on a schedule, and nothing finds items for it; \
                 write `#[query({name:?})]` above a method that does, or leave out the schedule or the parameter"
            ),
        ),
        _ => {}
    }
}

/// A zone beside a schedule that has none would do nothing.
fn zone(job: &Job, errors: &mut Errors) {
    let Some(tz) = job.args.settings.iter().find(|setting| setting.key == "tz") else { return };
    let Some(Ok(schedule)) = job.args.schedule.as_ref().map(|schedule| Expression::parse(&schedule.value()))
    else {
        return;
    };
    if !schedule.takes_zone() {
        errors.at(
            tz.key.span(),
            "`tz` does nothing here: an interval or an instant has no time zone; take it out",
        );
    }
}

/// What bounds an attempt of a job without a query.
fn bounds(job: &Job, has_query: bool, errors: &mut Errors) {
    let (Some((timeout, at)), Some((most, _))) = (length(job, "timeout"), length(job, "max_compute_time"))
    else {
        return;
    };
    if !has_query && timeout > most {
        errors.at(
            at,
            "`timeout` is longer than `max_compute_time`, which bounds an attempt of a job without a query; \
             shorten one or lengthen the other",
        );
    }
}

fn length(job: &Job, key: &str) -> Option<(Duration, Span)> {
    job.args.settings.iter().find_map(|setting| match setting.value {
        Value::Duration(length) if setting.key == key => Some((length, setting.at)),
        _ => None,
    })
}
