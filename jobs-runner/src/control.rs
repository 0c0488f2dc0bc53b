//! The control plane: pauses, and what the code says of them.

use jobs_core::{Link, PutCell, Store, StoreError, pause_cell};
use serde_json::{Value, json};

/// The note of a job that the code disables.
pub(crate) const DISABLED: &str = "disabled in code";

/// What the names of the cells begin with that remember which jobs the code disabled last.
const ENABLED: &str = "enabled/";

/// Pauses a pattern; one that is paused gets the new note.
pub(crate) async fn pause(store: &dyn Store, pattern: &str, note: &str) -> Result<(), StoreError> {
    write(store, &pause_cell(pattern), |_| Some(Some(json!({ "note": note })))).await
}

/// Lifts the pause of a pattern.
pub(crate) async fn resume(store: &dyn Store, pattern: &str) -> Result<(), StoreError> {
    write(store, &pause_cell(pattern), |there| there.map(|_| None)).await
}

/// Brings `enabled` into force where it has changed in the code: false, when new, pauses; true, when new, lifts that
/// pause only. Until the code changes again the store rules.
pub(crate) async fn obey_code(store: &dyn Store, links: &[Link]) -> Result<(), StoreError> {
    let disabled: Vec<String> = store.list(ENABLED).await?.value.into_iter().map(|(name, _)| name).collect();
    for link in links {
        let name = format!("{ENABLED}{}", link.job);
        let was_enabled = !disabled.contains(&name);
        if was_enabled == link.enabled {
            continue;
        }
        let pause = pause_cell(&link.job);
        if link.enabled {
            let lift = |there: Option<&Value>| there.filter(|cell| cell["note"] == DISABLED).map(|_| None);
            write(store, &pause, lift).await?;
            write(store, &name, |there| there.map(|_| None)).await?;
        } else {
            let add = |there: Option<&Value>| there.is_none().then(|| Some(json!({ "note": DISABLED })));
            write(store, &pause, add).await?;
            write(store, &name, |_| Some(Some(Value::Bool(false)))).await?;
        }
    }
    Ok(())
}

/// Changes a cell by compare-and-set: `change` sees what is there and says what is to be (`None`: it stays).
async fn write(
    store: &dyn Store,
    name: &str,
    change: impl Fn(Option<&Value>) -> Option<Option<Value>>,
) -> Result<(), StoreError> {
    let mut there = store.get(name).await?.value;
    while let Some(value) = change(there.as_ref().map(|cell| &cell.value)) {
        let version = there.as_ref().map_or(0, |cell| cell.version);
        match store.put_if(name, version, PutCell { value, ..PutCell::default() }).await?.value {
            Ok(_) => return Ok(()),
            Err(other) => there = other,
        }
    }
    Ok(())
}
