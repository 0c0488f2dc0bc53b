//! Free ports.

use std::{io, net::TcpListener};

/// A port of 127.0.0.1 that nobody listens on. Somebody else may take it before it is used: whoever starts a server on
/// it tries again with another one.
///
/// # Errors
/// If no port is free.
pub fn free() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
