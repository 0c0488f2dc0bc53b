//! Answers of the scripts: lists of texts, numbers and lists, read in their order.

use std::str::FromStr;

use jobs_core::{BoxError, Millis, RunId, SessionId, Token, notice};
use redis::Value;
use serde::de::DeserializeOwned;

/// What a warning of something that cannot be read is counted under.
pub(crate) const UNREAD: &str = "redis-unread";

/// What reading an answer gives.
pub(crate) type Read<T> = Result<T, BoxError>;

/// The values of a list that are still to be read.
#[derive(Debug)]
pub(crate) struct List(std::vec::IntoIter<Value>);

impl List {
    /// A list.
    pub(crate) fn of(value: Value) -> Read<Self> {
        match value {
            Value::Array(values) => Ok(Self(values.into_iter())),
            other => Err(unexpected("a list", &other)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(crate) fn value(&mut self) -> Read<Value> {
        self.0.next().ok_or_else(|| "an answer of the server is shorter than it should be".into())
    }

    /// A list in the list.
    pub(crate) fn list(&mut self) -> Read<Self> {
        Self::of(self.value()?)
    }

    /// Lists in a list, each read in the same way.
    pub(crate) fn lists<T>(&mut self, read: impl FnMut(Self) -> Read<T>) -> Read<Vec<T>> {
        self.list()?.each_list(read)
    }

    /// All that is left, each a list that is read in the same way.
    pub(crate) fn each_list<T>(&mut self, mut read: impl FnMut(Self) -> Read<T>) -> Read<Vec<T>> {
        self.0.by_ref().map(|value| read(Self::of(value)?)).collect()
    }

    /// All that is left, each a list that is read in the same way. What cannot be read stays where it is and is left out
    /// here, with a warning: a newer version wrote it, or somebody else.
    pub(crate) fn readable<T>(&mut self, mut read: impl FnMut(Self) -> Read<T>) -> Read<Vec<T>> {
        let mut all = Vec::with_capacity(self.0.len());
        for value in self.0.by_ref() {
            match Self::of(value).and_then(&mut read) {
                Ok(one) => all.push(one),
                Err(error) => notice::warn(
                    UNREAD,
                    format_args!("a record of the Redis store cannot be read, and is left as it is: {error}"),
                ),
            }
        }
        Ok(all)
    }

    /// All that is left, each value read in the same way.
    pub(crate) fn all<T>(&mut self, mut read: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let mut all = Vec::with_capacity(self.0.len());
        while !self.is_empty() {
            all.push(read(self)?);
        }
        Ok(all)
    }

    /// Values in a list, each read in the same way.
    pub(crate) fn each<T>(&mut self, read: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.list()?.all(read)
    }

    /// Bytes; nothing where the script had none.
    pub(crate) fn bytes(&mut self) -> Read<Option<Vec<u8>>> {
        match self.value()? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes)),
            other => Err(unexpected("bytes", &other)),
        }
    }

    pub(crate) fn text(&mut self) -> Read<String> {
        match self.value()? {
            Value::BulkString(bytes) => Ok(String::from_utf8(bytes)?),
            Value::SimpleString(text) => Ok(text),
            other => Err(unexpected("a text", &other)),
        }
    }

    /// The one value of a list that may be empty.
    pub(crate) fn bytes_if_any(&mut self) -> Read<Option<Vec<u8>>> {
        if self.is_empty() { Ok(None) } else { self.bytes() }
    }

    /// The one text of a list that may be empty.
    pub(crate) fn text_if_any(&mut self) -> Read<Option<String>> {
        if self.is_empty() { Ok(None) } else { self.text().map(Some) }
    }

    /// A whole number, as one or as text.
    pub(crate) fn number<T: TryFrom<i64> + FromStr>(&mut self) -> Read<T> {
        match self.value()? {
            Value::Int(number) => T::try_from(number).map_err(|_| format!("{number} is out of range").into()),
            Value::BulkString(bytes) => parsed(&String::from_utf8(bytes)?),
            other => Err(unexpected("a number", &other)),
        }
    }

    /// A number that is an empty text where there is none.
    pub(crate) fn maybe<T: FromStr>(&mut self) -> Read<Option<T>> {
        let text = self.text()?;
        if text.is_empty() { Ok(None) } else { parsed(&text).map(Some) }
    }

    pub(crate) fn flag(&mut self) -> Read<bool> {
        Ok(self.number::<i64>()? != 0)
    }

    pub(crate) fn millis(&mut self) -> Read<Millis> {
        self.number().map(Millis)
    }

    pub(crate) fn maybe_millis(&mut self) -> Read<Option<Millis>> {
        Ok(self.maybe()?.map(Millis))
    }

    pub(crate) fn token(&mut self) -> Read<Token> {
        self.number().map(Token)
    }

    pub(crate) fn run_id(&mut self) -> Read<RunId> {
        self.number().map(RunId::new)
    }

    pub(crate) fn session(&mut self) -> Read<SessionId> {
        session(&self.text()?)
    }

    /// What was stored as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Read<T> {
        Ok(serde_json::from_str(&self.text()?)?)
    }

    /// The variant of an enum without data, by its name.
    pub(crate) fn named<T: DeserializeOwned>(&mut self) -> Read<T> {
        named(&self.text()?)
    }
}

/// A session by its name in the server.
pub(crate) fn session(name: &str) -> Read<SessionId> {
    Ok(SessionId(u64::from_str_radix(name, 16)?))
}

/// The variant of an enum without data, by its name.
pub(crate) fn named<T: DeserializeOwned>(name: &str) -> Read<T> {
    Ok(serde_json::from_value(serde_json::Value::from(name))?)
}

fn parsed<T: FromStr>(text: &str) -> Read<T> {
    text.parse().map_err(|_| format!("`{text}` is not the number that was expected").into())
}

fn unexpected(wanted: &str, found: &Value) -> BoxError {
    let kind = match found {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a text",
        Value::Array(_) => "a list",
        _ => "something else",
    };
    format!("an answer of the server has {kind} where {wanted} should be").into()
}
