//! Cells: versioned named values.

use jobs_core::{
    Cell, Millis, PAUSES, PutCell, SessionId,
    ledger::{fits, is_live},
};

use super::state::State;

impl State {
    pub(super) fn get(&self, name: &str, now: Millis) -> Option<Cell> {
        self.cells.get(name).filter(|cell| is_live(cell, now)).cloned()
    }

    pub(super) fn list(&self, prefix: &str, now: Millis) -> Vec<(String, Cell)> {
        let from = self.cells.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
        let live = from.filter(|(_, cell)| is_live(cell, now));
        live.map(|(name, cell)| (name.clone(), cell.clone())).collect()
    }

    pub(super) fn put_if(
        &mut self,
        name: &str,
        expected: u64,
        put: PutCell,
        now: Millis,
    ) -> Result<u64, Option<Cell>> {
        let there = self.get(name, now);
        if !fits(there.as_ref(), expected) {
            return Err(there);
        }
        self.put(name, put, now).ok_or(there)
    }

    /// Writes a cell whatever its version; `None` if the session that it would go with has ended.
    pub(super) fn put(&mut self, name: &str, put: PutCell, now: Millis) -> Option<u64> {
        let Some(value) = put.value else {
            self.remove_cell(name);
            self.steers(name);
            return Some(0);
        };
        if put.owner.is_some_and(|owner| !self.sessions.contains_key(&owner)) {
            return None;
        }
        self.remove_cell(name);
        // A number of the namespace: a version that was used is not used again, whatever became of the cell.
        let version = self.number(now).0;
        let expires_at = put.expires_in.map(|wait| now + wait);
        if let Some(at) = expires_at {
            self.expiries.insert((at, name.to_owned()));
        }
        self.cells.insert(name.to_owned(), Cell { version, value, expires_at, owner: put.owner });
        self.steers(name);
        Some(version)
    }

    /// Wakes those who wait for what steers them, if this cell does.
    fn steers(&mut self, name: &str) {
        self.marks.control += u64::from(name.starts_with(PAUSES));
    }

    pub(super) fn remove_cell(&mut self, name: &str) -> Option<Cell> {
        let cell = self.cells.remove(name)?;
        if let Some(at) = cell.expires_at {
            self.expiries.remove(&(at, name.to_owned()));
        }
        Some(cell)
    }

    /// Removes the cells that go with a session.
    pub(super) fn drop_owned(&mut self, session: SessionId) {
        let owned = self.cells.iter().filter(|(_, cell)| cell.owner == Some(session));
        for name in owned.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.remove_cell(&name);
        }
    }

    /// Removes at most `limit` cells that have expired, and says how many.
    pub(super) fn drop_expired(&mut self, limit: usize, now: Millis) -> usize {
        let mut dropped = 0;
        while dropped < limit {
            let Some((_, name)) = self.expiries.first().filter(|(at, _)| *at <= now).cloned() else { break };
            self.remove_cell(&name);
            dropped += 1;
        }
        dropped
    }
}
