//! Tokens and API keys from the command line.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use batch_core::auth::ApiKeyRecord;
use batch_core::runtime::{Clock, Entropy};
use batch_core::store::api_key_item;
use batch_local::keys::{Identity, Keys, new_api_key};
use batch_local::{Error, Storage, add_api_key, add_api_key_at};
use serde_json::{Map, Value, json};

use super::Outcome;
use super::args::{Caller, Key};
use super::output::say;

/// Where the keys of this machine are, and what services of this directory run: always here, whatever a service's data
/// directory, so that a token made by one command is good for every other.
pub(super) const HOME: &str = ".local";

pub(super) fn token(caller: &Caller) -> Result<Outcome, Error> {
    let keys = Keys::open(Path::new(HOME))?;
    say(keys.token(&identity(caller)?, Clock::system().now())?)?;
    Ok(Outcome::Success)
}

pub(super) async fn key(args: Key) -> Result<Outcome, Error> {
    let identity = identity(&args.caller)?;
    if args.item {
        let (key, record) = new_api_key(identity, args.days, &Entropy::system(), Clock::system().now());
        say(key.expose())?;
        say(item(&record)?)?;
        return Ok(Outcome::Success);
    }
    let key = match args.data_dir {
        Some(directory) => add_api_key(&Storage::Directory(directory), identity, args.days).await?,
        None => match Running::find(args.port) {
            Some(url) => add_api_key_at(&url, identity, args.days).await?,
            None => add_api_key(&Storage::Directory(PathBuf::from(HOME)), identity, args.days).await?,
        },
    };
    say(key.expose())?;
    Ok(Outcome::Success)
}

/// The item as `aws dynamodb put-item --item` takes it.
fn item(record: &ApiKeyRecord) -> Result<Value, Error> {
    let attributes = api_key_item(record).map_err(|error| Error::new(format!("no item: {error}")))?;
    Ok(attributes.into_iter().map(|(name, text)| (name.to_owned(), json!({ "S": text }))).collect())
}

fn identity(caller: &Caller) -> Result<Identity, Error> {
    let mut claims = Map::new();
    for claim in &caller.claims {
        let (name, value) = claim
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Error::new(format!("--claim {claim}: name=value is wanted")))?;
        let value = if value.contains(',') {
            value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect()
        } else {
            Value::from(value)
        };
        claims.insert(name.to_owned(), value);
    }
    Identity::new(&caller.tenant, &caller.subject, caller.roles.iter().cloned(), claims)
}

/// A note, kept while a service runs, of where its database is served. With it a key can be made for a service in memory
/// too.
pub(super) struct Running(PathBuf);

impl Running {
    pub(super) fn note(port: u16, dynamodb_url: &str) -> Result<Self, Error> {
        let file = Self::file(port);
        fs::write(&file, dynamodb_url).map_err(|error| Error::caused(file.display(), &error))?;
        Ok(Self(file))
    }

    /// Where the service on `port` has its database; `None` if none runs there.
    fn find(port: u16) -> Option<String> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        fs::read_to_string(Self::file(port)).ok()
    }

    fn file(port: u16) -> PathBuf {
        Path::new(HOME).join(format!("running-{port}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It means nothing once the port is free; a file that stays does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_comma_makes_a_list() {
        let claims = ["creators=SP1,SP2", "plan=gold", "one=x,"].map(str::to_owned).to_vec();
        let caller = Caller { tenant: "demo".into(), subject: "me".into(), roles: vec!["admin".into()], claims };
        let identity = identity(&caller).unwrap();
        assert_eq!(Value::Object(identity.claims), json!({"creators": ["SP1", "SP2"], "plan": "gold", "one": ["x"]}));
        let caller = Caller { claims: vec!["=x".into()], ..caller };
        assert!(super::identity(&caller).is_err());
    }
}
