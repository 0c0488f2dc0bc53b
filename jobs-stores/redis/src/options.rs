//! How a server is reached, and the URLs that say so.

use std::{fmt, path::PathBuf, time::Duration};

use jobs_core::{StoreError, without_password};
use jobs_schedule::{duration, suggest};

/// The namespace when nobody says.
pub(crate) const NAMESPACE: &str = "jobs";
/// How long an operation may take when nobody says.
const DEADLINE: Duration = Duration::from_secs(5);
/// The parameters of a URL.
const PARAMETERS: [&str; 3] = ["namespace", "deadline", "ca"];

/// Which server, and how it is used.
///
/// ```
/// use std::time::Duration;
/// use jobs_redis::RedisOptions;
///
/// let options = RedisOptions::new("redis://localhost:6379/2").namespace("mail").deadline(Duration::from_secs(2));
/// let url = "redis://localhost:6379/2?namespace=mail&deadline=2s";
/// assert_eq!(RedisOptions::from_url(url).unwrap(), options);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct RedisOptions {
    /// Without parameters; none for a connection that is lent.
    pub(crate) url: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) deadline: Duration,
    pub(crate) authority: Option<PathBuf>,
    pub(crate) offset: i64,
}

/// The password is not shown.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("url", &self.url.as_deref().map(without_password))
            .field("namespace", &self.namespace)
            .field("deadline", &self.deadline)
            .field("certificate_authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl RedisOptions {
    /// A server by its URL, `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. What is wrong with
    /// it is told when it is opened. Parameters are read by [`from_url`](Self::from_url) alone.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::lent() }
    }

    /// For [`RedisStore::over`](crate::RedisStore::over): no server is named, so news of other processes come with the
    /// poll alone.
    pub fn lent() -> Self {
        Self { url: None, namespace: None, deadline: DEADLINE, authority: None, offset: 0 }
    }

    /// The namespace, `jobs` when nobody says: 1 to 100 of A-Z a-z 0-9 - _ . Nothing is shared between those of one
    /// server.
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// How long an operation may take, connecting included, before it fails as unreachable; 5 s when nobody says.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// A file with the certificate of the authority that signed the server's, as PEM. When nobody says, the system's
    /// authorities are trusted. Only for `rediss://`.
    pub fn certificate_authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.authority = Some(file.into());
        self
    }

    /// The namespace that was asked for, if one was.
    #[doc(hidden)]
    #[must_use]
    pub fn asked_namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// A clock that is so many milliseconds ahead of the server's: a test hook.
    #[doc(hidden)]
    pub fn clock_offset(mut self, millis: i64) -> Self {
        self.offset = millis;
        self
    }

    /// Reads `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS, with the parameters `namespace=`,
    /// `deadline=` (as `5s`) and `ca=` (a file with the certificate of the server's authority). In the user's name and
    /// the password, characters that mean something in a URL are written `%40`.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`], which says what is wrong and the remedy.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let bad = |message: String| StoreError::BadUrl { url: without_password(url), message };
        if is_cut_by_its_password(url) {
            let remedy = "the user's name or the password has a `/`, `?` or `#`; write `%2F`, `%3F` or `%23`";
            return Err(bad(remedy.to_owned()));
        }
        let (server, query) = url.split_once('?').unwrap_or((url, ""));
        let mut options = Self::new(server);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            options = match key {
                "namespace" => options.namespace(value),
                "deadline" => {
                    let span = duration::parse_positive(value);
                    options.deadline(span.map_err(|error| bad(format!("its deadline is no time: {error}")))?)
                }
                "ca" if value.is_empty() => return Err(bad("its `ca` names no file".to_owned())),
                "ca" => options.certificate_authority(value),
                _ => return Err(bad(unknown(key))),
            };
        }
        options.check()?;
        Ok(options)
    }

    /// The namespace, once it is known to be one.
    pub(crate) fn checked_namespace(&self) -> Result<&str, StoreError> {
        let name = self.namespace.as_deref().unwrap_or(NAMESPACE);
        if is_namespace(name) {
            return Ok(name);
        }
        let url = self.shown_url();
        let message = format!("`{name}` is not a namespace; it is 1 to 100 of A-Z a-z 0-9 - _ .");
        Err(StoreError::BadUrl { url, message })
    }

    /// The URL as it may be shown.
    pub(crate) fn shown_url(&self) -> String {
        self.url.as_deref().map_or_else(|| "a connection of the program's own".to_owned(), without_password)
    }

    /// Says what is wrong, as far as it can be seen without the server.
    fn check(&self) -> Result<(), StoreError> {
        self.checked_namespace()?;
        crate::server::client(self).map(drop)
    }
}

/// Whether a namespace may have that name.
pub(crate) fn is_namespace(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=100).contains(&name.len()) && name.chars().all(fit)
}

/// Whether the user's part has a character that ends it before the host begins. A file name may have an `@` as well.
fn is_cut_by_its_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(['/', '?', '#']) && !user.contains("ca=")
}

fn unknown(key: &str) -> String {
    let meant = suggest::nearest(key, PARAMETERS).map(|meant| format!("; did you mean `{meant}`?"));
    let meant = meant.unwrap_or_else(|| "; there are `namespace`, `deadline` and `ca`".to_owned());
    format!("it knows no parameter `{key}`{meant}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_how_it_is_used() {
        let read = |url: &str| RedisOptions::from_url(url).unwrap();
        let server = "redis://me:se%40cret@host:6380/3";
        assert_eq!(read(server), RedisOptions::new(server));
        let all = RedisOptions::new("rediss://host").namespace("mail").deadline(Duration::from_millis(1_500));
        assert_eq!(read("rediss://host?deadline=1500ms&namespace=mail"), all);
    }

    #[test]
    fn a_url_that_is_wrong_says_the_remedy() {
        for (url, remedy) in [
            ("http://host", "write `redis://host:6379`"),
            ("redis:host", "write `redis://host:6379`"),
            ("redis://", "write `redis://host:6379`"),
            ("redis://host:port", "write `redis://host:6379`"),
            ("redis://host/jobs", "is no number"),
            ("redis://host?namespace=", "`` is not a namespace"),
            ("redis://host?namespace=a}b", "1 to 100 of A-Z"),
            ("redis://host?namspace=a", "did you mean `namespace`?"),
            ("redis://host?protocol=resp3", "there are `namespace`, `deadline` and `ca`"),
            ("redis://host?deadline=soon", "its deadline is no time"),
            ("redis://host?deadline=0s", "its deadline is no time"),
            ("rediss://host?ca=", "names no file"),
            ("rediss://host?ca=/nowhere/ca.pem", "/nowhere/ca.pem"),
            ("redis://host?ca=/nowhere/ca.pem", "`rediss://`"),
        ] {
            let error = RedisOptions::from_url(url).unwrap_err().to_string();
            assert!(error.contains(remedy), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "redis://me:secret@host:port?namspace=a",
            "redis://me:a/secret@host",
            "redis://me:a?secret@host",
            "redis://me:a#secret@host:port",
            "redis://me:a@secret@host:port",
        ] {
            let error = RedisOptions::from_url(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", RedisOptions::new("redis://me:secret@host")).contains("secret"));
    }
}
