//! How far this machine's time of day is from the store's.
//!
//! Nothing depends on it: ticks and leases follow the store's time. It is said because people compare logs, and because
//! a machine whose clock is wrong has a problem that somebody should know of.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jobs_core::{Millis, notice};

/// Less than this is nothing to speak of.
const NOTABLE: Duration = Duration::from_secs(1);

/// What was said of it last, in milliseconds; positive if this machine is ahead.
#[derive(Debug, Default)]
pub(crate) struct Skew(AtomicI64);

impl Skew {
    /// Compares this machine's time of day with the store's, and says so if that has changed.
    pub(crate) fn look(&self, here: Millis, store: Millis) {
        if let Some(text) = self.changed(here.0.saturating_sub(store.0)) {
            notice::warn("skew", text);
        }
    }

    fn changed(&self, skew: i64) -> Option<String> {
        let is_notable = |difference: u64| u128::from(difference) > NOTABLE.as_millis();
        if !is_notable(skew.abs_diff(self.0.load(Ordering::Relaxed))) {
            return None;
        }
        self.0.store(skew, Ordering::Relaxed);
        if !is_notable(skew.unsigned_abs()) {
            return Some("this machine's clock agrees with the store's again".to_owned());
        }
        let by = Duration::from_secs(skew.unsigned_abs().div_ceil(1_000));
        let direction = if skew > 0 { "ahead of" } else { "behind" };
        Some(format!("this machine's clock is {by:?} {direction} the store's; ticks follow the store's"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_said_when_it_changes() {
        let skew = Skew::default();
        assert_eq!(skew.changed(900), None);
        let text = "this machine's clock is 420s behind the store's; ticks follow the store's";
        assert_eq!(skew.changed(-420_000).as_deref(), Some(text));
        assert_eq!(skew.changed(-419_500), None, "it is said once");
        assert!(skew.changed(5_000).is_some_and(|text| text.contains("5s ahead of")));
        assert_eq!(skew.changed(3).as_deref(), Some("this machine's clock agrees with the store's again"));
    }
}
