//! What generated code names. Not public: it changes with the macros, in any release.

pub use core::{
    any::type_name,
    clone::Clone,
    column, file, line,
    option::Option::{None, Some},
    result::Result::{Err, Ok},
    time::Duration,
};
pub use std::boxed::Box;

pub use jobs_core::{
    Declared, Job, Location,
    call::{
        Call, context, group, hold_only_what_is_send_across_an_await, item,
        one_instance_is_shared_by_all_threads,
    },
    descriptor::{self, DefaultProbe, GroupBlock, Handler, JobDef, NoDefault, Query, Sink, inventory},
    items::{drain, drain_blocking, for_item, is_blocking},
    page::{by_cursor, cursor, page},
    returns::{Returns, Single, finish},
};
