//! Nothing is shared between two namespaces of one store.

use std::time::Duration;

use jobs_runner::{Client, ClientError, MemoryStore, Runner, StartProblem, StoreError, prelude::*};

#[derive(Default)]
struct Tenant;

#[cron_group("tenant")]
impl Tenant {
    #[job("bill")]
    async fn bill(&self) {}
}

async fn runner(store: &MemoryStore, namespace: &str) -> Result<Runner> {
    let builder = Runner::builder().store(store.clone()).namespace(namespace).only(["tenant.*"]);
    Ok(builder.node(namespace).start().await?)
}

#[tokio::test]
async fn a_run_is_seen_in_its_own_namespace_alone() -> Result<()> {
    let store = MemoryStore::new();
    let here = runner(&store, "here").await?;
    let report = here.run(Tenant::BILL).await?.wait().await?;

    let client = Client::connect(store).await?;
    assert_eq!(client.clone().with_namespace("here").report(report.id).await?, report);
    let there = client.clone().with_namespace("there");
    assert!(matches!(there.report(report.id).await, Err(ClientError::NotFound { .. })));
    assert_eq!(there.jobs().await?, []);
    assert_eq!(client.jobs().await?, [], "the default namespace is another one too");
    here.shutdown(Duration::from_secs(1)).await?;
    Ok(())
}

#[tokio::test]
async fn a_pause_holds_in_its_own_namespace_alone() -> Result<()> {
    let store = MemoryStore::new();
    let (a, b) = (runner(&store, "a").await?, runner(&store, "b").await?);
    a.client().pause("*", "moving").await?;
    assert!(matches!(a.run(Tenant::BILL).await, Err(ClientError::Paused { .. })));
    b.run(Tenant::BILL).await?.wait().await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_cannot_be_is_refused() -> Result<()> {
    for bad in ["", "a b", "a/b"] {
        let client = Client::connect(MemoryStore::new()).await?.with_namespace(bad);
        let error = client.jobs().await.unwrap_err();
        assert!(matches!(&error, ClientError::Store(StoreError::BadUrl { .. })), "{bad:?}: {error}");
        let error = Runner::builder().namespace(bad).only(["tenant.*"]).start().await.unwrap_err();
        assert!(
            matches!(error.problems(), [StartProblem::Store(StoreError::BadUrl { .. })]),
            "{bad:?}: {error}"
        );
    }
    assert!(Client::connect("memory:?namespace=a").await.is_ok());
    assert!(matches!(Client::connect("memory:?namespace=a%20b").await, Err(StoreError::BadUrl { .. })));
    assert!(matches!(Client::connect("memory:?durability=full").await, Err(StoreError::BadUrl { .. })));
    Ok(())
}
