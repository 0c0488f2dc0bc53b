//! What an operation has read: facts, each of a kind, as the functions of the schema tell them.

use std::collections::HashMap;

use jobs_core::notice;
use serde::de::DeserializeOwned;
use sqlx::{Row, postgres::PgRow};

use crate::fault::Done;

/// One fact.
#[derive(Debug)]
pub(crate) struct Fact {
    /// What it says, mostly as JSON.
    pub(crate) doc: String,
    /// A payload.
    pub(crate) items: Option<Vec<u8>>,
    /// Where the next page of a query begins.
    pub(crate) cursor: Option<Vec<u8>>,
}

impl Fact {
    /// What it says; `None` with a warning if this version cannot read it, which stops nobody else.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        readable(&self.doc)
    }
}

/// What a text says; `None` with a warning if this version cannot read it.
pub(crate) fn readable<T: DeserializeOwned>(text: &str) -> Option<T> {
    match serde_json::from_str(text) {
        Ok(read) => Some(read),
        Err(error) => {
            let kind = std::any::type_name::<T>();
            notice::warn(
                "record",
                format!("a record in Postgres cannot be read and is left alone: {error} ({kind})"),
            );
            None
        }
    }
}

/// Facts by their kind, each kind in the order in which it was told.
#[derive(Debug, Default)]
pub(crate) struct Facts(HashMap<String, Vec<Fact>>);

impl Facts {
    pub(crate) fn of(rows: &[PgRow]) -> Done<Self> {
        let mut facts = Self::default();
        for row in rows {
            let doc: Option<String> = row.try_get(1)?;
            let Some(doc) = doc else { continue };
            let fact = Fact { doc, items: row.try_get(2)?, cursor: row.try_get(3)? };
            facts.0.entry(row.try_get(0)?).or_default().push(fact);
        }
        Ok(facts)
    }

    /// All of a kind, taken out.
    pub(crate) fn take(&mut self, kind: &str) -> Vec<Fact> {
        self.0.remove(kind).unwrap_or_default()
    }

    /// What all of a kind say, but for those that cannot be read.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, kind: &str) -> Vec<T> {
        self.take(kind).iter().filter_map(Fact::read).collect()
    }

    /// What the only one of a kind says.
    pub(crate) fn one<T: DeserializeOwned>(&mut self, kind: &str) -> Option<T> {
        self.read(kind).pop()
    }

    /// The `id` of each of a kind, whatever else it says.
    pub(crate) fn ids(&self, kind: &str) -> Vec<i64> {
        #[derive(serde::Deserialize)]
        struct Id {
            id: i64,
        }
        let facts = self.0.get(kind).map(Vec::as_slice).unwrap_or_default();
        facts.iter().filter_map(Fact::read::<Id>).map(|id| id.id).collect()
    }

    /// Adds other facts.
    pub(crate) fn add(&mut self, more: Self) {
        for (kind, facts) in more.0 {
            self.0.entry(kind).or_default().extend(facts);
        }
    }

    /// Whether there is one of a kind.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.0.contains_key(kind)
    }
}
