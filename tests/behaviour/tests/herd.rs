//! Several nodes that link the same jobs share out their ticks, and nobody waits for one that is not there (DESIGN §7).
#![allow(missing_docs, clippy::unwrap_used)] // A test may panic.

use std::{collections::BTreeMap, time::Duration};

use behaviour::{Log, MINUTE};
use jobs_runner::{Event, prelude::*, testing::Harness};

#[derive(Clone, Default)]
struct Herd {
    by: Log<String>,
}

#[cron_group("herd")]
impl Herd {
    #[job("run", "* * * * *")]
    async fn run(&self, cx: &JobContext) {
        self.by.note(cx.node().to_owned());
    }
}

fn lateness(events: &[Event]) -> Vec<Duration> {
    let late = |event: &Event| match event {
        Event::TickFired { late_by, .. } => Some(*late_by),
        _ => None,
    };
    events.iter().filter_map(late).collect()
}

#[tokio::test]
async fn every_node_fires_its_share_and_none_is_late() -> Result<()> {
    let herd = Herd::default();
    let t = Harness::new().nodes(4).provide(herd.clone()).start().await?;
    // They have met when each has looked around once.
    t.advance(MINUTE).await;
    let met = herd.by.len();
    t.advance(400 * MINUTE).await;
    let late = lateness(&t.events());
    assert_eq!(late.len(), met + 400, "every tick fires once");
    assert!(late.iter().all(|late| *late <= Duration::from_millis(1)), "whoever's turn is first is there");
    let mut shares = BTreeMap::<_, u32>::new();
    for node in &herd.by.all()[met..] {
        *shares.entry(node.clone()).or_default() += 1;
    }
    assert!(shares.len() == 4 && shares.values().all(|share| (70..130).contains(share)), "{shares:?}");
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_gone_costs_a_turn_and_only_until_it_is_missed() -> Result<()> {
    let herd = Herd::default();
    let t = Harness::new().nodes(3).provide(herd.clone()).start().await?;
    t.advance(3 * MINUTE).await;
    t.crash("a").await;
    t.crash("b").await;
    let before = lateness(&t.events()).len();
    t.advance(100 * MINUTE).await;
    let late = &lateness(&t.events())[before..];
    assert_eq!(late.len(), 100, "every tick fires once");
    assert!(late[0] <= Duration::from_millis(101), "two turns at most: {:?}", late[0]);
    assert!(late[1..].iter().all(|late| *late <= Duration::from_millis(1)), "{late:?}");
    assert!(herd.by.all()[before..].iter().all(|node| node == "c"));
    Ok(())
}
