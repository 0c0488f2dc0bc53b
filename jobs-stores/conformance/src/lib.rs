//! One suite for every store of `jobs-runner`.
//!
//! [`Store`](jobs_core::Store) says what a store promises; this crate says whether one does. It knows nothing of
//! any store: it is given connections, and sees what the contract shows.
//!
//! # For the author of a store
//!
//! Add the crate to the dev-dependencies, say how to connect to an empty place, and name that in one line:
//!
//! ```
//! # use std::sync::Arc;
//! # use jobs_core::{BoxError, BoxFuture, Store};
//! # fn random() -> u64 { 4 }
//! # async fn connect(_: String) -> Result<Arc<dyn Store>, BoxError> { Err("in an example".into()) }
//! struct Place { namespace: u64 }
//!
//! impl jobs_conformance::Fixture for Place {
//!     fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
//!         let url = format!("mystore://localhost/?namespace=test{}&clock={offset}", self.namespace);
//!         Box::pin(connect(url))
//!     }
//! }
//!
//! jobs_conformance::conformance!(Place { namespace: random() });
//! ```
//!
//! That is one `#[test]` per rule, each named for what it promises. Every rule is seen four times, on a fresh
//! [`Fixture`] each: every operation sent once; twice in a row; and with the first copy delayed behind one and
//! behind three of the operations that follow ([`Twice`]). Nothing sleeps: time moves by connecting again with
//! another offset. One rule kills a node between every two operations of a run's life.
//!
//! # Whether the suite would notice
//!
//! [`wrong`] holds a store for each rule that breaks exactly that one. A store's own tests may run them too:
//! [`wrong::missed`] gives those that the suite does not notice, or calls by another rule's name.
//!
//! # Adding a rule
//!
//! Write it in the file of `rules` that it belongs to, add its name to the list in `rules.rs`, and a store that
//! breaks it to `wrong`; the suite's own tests fail until all three are there.

#[macro_use]
mod violation;
mod bench;
pub mod by_hand;
pub mod call;
mod fixture;
mod rules;
mod scene;
mod suite;
mod twice;
pub mod wrong;

pub use call::{Handle, Wrapper};
pub use fixture::Fixture;
pub use rules::Rule;
pub use suite::{check, rules};
pub use twice::{Copies, Twice, Wire};
pub use violation::Violation;

#[doc(hidden)]
pub use suite::hold;
