//! `cargo run -p compat -- FOLDER`: makes a place of every durable store as the present version writes it, and writes
//! down beside it what is in it.
#![allow(clippy::print_stderr)] // It is a program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use compat::{
    place::{Place, PostgresPlace, RedisPlace, SqlitePlace, note},
    story,
    teller::Told,
};

#[tokio::main]
async fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: compat FOLDER");
        return ExitCode::from(2);
    };
    match make_all(&folder).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn make_all(folder: &Path) -> Told {
    make::<SqlitePlace>(folder).await?;
    make::<RedisPlace>(folder).await?;
    make::<PostgresPlace>(folder).await
}

async fn make<P: Place>(folder: &Path) -> Told {
    let folder = folder.join(P::STORE);
    fs::create_dir_all(&folder)?;
    let place = P::empty()?;
    let kept = story::fill(&place).await?;
    place.keep(&folder)?;
    note(&kept, &folder)
}
