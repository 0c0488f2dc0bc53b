//! From what is linked to what runs: groups get their instance, jobs their options.

use std::{
    any::{TypeId, type_name},
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jobs_core::{
    Declaration, JobOptions, Link, Location, Millis, Policy, Timetable, covers,
    descriptor::{AnyGroup, GroupBlock, JobDef},
};

use crate::{error::StartProblem, panic::panic_message};

/// One job that this runner runs.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: Arc<str>,
    pub(crate) def: &'static JobDef,
    pub(crate) instance: AnyGroup,
    /// Whether the instance was made by `Default`.
    pub(crate) default_instance: bool,
    pub(crate) policy: Policy,
    pub(crate) timetable: Option<Timetable>,
    pub(crate) link: Link,
}

/// What the builder knows of groups and jobs.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) provided: Vec<(TypeId, &'static str, AnyGroup)>,
    pub(crate) defaults: JobOptions,
    pub(crate) configured: Vec<(String, JobOptions)>,
    pub(crate) only: Option<Vec<String>>,
    /// Only the groups of these types, for the harness.
    pub(crate) types: Option<Vec<(TypeId, &'static str)>>,
}

impl Wanted {
    /// Takes a value of a group's type, or an `Arc` of one.
    pub(crate) fn provide<G: Send + Sync + 'static>(&mut self, group: G) {
        // An `Arc<T>` cannot be told from a `T` without knowing `T`; the blocks know theirs.
        let shared =
            GroupBlock::linked().into_iter().find_map(|block| Some((block, (block.shared)(&group)?)));
        self.provided.push(match shared {
            Some((block, group)) => ((block.type_id)(), (block.type_name)(), group),
            None => (TypeId::of::<G>(), type_name::<G>(), Arc::new(group)),
        });
    }
}

/// Builds the jobs, or says everything that stands in the way.
pub(crate) fn build(wanted: &Wanted) -> Result<Vec<Job>, Vec<StartProblem>> {
    let mut build = Build { wanted, problems: Vec::new(), groups: BTreeMap::new(), jobs: BTreeMap::new() };
    build.check_provided();
    let blocks = build.blocks();
    build.check_patterns(&blocks);
    for block in &blocks {
        build.block(block);
    }
    if build.jobs.is_empty() && build.problems.is_empty() {
        build.problems.push(StartProblem::NoGroups);
    }
    if build.problems.is_empty() { Ok(build.jobs.into_values().collect()) } else { Err(build.problems) }
}

struct Build<'a> {
    wanted: &'a Wanted,
    problems: Vec<StartProblem>,
    /// The type and instance of each group, with the place of its first block.
    groups: BTreeMap<&'static str, (TypeId, Location, Option<(AnyGroup, bool)>)>,
    jobs: BTreeMap<Arc<str>, Job>,
}

