//! How long each function takes from its start until it asks for its first call, beside one that does nothing.
//!
//! `cold_start DIRECTORY` starts each binary 25 times in turn, each time from a new copy, with a listener on loopback in the
//! place of Lambda, DynamoDB and SQS, and tells medians, and the size of each binary as a zip. It ends 1 where a function takes
//! more than twice as long as the empty one, or its zip is larger than 5 MB. `scripts/measure-start` builds everything first.

#![expect(clippy::print_stdout, reason = "a command tells its results")]
#![expect(
    clippy::disallowed_methods,
    reason = "the listener runs beside the measurement, whose clock is the machine's"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use batch_tests::functions::{self, Failure};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};

const STARTS: usize = 25;
const FUNCTIONS: [&str; 3] = ["submit", "executor", "status"];
const MOST_TIMES: f64 = 2.0;
const MOST_ZIP: usize = 5_000_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    functions::measure("cold_start", measure).await
}

async fn measure(directory: &Path) -> Result<bool, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (told, mut asked) = channel(16);
    tokio::spawn(serve(listener, told));
    let binaries = [("an empty one", directory.join("examples/empty"))];
    let binaries: Vec<(&str, PathBuf)> =
        binaries.into_iter().chain(FUNCTIONS.map(|name| (name, directory.join(name)))).collect();
    let copies = tempfile::tempdir()?;
    let mut times = vec![Vec::new(); binaries.len()];
    for round in 0..STARTS {
        for (place, (_, binary)) in binaries.iter().enumerate() {
            // Where in memory a file's pages happen to lie is worth up to half of a start, and stays so until they go.
            let copy = copies.path().join(format!("{round}-{place}"));
            std::fs::write(&copy, std::fs::read(binary)?)?;
            std::fs::set_permissions(&copy, std::fs::metadata(binary)?.permissions())?;
            times[place].push(start(&copy, &address, &mut asked).await?);
            std::fs::remove_file(&copy)?;
        }
    }
    let medians: Vec<Duration> = times.iter_mut().map(|times| median(times)).collect();
    let mut right = true;
    for ((name, binary), median) in binaries.iter().zip(&medians) {
        let zip = zipped(binary)?;
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        println!("{name:>12}: {:.2} ms, {ratio:.2} times an empty one, zip {:.2} MB", millis(*median), megabytes(zip));
        right = right && ratio <= MOST_TIMES && zip <= MOST_ZIP;
    }
    println!("{STARTS} starts each: {}", if right { "within bounds" } else { "out of bounds" });
    Ok(right)
}

/// Time from the start of `binary` until it asks for a call.
async fn start(binary: &Path, address: &str, asked: &mut Receiver<Instant>) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let mut child = functions::start(binary, address, &format!("http://{address}"))?;
    let waited = tokio::time::timeout(Duration::from_secs(10), asked.recv()).await;
    child.kill()?;
    child.wait()?;
    let then = waited.ok().flatten().ok_or_else(|| format!("{} asks for nothing", binary.display()))?;
    Ok(then - begun)
}

/// Answers, as a table does in which nothing is found, everything but a function's wish for a call, which it tells.
async fn serve(listener: TcpListener, told: Sender<Instant>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, told.clone()));
    }
}

async fn answer(mut stream: TcpStream, told: Sender<Instant>) {
    const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 39\r\n\r\n{\"Count\":0,\"Items\":[],\"ScannedCount\":0}";
    let mut buffer = vec![0; 16_384];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&buffer[..read]);
        if text.contains("/invocation/next") {
            let _ = told.send(Instant::now()).await;
        } else if stream.write_all(EMPTY).await.is_err() {
            return;
        }
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "a size to be read by people")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1_000_000.0
}

/// Bytes of the binary in a zip.
fn zipped(binary: &Path) -> Result<usize, Failure> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&std::fs::read(binary)?)?;
    Ok(encoder.finish()?.len())
}
