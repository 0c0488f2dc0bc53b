//! What a client of Postgres says and hears on one connection: where it has to wait for an answer.

/// How many bytes a message's kind and length take, and how many its length alone.
const HEADER: usize = 5;
const LENGTH: usize = 4;
/// Requests that come before everything else, and are answered by a single byte.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

/// Both directions of one connection.
///
/// A round trip begins with the first Sync or simple Query that a client sends while it waits for nothing, and ends when
/// it has heard of all that it sent meanwhile. Several statements in a row without a wait are one round trip.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    asked: Messages,
    heard: Messages,
    /// Whether the client has said who it is; before that a message has no kind.
    begun: bool,
    /// How many single bytes the server owes.
    unframed: usize,
    /// Whether nobody can read along any more.
    encrypted: bool,
    /// How many requests have not been answered.
    open: usize,
}

impl Conversation {
    /// Takes in what the client sent.
    pub(crate) fn asks(&mut self, mut bytes: &[u8]) {
        while !self.encrypted && !bytes.is_empty() {
            if self.begun {
                match self.asked.next(&mut bytes) {
                    Some(b'Q' | b'S' | b'F') => self.open += 1,
                    Some(_) => {}
                    None => return,
                }
            } else {
                match self.asked.first(&mut bytes) {
                    Some(code) if ENCRYPTION.contains(&code) => self.unframed += 1,
                    Some(_) => self.begun = true,
                    None => return,
                }
            }
        }
    }

    /// Takes in what the client hears, and returns how many round trips have ended.
    pub(crate) fn hears(&mut self, mut bytes: &[u8]) -> u64 {
        let mut ended = 0;
        while !self.encrypted && !bytes.is_empty() {
            if self.unframed > 0 {
                self.unframed -= 1;
                self.encrypted = bytes[0] == b'S';
                bytes = &bytes[1..];
                continue;
            }
            match self.heard.next(&mut bytes) {
                // The first one of a connection is nobody's answer.
                Some(b'Z') if self.open > 0 => {
                    self.open -= 1;
                    ended += u64::from(self.open == 0);
                }
                Some(_) => {}
                None => break,
            }
        }
        ended
    }
}

/// Messages in a stream that comes in pieces.
#[derive(Debug, Default)]
struct Messages {
    header: Vec<u8>,
    /// How many bytes of the message are still to come, once its header is known.
    left: Option<usize>,
}

impl Messages {
    /// The kind of the next message, when all of it has come.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<u8> {
        self.whole(bytes, HEADER, HEADER - LENGTH)?;
        let kind = self.header.first().copied();
        self.header.clear();
        kind
    }

    /// The number at the beginning of a message without a kind.
    fn first(&mut self, bytes: &mut &[u8]) -> Option<u32> {
        self.whole(bytes, 2 * LENGTH, 0)?;
        let number = number(&self.header, LENGTH);
        self.header.clear();
        Some(number)
    }

    /// Takes a message from `bytes`, of which it keeps the first `header` ones, its length at `at`.
    fn whole(&mut self, bytes: &mut &[u8], header: usize, at: usize) -> Option<()> {
        let taken = (header - self.header.len()).min(bytes.len());
        self.header.extend_from_slice(&bytes[..taken]);
        *bytes = &bytes[taken..];
        if self.header.len() < header {
            return None;
        }
        let length = number(&self.header, at) as usize;
        // The length counts itself, and not the kind.
        let left = self.left.unwrap_or((at + length).saturating_sub(header));
        let skipped = left.min(bytes.len());
        *bytes = &bytes[skipped..];
        self.left = (skipped < left).then_some(left - skipped);
        self.left.is_none().then_some(())
    }
}

/// The number in four bytes.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + LENGTH].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
