//! Bodies: written once, read in slices, deleted whole.

use std::collections::{HashMap, VecDeque};

use jobs_core::{Body, Header};
use rusqlite::{Connection, OptionalExtension};

use crate::{
    fault::Done,
    rows::{parsed, text},
};

/// So many bytes of bodies are remembered.
const KEPT: usize = 16 * 1024 * 1024;

/// Bodies that were written or read lately.
#[derive(Default)]
pub(crate) struct Bodies {
    known: HashMap<i64, Known>,
    order: VecDeque<i64>,
    bytes: usize,
}

/// What is found of a record.
#[derive(Debug)]
pub(crate) enum Found<T> {
    There(T),
    /// It is gone.
    Missing,
    /// This version cannot read it.
    Unreadable,
}

struct Known {
    /// None if this version cannot read it.
    header: Option<Header>,
    whole: Body,
    /// What is left behind the last slice: slices follow one another as a rule.
    rest: Body,
    at: u32,
}

impl Bodies {
    /// Stores a body, and remembers it as long as there is room: what is leased first was written first.
    pub(crate) fn insert(&mut self, conn: &Connection, id: i64, header: &Header, body: &Body) -> Done<()> {
        let json = serde_json::to_string(header)?;
        conn.prepare_cached("INSERT INTO body (id, header, items) VALUES (?1, ?2, ?3)")?.execute((
            id,
            json,
            body.as_bytes(),
        ))?;
        if self.bytes + body.as_bytes().len() <= KEPT / 2 {
            self.know(id, Some(header.clone()), body.clone());
        }
        Ok(())
    }

    /// The header that was stored with a body.
    pub(crate) fn header(&mut self, conn: &Connection, id: i64) -> Done<Found<Header>> {
        if !self.load(conn, id)? {
            return Ok(Found::Missing);
        }
        let header = self.known.get(&id).and_then(|known| known.header.clone());
        Ok(header.map_or(Found::Unreadable, Found::There))
    }

    /// `n` items of a body from `at` on.
    pub(crate) fn slice(&mut self, conn: &Connection, id: i64, at: u32, n: u32) -> Done<Option<Body>> {
        if !self.load(conn, id)? {
            return Ok(None);
        }
        Ok(self.known.get_mut(&id).map(|known| known.slice(at, n)))
    }

    /// Deletes a body.
    pub(crate) fn delete(&mut self, conn: &Connection, id: i64) -> Done<()> {
        if let Some(known) = self.known.remove(&id) {
            self.bytes -= known.whole.as_bytes().len();
        }
        conn.prepare_cached("DELETE FROM body WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    fn load(&mut self, conn: &Connection, id: i64) -> Done<bool> {
        if self.known.contains_key(&id) {
            return Ok(true);
        }
        let mut select = conn.prepare_cached("SELECT header, items FROM body WHERE id = ?1")?;
        let row = |row: &rusqlite::Row<'_>| Ok((text(row, 0)?, row.get::<_, Vec<u8>>(1)?));
        let Some((header, items)) = select.query_row([id], row).optional()? else { return Ok(false) };
        self.know(id, parsed("the header of a body", &header), Body::from_bytes(items));
        Ok(true)
    }

    fn know(&mut self, id: i64, header: Option<Header>, whole: Body) {
        self.bytes += whole.as_bytes().len();
        self.order.push_back(id);
        self.known.insert(id, Known { header, rest: whole.clone(), whole, at: 0 });
        while self.bytes > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            if oldest == id {
                // Whoever asked for it needs it.
                self.order.push_back(oldest);
                break;
            }
            if let Some(known) = self.known.remove(&oldest) {
                self.bytes -= known.whole.as_bytes().len();
            }
        }
        // Deleted ones leave their numbers behind.
        if self.order.len() > 2 * self.known.len() + 64 {
            let Self { known, order, .. } = self;
            order.retain(|id| known.contains_key(id));
        }
    }
}

impl Known {
    fn slice(&mut self, at: u32, n: u32) -> Body {
        if at < self.at {
            (self.rest, self.at) = (self.whole.clone(), 0);
        }
        if at > self.at {
            let _skipped = self.rest.split_to(at - self.at);
        }
        self.at = at + n;
        self.rest.split_to(n)
    }
}
