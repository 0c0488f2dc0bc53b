//! All stores give the same answers to the same operations.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use differ::{
    Kind, Places, Sequence,
    sequence::{Played, play},
    shrink::shrink,
};

/// Operations of a sequence.
const OPERATIONS: usize = 150;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Plays so many sequences on memory and on another store.
fn alike(kind: Kind, seeds: std::ops::Range<u64>) {
    let asked = seeds.end - seeds.start;
    let compared = block_on(async {
        let places = Places::default();
        let mut compared = 0;
        for seed in seeds {
            let sequence = Sequence::new(seed, OPERATIONS);
            match play(&places, &sequence, [Kind::Memory, kind]).await.unwrap() {
                Played::Alike | Played::Tied => compared += 1,
                Played::TooSlow => {}
                Played::Differs(difference) => {
                    let (_, difference) = shrink(&places, sequence, *difference).await.unwrap();
                    panic!("`scripts/differ --store {kind} --seed {seed}` differs:\n{difference}");
                }
            }
        }
        compared
    });
    assert!(compared * 2 > asked, "the machine was too slow for most of the sequences");
}

#[test]
#[cfg(feature = "sqlite")]
fn memory_and_sqlite_answer_alike() {
    alike(Kind::Sqlite, 0..150);
}

#[test]
#[cfg(feature = "redis")]
fn memory_and_redis_answer_alike() {
    if servers::is_wanted("redis") {
        alike(Kind::Redis, 1_000..1_050);
    }
}

#[test]
#[cfg(feature = "postgres")]
fn memory_and_postgres_answer_alike() {
    if servers::is_wanted("postgres") {
        alike(Kind::Postgres, 2_000..2_025);
    }
}

#[test]
fn memory_and_a_toy_answer_alike() {
    alike(Kind::Toy, 4_000..4_500);
}

#[test]
fn the_same_sequence_twice_is_answered_alike() {
    alike(Kind::Memory, 3_000..3_100);
}

#[test]
fn a_difference_is_found_and_made_short() {
    let places = Places::default();
    let kinds = [Kind::Memory, Kind::Forgetful];
    let found = block_on(async {
        for seed in 0..50 {
            let sequence = Sequence::new(seed, OPERATIONS);
            if let Played::Differs(difference) = play(&places, &sequence, kinds).await.unwrap() {
                return Some(shrink(&places, sequence, *difference).await.unwrap());
            }
        }
        None
    });
    let (left, difference) = found.unwrap_or_else(|| panic!("a store that forgets priorities differs"));
    assert!(left.0.len() < 20, "{} operations are left:\n{difference}", left.0.len());
    assert_ne!(difference.answers[0], difference.answers[1]);
}
