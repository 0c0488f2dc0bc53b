//! A TCP proxy that can stall, delay, cut and refuse.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::Duration,
};

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
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { server: AtomicU16::new(server), state: Mutex::default() });
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

    /// Holds back each piece of data for so long, in both directions.
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
        for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
            let shared = self.clone();
            thread::spawn(move || shared.pass(number, from, to));
        }
        Ok(())
    }

    fn pass(&self, number: u64, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(read) = from.read(&mut piece) {
            let delay = self.state().delay;
            thread::sleep(delay);
            while self.state().holds_back(number) {
                thread::sleep(LOOK);
            }
            if read == 0 || to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        for stream in [from, to] {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }
}
