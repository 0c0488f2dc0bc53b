//! A database of Postgres.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jobs_conformance::Fixture;
use jobs_core::{BoxError, BoxFuture, Store};
use jobs_postgres::{PostgresOptions, PostgresStore};
use servers::postgres::{Options, Server};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

use super::{Place, packed};
use crate::teller::Told;

/// What a kept dump is called.
const DUMP: &str = "dump.sql.gz";

/// What a process has sent that went on.
const BESIDE: &str = "beside.sql.gz";

/// A database of its own on a server that all tests of a process share.
#[derive(Debug)]
pub struct PostgresPlace {
    server: &'static Server,
    name: String,
    is_made: OnceLock<()>,
}

impl PostgresPlace {
    /// The database's URL.
    #[must_use]
    pub fn url(&self) -> String {
        let server = self.server.url();
        let (server, _) = server.rsplit_once('/').unwrap_or((&server, ""));
        format!("{server}/{}", self.name)
    }

    async fn make(&self) -> Told {
        if self.is_made.set(()).is_ok() {
            run(&self.server.url(), format!("CREATE DATABASE {}", self.name)).await?;
        }
        Ok(())
    }
}

/// Sends statements to a database.
async fn run(url: &str, sql: String) -> Told {
    let mut conn = PgConnection::connect(url).await?;
    raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await?;
    Ok(conn.close().await?)
}

fn server() -> Told<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let options = || Options::new().setting("max_connections", 300).setting("fsync", "off");
    let server = SERVER.get_or_init(|| Server::start(options()).map_err(|error| error.to_string()));
    server.as_ref().map_err(|error| error.clone().into())
}

impl Fixture for PostgresPlace {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        Box::pin(async move {
            self.make().await?;
            let options = PostgresOptions::from_url(&self.url())?.clock_offset(offset);
            // The machine may have more to do than these tests.
            let options = options.deadline(Duration::from_secs(30));
            Ok(Arc::new(PostgresStore::open(options).await?) as Arc<dyn Store>)
        })
    }
}

impl Place for PostgresPlace {
    const STORE: &str = "postgres";

    fn empty() -> Told<Self> {
        static NAMES: AtomicU32 = AtomicU32::new(0);
        let name = format!("kept_{}", NAMES.fetch_add(1, Ordering::Relaxed));
        Ok(Self { server: server()?, name, is_made: OnceLock::new() })
    }

    async fn copy(folder: &Path) -> Told<Self> {
        let place = Self::empty()?;
        place.make().await?;
        run(&place.url(), String::from_utf8(packed::unpacked(&folder.join(DUMP))?)?).await?;
        Ok(place)
    }

    fn keep(&self, folder: &Path) -> Told {
        let dumping = Command::new("pg_dump")
            .args(["--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=100", &self.url()])
            .output()?;
        if !dumping.status.success() {
            return Err(String::from_utf8_lossy(&dumping.stderr).into_owned().into());
        }
        // Commands of psql, which no server knows.
        let dump = String::from_utf8(dumping.stdout)?;
        let lines = dump.lines().filter(|line| !line.starts_with('\\') && !line.starts_with("--"));
        packed::pack(lines.map(|line| format!("{line}\n")).collect::<String>().as_bytes(), &folder.join(DUMP))
    }

    async fn play(&self, folder: &Path, _seconds: i64) -> Told {
        let statements = String::from_utf8(packed::unpacked(&folder.join(BESIDE))?)?;
        let mut conn = PgConnection::connect(&self.url()).await?;
        raw_sql("SET search_path TO jobs").execute(&mut conn).await?;
        for statement in statements.lines() {
            raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut conn).await?;
        }
        Ok(conn.close().await?)
    }
}
