//! A tour of the service: batches of every kind over HTTP, every result checked.
//!
//! - `orders` the batches it sends
//! - `scenes` what is done with them, and what is expected
//! - `memories` the same for the contract of memories, `contents` for content jobs, `intents` for blockchain intents
//! - `check` what is compared

mod check;
mod contents;
mod intents;
mod memories;
mod orders;
mod scenes;

use std::time::Duration;

use batch_core::limits::Limits;
use batch_core::runtime::Clock;
use batch_local::keys::Identity;
use batch_local::orby::OrbySandbox;
use batch_local::stacks::StacksNode;
use batch_local::{Error, SANDBOX_CREATOR, Service, Settings};
use serde_json::{Map, json};

use self::check::Checks;
use super::Outcome;
use super::client::Client;
use super::output::{say, table};

/// Differences that are told one by one.
const MAX_DIFFERENCES: usize = 20;

/// How often the sandbox of a Stacks node makes a block here: sooner than a real one, and often enough to watch.
const BLOCK: Duration = Duration::from_millis(300);

/// One step of the tour.
struct Scene {
    title: &'static str,
    /// How it was sent.
    how: &'static str,
    operations: usize,
    /// The word for how it ended.
    status: String,
    took_ms: i64,
    checks: Checks,
}

/// Starts a service in memory, runs the tour against it, and stops it.
pub(super) async fn run() -> Result<Outcome, Error> {
    // Sooner than the 30 s between two look-ups of an operation, so that there is something to watch.
    let limits = Limits { look_ms: 400, ..Limits::default() };
    let service = Service::start(Settings { block: Some(BLOCK), limits, ..Settings::in_memory()? }).await?;
    let claims = Map::from_iter([("creators".to_owned(), json!([SANDBOX_CREATOR, contents::SOMEBODY_ELSE]))]);
    let visitor = Identity::new("demo", "visitor", ["admin"], claims)?;
    let client = Client::new(&service.base_url(), service.token(&visitor)?)?;
    say(format!("A service in memory, at {}. Everything below goes over HTTP.\n", service.base_url()))?;
    let toured = tour(&client, service.stacks(), service.orby()).await;
    service.stop().await;
    let scenes = toured?;

    let rows: Vec<[String; 6]> = scenes.iter().map(row).collect();
    say(format!("\n{}", table(["batch", "sent", "operations", "ended", "ms", "as expected"], &rows)))?;
    let (made, wrong) = scenes.iter().fold((0, Vec::new()), |(made, mut wrong), scene| {
        wrong.extend(scene.checks.wrong().iter().map(|what| format!("  {}: {what}", scene.title)));
        (made + scene.checks.made(), wrong)
    });
    if wrong.is_empty() {
        say(format!("\nAll {made} checks hold. `cargo run -p batch-local` serves the same API for you to try."))?;
        return Ok(Outcome::Success);
    }
    let shown: Vec<&str> = wrong.iter().take(MAX_DIFFERENCES).map(String::as_str).collect();
    let rest = if wrong.len() > MAX_DIFFERENCES { "\n  and more" } else { "" };
    say(format!("\n{} of {made} checks do not hold:\n{}{rest}", wrong.len(), shown.join("\n")))?;
    Ok(Outcome::Failure)
}

async fn tour(client: &Client, node: Option<&StacksNode>, orby: Option<&OrbySandbox>) -> Result<Vec<Scene>, Error> {
    let mut scenes = vec![
        timed(scenes::related(client)).await?,
        timed(scenes::conditional(client)).await?,
        timed(scenes::large_order(client)).await?,
        timed(scenes::atomic_order(client)).await?,
        timed(scenes::failing_order(client)).await?,
        timed(memories::migration(client)).await?,
    ];
    if let Some(node) = node {
        scenes.push(timed(contents::prices(client, node)).await?);
    }
    if let Some(orby) = orby {
        scenes.push(timed(intents::two_chains(client, orby)).await?);
        scenes.push(timed(intents::failure(client, orby)).await?);
    }
    Ok(scenes)
}

async fn timed(scene: impl Future<Output = Result<Scene, Error>>) -> Result<Scene, Error> {
    let clock = Clock::system();
    let begun = clock.now();
    let scene = scene.await?;
    Ok(Scene { took_ms: clock.now().since_ms(begun), ..scene })
}

fn row(scene: &Scene) -> [String; 6] {
    let (made, wrong) = (scene.checks.made(), scene.checks.wrong().len());
    let verdict = if wrong == 0 { format!("yes ({made} checks)") } else { format!("NO ({wrong} of {made} differ)") };
    let (operations, took) = (scene.operations.to_string(), scene.took_ms.to_string());
    [scene.title.to_owned(), scene.how.to_owned(), operations, scene.status.clone(), took, verdict]
}
