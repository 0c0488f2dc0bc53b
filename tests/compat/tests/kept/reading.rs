//! What was written is read as it was.

use compat::{
    reading::{difference, read},
    story::{FAN, OTHER, links},
    teller::{Told, by_hand},
};

use crate::scene::{NEW, Scene};

pub(crate) async fn what_was_written_is_read(scene: &mut Scene) -> Told {
    for namespace in ["jobs", OTHER] {
        let mut teller = scene.open(0).await;
        if namespace == OTHER {
            teller.enter(OTHER)?;
        }
        let found = read(&mut teller).await?;
        let kept = &scene.kept.reads[namespace];
        if let Some(differs) = difference(kept, &found, 0) {
            return Err(format!("{namespace}{differs}").into());
        }
        // What was kept is all there is.
        assert_eq!(difference(&found["cells"], &kept["cells"], 0), None, "there are no other cells");
        assert_eq!(difference(&found["items"], &kept["items"], 0), None, "there are no other items");
        assert_eq!(difference(&found["ticks"], &kept["ticks"], 0), None, "there are no other schedules");
    }
    Ok(())
}

pub(crate) async fn numbers_go_on_from_the_last_one(scene: &mut Scene) -> Told {
    // The source of numbers is ahead of the clock.
    let mut teller = scene.joined(1, &links(&[FAN])).await;
    let tokens = scene.kept.leases.values().map(|held| held.token.0);
    let last = scene.kept.reads["jobs"]["cells"]["note/ahead"]["version"].as_u64().unwrap();
    assert!(tokens.max() < Some(last), "the story's last number is that of a cell");
    let (run, lease) = teller.fired(NEW, by_hand(FAN, true, 200)).await?;
    assert!(run.number() > last && lease.token.0 > run.number(), "{run} and {:?} are new", lease.token);
    assert!(run.number() < last + 1_000, "the next number of the source is one more than the last");
    Ok(())
}