impl Build<'_> {
    fn blocks(&self) -> Vec<&'static GroupBlock> {
        let all = GroupBlock::linked().into_iter();
        let of_type = |block: &&GroupBlock| {
            let types = self.wanted.types.as_ref();
            types.is_none_or(|types| types.iter().any(|(id, _)| *id == (block.type_id)()))
        };
        all.filter(of_type).filter(|block| block.jobs.iter().any(|job| self.runs(block, job))).collect()
    }

    /// Whether `only` leaves a job in.
    fn runs(&self, block: &GroupBlock, job: &JobDef) -> bool {
        let id = id(block, job);
        self.wanted.only.as_ref().is_none_or(|only| only.iter().any(|pattern| covers(pattern, &id)))
    }

    fn check_provided(&mut self) {
        let mut seen = Vec::new();
        for (id, type_name, _) in &self.wanted.provided {
            if seen.contains(id) {
                self.problems.push(StartProblem::ProvidedTwice { type_name: (*type_name).to_owned() });
            }
            seen.push(*id);
        }
        let named = self.wanted.provided.iter().map(|(id, name, _)| (*id, *name));
        let asked = self.wanted.types.iter().flatten().copied();
        let mut told = Vec::new();
        for (id, type_name) in named.chain(asked) {
            if !told.contains(&id) && !GroupBlock::linked().iter().any(|block| (block.type_id)() == id) {
                told.push(id);
                self.problems.push(StartProblem::NotAGroup { type_name: type_name.to_owned() });
            }
        }
    }

    /// A pattern that names nothing is a slip of the pen.
    fn check_patterns(&mut self, blocks: &[&'static GroupBlock]) {
        let ids = |blocks: &[&'static GroupBlock]| -> Vec<String> {
            blocks.iter().flat_map(|block| block.jobs.iter().map(|job| id(block, job))).collect()
        };
        let (linked, all) = (ids(blocks), ids(&GroupBlock::linked()));
        let configured = self.wanted.configured.iter().map(|(pattern, _)| (pattern, &linked));
        let only = self.wanted.only.iter().flatten().map(|pattern| (pattern, &all));
        for (pattern, ids) in configured.chain(only) {
            if !ids.iter().any(|id| covers(pattern, id)) {
                let suggestion = suggest(pattern, ids.iter().map(String::as_str));
                self.problems.push(StartProblem::UnknownJob { pattern: pattern.clone(), suggestion });
            }
        }
    }

    fn block(&mut self, block: &'static GroupBlock) {
        let type_id = (block.type_id)();
        if let Some((of, first, _)) = self.groups.get(block.name)
            && *of != type_id
        {
            let (group, first, second) = (block.name.to_owned(), *first, block.location);
            self.problems.push(StartProblem::DuplicateGroup { group, first, second });
            return;
        }
        if !self.groups.contains_key(block.name) {
            let instance = self.instance(block);
            self.groups.insert(block.name, (type_id, block.location, instance));
        }
        let Some((_, _, instance)) = self.groups.get(block.name) else { return };
        let instance = instance.clone();
        for def in block.jobs.iter().filter(|job| self.runs(block, job)).collect::<Vec<_>>() {
            self.job(block, def, instance.as_ref());
        }
    }

    fn instance(&mut self, block: &GroupBlock) -> Option<(AnyGroup, bool)> {
        let type_id = (block.type_id)();
        // A type with groups of several names has one instance all the same.
        let made = self.groups.values().find(|(id, _, made)| *id == type_id && made.is_some());
        if let Some((_, _, made)) = made {
            return made.clone();
        }
        if let Some((.., provided)) = self.wanted.provided.iter().find(|(id, ..)| *id == type_id) {
            return Some((provided.clone(), false));
        }
        let group = block.name.to_owned();
        let Some(default) = block.default else {
            let type_name = (block.type_name)().to_owned();
            self.problems.push(StartProblem::NoInstance { group, type_name, at: block.location });
            return None;
        };
        match catch_unwind(AssertUnwindSafe(default)) {
            Ok(instance) => Some((instance, true)),
            Err(panic) => {
                self.problems.push(StartProblem::Panicked { group, message: panic_message(&*panic) });
                None
            }
        }
    }

    fn job(&mut self, block: &GroupBlock, def: &'static JobDef, instance: Option<&(AnyGroup, bool)>) {
        let id: Arc<str> = id(block, def).into();
        if let Some(first) = self.jobs.get(&id) {
            let (first, second) = (first.def.location, def.location);
            self.problems.push(StartProblem::DuplicateJob { job: id.to_string(), first, second });
            return;
        }
        let mut layers = vec![self.wanted.defaults.clone(), block.options.into(), def.options.into()];
        let configured = self.wanted.configured.iter().filter(|(pattern, _)| covers(pattern, &id));
        layers.extend(configured.map(|(_, options)| options.clone()));
        let policy = match Policy::resolve(&layers, def.query.is_some()) {
            Ok(policy) => policy,
            Err(bad) => {
                let job = id.to_string();
                let problem = |bad: jobs_core::BadOption| StartProblem::BadOption {
                    job: job.clone(),
                    key: bad.key.to_owned(),
                    message: bad.message,
                };
                self.problems.extend(bad.into_iter().map(problem));
                return;
            }
        };
        let Some((instance, default_instance)) = instance.cloned() else { return };
        let link = link(&id, block, def, &policy);
        let schedule = policy.schedule.clone();
        let timetable = schedule.map(|schedule| Timetable::new(id.clone(), schedule, policy.jitter));
        self.jobs.insert(id.clone(), Job { id, def, instance, default_instance, policy, timetable, link });
    }
}

fn id(block: &GroupBlock, job: &JobDef) -> String {
    format!("{}.{}", block.name, job.name)
}

/// What the store and other processes have to know of a job.
fn link(id: &Arc<str>, block: &GroupBlock, def: &JobDef, policy: &Policy) -> Link {
    Link {
        job: id.clone(),
        was: def.was.map(|was| format!("{}.{was}", block.name).into()),
        schedule: policy.schedule.as_ref().map(|schedule| Declaration {
            text: schedule.to_string().into(),
            tz: schedule.zone().into(),
            fingerprint: schedule.fingerprint().into(),
            instant: schedule.instant().map(Millis::from),
        }),
        query: def.query.is_some(),
        item_type: def.item.map(|name| name().into()),
        overlap: policy.overlap,
        priority: policy.priority,
        concurrency: policy.concurrency,
        global_concurrency: policy.global_concurrency,
        enabled: policy.enabled,
        keep_runs: policy.keep_runs,
        keep_ticks: policy.keep_ticks,
        keep_dead: policy.keep_dead,
        location: def.location,
    }
}

/// The name that is likest to what was written, if one is like it at all.
pub(crate) fn suggest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    jobs_schedule::suggest::nearest(written, names).map(str::to_owned)
}
