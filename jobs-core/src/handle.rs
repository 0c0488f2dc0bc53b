//! The typed name of a job.

use std::{
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
};

/// A job's id together with the type of its items; `T` is `()` for a job that takes none.
///
/// `#[job]` adds one as a constant of the group's type, named as the method in capitals, so that a job is named
/// without a string that may be mistyped, and only items of its type can be enqueued.
pub struct Job<T> {
    id: &'static str,
    item: PhantomData<fn() -> T>,
}

impl<T> Job<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(id: &'static str) -> Self {
        Self { id, item: PhantomData }
    }

    /// The job's id, `group.name`.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.id
    }
}

// Written out: derived, each would ask the same of `T`.
impl<T> Clone for Job<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Job<T> {}

impl<T> PartialEq for Job<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Job<T> {}

impl<T> Hash for Job<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.id).finish()
    }
}

impl<T> fmt::Display for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// Whatever names a job: a [`Job`], or its id as a `&str` or `String`, or a reference to any of these.
///
/// Sealed: it is implemented here and nowhere else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a job",
    label = "not the name of a job",
    note = "a job is named by its constant, as in `Digest::SEND`, or by its id, as in `\"digest.send\"`"
)]
pub trait AsJob: sealed::Sealed {
    #[doc(hidden)]
    fn as_job(&self) -> &str;
}

impl<T> AsJob for Job<T> {
    fn as_job(&self) -> &str {
        self.id
    }
}

impl AsJob for str {
    fn as_job(&self) -> &str {
        self
    }
}

impl AsJob for String {
    fn as_job(&self) -> &str {
        self
    }
}

impl<J: AsJob + ?Sized> AsJob for &J {
    fn as_job(&self) -> &str {
        (**self).as_job()
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::Job<T> {}
    impl Sealed for str {}
    impl Sealed for String {}
    impl<J: super::AsJob + ?Sized> Sealed for &J {}
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NotEvenClone;
    const SEND: Job<NotEvenClone> = Job::new("digest.send");

    fn id(job: impl AsJob) -> String {
        job.as_job().to_owned()
    }

    #[test]
    fn a_job_is_named_by_its_constant_or_its_id() {
        let owned = "digest.send".to_owned();
        #[allow(clippy::needless_borrows_for_generic_args)]
        for named in [id(SEND), id(&SEND), id(&&SEND), id("digest.send"), id(&owned), id(&&*owned), id(owned)]
        {
            assert_eq!(named, SEND.id());
        }
    }

    #[test]
    fn a_job_asks_nothing_of_its_item() {
        fn is<J: Copy + Eq + Hash + Send + Sync + 'static>(_: J) {}
        is(SEND);
        assert_eq!(
            (format!("{SEND:?}"), SEND.to_string()),
            ("Job(\"digest.send\")".into(), "digest.send".into())
        );
    }
}
