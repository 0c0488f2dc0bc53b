//! How a file is opened, and the URLs that say so.

use std::path::PathBuf;

use jobs_core::{StoreError, without_password};

/// The namespace when nobody says.
pub(crate) const NAMESPACE: &str = "jobs";

/// What survives when the machine loses power. A killed process loses nothing in either mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The last commits may be lost: a tick may fire again, an enqueue be lost. The file stays whole.
    #[default]
    Normal,
    /// Nothing that was acknowledged is lost. Each commit waits for the disk; operations that come at once share
    /// one.
    Full,
}

/// Which file, and how it is opened.
///
/// ```
/// use jobs_sqlite::{Durability, SqliteOptions};
///
/// let options = SqliteOptions::new("jobs.db").durability(Durability::Full).namespace("mail");
/// assert_eq!(SqliteOptions::from_url("sqlite://jobs.db?durability=full&namespace=mail").unwrap(), options);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct SqliteOptions {
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) namespace: Option<String>,
    pub(crate) offset: i64,
    pub(crate) max_pages: Option<u32>,
}

impl SqliteOptions {
    /// A file, made if it is not there. Its directory has to be.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            namespace: None,
            offset: 0,
            max_pages: None,
        }
    }

    /// What survives when the machine loses power; [`Durability::Normal`] when nobody says.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The namespace, `jobs` when nobody says. Nothing is shared between those of one file.
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// The namespace that was asked for, if one was.
    #[doc(hidden)]
    #[must_use]
    pub fn asked_namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// A clock that is so many milliseconds ahead of the system's: a test hook.
    #[doc(hidden)]
    pub fn clock_offset(mut self, millis: i64) -> Self {
        self.offset = millis;
        self
    }

    /// A file of at most so many pages: a test hook, for a disk that is full.
    #[doc(hidden)]
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Reads `sqlite://relative.db` or `sqlite:///absolute.db`, with the parameters `durability=normal|full` and
    /// `namespace=`.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`], which says what is wrong and the remedy.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let bad = |message: String| StoreError::BadUrl { url: without_password(url), message };
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(bad("it does not begin with `sqlite://`".to_owned()));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.trim_start_matches('/') == ":memory:" {
            let remedy = "a store in memory is written `memory:`; SQLite here is a file, `sqlite://jobs.db`";
            return Err(bad(remedy.to_owned()));
        }
        let Some(path) = path.strip_prefix("//") else {
            return Err(bad("two slashes are missing; write `sqlite://jobs.db`".to_owned()));
        };
        let path =
            decoded(path).ok_or_else(|| bad("a `%` in it is not followed by two hex digits".to_owned()))?;
        if path.is_empty() || path.ends_with('/') {
            let remedy = "it names no file; write `sqlite://jobs.db`, or `sqlite:///var/lib/jobs.db`";
            return Err(bad(remedy.to_owned()));
        }
        let mut options = Self::new(path);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            options = match (key, value) {
                ("durability", "normal") => options.durability(Durability::Normal),
                ("durability", "full") => options.durability(Durability::Full),
                ("durability", _) => {
                    return Err(bad(format!("`{value}` is no durability; it is `normal` or `full`")));
                }
                ("namespace", "") => return Err(bad("its namespace is empty".to_owned())),
                ("namespace", name) => options.namespace(name),
                _ => {
                    let message =
                        format!("it knows no parameter `{key}`; there are `durability` and `namespace`");
                    return Err(bad(message));
                }
            };
        }
        Ok(options)
    }
}

/// A path of a URL, in which `%20` stands for a blank.
fn decoded(path: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(path.len()), path.as_bytes());
    loop {
        match rest {
            [] => return String::from_utf8(bytes).ok(),
            [b'%', high, low, after @ ..] => {
                let (high, low) = (char::from(*high).to_digit(16)?, char::from(*low).to_digit(16)?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
                rest = after;
            }
            [b'%', ..] => return None,
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_and_how_it_is_opened() {
        let read = |url: &str| SqliteOptions::from_url(url).unwrap();
        assert_eq!(read("sqlite://jobs.db"), SqliteOptions::new("jobs.db"));
        assert_eq!(read("sqlite:///var/my%20jobs.db"), SqliteOptions::new("/var/my jobs.db"));
        let full = SqliteOptions::new("a/b.db").durability(Durability::Full).namespace("mail");
        assert_eq!(read("sqlite://a/b.db?namespace=mail&durability=full"), full);
    }

    #[test]
    fn a_url_that_is_wrong_says_the_remedy() {
        for (url, remedy) in [
            ("sqlite:jobs.db", "write `sqlite://jobs.db`"),
            ("sqlite:", "write `sqlite://jobs.db`"),
            ("sqlite://", "it names no file"),
            ("sqlite:///var/lib/", "it names no file"),
            ("sqlite::memory:", "is written `memory:`"),
            ("sqlite://:memory:", "is written `memory:`"),
            ("sqlite://a.db?durability=none", "`normal` or `full`"),
            ("sqlite://a.db?namespace=", "its namespace is empty"),
            ("sqlite://a.db?mode=ro", "there are `durability` and `namespace`"),
            ("sqlite://a%2", "two hex digits"),
        ] {
            let error = SqliteOptions::from_url(url).unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
