//! In which order several nodes try the same tick, without speaking to each other.

use jiff::Timestamp;

use crate::fingerprint::hash;

/// The weight of a node for a tick of a schedule: of several nodes, the one with the highest tries it first.
///
/// That is rendezvous hashing ([Thaler and Ravishankar 1998](https://doi.org/10.1109/90.663936)): every node finds the
/// same order by itself, ticks are shared out evenly, and when a node comes or goes the order of the others stays. The
/// hash is versioned and will not change: two builds of a rolling deployment agree.
///
/// ```
/// use jobs_schedule::rendezvous::weight;
///
/// let tick: jiff::Timestamp = "2026-01-01T00:00:00Z".parse()?;
/// assert_ne!(weight(1, "digest.send", tick), weight(2, "digest.send", tick));
/// assert_eq!(weight(1, "digest.send", tick), weight(1, "digest.send", tick));
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn weight(node: u64, schedule_id: &str, tick: Timestamp) -> u64 {
    let (node, millis) = (node.to_le_bytes(), tick.as_millisecond().to_le_bytes());
    hash(&[b"rendezvous v1", &node, schedule_id.as_bytes(), &millis])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_shared_out_evenly_and_the_order_of_the_others_stays() {
        let first = |nodes: &[u64], tick: i64| {
            let tick = Timestamp::from_second(tick).unwrap();
            nodes.iter().copied().max_by_key(|node| weight(*node, "digest.send", tick)).unwrap()
        };
        let mut firsts = [0_u32; 4];
        for tick in 0..4_000 {
            let of_four = first(&[0, 1, 2, 3], tick);
            firsts[usize::try_from(of_four).unwrap()] += 1;
            let of_three = first(&[0, 1, 2], tick);
            assert!(of_four == 3 || of_four == of_three, "only what the fourth had goes to others");
        }
        assert!(firsts.iter().all(|count| (850..1_150).contains(count)), "{firsts:?}");
    }
}
