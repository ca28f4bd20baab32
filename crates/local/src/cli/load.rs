//! Batches at full speed, to see how many and how fast.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use batch_core::runtime::{Clock, Entropy};
use batch_local::Error;
use batch_local::keys::{Identity, Keys};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::Outcome;
use super::args::Load;
use super::client::Client;
use super::credentials::HOME;
use super::output::{note, say, table};

/// A service in a process of its own, with data of its own, ended with this value.
struct Serving {
    child: Child,
    url: String,
    data: PathBuf,
}

impl Serving {
    fn start() -> Result<Self, Error> {
        let failed = |error: &std::io::Error| Error::caused("the service does not start", error);
        let data = std::env::temp_dir().join(format!("batch-local-load-{}", Entropy::system().hex32()));
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command.args(["serve", "--port", "0", "--data-dir"]).arg(&data).env("LOG_LEVEL", "error");
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines()).into_iter().flatten();
        let url = lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned()));
        let url = url.ok_or_else(|| Error::new("the service does not start"))?;
        Ok(Self { child, url, data })
    }

    /// Memory it has in use, in MB, where the machine tells.
    fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(kilobytes.split_whitespace().next()?.parse::<u64>().ok()? / 1_024)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It is nobody else's: how it ends does not matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// What of its memory a steady service may gain in a round: one part in so many.
const MOST_GROWTH: u64 = 10;

/// What one round of clients saw.
#[derive(Debug, Default)]
struct Seen {
    /// Microseconds of each batch.
    times: Vec<i64>,
    errors: u64,
}

pub(super) async fn run(args: Load) -> Result<Outcome, Error> {
    let serving = if args.url.is_none() { Some(Serving::start()?) } else { None };
    let url = serving.as_ref().map(|serving| serving.url.clone()).or(args.url).unwrap_or_default();
    let memory = || serving.as_ref().and_then(Serving::memory);
    let (mut rows, mut errors, mut grown) = (Vec::new(), 0, false);
    if args.warm_up > 0 {
        // As much as there will ever be at once.
        let most = (args.clients.iter().max().copied(), args.operations.iter().max().copied());
        let (clients, operations) = (most.0.unwrap_or(1), most.1.unwrap_or(1));
        note(format!("{clients} clients, {operations} operations, {} s to warm up", args.warm_up));
        errors += round(&url, args.key.as_deref(), (clients, operations), args.warm_up).await?.errors;
    }
    for clients in &args.clients {
        for operations in &args.operations {
            note(format!("{clients} clients, {operations} operations, {} s", args.seconds));
            let before = memory();
            let mut seen = round(&url, args.key.as_deref(), (*clients, *operations), args.seconds).await?;
            let after = memory();
            seen.times.sort_unstable();
            errors += seen.errors;
            grown |=
                args.steady && before.zip(after).is_some_and(|(before, after)| after > before + before / MOST_GROWTH);
            let per_second = seen.times.len() as u64 / args.seconds.max(1);
            let at = |percent: usize| told(seen.times.get(seen.times.len() * percent / 100).or(seen.times.last()));
            let megabytes = |memory: Option<u64>| memory.map_or_else(String::new, |memory| format!("{memory} MB"));
            rows.push([
                clients.to_string(),
                operations.to_string(),
                per_second.to_string(),
                (per_second * u64::from(*operations)).to_string(),
                at(50),
                at(90),
                at(99),
                told(seen.times.last()),
                seen.errors.to_string(),
                megabytes(before),
                megabytes(after),
            ]);
        }
    }
    let header =
        ["clients", "operations", "batches/s", "operations/s", "p50", "p90", "p99", "max", "errors", "memory", "after"];
    say(table(header, &rows))?;
    let growth = if grown { ", memory grows" } else { "" };
    say(format!("{} rounds, {errors} errors{growth}", rows.len()))?;
    Ok(if errors == 0 && !grown { Outcome::Success } else { Outcome::Failure })
}

fn told(micros: Option<&i64>) -> String {
    micros.map_or_else(String::new, |micros| format!("{}.{} ms", micros / 1_000, micros / 100 % 10))
}

/// So many clients at once, each of which sends one batch after another of so many operations.
async fn round(url: &str, key: Option<&str>, (clients, operations): (u16, u16), seconds: u64) -> Result<Seen, Error> {
    let mut tasks = JoinSet::new();
    let until = Clock::system().now().plus_ms(i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX));
    for number in 0..clients {
        let credential = match key {
            Some(key) => key.to_owned(),
            None => token(number)?,
        };
        let client = Client::new(url, credential)?;
        tasks.spawn(async move {
            let accounts = u32::from(number) * 1_000;
            let mut seen = Seen::default();
            let made = client.submit(&batch("create", accounts, operations), None).await?;
            // They are there already where an earlier round made them.
            if made.status >= 400 {
                return Err(made.complaint());
            }
            let update = batch("update", accounts, operations);
            while Clock::system().now() < until {
                let begun = tokio::time::Instant::now();
                match client.submit(&update, None).await {
                    Ok(reply) if reply.body["success"] == true => {
                        seen.times.push(i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX));
                    }
                    // A quota is no error, but it is to be waited for.
                    Ok(reply) if reply.status == 429 => tokio::time::sleep(Duration::from_millis(100)).await,
                    _ => seen.errors += 1,
                }
            }
            Ok(seen)
        });
    }
    let mut all = Seen::default();
    while let Some(done) = tasks.join_next().await {
        let seen = done.map_err(|error| Error::caused("a client", &error))??;
        all.times.extend(seen.times);
        all.errors += seen.errors;
    }
    Ok(all)
}

/// A caller of its own for each client, so that quotas do not hold back what is measured.
fn token(number: u16) -> Result<String, Error> {
    let identity = Identity::new("load", &format!("client{number}"), ["admin"], Map::new())?;
    Keys::open(Path::new(HOME))?.token(&identity, Clock::system().now())
}

/// Everything on rows of the client's own: what is measured is the service, not who waits for whom.
fn batch(action: &str, first: u32, operations: u16) -> Value {
    let operation = |n: u16| {
        let id = first + u32::from(n);
        let named = json!({ "account_id": id });
        let values = json!({ "account_id": id, "available_balance": 1 });
        match action {
            "create" => json!({ "entity": "account", "action": "create", "store_params": values }),
            _ => {
                json!({ "entity": "account", "action": "update", "query_params": named, "store_params": { "available_balance": 2 } })
            }
        }
    };
    let options = json!({ "atomic": false, "continueOnError": true });
    json!({ "operations": (0..operations).map(operation).collect::<Vec<_>>(), "options": options })
}
