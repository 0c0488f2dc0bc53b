//! Cells, and what stands in another namespace.

use compat::{
    story::{FAN, FIRST, OTHER, links},
    teller::{Told, numbers, value},
};
use serde_json::json;

use crate::scene::{NEW, Scene};

pub(crate) async fn cells_are_read_and_written(scene: &mut Scene) -> Told {
    let mut teller = scene.open(5).await;
    let version = scene.kept.number("cell/note/plain")?;
    let plain = teller.ask(|store| store.get("note/plain")).await?.expect("it is there");
    assert_eq!(plain.version, version);
    assert_eq!(plain.value["large"], json!(9_007_199_254_740_993_u64));
    assert_eq!(plain.value["text"], json!("日本語 🦀"));
    let refused = teller.ask(|store| store.put_if("note/plain", version - 1, value(json!(1)))).await?;
    assert_eq!(refused, Err(Some(plain)), "the version is another");
    let next = teller.put("note/plain", version, value(json!(2))).await?;
    assert!(next > version, "versions grow");
    let leader = teller.ask(|store| store.get("lock/leader")).await?.expect("it is there");
    assert_eq!((leader.owner, leader.value), (Some(FIRST), json!("old-1")));
    let names = teller.ask(|store| store.list("note/")).await?;
    let names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["note/ahead", "note/effect", "note/expiring", "note/plain"]);
    teller.detach(FIRST).await?;
    assert_eq!(teller.ask(|store| store.get("lock/leader")).await?, None, "it goes with its owner");
    teller.at(3_590, &[]).await?;
    assert!(teller.ask(|store| store.get("note/expiring")).await?.is_some(), "it stays for an hour");
    teller.at(3_600, &[]).await?;
    assert_eq!(teller.ask(|store| store.get("note/expiring")).await?, None, "it stays for an hour");
    Ok(())
}

pub(crate) async fn namespaces_share_nothing(scene: &mut Scene) -> Told {
    let mut teller = scene.open(5).await;
    teller.enter(OTHER)?;
    let plain = teller.ask(|store| store.get("note/plain")).await?.expect("it is there");
    assert_eq!(plain.value, json!("elsewhere"));
    teller.attach(&crate::scene::seat(), &links(&[FAN])).await?;
    let leases = teller.lease(NEW, FAN, 10_000).await?;
    assert_eq!(numbers(&leases), [7, 8, 9]);
    assert!(leases.iter().all(|lease| lease.chunk.header.run() == Some(scene.run("other"))));
    let runs: Vec<_> = teller.runs().await?.into_iter().map(|run| run.id).collect();
    assert_eq!(runs, [scene.run("other")]);
    Ok(())
}
