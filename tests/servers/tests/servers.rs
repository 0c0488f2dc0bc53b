//! The servers do what tests rely on.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use servers::{
    pgbouncer, postgres,
    proxy::Proxy,
    redis::{Options, Server},
};

/// Sends one command, and gives the first piece of the answer.
fn say(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 512];
    let read = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

#[test]
fn a_killed_server_comes_back_with_what_it_synced() {
    let mut server = Server::start(Options::new().appendfsync("always")).unwrap();
    assert_eq!(say(server.port(), "SET a 1").unwrap(), "+OK\r\n");
    server.kill();
    assert!(say(server.port(), "PING").is_err(), "it is gone");
    server.restart().unwrap();
    assert_eq!(say(server.port(), "GET a").unwrap(), "$1\r\n1\r\n");
}

#[test]
fn a_server_ends_with_its_value() {
    let server = Server::start(Options::new()).unwrap();
    let (port, folder) = (server.port(), server.folder().to_owned());
    drop(server);
    assert!(say(port, "PING").is_err());
    assert!(!folder.exists(), "its data are gone");
}

#[test]
fn a_server_knows_its_password_and_a_replica_its_primary() {
    let server = Server::start(Options::new().password("secret")).unwrap();
    assert!(say(server.port(), "PING").unwrap().starts_with("-NOAUTH"));
    assert!(server.url().contains(":secret@"));
    let replica = Server::start(Options::new().replica_of(&server)).unwrap();
    assert!(say(replica.port(), "SET a 1").unwrap().starts_with("-READONLY"));
}

#[test]
fn a_server_that_is_stopped_answers_when_it_goes_on() {
    let server = Server::start(Options::new()).unwrap();
    server.stop().unwrap();
    let silence = say(server.port(), "PING").unwrap_err().kind();
    assert!(matches!(silence, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    server.go_on().unwrap();
    assert_eq!(say(server.port(), "PING").unwrap(), "+PONG\r\n");
}

#[test]
fn a_setting_that_is_wrong_is_told() {
    let error = Server::start(Options::new().setting("appendfsync", "now")).unwrap_err();
    assert!(error.to_string().contains("ended at once"), "{error}");
}

#[test]
fn a_proxy_passes_on_stalls_delays_cuts_and_refuses() {
    let server = Server::start(Options::new()).unwrap();
    let proxy = Proxy::start(server.port()).unwrap();
    assert_eq!(say(proxy.port(), "PING").unwrap(), "+PONG\r\n");
    proxy.stall();
    assert!(say(proxy.port(), "PING").is_err(), "nothing is passed on");
    proxy.resume();
    let mut open = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    open.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    open.write_all(b"PING\r\n").unwrap();
    open.read_exact(&mut [0; 7]).unwrap();
    proxy.silence();
    open.write_all(b"PING\r\n").unwrap();
    assert!(open.read(&mut [0; 7]).is_err(), "nothing is passed on any more");
    assert_eq!(say(proxy.port(), "PING").unwrap(), "+PONG\r\n", "a new one is passed on");
    proxy.delay(Duration::from_millis(200));
    assert!(say(proxy.port(), "PING").is_err(), "400 ms are more than 300");
    proxy.delay(Duration::ZERO);
    let mut open = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    open.write_all(b"PING\r\n").unwrap();
    open.read_exact(&mut [0; 7]).unwrap();
    proxy.cut();
    assert_eq!(open.read(&mut [0; 7]).unwrap_or(0), 0, "it was cut");
    proxy.refuse(true);
    assert!(matches!(say(proxy.port(), "PING").as_deref(), Err(_) | Ok("")), "it is refused");
}

#[test]
fn a_postgres_that_is_killed_with_its_children_comes_back() {
    let mut server = postgres::Server::start(postgres::Options::new()).unwrap();
    let (port, folder) = (server.port(), server.folder().to_owned());
    let open = TcpStream::connect(("127.0.0.1", port)).unwrap();
    server.kill();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it is gone");
    drop(open);
    server.restart().unwrap();
    let pooler = pgbouncer::Pooler::start(&server, 2).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", pooler.port())).is_ok());
    drop(server);
    assert!(!folder.exists(), "its data are gone");
}

#[test]
fn a_parameter_of_postgres_that_is_wrong_is_told() {
    let error = postgres::Server::start(postgres::Options::new().setting("fsync", "perhaps")).unwrap_err();
    assert!(error.to_string().contains("ended at once"), "{error}");
}
