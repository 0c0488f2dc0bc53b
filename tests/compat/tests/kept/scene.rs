//! A place to look at, and the node of this version that comes to it.

use std::{path::PathBuf, sync::Arc};

use compat::{
    kept::Kept,
    place::{self, Place},
    story::{self, CHANGED, FIRST_LINKS, LEFT, OPAQUE},
    teller::{Seat, Teller},
};
use jobs_conformance::Fixture;
use jobs_core::{Link, RunId, SessionId};

/// A node of this version.
pub(crate) const NEW: SessionId = SessionId(0xf6);

/// A place, and what is in it.
pub(crate) struct Scene {
    place: Arc<dyn Fixture>,
    pub(crate) kept: Kept,
}

/// The folder of a kept place.
pub(crate) fn folder<P: Place>(format: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kept").join(format).join(P::STORE)
}

/// A copy of a place that was kept; none if no tests are wanted of its store.
pub(crate) async fn kept<P: Place + 'static>(format: &str) -> Option<Scene> {
    if !servers::is_wanted(P::STORE) {
        return None;
    }
    let folder = folder::<P>(format);
    let place = P::copy(&folder).await.unwrap();
    Some(Scene { place: Arc::new(place), kept: place::kept(&folder).unwrap() })
}

/// A place that this version has just written; none if no tests are wanted of its store.
pub(crate) async fn told<P: Place + 'static>() -> Option<Scene> {
    if !servers::is_wanted(P::STORE) {
        return None;
    }
    let place = P::empty().unwrap();
    let kept = story::fill(&place).await.unwrap();
    Some(Scene { place: Arc::new(place), kept })
}

impl Scene {
    /// Connects, so many seconds after the place was kept.
    pub(crate) async fn open(&self, seconds: i64) -> Teller<'_> {
        Teller::new(&*self.place, seconds).await.unwrap()
    }

    /// Connects, and opens a session of a node that links these jobs.
    pub(crate) async fn joined(&self, seconds: i64, links: &[Link]) -> Teller<'_> {
        let mut teller = self.open(seconds).await;
        teller.attach(&seat(), links).await.unwrap();
        teller
    }

    /// A run of the story.
    pub(crate) fn run(&self, name: &str) -> RunId {
        RunId::new(self.kept.number(&format!("run/{name}")).unwrap())
    }
}

/// The node of this version.
pub(crate) fn seat() -> Seat {
    Seat { session: NEW, name: "new-1", build: "2.0.0", lease: 60 }
}

/// All jobs of the story, as this version declares them.
pub(crate) fn all_links() -> Vec<Link> {
    let kept = FIRST_LINKS.into_iter().filter(|job| ![CHANGED, OPAQUE].contains(job));
    let links = kept.chain([LEFT]).map(story::link);
    links.chain(story::renamed_links()).collect()
}
