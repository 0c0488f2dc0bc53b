//! Removes expired sessions, every minute: each is a file of JSON in a folder.
//!
//! ```console
//! $ cargo run --example session_cleanup -- DIR --login ada --for 90s   # makes one
//! $ cargo run --example session_cleanup -- DIR                         # every minute, until Ctrl-C
//! $ cargo run --example session_cleanup -- DIR --once                  # now
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jobs_runner::{Timestamp, prelude::*, schedule};
use lexopt::{
    Arg::{Long, Value},
    ValueExt,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Session {
    user: String,
    expires: Timestamp,
}

impl Session {
    fn read(path: &Path) -> Result<Self> {
        let at = |error: BoxError| -> BoxError { format!("{}: {error}", path.display()).into() };
        serde_json::from_slice(&fs::read(path).map_err(|e| at(e.into()))?).map_err(|e| at(e.into()))
    }
}

struct Sessions {
    folder: PathBuf,
}

#[cron_group("session")]
impl Sessions {
    /// The names of those that have expired. What cannot be read is an item too: its attempt fails, and says why.
    #[query("clean_up")]
    fn expired(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let is_session = path.extension().is_some_and(|extension| extension == "json");
            if is_session && Session::read(&path).is_ok_and(|session| session.expires > Timestamp::now()) {
                continue;
            }
            names.extend(is_session.then(|| name.to_owned()));
        }
        Ok(names)
    }

    /// Looks again: the session may have been renewed meanwhile, or be gone because another runner was faster.
    #[job("clean_up", "* * * * *", retries = 1, retry_delay = "5s")]
    fn clean_up(&self, name: String) -> Result<Outcome> {
        let path = self.folder.join(name);
        if !path.exists() {
            return Ok(Outcome::Discard("gone already".into()));
        }
        if Session::read(&path)?.expires > Timestamp::now() {
            return Ok(Outcome::Discard("renewed".into()));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(Outcome::Done),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let (mut folder, mut login, mut lifetime, mut once) = (None, None, Duration::from_secs(1_800), false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(path) if folder.is_none() => folder = Some(PathBuf::from(path)),
            Long("login") => login = Some(arguments.value()?.string()?),
            Long("for") => lifetime = schedule::duration::parse(&arguments.value()?.string()?)?,
            Long("once") => once = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let folder = folder.ok_or("write: session_cleanup DIR [--login USER [--for 30m]] [--once]")?;
    fs::create_dir_all(&folder)?;
    if let Some(user) = login {
        let path = folder.join(format!("{user}.json"));
        let expires = Timestamp::now() + lifetime;
        fs::write(&path, serde_json::to_vec(&Session { user, expires })?)?;
        println!("{} until {expires}", path.display());
        return Ok(());
    }

    let runner = Runner::builder().provide(Sessions { folder }).start().await?;
    if !once {
        return Ok(runner.wait().await?);
    }
    let report = runner.run(Sessions::CLEAN_UP).await?.wait().await?;
    println!("{} removed, {} left, {} failed", report.counts.ok, report.counts.discarded, report.counts.dead);
    runner.shutdown(Duration::from_secs(5)).await?;
    report.ok()?;
    Ok(())
}
