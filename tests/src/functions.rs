//! The functions' own binaries, started with a runtime and AWS on loopback: for the commands that measure them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

/// Why a measurement could not be made.
pub type Failure = Box<dyn std::error::Error>;

/// The command `name DIRECTORY`: `measure`s the binaries in that directory, and fails where they are out of bounds.
pub async fn measure(name: &str, measure: impl AsyncFnOnce(&Path) -> Result<bool, Failure>) -> ExitCode {
    let Some(directory) = std::env::args().nth(1).map(PathBuf::from) else {
        eprintln!("{name} DIRECTORY");
        return ExitCode::from(2);
    };
    match measure(&directory).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts `binary` with Lambda's runtime and SQS at `address`, and DynamoDB at the URL `tables`.
pub fn start(binary: &Path, address: &str, tables: &str) -> Result<Child, Failure> {
    let settings = [
        ("AWS_LAMBDA_RUNTIME_API", address.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", "measured".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", tables.to_owned()),
        ("AWS_ENDPOINT_URL_SQS", format!("http://{address}")),
        ("BATCHES_TABLE", "BatchesTable".to_owned()),
        ("RECORDS_TABLE", "RecordsTable".to_owned()),
        ("SEARCH_TABLE", "SearchTable".to_owned()),
        ("CONTROL_TABLE", "ControlTable".to_owned()),
        ("QUEUE_URL", format!("http://{address}/queue")),
        ("JWT_ISSUER", "https://issuer.invalid".to_owned()),
        ("JWT_AUDIENCE", "measured".to_owned()),
        ("JWKS_URL", "https://issuer.invalid/jwks.json".to_owned()),
        ("CURSOR_KEY", "c".repeat(64)),
    ];
    let mut command = Command::new(binary);
    command.env_clear().envs(settings).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?)
}
