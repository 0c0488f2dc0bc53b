//! What a server says instead of an answer, and how the contract calls it.

use jobs_core::StoreError;
use redis::{ErrorKind, RedisError};

use crate::script::SCHEMA;

/// The same as the contract calls it; `place` is the server, as it may be shown.
pub(crate) fn told(error: &RedisError, place: &str) -> StoreError {
    let said = said(error);
    let message = format!("{place}: {said}");
    match error.kind() {
        ErrorKind::Io => return StoreError::Unreachable { message },
        ErrorKind::AuthenticationFailed => return refused(place, &said),
        ErrorKind::InvalidClientConfig => {
            return StoreError::BadUrl { url: place.to_owned(), message: said };
        }
        _ => {}
    }
    match error.code() {
        Some("LOADING" | "MASTERDOWN" | "BUSY" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS" | "UNBLOCKED") => {
            StoreError::Unreachable { message }
        }
        Some("READONLY") => StoreError::ReadOnly { location: place.to_owned(), message: said },
        Some("OOM" | "MISCONF") => StoreError::Full { message },
        Some("NEWERSCHEMA") => StoreError::NewerSchema { found: schema(error), supported: SCHEMA },
        Some("FOREIGN" | "WRONGTYPE") => StoreError::Foreign { location: place.to_owned(), message: said },
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => refused(place, &said),
        Some("MOVED" | "ASK" | "CROSSSLOT") => StoreError::Backend(
            format!("{place} is a node of a Redis Cluster ({said}); name a server that has all keys").into(),
        ),
        _ => StoreError::Backend(message.into()),
    }
}

/// Whether the connection is of no use any more: it is gone, or leads to a server that was a primary.
pub(crate) fn ends_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || error.code() == Some("READONLY")
}

fn refused(place: &str, said: &str) -> StoreError {
    let message = format!(
        "the server refuses it ({said}); write `redis://user:password@host`, and let the user \
                           run scripts over the keys `{{namespace}}:*`"
    );
    StoreError::BadUrl { url: place.to_owned(), message }
}

/// What a server said, without the name of the script that it said it of.
fn said(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    text.split(" script: ").next().unwrap_or(&text).to_owned()
}

fn schema(error: &RedisError) -> u32 {
    let found = error.detail().and_then(|detail| detail.split(' ').next()?.parse().ok());
    found.unwrap_or(u32::MAX)
}
