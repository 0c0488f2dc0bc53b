//! 256 jobs that are due at one instant.

use std::{
    any::TypeId,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jobs_core::{
    Declared, Store,
    descriptor::{self, GroupBlock, Handler, JobDef, Location},
};
use jobs_runner::prelude::*;

const JOBS: usize = 256;
/// The instant is so far away when a runner starts; a start that takes longer is tried again with more.
const AHEAD: [u64; 3] = [5, 20, 60];

/// How late the handlers began, in order.
pub struct Lateness(Vec<Duration>);

impl Lateness {
    /// How late the job is of which so many of a hundred were earlier, in milliseconds; `None` if it has not begun.
    pub fn of(&self, percent: usize) -> Option<u128> {
        let place = (JOBS * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).map(Duration::as_millis)
    }

    /// How many began.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn is_complete(&self) -> bool {
        self.0.len() >= JOBS
    }
}

/// When each handler began, in milliseconds since 1970.
#[derive(Default)]
struct Crowd {
    begun: Mutex<Vec<u128>>,
}

impl Crowd {
    fn begun(&self) -> Vec<u128> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Lets them fire once, and waits until all handlers have begun, or for `patience`. None begins if no runner starts.
pub async fn drive(store: &Arc<dyn Store>, patience: Duration) -> Result<Lateness> {
    for ahead in AHEAD {
        let crowd = Arc::new(Crowd::default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let instant = u128::from(now + ahead) * 1_000;
        let schedule = Timestamp::from_second(i64::try_from(now + ahead)?)?.to_string();
        let options = JobOptions::new().schedule(schedule);
        let builder = Runner::builder().store(store.clone()).provide(crowd.clone()).only(["crowd.*"]);
        let began = Instant::now();
        let starting = builder.configure("crowd.*", options).start();
        let in_time = Duration::from_secs(ahead) - Duration::from_secs(1);
        let Ok(runner) = tokio::time::timeout(in_time, starting).await else { continue };
        let runner = runner?;
        let until = began + Duration::from_secs(ahead) + patience;
        while crowd.begun().len() < JOBS && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let late = |at: u128| u64::try_from(at.saturating_sub(instant)).unwrap_or(u64::MAX);
        let mut lateness: Vec<_> =
            crowd.begun().into_iter().map(|at| Duration::from_millis(late(at))).collect();
        lateness.sort();
        // What does not answer within this is left as it is.
        let _ended = tokio::time::timeout(Duration::from_secs(5), runner.shutdown(Duration::ZERO)).await;
        return Ok(Lateness(lateness));
    }
    Ok(Lateness(Vec::new()))
}

/// As the attribute would register them: with the attribute there would be a method for each.
static DEFS: [JobDef; JOBS] = {
    let mut defs = [const { def("") }; JOBS];
    let mut n = 0;
    while n < JOBS {
        defs[n] = def(match std::str::from_utf8(&NAMES[n]) {
            Ok(name) => name,
            Err(_) => "",
        });
        n += 1;
    }
    defs
};

static NAMES: [[u8; 3]; JOBS] = {
    let mut names = [[b'0'; 3]; JOBS];
    let mut n = 0;
    while n < JOBS {
        names[n] = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    names
};

const HERE: Location = Location { file: file!(), line: line!(), column: 1 };

const fn def(name: &'static str) -> JobDef {
    JobDef {
        name,
        was: None,
        options: Declared::NONE,
        location: HERE,
        item: None,
        handler: Handler::Async(|group, _, _| {
            let crowd = group.clone().downcast::<Crowd>().expect("the instance of the group");
            Ok(Box::pin(async move {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
                crowd.begun.lock().unwrap_or_else(PoisonError::into_inner).push(now);
                Ok(Outcome::Done.into())
            }))
        }),
        query: None,
    }
}

inventory::submit! {
    GroupBlock {
        name: "crowd",
        type_id: || TypeId::of::<Crowd>(),
        type_name: std::any::type_name::<Crowd>,
        default: None,
        shared: descriptor::shared::<Crowd>,
        location: HERE,
        options: Declared::NONE,
        jobs: &DEFS,
    }
}
