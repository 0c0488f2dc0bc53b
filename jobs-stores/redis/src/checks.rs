//! What is looked at when a server is opened: its version, and whether it keeps what it is given.

use jobs_core::{StoreError, notice};
use redis::Value;

use crate::wire::Wire;

/// The oldest version that has what the scripts use, and tells their errors as they are.
const OLDEST: u32 = 7;

/// The longest that a server takes, in bytes, as long as nothing else is known.
const LONGEST: Limits = Limits { value: 512 << 20, command: 1 << 30 };

/// What a server takes at once, in bytes. Whatever is longer ends the connection, as an outage would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// One value of a command.
    value: usize,
    /// A command in all.
    command: usize,
}

impl Limits {
    /// Says what is too long of values that are to be sent.
    pub(crate) fn check(self, values: impl Iterator<Item = usize>) -> Result<(), String> {
        let mut all = 0_usize;
        for value in values {
            if value > self.value {
                let longest = self.value;
                return Err(format!(
                    "a value of {value} bytes is longer than the {longest} that the server takes (`proto-max-bulk-len`)"
                ));
            }
            all = all.saturating_add(value);
        }
        if all > self.command {
            let longest = self.command;
            return Err(format!(
                "{all} bytes are more than the {longest} that the server takes at once (`client-query-buffer-limit`)"
            ));
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        LONGEST
    }
}

/// Refuses a server that is too old, warns of one that forgets, and finds out what one takes at once.
pub(crate) async fn look(wire: &Wire) -> Result<Limits, StoreError> {
    // A user may be forbidden to ask; then nobody knows better.
    if let Ok(info) = wire.command(redis::cmd("INFO").arg("server")).await {
        check_version(&text(&info), &wire.place)?;
    }
    let wanted = ["appendonly", "maxmemory-policy", "proto-max-bulk-len", "client-query-buffer-limit"];
    match wire.command(redis::cmd("CONFIG").arg("GET").arg(&wanted)).await {
        Ok(settings) => {
            let settings = texts(settings);
            for (kind, complaint) in complaints(&settings) {
                notice::warn(kind, format!("{complaint} ({})", wire.place));
            }
            Ok(limits(&settings))
        }
        Err(error @ StoreError::Unreachable { .. }) => Err(error),
        // Hosted servers keep their settings to themselves.
        Err(_) => Ok(LONGEST),
    }
}

/// Whether a server has no room for anything: else it was the value itself that it had no room for.
pub(crate) async fn is_full(wire: &Wire) -> bool {
    let info = wire.command(redis::cmd("INFO").arg("memory")).await;
    let info = info.map(|info| text(&info)).unwrap_or_default();
    let of = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse::<u64>().ok())
    };
    // What clients have sent is among what is used, and so is the value that was refused.
    let sent = of("mem_clients_normal").unwrap_or(0);
    match (of("used_memory"), of("maxmemory")) {
        (Some(used), Some(most)) => used.saturating_sub(sent) >= most,
        _ => true,
    }
}

fn limits(settings: &[String]) -> Limits {
    let of = |name: &str, otherwise| {
        let found = settings.chunks_exact(2).find(|pair| pair[0] == name);
        found.and_then(|pair| pair[1].parse().ok()).filter(|longest| *longest > 0).unwrap_or(otherwise)
    };
    Limits {
        value: of("proto-max-bulk-len", LONGEST.value),
        command: of("client-query-buffer-limit", LONGEST.command),
    }
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
    fn what_is_longer_than_a_server_takes_is_refused_before_it_is_sent() {
        let limits =
            limits(&["proto-max-bulk-len", "10", "client-query-buffer-limit", "25"].map(str::to_owned));
        assert_eq!(limits.check([10, 10, 5].into_iter()), Ok(()));
        assert!(limits.check([1, 11].into_iter()).unwrap_err().contains("`proto-max-bulk-len`"));
        assert!(limits.check([9, 9, 9].into_iter()).unwrap_err().contains("`client-query-buffer-limit`"));
        assert_eq!(super::limits(&[]), Limits::default());
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
