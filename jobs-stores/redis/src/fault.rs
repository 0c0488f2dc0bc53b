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
        _ if is_of_the_value(&said) => StoreError::Refused { message },
        _ => StoreError::Backend(message.into()),
    }
}

/// Whether a server or its scripts say that something is too long for them: the same call is refused again.
fn is_of_the_value(said: &str) -> bool {
    const TOO_LONG: [&str; 8] = [
        "exceeds maximum allowed size",
        "invalid bulk length",
        "invalid multibulk length",
        "too big",
        "not enough memory",
        "string length overflow",
        "too many results to unpack",
        "too many nested data structures",
    ];
    TOO_LONG.iter().any(|text| said.contains(text))
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

#[cfg(test)]
mod tests {
    use redis::RedisError;

    use super::*;

    fn of(answer: &str) -> StoreError {
        let error = redis::parse_redis_value(format!("-{answer}\r\n").as_bytes());
        let error: RedisError = match error {
            Ok(redis::Value::ServerError(error)) => RedisError::from(error),
            Ok(_) => unreachable!("an error is an error"),
            Err(error) => error,
        };
        told(&error, "redis://host")
    }

    #[test]
    fn an_answer_is_an_outage_a_full_server_or_a_value_that_is_refused() {
        for refused in [
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            "ERR Protocol error: invalid bulk length",
            "ERR user_script:9: too many results to unpack script: 0a, on @user_script:9.",
            "ERR user_script:9: not enough memory script: 0a, on @user_script:9.",
        ] {
            assert!(matches!(of(refused), StoreError::Refused { .. }), "{refused}: {}", of(refused));
        }
        assert!(matches!(
            of("OOM command not allowed when used memory > 'maxmemory'."),
            StoreError::Full { .. }
        ));
        assert!(matches!(of("LOADING Redis is loading"), StoreError::Unreachable { .. }));
        assert!(matches!(of("ERR unknown command"), StoreError::Backend(_)));
    }
}
