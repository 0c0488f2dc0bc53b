//! How long to wait before a retry.

use std::time::Duration;

use crate::Backoff;

/// The waits between the attempts of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// How they grow.
    pub backoff: Backoff,
    /// The least wait before the first retry.
    pub retry_delay: Duration,
    /// The longest wait.
    pub max_retry_delay: Duration,
}

impl Waits {
    /// The wait before retry `n`, counted from 1: min(`max_retry_delay`, `retry_delay` × {2ⁿ⁻¹, n, 1}) × a factor
    /// in [1, 1.25) that `random` picks, then cut at the cap. So jitter only adds, and never past the cap.
    #[must_use]
    pub fn before(&self, n: u32, random: u64) -> Duration {
        let times = match self.backoff {
            Backoff::Exponential => 1_u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX),
            Backoff::Linear => n,
            Backoff::Fixed => 1,
        };
        let wait = self.retry_delay.saturating_mul(times).min(self.max_retry_delay);
        // The top 32 bits as a share of a quarter: `wait` is at most some hundred years, so nothing overflows.
        let quarter = (wait.as_nanos() / 4 * u128::from(random >> 32)) >> 32;
        let jitter = Duration::from_nanos(u64::try_from(quarter).unwrap_or(u64::MAX));
        wait.saturating_add(jitter).min(self.max_retry_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(backoff: Backoff) -> Waits {
        Waits { backoff, retry_delay: Duration::from_secs(10), max_retry_delay: Duration::from_secs(100) }
    }

    #[test]
    fn waits_grow_as_the_word_says() {
        let seconds = |b| (1..=6).map(|n| waits(b).before(n, 0).as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds(Backoff::Exponential), [10, 20, 40, 80, 100, 100]);
        assert_eq!(seconds(Backoff::Linear), [10, 20, 30, 40, 50, 60]);
        assert_eq!(seconds(Backoff::Fixed), [10; 6]);
    }

    #[test]
    fn jitter_adds_less_than_a_quarter_and_is_cut_at_the_cap() {
        let most = |n| waits(Backoff::Exponential).before(n, u64::MAX);
        assert!(most(1) > Duration::from_millis(12_499) && most(1) < Duration::from_millis(12_500));
        assert!(most(4) < Duration::from_secs(100), "80 s × less than 1.25");
        assert_eq!(most(5), Duration::from_secs(100));
    }

    #[test]
    fn no_number_of_retries_overflows() {
        for n in [0, 1, 31, 32, 33, u32::MAX] {
            for backoff in [Backoff::Exponential, Backoff::Linear, Backoff::Fixed] {
                let endless = Waits { retry_delay: Duration::MAX, max_retry_delay: Duration::MAX, backoff };
                assert_eq!(endless.before(n.max(1), u64::MAX), Duration::MAX);
                assert!(waits(backoff).before(n, u64::MAX) <= Duration::from_secs(100));
            }
        }
    }
}
