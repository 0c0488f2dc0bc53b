//! Sessions as the database keeps them.

use std::{sync::Arc, time::Duration};

use jobs_core::{Link, Millis, Node, SessionId, SessionRecord, ledger};
use serde::Deserialize;

use crate::{
    facts::readable,
    fault::Done,
    records::{LinkWrite, SessionWrite},
};

#[derive(Deserialize)]
pub(crate) struct SessionRow {
    pub(crate) id: i64,
    session: i64,
    lease: i64,
    until: i64,
    connected_at: i64,
    node: String,
    past: String,
    /// How many items it holds.
    #[serde(default)]
    held: i64,
    /// How many leases it holds.
    #[serde(default)]
    pub(crate) leases: i64,
}

impl SessionRow {
    /// The session. A node that cannot be read is one without a name: its session lives and ends as any other.
    pub(crate) fn session(&self) -> ledger::Session {
        ledger::Session {
            id: SessionId(self.session.cast_unsigned()),
            lease: Duration::from_millis(self.lease.cast_unsigned()),
            until: Millis(self.until),
            connected_at: Millis(self.connected_at),
            node: readable::<Node>(&self.node).unwrap_or_default(),
            past: readable::<Vec<(Arc<str>, Millis)>>(&self.past).unwrap_or_default(),
        }
    }

    pub(crate) fn record(&self) -> SessionRecord {
        let ledger::Session { id, node, until, .. } = self.session();
        SessionRecord { session: id, node, holds: self.held.cast_unsigned(), until }
    }
}

/// A session as it is written.
pub(crate) fn written(session: &ledger::Session) -> Done<SessionWrite> {
    let ledger::Session { id, lease, until, connected_at, node, past } = session;
    Ok(SessionWrite {
        session: session_key(*id),
        lease: i64::try_from(lease.as_millis()).unwrap_or(i64::MAX),
        until: until.0,
        connected_at: connected_at.0,
        node: serde_json::to_string(node)?,
        // Text of Postgres has no zero byte.
        node_name: node.name.replace('\0', ""),
        build: node.build.replace('\0', ""),
        past: serde_json::to_string(past)?,
    })
}

/// What a session links, each job once.
pub(crate) fn links(links: &[Link]) -> Done<Vec<LinkWrite>> {
    let by_job: std::collections::BTreeMap<_, _> = links.iter().map(|link| (&link.job, link)).collect();
    let written = |link: &Link| {
        Ok(LinkWrite {
            job: link.job.to_string(),
            fingerprint: link.schedule.as_ref().map(|declared| declared.fingerprint.to_string()),
            link: serde_json::to_string(link)?,
        })
    };
    by_job.into_values().map(written).collect()
}

/// The key of a session, for statements.
pub(crate) fn session_key(session: SessionId) -> i64 {
    session.0.cast_signed()
}
