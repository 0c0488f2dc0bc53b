//! Time zones by IANA name, checked against a compiled-in list of names without any zone data.

use crate::error::{ScheduleError, ScheduleErrorKind as Kind, quoted};
use crate::suggest::nearest;
use crate::zone_names::ZONE_NAMES;

/// Checks that a name is in the IANA database; upper and lower case are alike, as they are to `jiff`.
///
/// # Errors
/// [`UnknownZone`](Kind::UnknownZone), with a suggestion where a name comes close.
///
/// ```
/// use jobs_schedule::zone;
///
/// zone::check("Europe/Paris")?;
/// assert_eq!(
///     zone::check("Europe/Pariss").unwrap_err().to_string(),
///     "\"Europe/Pariss\" is not a time zone; did you mean \"Europe/Paris\""
/// );
/// # Ok::<(), jobs_schedule::ScheduleError>(())
/// ```
pub fn check(name: &str) -> Result<(), ScheduleError> {
    canonical(name).map(|_| ())
}

/// The name as the database spells it: `Europe/Paris` for `europe/paris`.
///
/// # Errors
/// As [`check`].
pub fn canonical(name: &str) -> Result<&'static str, ScheduleError> {
    if let Some(found) = find(name) {
        return Ok(found);
    }
    if name.trim().is_empty() {
        return Err(ScheduleError::new(
            Kind::UnknownZone,
            1,
            "the time zone is empty",
            "write an iana name, as in \"Europe/Paris\", or leave it out for \"UTC\"",
        ));
    }
    let remedy = match suggestion(name) {
        Some(name) => format!("did you mean \"{name}\""),
        None => "write an iana name, as in \"Europe/Paris\" or \"UTC\"".to_owned(),
    };
    Err(ScheduleError::new(Kind::UnknownZone, 1, format!("{} is not a time zone", quoted(name)), remedy))
}

/// All names, sorted without regard to case.
pub fn names() -> &'static [&'static str] {
    ZONE_NAMES
}

fn find(name: &str) -> Option<&'static str> {
    let key = |text: &str| text.bytes().map(|b| b.to_ascii_lowercase()).collect::<Vec<u8>>();
    let wanted = key(name);
    let at = ZONE_NAMES.binary_search_by(|known| key(known).cmp(&wanted)).ok()?;
    ZONE_NAMES.get(at).copied()
}

/// The same words otherwise separated, a city without its continent, or a slip of up to two keys.
fn suggestion(name: &str) -> Option<&'static str> {
    if name.len() > 64 {
        return None;
    }
    let plain = name.trim().to_lowercase().replace([' ', '-'], "_");
    if let Some(found) = find(&plain) {
        return Some(found);
    }
    let city = |known: &str| known.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&plain));
    if let Some(found) = ZONE_NAMES.iter().find(|known| city(known)) {
        return Some(found);
    }
    nearest(&plain, ZONE_NAMES.iter().copied())
}
