//! The network between one node and the store, and what it does to a call.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use crate::log::{Change, Fault, Log, What, lock};

/// The network between one node and the store.
pub(crate) struct Wire {
    pub(crate) log: Arc<Log>,
    pub(crate) node: usize,
    /// No hints come through: the node has to poll.
    deaf: bool,
    weather: Weather,
    random: Mutex<fastrand::Rng>,
    /// A [`Cut`].
    cut: AtomicU8,
    calm: AtomicBool,
}

/// Which way nothing passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cut {
    Neither,
    /// Calls arrive, and their answers do not.
    Answers,
    Both,
}

/// How often calls go wrong, in a thousand, and how long things take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) refused: u32,
    pub(crate) reply_lost: u32,
    pub(crate) late_reply: u32,
    pub(crate) delayed: u32,
    /// The longest that anything takes.
    pub(crate) longest: u64,
    /// The latency of a call that goes well, in milliseconds.
    pub(crate) latency: u64,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Through { before: Duration, after: Duration },
    Refused { after: Duration },
    ReplyLost { before: Duration, after: Duration },
    Delayed { gives_up: Duration, arrives: Duration },
}

impl Weather {
    /// From fair to foul.
    pub(crate) fn of(random: &mut fastrand::Rng) -> Self {
        let latency = [0, 2, 15][random.usize(..3)];
        let longest = [400, 4_000, 20_000][random.usize(..3)];
        let share = match random.u32(..4) {
            0 => return Self { latency, longest, ..Self::default() },
            1 => 5,
            2 => 20,
            _ => 60,
        };
        let mut some = || random.u32(..=share);
        Self { refused: some(), reply_lost: some(), late_reply: some(), delayed: some(), longest, latency }
    }
}

impl Wire {
    pub(crate) fn new(
        log: Arc<Log>,
        node: usize,
        weather: Weather,
        deaf: bool,
        random: fastrand::Rng,
    ) -> Self {
        let (cut, calm) = (AtomicU8::new(Cut::Neither as u8), AtomicBool::new(false));
        Self { log, node, deaf, weather, random: Mutex::new(random), cut, calm }
    }

    /// Cuts the node off, one way or both, or joins it again.
    pub(crate) fn cut(&self, cut: Cut) {
        if self.cut.swap(cut as u8, Ordering::Relaxed) != cut as u8 {
            self.log.node(self.node, if cut == Cut::Neither { Change::Joined } else { Change::Cut });
        }
    }

    /// Whether the node hears nothing.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed) != Cut::Neither as u8
    }

    pub(crate) fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        self.cut(Cut::Neither);
        self.calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn fate(&self, op: &'static str) -> Fate {
        let mut random = lock(&self.random);
        let millis = |random: &mut fastrand::Rng, most: u64| Duration::from_millis(random.u64(..=most));
        let latency = self.weather.latency;
        if self.calm.load(Ordering::Relaxed) {
            return Fate::Through { before: Duration::ZERO, after: millis(&mut random, latency) };
        }
        if self.is_cut() {
            let after = Duration::from_millis(random.u64(100..2_000));
            if self.cut.load(Ordering::Relaxed) == Cut::Answers as u8 {
                self.say(op, Fault::Unanswered, after);
                return Fate::ReplyLost { before: millis(&mut random, latency), after };
            }
            self.say(op, Fault::CutOff, after);
            return Fate::Refused { after };
        }
        let Weather { refused, reply_lost, late_reply, delayed, longest, .. } = self.weather;
        let (before, after) = (millis(&mut random, latency), millis(&mut random, latency));
        let long = millis(&mut random, longest);
        let mut drawn = random.u32(..1_000);
        let mut falls = |share: u32| {
            let falls = drawn < share;
            drawn = drawn.saturating_sub(share);
            falls
        };
        if falls(refused) {
            self.say(op, Fault::Refused, long);
            Fate::Refused { after: long }
        } else if falls(reply_lost) {
            self.say(op, Fault::ReplyLost, before + long);
            Fate::ReplyLost { before, after: long }
        } else if falls(late_reply) {
            self.say(op, Fault::LateReply, before + long);
            Fate::Through { before, after: long }
        } else if falls(delayed) {
            self.say(op, Fault::Delayed, long);
            Fate::Delayed { gives_up: long, arrives: long + millis(&mut random, longest) }
        } else {
            Fate::Through { before, after }
        }
    }

    fn say(&self, op: &'static str, fault: Fault, lasts: Duration) {
        let until = self.log.clock.at() + u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        self.log.add(What::Fault { node: self.node, op, fault, until });
    }
}
