//! What is looked at when a server is opened: its version, and whether it keeps what it is given.

use jobs_core::{StoreError, notice};
use redis::Value;

use crate::wire::Wire;

/// The oldest version that has what the scripts use, and tells their errors as they are.
const OLDEST: u32 = 7;

/// Refuses a server that is too old, and warns of one that forgets.
pub(crate) async fn look(wire: &Wire) -> Result<(), StoreError> {
    // A user may be forbidden to ask; then nobody knows better.
    if let Ok(info) = wire.command(redis::cmd("INFO").arg("server")).await {
        check_version(&text(&info), &wire.place)?;
    }
    let wanted = redis::cmd("CONFIG").arg("GET").arg("appendonly").arg("maxmemory-policy").to_owned();
    match wire.command(&wanted).await {
        Ok(settings) => {
            for (kind, complaint) in complaints(&texts(settings)) {
                notice::warn(kind, format!("{complaint} ({})", wire.place));
            }
        }
        Err(error @ StoreError::Unreachable { .. }) => return Err(error),
        // Hosted servers keep their settings to themselves.
        Err(_) => {}
    }
    Ok(())
}

fn check_version(info: &str, place: &str) -> Result<(), StoreError> {
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).map(str::trim);
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    match (version, major) {
        (Some(version), Some(major)) if major < OLDEST => Err(StoreError::Backend(
            format!("{place} is Redis {version}, which is too old; use Redis {OLDEST} or newer, or Valkey")
                .into(),
        )),
        _ => Ok(()),
    }
}

/// What a person should know of these settings, given as names and values in turn.
fn complaints(settings: &[String]) -> Vec<(&'static str, String)> {
    let of = |name: &str| settings.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| &*pair[1]);
    let mut complaints = Vec::new();
    if of("appendonly").is_some_and(|value| value != "yes") {
        let text = "the Redis server has no append-only file: what it acknowledged since its last snapshot is lost \
                    when it ends; set `appendonly yes`";
        complaints.push(("redis-persistence", text.to_owned()));
    }
    if let Some(policy) = of("maxmemory-policy").filter(|policy| *policy != "noeviction") {
        let text = format!(
            "the Redis server removes keys when its memory is full (`maxmemory-policy {policy}`), and runs and items \
             with them; set `maxmemory-policy noeviction`"
        );
        complaints.push(("redis-eviction", text));
    }
    complaints
}

/// Names and values in turn, in whichever protocol the connection speaks.
fn texts(settings: Value) -> Vec<String> {
    match settings {
        Value::Array(settings) => settings.iter().map(text).collect(),
        Value::Map(settings) => settings.iter().flat_map(|(name, value)| [text(name), text(value)]).collect(),
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::VerbatimString { text, .. } => text.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &[&str]) -> Vec<&'static str> {
        let settings: Vec<String> = settings.iter().map(|&text| text.to_owned()).collect();
        complaints(&settings).into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn a_server_that_forgets_is_told_of() {
        assert_eq!(of(&["appendonly", "yes", "maxmemory-policy", "noeviction"]), [""; 0]);
        assert_eq!(of(&["maxmemory-policy", "noeviction", "appendonly", "no"]), ["redis-persistence"]);
        assert_eq!(of(&["appendonly", "yes", "maxmemory-policy", "allkeys-lru"]), ["redis-eviction"]);
        assert_eq!(of(&[]), [""; 0], "what is not known is not told of");
    }

    #[test]
    fn a_server_that_is_too_old_is_refused() {
        let with = |version: &str| check_version(&format!("# Server\r\nredis_version:{version}\r\n"), "host");
        assert_eq!((with("7.0.15"), with("7.2.4"), with("8.0.0")), (Ok(()), Ok(()), Ok(())));
        let refused = with("6.2.14").unwrap_err().to_string();
        assert!(refused.contains("Redis 6.2.14, which is too old; use Redis 7"), "{refused}");
        assert_eq!(check_version("", "host"), Ok(()), "one that does not say is tried");
    }
}
