//! A TCP proxy that can stall, delay, cut and refuse.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::conversation::Conversation;

/// How many pieces may be under way in one direction; a sender that is faster has to wait, as it does for a network.
const UNDER_WAY: usize = 1024;
/// How long a stalled connection sleeps between two looks at whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// A proxy before one server of 127.0.0.1. It passes everything on until it is told otherwise.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: AtomicU16,
    /// Whether the server is one of Postgres, so that round trips can be counted.
    counts: bool,
    round_trips: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stalled: bool,
    refusing: bool,
    closed: bool,
    delay: Duration,
    /// How many connections there have been, and which of them hear nothing any more: those before this one.
    accepted: u64,
    silent_before: u64,
    connections: Vec<TcpStream>,
}

impl State {
    fn holds_back(&self, connection: u64) -> bool {
        !self.closed && (self.stalled || connection < self.silent_before)
    }
}

impl Proxy {
    /// Begins to listen for the server on this port.
    ///
    /// # Errors
    /// If no port is free.
    pub fn start(server: u16) -> io::Result<Self> {
        Self::begin(server, false)
    }

    /// The same before a server of Postgres without TLS, and counts the round trips.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn to_postgres(server: u16) -> io::Result<Self> {
        Self::begin(server, true)
    }

    fn begin(server: u16, counts: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            server: AtomicU16::new(server),
            counts,
            round_trips: AtomicU64::new(0),
            state: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || accepting.accept(&listener));
        Ok(Self { port, shared })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Passes nothing on; connections stay open, and new ones are accepted and hear nothing.
    pub fn stall(&self) {
        self.shared.state().stalled = true;
    }

    /// Passes nothing on for ever by the connections that there are, which stay open: as when the way to a server is
    /// gone without a word. New ones are passed on.
    pub fn silence(&self) {
        let mut state = self.shared.state();
        state.silent_before = state.accepted;
    }

    /// Passes on again, what was held back first.
    pub fn resume(&self) {
        self.shared.state().stalled = false;
    }

    /// How often a client has waited for an answer since the proxy was started, over all connections: two readings
    /// give the round trips of the time between them. A round trip begins with a Sync or a simple Query, and statements
    /// that are sent without a wait between them share one. What a connection takes to log in does not count.
    ///
    /// It is always 0 unless the proxy was started by [`to_postgres`](Self::to_postgres).
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.shared.round_trips.load(Ordering::Acquire)
    }

    /// Lets each byte arrive so much later, in both directions: a round trip takes twice as long. As on a long way, many
    /// pieces are under way at once, so this takes nothing from what passes in a second.
    pub fn delay(&self, by: Duration) {
        self.shared.state().delay = by;
    }

    /// Cuts all connections that there are.
    pub fn cut(&self) {
        for connection in self.shared.state().connections.drain(..) {
            // One that is closed is as good.
            let _closed = connection.shutdown(Shutdown::Both);
        }
    }

    /// Leads to another server from now on, and cuts the connections to the one before.
    pub fn turn_to(&self, server: u16) {
        self.shared.server.store(server, Ordering::Release);
        self.cut();
    }

    /// Closes new connections at once, or accepts them again.
    pub fn refuse(&self, refuse: bool) {
        self.shared.state().refusing = refuse;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.cut();
        // The thread that accepts looks up once more, and ends.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.state().closed {
                return;
            }
            if let Ok(client) = client {
                // One that cannot be served is closed, as a server would.
                let _served = self.clone().serve(client);
            }
        }
    }

    /// Passes on between a client and the server, each direction on a thread of its own.
    fn serve(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.state().refusing {
            return Ok(());
        }
        let server = TcpStream::connect(("127.0.0.1", self.server.load(Ordering::Acquire)))?;
        let mut state = self.state();
        let number = state.accepted;
        state.accepted += 1;
        drop(state);
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            let kept = stream.try_clone()?;
            self.state().connections.push(kept);
        }
        let conversation = Arc::new(Mutex::new(Conversation::default()));
        let ways =
            [(Direction::Asks, client.try_clone()?, server.try_clone()?), (Direction::Hears, server, client)];
        for (direction, from, to) in ways {
            let (sender, receiver) = sync_channel(UNDER_WAY);
            let way = Way { number, direction, shared: self.clone(), conversation: conversation.clone() };
            let (reading, writing) = (way.clone(), way);
            let (source, drain) = (from.try_clone()?, to.try_clone()?);
            thread::spawn(move || reading.read(source, &sender));
            thread::spawn(move || {
                writing.write(drain, &receiver);
                for stream in [from, to] {
                    let _closed = stream.shutdown(Shutdown::Both);
                }
            });
        }
        Ok(())
    }
}

/// Whether it is the client that speaks or that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Asks,
    Hears,
}

/// One direction of a connection.
#[derive(Clone, Debug)]
struct Way {
    number: u64,
    direction: Direction,
    shared: Arc<Shared>,
    conversation: Arc<Mutex<Conversation>>,
}

/// Data under way, and when they arrive.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

impl Way {
    /// Takes in what one side sends.
    fn read(&self, mut from: TcpStream, under_way: &SyncSender<Piece>) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let bytes = buffer[..read].to_vec();
            let due = Instant::now() + self.shared.state().delay;
            if self.counts(Direction::Asks) {
                self.conversation().asks(&bytes);
            }
            if under_way.send(Piece { due, bytes }).is_err() {
                return;
            }
        }
    }

    /// Hands it to the other side, each piece when it is due.
    fn write(&self, mut to: TcpStream, under_way: &Receiver<Piece>) {
        for Piece { due, bytes } in under_way {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            while self.shared.state().holds_back(self.number) {
                thread::sleep(LOOK);
            }
            // Before the client can hear it and ask again.
            if self.counts(Direction::Hears) {
                let ended = self.conversation().hears(&bytes);
                self.shared.round_trips.fetch_add(ended, Ordering::AcqRel);
            }
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
    }

    fn counts(&self, direction: Direction) -> bool {
        self.shared.counts && self.direction == direction
    }

    fn conversation(&self) -> MutexGuard<'_, Conversation> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
