//! What generated code calls to reach a method: its instance, its context and its item.
//!
//! Each function is generic over one type alone, so that a program with a hundred jobs compiles it once per type
//! and not once per job.

use std::{
    any::{TypeId, type_name},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    BoxFuture, JobContext, cut_text,
    descriptor::{AnyGroup, DecodeError},
};

/// Tells the type of a group's instance. The name is what the compiler prints below a type that is not `Sync`.
#[must_use]
pub const fn one_instance_is_shared_by_all_threads<G: Send + Sync + 'static>() -> fn() -> TypeId {
    TypeId::of::<G>
}

/// The instance as its own type.
pub fn group<G: 'static>(group: &AnyGroup) -> &G {
    let Some(group) = group.downcast_ref() else {
        // The runner finds the instance by the `type_id` of the very block whose job it calls.
        unreachable!("the instance of another group was given to `{}`", type_name::<G>())
    };
    group
}

/// What a call that outlives its caller borrows from. One value, so that generated code has one thing to drop.
pub struct Call {
    group: AnyGroup,
    cx: JobContext,
}

impl Call {
    /// Keeps the instance and the context.
    #[must_use]
    pub fn new(group: &AnyGroup, cx: JobContext) -> Self {
        Self { group: Arc::clone(group), cx }
    }

    /// The instance.
    #[must_use]
    pub fn group<G: 'static>(&self) -> &G {
        group(&self.group)
    }

    /// The context.
    #[must_use]
    pub fn cx(&self) -> &JobContext {
        &self.cx
    }
}

/// What a reference parameter of a method may refer to.
#[diagnostic::on_unimplemented(
    message = "a parameter taken by reference is the context, and `{Self}` is not `JobContext`",
    label = "expected `&JobContext`",
    note = "the context is taken by reference, `&JobContext`; an item is taken by value"
)]
pub trait Context {
    /// The context as this type.
    fn of(cx: &JobContext) -> &Self;
}

impl Context for JobContext {
    fn of(cx: &JobContext) -> &Self {
        cx
    }
}

/// The context for a parameter taken by reference.
pub fn context<C: Context>(cx: &JobContext) -> &C {
    C::of(cx)
}

/// What a store can keep and give back to another process: items and cursors.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored, and items and cursors are: they travel through the store as JSON",
    label = "cannot be stored",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it; it must own what it holds and be `Send`"
)]
pub trait Stored: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Stored for T {}

/// A stored item as what the handler takes.
pub fn item<T: Stored>(stored: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(stored).map_err(|error| undecodable(type_name::<T>(), &error))
}

fn undecodable(item: &'static str, error: &serde_json::Error) -> DecodeError {
    DecodeError { item, message: cut_text(error) }
}

/// Boxes the call of a method. The name is what the compiler prints below a future that is not `Send`.
pub fn hold_only_what_is_send_across_an_await<'a, F>(call: F) -> BoxFuture<'a, F::Output>
where
    F: Future + Send + 'a,
{
    Box::pin(call)
}
