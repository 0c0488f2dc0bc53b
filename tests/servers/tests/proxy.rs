//! What a proxy says of the way to a server: how long it is, and how often it was gone.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use servers::{postgres, proxy::Proxy, redis};

const DELAY: Duration = Duration::from_millis(50);

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// A connection to Redis that is a delay away, each way.
fn far_redis() -> (redis::Server, Proxy, TcpStream) {
    let server = redis::Server::start(redis::Options::new()).unwrap();
    let proxy = Proxy::start(server.port()).unwrap();
    let mut stream = connect(proxy.port());
    stream.write_all(b"PING\r\n").unwrap();
    stream.read_exact(&mut [0; 7]).unwrap();
    proxy.delay(DELAY);
    (server, proxy, stream)
}

#[test]
fn a_delay_is_what_a_round_trip_takes_and_hardly_more() {
    let (_server, proxy, mut stream) = far_redis();
    let mut took = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        stream.write_all(b"PING\r\n").unwrap();
        stream.read_exact(&mut [0; 7]).unwrap();
        took.push(begun.elapsed());
    }
    took.sort();
    assert!(took[0] >= 2 * DELAY, "{took:?}");
    // Another process may have the processor for a moment, but not each time.
    assert!(took[0] < 2 * DELAY + Duration::from_millis(2), "{took:?}");
    proxy.delay(Duration::ZERO);
    let begun = Instant::now();
    stream.write_all(b"PING\r\n").unwrap();
    stream.read_exact(&mut [0; 7]).unwrap();
    assert!(begun.elapsed() < DELAY);
}

#[test]
fn pieces_are_under_way_together() {
    let (_server, _proxy, mut stream) = far_redis();
    let begun = Instant::now();
    for _ in 0..100 {
        stream.write_all(b"PING\r\n").unwrap();
        // A piece of its own for each.
        thread::sleep(Duration::from_millis(2));
    }
    stream.read_exact(&mut [0; 700]).unwrap();
    let took = begun.elapsed();
    assert!(took >= 2 * DELAY && took < 20 * DELAY, "one after the other they take 100 delays: {took:?}");
}

#[test]
fn a_long_way_takes_nothing_from_what_passes_in_a_second() {
    const SIZE: usize = 32 * 1024 * 1024;
    let (_server, _proxy, mut stream) = far_redis();
    let begun = Instant::now();
    write!(stream, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n${SIZE}\r\n").unwrap();
    stream.write_all(&vec![b'x'; SIZE]).unwrap();
    stream.write_all(b"\r\n").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    let took = begun.elapsed();
    assert!(took < 100 * DELAY, "one delay per piece of 64 KiB is 512 of them: {took:?}");
}

/// A client that speaks the protocol of Postgres itself.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn connect(port: u16) -> Self {
        let mut client = Self { stream: connect(port) };
        // It asks for encryption first, as most do.
        client.stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
        let mut refused = [0];
        client.stream.read_exact(&mut refused).unwrap();
        assert_eq!(&refused, b"N");
        let mut hello = 196_608_u32.to_be_bytes().to_vec();
        hello.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
        client.send(&message(None, &hello));
        client.until_ready();
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn until_ready(&mut self) {
        loop {
            let mut header = [0; 5];
            self.stream.read_exact(&mut header).unwrap();
            let length = u32::from_be_bytes(header[1..].try_into().unwrap());
            self.stream.read_exact(&mut vec![0; length as usize - 4]).unwrap();
            if header[0] == b'Z' {
                return;
            }
        }
    }
}

fn message(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend_from_slice(body);
    message
}

fn query(text: &str) -> Vec<u8> {
    message(Some(b'Q'), format!("{text}\0").as_bytes())
}

/// A statement of the extended protocol, in several messages, without and with the Sync at its end.
fn statement(text: &str, sync: bool) -> Vec<u8> {
    let parse = message(Some(b'P'), format!("\0{text}\0\0\0").as_bytes());
    let bind = message(Some(b'B'), b"\0\0\0\0\0\0\0\0");
    let execute = message(Some(b'E'), b"\0\0\0\0\0");
    let sync = if sync { message(Some(b'S'), b"") } else { Vec::new() };
    [parse, bind, execute, sync].concat()
}

#[test]
fn a_round_trip_is_a_wait_for_an_answer() {
    let server = postgres::Server::start(postgres::Options::new()).unwrap();
    let proxy = Proxy::to_postgres(server.port()).unwrap();
    let mut client = Client::connect(proxy.port());
    assert_eq!(proxy.round_trips(), 0, "to log in does not count");

    client.send(&query("SELECT 1; SELECT 2"));
    client.until_ready();
    assert_eq!(proxy.round_trips(), 1);
    client.send(&statement("SELECT 1", false));
    client.send(&statement("SELECT 2", true));
    client.until_ready();
    assert_eq!(proxy.round_trips(), 2, "it waits once for two statements");
    client.send(&statement("SELECT * FROM nothing", true));
    client.until_ready();
    assert_eq!(proxy.round_trips(), 3, "an error is an answer");
    // More than one piece, and a message that is split anywhere.
    for piece in query(&format!("SELECT '{}'", "x".repeat(200_000))).chunks(30_001) {
        client.send(piece);
        thread::sleep(Duration::from_millis(2));
    }
    client.until_ready();
    for byte in statement("SELECT 1", true) {
        client.send(&[byte]);
    }
    client.until_ready();
    assert_eq!(proxy.round_trips(), 5);

    // The way is so long that an answer is under way when the next question is sent, which did not wait for it.
    proxy.delay(DELAY);
    client.send(&query("SELECT 1"));
    thread::sleep(DELAY + DELAY / 2);
    client.send(&query("SELECT 2"));
    client.until_ready();
    client.until_ready();
    assert_eq!(proxy.round_trips(), 6, "nobody waited between the two");
    proxy.delay(Duration::ZERO);

    let mut another = Client::connect(proxy.port());
    for client in [&mut client, &mut another] {
        client.send(&query("SELECT 1"));
        client.until_ready();
    }
    assert_eq!(proxy.round_trips(), 8, "of all connections");
}
