//! A sequence of operations, played on two stores.

use std::fmt;

use fastrand::Rng;
use jobs_conformance::call::{Answer, Call, perform};
use jobs_core::{BoxError, DeadFilter, Lease, Millis, Reply, RunFilter, Stage, StoreError};

use crate::{
    canonical::canonical,
    draw::{self, Next},
    names::Names,
    open,
    places::{Kind, Place, Places},
    time,
    view::View,
    world::JOBS,
};

/// A store that took longer than this for an operation is not compared: its clock has run on too far.
const SLOW: i64 = 400;

/// Operations, each as the seed that it is drawn from. One that is left out changes what the others are drawn from, and
/// what is left is a sequence again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence(pub Vec<u64>);

impl Sequence {
    /// So many operations, drawn from a seed.
    #[must_use]
    pub fn new(seed: u64, operations: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self((0..operations).map(|_| rng.u64(..)).collect())
    }
}

/// Two stores that answered differently.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The stores.
    pub kinds: [Kind; 2],
    /// What was asked before, in common names, each with when it was.
    pub before: Vec<(Millis, String)>,
    /// What they were asked.
    pub asked: String,
    /// What they answered.
    pub answers: [String; 2],
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, asked) in &self.before {
            writeln!(f, "{at}  {asked}")?;
        }
        writeln!(f, "asked     {}", self.asked)?;
        let [one, other] = &self.answers;
        let alike = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
        for (kind, answer) in self.kinds.iter().zip(&self.answers) {
            writeln!(f, "{:<9} {answer}", kind.to_string())?;
        }
        for (kind, answer) in self.kinds.iter().zip(&self.answers) {
            let differs: String = answer.chars().skip(alike.saturating_sub(80)).take(240).collect();
            writeln!(f, "{:<9} .. {differs} ..", kind.to_string())?;
        }
        Ok(())
    }
}

/// What came of playing a sequence.
#[derive(Debug)]
pub enum Played {
    /// All answers were alike.
    Alike,
    /// Some were not.
    Differs(Box<Difference>),
    /// They were alike until items tied of which any may be leased first; what follows cannot be compared.
    Tied,
    /// The machine was too busy: an operation took so long that times cannot be compared.
    TooSlow,
}

/// One of the two stores.
struct Side {
    kind: Kind,
    place: Box<dyn Place>,
    names: Names,
}

/// Plays a sequence on two stores.
///
/// # Errors
/// If a place cannot be opened.
pub async fn play(places: &Places, sequence: &Sequence, kinds: [Kind; 2]) -> Result<Played, BoxError> {
    let mut game = Game {
        sides: [side(places, kinds[0]).await?, side(places, kinds[1]).await?],
        // The toy renames no jobs.
        view: View { renames: !kinds.contains(&Kind::Toy), ..View::default() },
        now: Millis(time::START + time::AT),
        before: Vec::new(),
    };
    for seed in &sequence.0 {
        match draw::next(&mut Rng::with_seed(*seed), &mut game.view, game.now.0) {
            Next::Reconnect => {
                for side in &mut game.sides {
                    side.place.reconnect().await?;
                }
            }
            Next::Call { later, call } => {
                game.now = Millis(game.now.0 + later);
                if let Some(played) = game.ask(*call).await {
                    return Ok(played);
                }
            }
        }
    }
    Ok(game.read_all().await.unwrap_or(Played::Alike))
}

async fn side(places: &Places, kind: Kind) -> Result<Side, BoxError> {
    Ok(Side { kind, place: places.open(kind).await?, names: Names::default() })
}

struct Game {
    sides: [Side; 2],
    view: View,
    now: Millis,
    before: Vec<(Millis, String)>,
}

impl Game {
    /// Asks both stores. What comes of it, if the sequence is over with it.
    async fn ask(&mut self, call: Call) -> Option<Played> {
        let [one, other] = &mut self.sides;
        let first = one.answer(&call, self.now).await;
        let second = other.answer(&call, self.now).await;
        if [&first, &second].iter().any(|answer| answer.is_late()) {
            return Some(Played::TooSlow);
        }
        let [first, second] = [first, second].map(|answer| answer.equal(&call, &self.view));
        if first != second && first.ties(&second) {
            return Some(Played::Tied);
        }
        if first != second {
            let difference = Difference {
                kinds: [one.kind, other.kind],
                before: std::mem::take(&mut self.before),
                asked: format!("{}  {call:?}", self.now),
                answers: [first, second].map(|answer| format!("{answer:?}")),
            };
            return Some(Played::Differs(Box::new(difference)));
        }
        if let Told::Answer(answer) = &first {
            self.view.note(&call, answer);
        }
        self.before.push((self.now, format!("{call:?}\n{:28}-> {first:?}", "")));
        None
    }

    /// Compares all that can be read.
    async fn read_all(&mut self) -> Option<Played> {
        let mut calls = vec![
            Call::Jobs,
            Call::Runs(RunFilter::new().limit(10_000)),
            Call::Dead(DeadFilter::new().limit(10_000)),
            Call::Sessions,
            Call::List(String::new()),
            Call::Completable(10_000),
        ];
        calls.extend(JOBS.iter().map(|job| Call::Ticks((*job).to_owned(), 10_000)));
        calls.extend(self.view.runs.iter().map(|run| Call::Items(*run, 10_000)));
        for call in calls {
            let played = self.ask(call).await;
            if played.is_some() {
                return played;
            }
        }
        None
    }
}

/// What a store answered.
#[derive(Debug)]
enum Told {
    Answer(Answer),
    Error(StoreError),
    Late,
}

impl Side {
    async fn answer(&mut self, call: &Call, now: Millis) -> Told {
        self.names.asked(call);
        let actual = self.names.actual(call);
        match perform(&*self.place.at(now), actual).await {
            Ok(Reply { now: at, .. }) if at < now || at.0 - now.0 > SLOW => Told::Late,
            Ok(Reply { value, .. }) => Told::Answer(canonical(&mut self.names, value)),
            Err(error) => Told::Error(error),
        }
    }
}

impl Told {
    fn is_late(&self) -> bool {
        matches!(self, Self::Late)
    }

    fn equal(self, call: &Call, view: &View) -> Self {
        match self {
            Self::Answer(answer) => Self::Answer(open::equal(call, view, answer)),
            other => other,
        }
    }
}

impl Told {
    /// Whether the first item that is another one has the same rank: a rank is all that orders the items of different queues,
    /// so which of those that tie are leased is open, and with it what there is still room for. So is the order of what one
    /// query found while a clock was set back.
    fn ties(&self, other: &Self) -> bool {
        let items = |told: &Self| -> Vec<_> {
            let Self::Answer(Answer::Settle(settled)) = told else { return Vec::new() };
            let of_lease = |lease: &Lease| {
                let (header, count) = (lease.chunk.header.clone(), lease.chunk.count());
                let found = (header.number, header.fresh && header.stage == Stage::Work);
                (0..count).map(move |n| (header.rank(), found, (header.item(n), header.stage)))
            };
            settled.leases.iter().flat_map(of_lease).collect()
        };
        let (these, those) = (items(self), items(other));
        let first = these.iter().zip(&those).find(|((.., this), (.., that))| this != that);
        first.is_some_and(|((rank, found, _), (other, too, _))| rank == other || (found == too && found.1))
    }
}

impl PartialEq for Told {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answer(one), Self::Answer(other)) => one == other,
            (Self::Error(one), Self::Error(other)) => {
                std::mem::discriminant(one) == std::mem::discriminant(other)
            }
            (Self::Late, Self::Late) => true,
            _ => false,
        }
    }
}
