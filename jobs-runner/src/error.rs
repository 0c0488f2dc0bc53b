//! What can go wrong at the boundaries: at start, in a client's call, at the end.

use std::fmt;

use jobs_core::{Location, RunId, StoreError};

/// Why a runner did not start: all problems at once.
#[derive(Clone, PartialEq, thiserror::Error)]
pub struct StartError {
    problems: Vec<StartProblem>,
}

impl StartError {
    pub(crate) fn new(mut problems: Vec<StartProblem>) -> Self {
        problems.sort_by_key(|problem| problem.location().map_or((1, None), |at| (0, Some(at))));
        Self { problems }
    }

    /// All of them, in the order of files; those without a place come last.
    #[must_use]
    pub fn problems(&self) -> &[StartProblem] {
        &self.problems
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problems[..] {
            [only] => write!(f, "the runner does not start: {only}"),
            all => {
                write!(f, "the runner does not start, for {} reasons:", all.len())?;
                all.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

/// `main` prints an error's `Debug`.
impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One reason why a runner did not start.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartProblem {
    /// Nothing to run is linked.
    #[error("no job groups are linked; if they are in another crate, name it: `use my_jobs as _;`")]
    NoGroups,
    /// A group's type has no `Default`, and no value was provided.
    #[error(
        "{at}: group `{group}` has no instance; derive `Default` for `{type_name}`, or pass one with `.provide({})`",
        literal(type_name)
    )]
    NoInstance {
        /// The group.
        group: String,
        /// Its type.
        type_name: String,
        /// Where it is declared.
        at: Location,
    },
    /// A value was provided whose type has no group.
    #[error(
        "`{type_name}` is provided, but has no `#[cron_group]` block that is linked; add one, or leave it out"
    )]
    NotAGroup {
        /// The type.
        type_name: String,
    },
    /// Two values of one type were provided.
    #[error("`{type_name}` is provided twice; a group has one instance")]
    ProvidedTwice {
        /// The type.
        type_name: String,
    },
    /// Two types have the same group name.
    #[error(
        "{second}: the group `{group}` is declared for another type at {first}; give one of them another name"
    )]
    DuplicateGroup {
        /// The name.
        group: String,
        /// Where it is first.
        first: Location,
        /// Where it is again.
        second: Location,
    },
    /// Two jobs have the same id.
    #[error("{second}: the job `{job}` is declared at {first} too; give one of them another name")]
    DuplicateJob {
        /// The id.
        job: String,
        /// Where it is first.
        first: Location,
        /// Where it is again.
        second: Location,
    },
    /// A pattern of `configure` or `only` names nothing.
    #[error("no job is named `{pattern}`{}", did_you_mean(suggestion))]
    UnknownJob {
        /// What was written.
        pattern: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// An option cannot be.
    #[error("`{key}` of `{job}`: {message}")]
    BadOption {
        /// The job.
        job: String,
        /// The option.
        key: String,
        /// What is wrong, and the remedy.
        message: String,
    },
    /// The `Default` of a group's type panicked.
    #[error(
        "group `{group}` has no instance: its `Default` panicked with \"{message}\"; pass a value with `.provide(..)`"
    )]
    Panicked {
        /// The group.
        group: String,
        /// What the panic said.
        message: String,
    },
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StartProblem {
    fn location(&self) -> Option<Location> {
        match self {
            Self::NoInstance { at, .. } => Some(*at),
            Self::DuplicateGroup { second, .. } | Self::DuplicateJob { second, .. } => Some(*second),
            _ => None,
        }
    }
}

/// How a value of the type is written, whatever its fields are.
fn literal(type_name: &str) -> String {
    let short = type_name.rsplit("::").next().unwrap_or(type_name);
    format!("{short} {{ .. }}")
}

/// Why a client's call was not done.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The store knows no such job.
    #[error("no job is named `{job}`{}", did_you_mean(suggestion))]
    UnknownJob {
        /// What was asked for.
        job: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// The item is not what the job takes.
    #[error("`{job}` does not take that item: {message}")]
    WrongItem {
        /// The job.
        job: String,
        /// What does not fit.
        message: String,
    },
    /// The job takes an item, and no query finds any.
    #[error("`{job}` takes an item, and no query finds any; enqueue one instead of running it")]
    NeedsItem {
        /// The job.
        job: String,
    },
    /// The last run is busy, and the job's runs do not overlap.
    #[error("`{job}` is busy with run {run}; wait for it, or set `overlap = \"allow\"`")]
    Busy {
        /// The job.
        job: String,
        /// The run that is busy.
        run: RunId,
    },
    /// The job is paused.
    #[error("`{job}` is paused: {note}; resume it first")]
    Paused {
        /// The job.
        job: String,
        /// Why.
        note: String,
    },
    /// There is no such run or item, or no more.
    #[error("there is no run or item {id}; it may have been pruned")]
    NotFound {
        /// What was asked for.
        id: String,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// `main` prints an error's `Debug`.
impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl ClientError {
    pub(crate) fn no_run(run: RunId) -> Self {
        Self::NotFound { id: run.to_string() }
    }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    match suggestion {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; a job is named `group.job`".to_owned(),
    }
}

/// How a runner ended that did not end well.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Attempts were still running when the grace was over; they were broken off, and are done again.
    #[error(
        "{cancelled} attempts were still running when the grace was over; they are done again, uncharged"
    )]
    GraceExceeded {
        /// How many.
        cancelled: u64,
    },
    /// A second signal came, or a blocking handler did not end.
    #[error("the runner was ended by force")]
    Forced,
}

/// `main` prints an error's `Debug`.
impl fmt::Debug for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
