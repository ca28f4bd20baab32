use std::path::PathBuf;

use batch_core::rate::MOST_BATCHES;
use clap::{Args, Parser, Subcommand};

/// The port of the API where none is named.
pub(super) const DEFAULT_PORT: u16 = 9000;

/// The batch service on this machine, for development and tests.
///
/// Without a command it serves: DynamoDB, SQS and API Gateway are in this process, the functions are the real ones, and
/// nothing is reachable from outside.
#[derive(Debug, Parser)]
#[command(name = "batch-local", version, args_conflicts_with_subcommands = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the API on 127.0.0.1, and print an API key and examples [default]
    Serve(Serve),
    /// Run an example of everything against a service in memory, and check every result
    Demo(Demo),
    /// Send a batch from a file to a running service, and show its results
    Submit(Submit),
    /// Send batches as fast as they are answered, and tell how many and how fast
    Load(Load),
    /// Print a token (JWT) that the local service accepts
    Token(Caller),
    /// Print a new API key for a running service, or for its data directory
    Key(Key),
    /// Serve only DynamoDB, SQS and the queue's consumer, for functions run by `cargo lambda watch`
    ///
    /// Prints the functions' settings, NAME=value a line. Save them as .local/functions.env.
    Backend(Backend),
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Port of the API; 0 for a free one
    #[arg(long, value_name = "P", default_value_t = DEFAULT_PORT)]
    pub(super) port: u16,
    #[command(flatten)]
    pub(super) data: Data,
    /// Entities to serve instead of those of model.yaml
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// Batches that a caller may send in a minute, to see what is answered beyond
    #[arg(long, value_name = "N", default_value_t = MOST_BATCHES,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_BATCHES)))]
    pub(super) batches_per_minute: u32,
}

#[derive(Debug, Args)]
pub(super) struct Data {
    /// Keep the data in memory: they end with the service
    #[arg(long, conflicts_with = "data_dir")]
    pub(super) memory: bool,
    /// Keep the data in this directory
    #[arg(long, value_name = "D", default_value = ".local")]
    pub(super) data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Demo {}

#[derive(Debug, Args)]
pub(super) struct Submit {
    /// JSON of the request: {"operations": [...], "options": {...}}; - for standard input
    pub(super) file: PathBuf,
    /// Where the service is
    #[arg(long, value_name = "U", default_value = "http://127.0.0.1:9000")]
    pub(super) url: String,
    /// Run the batch in the background, and watch it
    #[arg(long)]
    pub(super) watch: bool,
    /// API key or token
    ///
    /// Without it, the API key in the environment (`BATCH_API_KEY`); without that, a token for the tenant demo that any
    /// service of this directory accepts.
    #[arg(long, value_name = "K")]
    pub(super) key: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Load {
    /// Where the service is; without it one is started for this, with data of its own, in a process of its own
    #[arg(long, value_name = "U")]
    pub(super) url: Option<String>,
    /// API key or token, for a service that does not take the tokens of this directory
    #[arg(long, value_name = "K", requires = "url")]
    pub(super) key: Option<String>,
    /// Seconds of each round
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(super) seconds: u64,
    /// Clients at once, a round for each number
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1, 8, 32],
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) clients: Vec<u16>,
    /// Operations in a batch, a round for each number
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1, 10, 100],
          value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) operations: Vec<u16>,
    /// Seconds of load before the rounds, which are not told: the database keeps the token of each transaction for 600
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=3_600))]
    pub(super) warm_up: u64,
    /// Fail where the memory of the service grows by more than a tenth in a round
    #[arg(long, conflicts_with = "url")]
    pub(super) steady: bool,
}

#[derive(Debug, Args)]
pub(super) struct Caller {
    /// Tenant whose records and batches it opens
    #[arg(long, value_name = "T")]
    pub(super) tenant: String,
    /// Whom it speaks for
    #[arg(long, value_name = "S")]
    pub(super) subject: String,
    /// A role; admin passes the entity rules of its tenant
    #[arg(long = "role", value_name = "R")]
    pub(super) roles: Vec<String>,
    /// A further claim; a comma in the value makes a list
    #[arg(long = "claim", value_name = "k=v")]
    pub(super) claims: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(flatten)]
    pub(super) caller: Caller,
    /// Port of the running service; where none runs there, the key is put into .local
    #[arg(long, value_name = "P", default_value_t = DEFAULT_PORT)]
    pub(super) port: u16,
    /// Data directory of the service, running or not
    #[arg(long, value_name = "D", conflicts_with = "port")]
    pub(super) data_dir: Option<PathBuf>,
    /// Days until it is refused; without it the key is good until its item is deleted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) days: Option<u16>,
    /// Store nothing: print the key, and below it the item that makes a deployment know it
    #[arg(long, conflicts_with_all = ["port", "data_dir"])]
    pub(super) item: bool,
}

#[derive(Debug, Args)]
pub(super) struct Backend {
    /// First of three ports: DynamoDB, SQS and the key set of the issuer
    #[arg(long, value_name = "P", default_value_t = 9001)]
    pub(super) port: u16,
    #[command(flatten)]
    pub(super) data: Data,
    /// Entities to serve instead of those of model.yaml
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_lines_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default() {
        let cli = Cli::try_parse_from(["batch-local"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!((cli.serve.port, cli.serve.data.data_dir), (DEFAULT_PORT, PathBuf::from(".local")));
        assert_eq!(cli.serve.batches_per_minute, MOST_BATCHES);
        let limited = Cli::try_parse_from(["batch-local", "serve", "--batches-per-minute", "5"]).unwrap();
        assert!(matches!(limited.command, Some(Command::Serve(Serve { batches_per_minute: 5, .. }))));
        assert!(Cli::try_parse_from(["batch-local", "--batches-per-minute", "0"]).is_err());
        let cli = Cli::try_parse_from(["batch-local", "--port", "1"]).unwrap();
        assert_eq!(cli.serve.port, 1);
    }
}
