//! How a database is used, and the URLs that say so.

use std::{str::FromStr, time::Duration};

use jobs_core::{StoreError, without_password};
use jobs_schedule::{duration, suggest::nearest};
use sqlx::postgres::PgConnectOptions;

/// The namespace, and the schema, when nobody says.
pub(crate) const NAMESPACE: &str = "jobs";
/// The bound of a call when nobody says.
const DEADLINE: Duration = Duration::from_secs(5);
/// The connections when nobody says.
const CONNECTIONS: u32 = 8;

/// What the store's own parameters of a URL are.
const OWN: [&str; 5] = ["namespace", "schema", "pooler", "deadline", "connections"];
/// What `sqlx` knows besides.
const PASSED_ON: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// What stands between the program and the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooler {
    /// Nothing, or a pooler that gives each client a connection of its own (PgBouncer's `pool_mode = session`).
    #[default]
    Session,
    /// A pooler that gives a connection for a transaction (PgBouncer's `pool_mode = transaction`). Nothing is kept in
    /// the session then: no prepared statements, and no `LISTEN`, so what other processes store is noticed when the
    /// runner looks (`poll_interval`).
    Transaction,
}

/// Which database, and how it is used.
///
/// ```
/// use jobs_postgres::{Pooler, PostgresOptions};
///
/// let url = "postgres://app:secret@db.internal/shop?namespace=mail&pooler=transaction";
/// let options = PostgresOptions::from_url(url).unwrap().schema("jobs");
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct PostgresOptions {
    /// How to connect; none for a pool of the user's own.
    pub(crate) connect: PgConnectOptions,
    pub(crate) settings: Settings,
}

/// What does not say where the database is.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) schema: String,
    pub(crate) namespace: Option<String>,
    pub(crate) pooler: Pooler,
    pub(crate) deadline: Duration,
    pub(crate) connections: u32,
    pub(crate) offset: i64,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("location", &location(&self.connect))
            .field("settings", &self.settings)
            .finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            schema: NAMESPACE.to_owned(),
            namespace: None,
            pooler: Pooler::default(),
            deadline: DEADLINE,
            connections: CONNECTIONS,
            offset: 0,
        }
    }
}

impl Default for PostgresOptions {
    /// What the environment of libpq says: `PGHOST`, `PGUSER`, `PGDATABASE` and so on.
    fn default() -> Self {
        Self::new(PgConnectOptions::new())
    }
}

impl PostgresOptions {
    /// A database that is named as `sqlx` names it.
    pub fn new(connect: PgConnectOptions) -> Self {
        Self { connect, settings: Settings::default() }
    }

    /// The schema in which the tables are, `jobs` when nobody says; made if it is not there. Nothing else may be in it.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.settings.schema = name.into();
        self
    }

    /// The namespace, `jobs` when nobody says. Nothing is shared between those of one schema.
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.settings.namespace = Some(name.into());
        self
    }

    /// The namespace that was asked for, if one was.
    #[doc(hidden)]
    #[must_use]
    pub fn asked_namespace(&self) -> Option<&str> {
        self.settings.namespace.as_deref()
    }

    /// What stands between the program and the server; [`Pooler::Session`] when nobody says.
    pub fn pooler(mut self, pooler: Pooler) -> Self {
        self.settings.pooler = pooler;
        self
    }

    /// The bound of each call, waiting for a connection included; 5 s when nobody says. When it has passed, the call is
    /// [`StoreError::Unreachable`], and a runner tries again.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// The most connections at once, 8 when nobody says, and one more that listens. Of a pool of the user's own it is
    /// the pool that says.
    pub fn connections(mut self, most: u32) -> Self {
        self.settings.connections = most;
        self
    }

    /// A clock that is so many milliseconds ahead of the server's: a test hook.
    #[doc(hidden)]
    pub fn clock_offset(mut self, millis: i64) -> Self {
        self.settings.offset = millis;
        self
    }

    /// Reads `postgres://user:password@host:port/database`, with the store's own parameters `namespace=`, `schema=`,
    /// `pooler=session|transaction`, `deadline=5s` and `connections=8`, and those that libpq and `sqlx` know.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`], which says what is wrong and the remedy.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let bad = |message: String| StoreError::BadUrl { url: without_password(url), message };
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(bad("it does not begin with `postgres://`".to_owned()));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut settings, mut passed_on) = (Settings::default(), Vec::new());
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if OWN.contains(&key) {
                settings.read(key, value).map_err(&bad)?;
            } else if PASSED_ON.contains(&key) || key.starts_with("options") {
                passed_on.push(part);
            } else {
                return Err(bad(unknown(key)));
            }
        }
        let rest =
            if passed_on.is_empty() { base.to_owned() } else { format!("{base}?{}", passed_on.join("&")) };
        // What the parser says may quote the URL, and the password in it.
        let connect = PgConnectOptions::from_str(&rest).map_err(|_| {
            bad("it cannot be read; write `postgres://user:password@host:5432/database`, and `%40` for an `@` in a \
                 password"
                .to_owned())
        })?;
        Ok(Self { connect, settings })
    }

    /// What is wrong with the options, if something is.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.settings.check(&location(&self.connect))
    }
}

