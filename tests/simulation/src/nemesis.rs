//! What is done to a world, and when.

use std::time::Duration;

use crate::{
    jobs::SCHEDULES,
    log::Build,
    node::{Command, Settings},
    wire::Cut,
};

/// One thing that is done to a world.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Tell(usize, Command),
    /// Cuts nodes off for so long.
    Cut(Cut, Vec<usize>, Duration),
    /// Steps the store's clock by so many milliseconds.
    Step(i64),
    /// Cancels one of the runs that are open, on behalf of a node.
    CancelSome(usize, usize),
}

/// Patterns that are paused, besides single jobs.
pub(crate) const PATTERNS: [&str; 2] = ["sim.*", "*"];

/// Plans what happens, in order. Each seed has its own preferences.
pub(crate) fn plan(
    settings: &Settings,
    nodes: usize,
    length: Duration,
    random: &mut fastrand::Rng,
) -> Vec<(Duration, Deed)> {
    let mut likes = [0_u32; 11];
    likes.iter_mut().for_each(|like| *like = [0, 1, 1, 4][random.usize(..4)]);
    let sum: u32 = likes.iter().sum();
    let mut deeds = Vec::new();
    if sum == 0 {
        return deeds;
    }
    for _ in 0..random.usize(2..20) {
        let at = Duration::from_millis(random.u64(..u64::try_from(length.as_millis()).unwrap_or(1)));
        let mut drawn = random.u32(..sum);
        let kind = likes.iter().position(|like| {
            let hit = drawn < *like;
            drawn = drawn.saturating_sub(*like);
            hit
        });
        deed(kind.unwrap_or(0), at, settings, nodes, random, &mut deeds);
    }
    deeds.sort_by_key(|(at, _)| *at);
    deeds
}

fn deed(
    kind: usize,
    at: Duration,
    settings: &Settings,
    nodes: usize,
    random: &mut fastrand::Rng,
    deeds: &mut Vec<(Duration, Deed)>,
) {
    let node = random.usize(..nodes);
    let lease = u64::try_from(settings.lease.as_millis()).unwrap_or(1_000);
    // From a moment to several leases.
    let some = |random: &mut fastrand::Rng| Duration::from_millis(random.u64(50..lease * 3));
    let job = settings.jobs[random.usize(..settings.jobs.len())];
    let deed = match kind {
        0 => {
            let (gone, down) = (random.bool(), some(random));
            Deed::Tell(node, Command::Crash { life: None, gone, down })
        }
        1 => Deed::Tell(node, Command::Freeze(some(random))),
        2 => Deed::Cut([Cut::Both, Cut::Answers][random.usize(..2)], vec![node], some(random)),
        3 => Deed::Cut(Cut::Both, (0..nodes).collect(), Duration::from_secs(random.u64(1..40))),
        4 => Deed::Step([random.i64(500..20_000), random.i64(20_000..200_000)][random.usize(..2)]),
        5 => Deed::Step(-[random.i64(500..20_000), random.i64(20_000..120_000)][random.usize(..2)]),
        6 => {
            let pattern = [job, job, PATTERNS[0], PATTERNS[1]][random.usize(..4)];
            let later = at + Duration::from_secs(random.u64(1..20));
            deeds.push((later, Deed::Tell(random.usize(..nodes), Command::Resume(pattern))));
            Deed::Tell(node, Command::Pause(pattern))
        }
        7 => Deed::CancelSome(node, random.usize(..100)),
        8 => Deed::Tell(node, Command::Run(job)),
        9 => {
            let (grace, down) = (Duration::from_millis(random.u64(..5_000)), some(random));
            Deed::Tell(node, Command::Restart { grace, down, build: None })
        }
        _ => {
            deploy(at, nodes, random, deeds);
            return;
        }
    };
    deeds.push((at, deed));
}

/// Brings another build to the nodes, one after the other, and perhaps takes it back.
fn deploy(at: Duration, nodes: usize, random: &mut fastrand::Rng, deeds: &mut Vec<(Duration, Deed)>) {
    let build = Build { schedule: random.usize(..SCHEDULES.len()), codec: random.bool() };
    let reached = random.usize(1..=nodes);
    let mut roll = |build, mut at: Duration, random: &mut fastrand::Rng| {
        for node in 0..reached {
            let (grace, down) =
                (Duration::from_millis(random.u64(..3_000)), Duration::from_millis(random.u64(..3_000)));
            deeds.push((at, Deed::Tell(node, Command::Restart { grace, down, build: Some(build) })));
            at += Duration::from_millis(random.u64(..8_000));
        }
        at
    };
    let done = roll(build, at, random);
    if random.bool() {
        roll(Build::default(), done + Duration::from_secs(random.u64(..20)), random);
    }
}
