//! A job under a new name, and a deploy that takes the name back.

use crate::Link;

/// Whether a job gives way to the name that another declaration gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yields {
    /// A live session renames it: it has no schedule, and nothing of it is made.
    GivesWay,
    /// Nobody links the new name: the deploy was rolled back, and the job takes back what belongs to it.
    TakesBack,
    /// Somebody links the new name and no longer renames this one: the former name was given to another job.
    Parts,
}

/// Decides it. `links`: how live sessions, and the one that attaches, link the newest name of the job.
pub fn yields<'a>(links: impl IntoIterator<Item = &'a Link>) -> Yields {
    let mut links = links.into_iter().peekable();
    if links.peek().is_none() {
        return Yields::TakesBack;
    }
    if links.any(|link| link.was.is_some()) { Yields::GivesWay } else { Yields::Parts }
}

impl Link {
    /// The former name of the job, if it takes over from another one.
    #[must_use]
    pub fn former(&self) -> Option<&std::sync::Arc<str>> {
        self.was.as_ref().filter(|was| **was != self.job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_gives_way_while_somebody_renames_it() {
        let renames = Link { was: Some("a.old".into()), ..Link::new("a.new") };
        let new = Link::new("a.new");
        assert_eq!(yields([&new, &renames]), Yields::GivesWay);
        assert_eq!(yields([&new]), Yields::Parts);
        assert_eq!(yields([]), Yields::TakesBack);
        assert_eq!(renames.former().map(|name| &**name), Some("a.old"));
        assert_eq!(Link { was: Some("a.new".into()), ..new }.former(), None, "its own name");
    }
}