impl Settings {
    fn read(&mut self, key: &str, value: &str) -> Result<(), String> {
        match (key, value) {
            (_, "") => return Err(format!("its `{key}` is empty")),
            ("namespace", name) => self.namespace = Some(name.to_owned()),
            ("schema", name) => self.schema = name.to_owned(),
            ("pooler", "session") => self.pooler = Pooler::Session,
            ("pooler", "transaction") => self.pooler = Pooler::Transaction,
            ("pooler", _) => return Err(format!("`{value}` is no pooler; it is `session` or `transaction`")),
            ("deadline", text) => {
                let parsed = duration::parse_positive(text);
                self.deadline =
                    parsed.map_err(|_| format!("`{text}` is no deadline; write `5s` or `500ms`"))?;
            }
            (_, number) => {
                let parsed = number.parse().ok().filter(|most| *most > 0);
                self.connections = parsed.ok_or_else(|| format!("`{number}` is no number of connections"))?;
            }
        }
        Ok(())
    }

    /// What is wrong with them, if something is.
    pub(crate) fn check(&self, location: &str) -> Result<(), StoreError> {
        let bad = |message: String| Err(StoreError::BadUrl { url: location.to_owned(), message });
        let Self { schema, deadline, connections, .. } = self;
        let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if schema.is_empty() || schema.len() > 63 || !schema.chars().all(fit) || schema.starts_with("pg_") {
            return bad(format!(
                "`{schema}` is no schema for it; write 1 to 63 of a-z 0-9 _, not beginning with `pg_`"
            ));
        }
        if *schema == "public" || *schema == "information_schema" {
            return bad(format!("`{schema}` is not for it alone; write `schema=jobs`"));
        }
        if *deadline < Duration::from_millis(10) {
            return bad("its deadline is too short; write `5s`".to_owned());
        }
        if *connections == 0 {
            return bad("it has no connections; write `connections=8`".to_owned());
        }
        Ok(())
    }
}

/// The server and the database, as they may be shown.
pub(crate) fn location(connect: &PgConnectOptions) -> String {
    let host = match connect.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => connect.get_host().to_owned(),
    };
    let database = connect.get_database().unwrap_or_else(|| connect.get_username());
    format!("postgres://{host}:{}/{database}", connect.get_port())
}

fn unknown(key: &str) -> String {
    let known: Vec<&str> = OWN.iter().chain(&PASSED_ON).copied().collect();
    match nearest(key, known.iter().copied()) {
        Some(meant) => format!("it knows no parameter `{key}`; did you mean `{meant}`?"),
        None => format!("it knows no parameter `{key}`; there are `{}`", known.join("`, `")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_database_and_how_it_is_used() {
        let url = "postgresql://me:se%40cret@db:5433/shop?schema=mail&namespace=a&pooler=transaction&deadline=2s\
                   &connections=3&sslmode=require";
        let PostgresOptions { connect, settings } = PostgresOptions::from_url(url).unwrap();
        assert_eq!(
            (connect.get_host(), connect.get_port(), connect.get_database()),
            ("db", 5433, Some("shop"))
        );
        assert_eq!((&*settings.schema, settings.namespace.as_deref()), ("mail", Some("a")));
        assert_eq!((settings.pooler, settings.deadline), (Pooler::Transaction, Duration::from_secs(2)));
        assert_eq!(settings.connections, 3);
    }

    #[test]
    fn a_url_that_is_wrong_says_the_remedy_and_no_password() {
        for (url, remedy) in [
            ("mysql://me:secret@db/x", "it does not begin with `postgres://`"),
            ("postgres://me:secret@db/x?nmaespace=a", "did you mean `namespace`?"),
            ("postgres://me:secret@db/x?ssl_mode=a", "did you mean `sslmode`?"),
            ("postgres://me:secret@db/x?colour=red", "there are `namespace`"),
            ("postgres://me:secret@db/x?namespace=", "its `namespace` is empty"),
            ("postgres://me:secret@db/x?pooler=pgbouncer", "`session` or `transaction`"),
            ("postgres://me:secret@db/x?deadline=5", "write `5s`"),
            ("postgres://me:secret@db/x?connections=0", "is no number of connections"),
            ("postgres://me:secret@db:port/x", "it cannot be read"),
            ("postgres://me:secret@db/x?schema=public", "write `schema=jobs`"),
            ("postgres://me:secret@db/x?schema=Jobs", "a-z 0-9 _"),
        ] {
            let error = PostgresOptions::from_url(url).and_then(|options| options.check()).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(remedy) && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let options = PostgresOptions::from_url("postgres://me:secret@db/x").unwrap();
        assert!(!format!("{options:?}").contains("secret"));
    }
}
