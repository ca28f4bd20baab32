//! The long-running commands.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use batch_core::limits::Limits;
use batch_core::rate::MOST_BATCHES;
use batch_core::runtime::{Clock, Entropy};
use batch_local::keys::Keys;
use batch_local::{BLOCK, Error, Functionless, SHIPPED_MODEL, Service, Settings, Storage, read_model};
use tokio::signal;

use super::args::{self, Data};
use super::credentials::{HOME, Running};
use super::output::{note, say};
use super::{Outcome, Outside};

/// Whom the printed key speaks for.
const TENANT: &str = "demo";
const SUBJECT: &str = "developer";
const ROLES: [&str; 1] = ["admin"];

pub(super) async fn serve(args: args::Serve, outside: &Outside) -> Result<Outcome, Error> {
    let mut signals = Signals::new()?;
    let service =
        Service::start(settings(args.port, args.data, args.model.as_deref(), args.batches_per_minute, outside)?)
            .await?;
    let url = service.base_url();
    let running = Running::note(port(&url), service.dynamodb_url())?;
    let key = service.api_key(TENANT, SUBJECT, &ROLES).await?;
    say(welcome(&url, key.expose()))?;
    say(match &outside.stacks {
        None => "Contract calls go to a sandbox of a Stacks node in this process; set STACKS_NODE_URL for another."
            .to_owned(),
        Some(_) => "Contract calls go to the Stacks node at STACKS_NODE_URL.".to_owned(),
    })?;
    say(match &outside.orby {
        None => "Intents go to a sandbox of Orby in this process; set ORBY_URL and ORBY_API_KEY for another.",
        Some(_) => "Intents go to Orby at ORBY_URL: what is signed and executed here is real.",
    })?;
    say(format!("listening on {url}"))?;
    signals.next().await;
    drop(running);
    Ok(signals.or_end(service.stop()).await)
}

pub(super) async fn backend(args: args::Backend, outside: &Outside) -> Result<Outcome, Error> {
    let mut signals = Signals::new()?;
    let backend =
        Functionless::start(&settings(args.port, args.data, args.model.as_deref(), MOST_BATCHES, outside)?).await?;
    // A value that holds quotes is quoted itself, as files of settings want it.
    let line = |(name, value): (&&str, &String)| {
        if value.contains('"') { format!("{name}='{value}'") } else { format!("{name}={value}") }
    };
    // A key of one's own stays where it is; that of the sandbox opens nothing.
    let own_key = outside.orby.is_some();
    let told = backend.settings().iter().filter(|(name, _)| !(own_key && **name == "ORBY_API_KEY"));
    let lines: Vec<String> = told.map(line).collect();
    say(lines.join("\n"))?;
    if own_key {
        note("ORBY_API_KEY is left out: add it to the functions' settings yourself");
    }
    note("ready; the lines on standard output are the functions' settings (.local/functions.env)");
    signals.next().await;
    Ok(signals.or_end(backend.stop()).await)
}

fn settings(
    port: u16,
    data: Data,
    model: Option<&Path>,
    batches_per_minute: u32,
    outside: &Outside,
) -> Result<Settings, Error> {
    let model = match model {
        None => SHIPPED_MODEL.to_owned(),
        Some(file) => {
            let name = file.display();
            let text = fs::read_to_string(file).map_err(|error| Error::caused(&name, &error))?;
            read_model(&name.to_string(), &text)?;
            text
        }
    };
    Ok(Settings {
        storage: if data.memory { Storage::Memory } else { Storage::Directory(data.data_dir) },
        keys: Keys::open(Path::new(HOME))?,
        port,
        model,
        pump: true,
        clock: Clock::system(),
        entropy: Entropy::system(),
        limits: Limits::default(),
        batches_per_minute,
        stacks: outside.stacks.clone(),
        orby: outside.orby.clone(),
        block: Some(BLOCK),
        http: None,
        handlers: BTreeMap::new(),
        executor: None,
    })
}

fn port(url: &str) -> u16 {
    url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
}

/// How the process is asked to stop, by a terminal or by a supervisor.
struct Signals {
    #[cfg(unix)]
    terminated: signal::unix::Signal,
    #[cfg(unix)]
    interrupted: signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Result<Self, Error> {
        let receive =
            |kind| signal::unix::signal(kind).map_err(|error| Error::caused("signals cannot be received", &error));
        let (terminate, interrupt) = (signal::unix::SignalKind::terminate(), signal::unix::SignalKind::interrupt());
        Ok(Self { terminated: receive(terminate)?, interrupted: receive(interrupt)? })
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self, Error> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminated.recv() => {}
            _ = self.interrupted.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Where it cannot be received, the process is ended the hard way, which it is made for.
        let _ = signal::ctrl_c().await;
    }

    /// Waits for an orderly stop. A second signal does not: what was under way is taken up again at the next start.
    async fn or_end(&mut self, stop: impl Future<Output = ()>) -> Outcome {
        tokio::select! {
            () = stop => Outcome::Success,
            () = self.next() => Outcome::Failure,
        }
    }
}

fn welcome(url: &str, key: &str) -> String {
    let post = format!("curl -s {url}/batch -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' -d");
    format!(
        r#"An API key for the tenant {TENANT}, with the role {role}:

KEY={key}

A customer and an invoice of that customer, both or neither:

{post} '
{{"operations":[
 {{"id":"create_customer","entity":"customer","action":"create","store_params":{{"first_name":"John","last_name":"Doe"}}}},
 {{"id":"create_invoice","entity":"invoice","action":"create","store_params":{{"customer_id":"$ref:create_customer.customer_id","invoice_date":"2024-11-11T10:00:00","total":100.00}}}}
]}}'

An account, and then a payment of all it holds:

{post} '
{{"operations":[
 {{"entity":"account","action":"create","store_params":{{"account_id":42,"available_balance":250.75}}}}
]}}'
{post} '
{{"operations":[
 {{"id":"check_balance","entity":"account","action":"read","query_params":{{"account_id":42}}}},
 {{"id":"create_payment","entity":"payment","action":"create","store_params":{{"account_id":42,"amount":"$ref:check_balance.available_balance"}}}}
],"options":{{"atomic":true}}}}'

What has been sent:

curl -s {url}/batches -H "Authorization: Bearer $KEY"
"#,
        role = ROLES.join(", "),
    )
}
