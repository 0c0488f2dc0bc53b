//! Cells: versioned named values.

use jobs_core::{Cell, Millis, PutCell, SessionId};

use super::state::State;

impl State {
    pub(super) fn get(&self, name: &str, now: Millis) -> Option<Cell> {
        self.cells.get(name).filter(|cell| is_live(cell, now)).cloned()
    }

    pub(super) fn list(&self, prefix: &str, now: Millis) -> Vec<(String, Cell)> {
        let from = self.cells.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
        from.filter(|(_, cell)| is_live(cell, now)).map(|(name, cell)| (name.clone(), cell.clone())).collect()
    }

    pub(super) fn put_if(
        &mut self,
        name: &str,
        expected: u64,
        put: PutCell,
        now: Millis,
    ) -> Result<u64, Option<Cell>> {
        let there = self.get(name, now);
        if there.as_ref().map_or(0, |cell| cell.version) != expected {
            return Err(there);
        }
        Ok(self.put(name, expected, put, now))
    }

    pub(super) fn put(&mut self, name: &str, version: u64, put: PutCell, now: Millis) -> u64 {
        self.marks.control += 1;
        let Some(value) = put.value else {
            self.cells.remove(name);
            return 0;
        };
        let (version, expires_at) = (version + 1, put.expires_in.map(|wait| now + wait));
        self.cells.insert(name.to_owned(), Cell { version, value, expires_at, owner: put.owner });
        version
    }

    pub(super) fn drop_owned(&mut self, session: SessionId) {
        self.cells.retain(|_, cell| cell.owner != Some(session));
    }
}

fn is_live(cell: &Cell, now: Millis) -> bool {
    cell.expires_at.is_none_or(|at| now < at)
}
