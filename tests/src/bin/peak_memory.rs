//! How much memory a function takes at the largest body there can be.
//!
//! `peak_memory DIRECTORY` starts the functions' own binaries with a runtime, tables and a queue on loopback, sends submit a
//! batch of 100 operations in 4.5 MB of text that does not compress, once to be run in the background and once while the client
//! waits, hands the executor the message, and tells the peak of each process. It ends 1 where one is above 64 MB, or an answer is
//! not what it should be. `scripts/measure-start` builds everything first.

#![expect(clippy::print_stdout, reason = "a command tells its results")]

use std::path::Path;
use std::process::{Child, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, Response};
use axum::{Router, routing};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use batch_core::limits::MAX_BODY_BYTES;
use batch_core::runtime::{Clock, Entropy};
use batch_local::keys::Identity;
use batch_tests::functions::{self, Failure};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What is left to a function of which Lambda counts every page.
const MOST_MB: u64 = 64;
/// Bytes of JSON around the text of an operation, at most.
const AROUND: usize = 120;
const OPERATIONS: usize = 100;

/// What stands in the place of Lambda and SQS for one process.
struct Stage {
    event: Mutex<Option<Value>>,
    answered: UnboundedSender<Value>,
    sent: UnboundedSender<String>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    functions::measure("peak_memory", measure).await
}

async fn measure(directory: &Path) -> Result<bool, Failure> {
    let database = batch_local::database_in_memory()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let tables = format!("http://{}", listener.local_addr()?);
    #[expect(clippy::disallowed_methods, reason = "the database serves beside the measurement")]
    let serving = tokio::spawn(async move { dynoxide::server::serve_on(listener, database).await });
    let key = batch_local::add_api_key_at(&tables, Identity::new("t", "s", ["admin"], Map::new())?, None).await?;

    let background = api_event(key.expose(), &body("a"), true);
    let (accepted, sent, submit) = call(&directory.join("submit"), &tables, background).await?;
    let message = sent.ok_or("submit sent no message")?;
    let (run, _, executor) = call(&directory.join("executor"), &tables, sqs_event(&message)).await?;
    let (answered, _, sync) =
        call(&directory.join("submit"), &tables, api_event(key.expose(), &body("b"), false)).await?;
    serving.abort();

    // Results hold 4 MB, so the last few of the operations fail, as they must.
    let told: Value = serde_json::from_str(answered["body"].as_str().unwrap_or_default())?;
    let ran = told["summary"]["successful"].as_u64().is_some_and(|count| count > 90);
    let right = accepted["statusCode"] == 202 && ran && run["batchItemFailures"] == json!([]);
    let mut within = right;
    for (what, peak) in [("submit, in the background", submit), ("executor", executor), ("submit, and run it", sync)] {
        println!("{what:>26}: {peak} MB at its peak");
        within = within && peak <= MOST_MB;
    }
    println!("a body of {MAX_BODY_BYTES} bytes: {}", if within { "within bounds" } else { "out of bounds" });
    if !right {
        return Err(format!("not the wanted answers: {} {}", accepted["statusCode"], answered["statusCode"]).into());
    }
    Ok(within)
}

/// As many bytes as a body may have; the text is random, so that it takes as much room packed.
fn body(prefix: &str) -> String {
    let entropy = Entropy::system();
    let text = || -> String {
        let most = MAX_BODY_BYTES / OPERATIONS - AROUND;
        let chunks = std::iter::from_fn(|| Some(URL_SAFE_NO_PAD.encode(entropy.bytes::<96>())));
        chunks.take(most / 128).collect()
    };
    let operation = |n: usize| {
        json!({ "entity": "memory", "action": "create",
                "store_params": { "content": text(), "title": format!("{prefix}{n}") } })
    };
    let operations: Vec<Value> = (0..OPERATIONS).map(operation).collect();
    json!({ "operations": operations, "options": { "atomic": false } }).to_string()
}

fn api_event(key: &str, body: &str, background: bool) -> Value {
    let mut headers = json!({ "content-type": "application/json", "x-api-key": key });
    if background {
        headers["prefer"] = "respond-async".into();
    }
    json!({
        "resource": "/batch", "path": "/batch", "httpMethod": "POST", "headers": headers,
        "requestContext": { "path": "/batch", "stage": "s", "requestId": "r", "httpMethod": "POST", "resourcePath": "/batch" },
        "body": STANDARD.encode(body), "isBase64Encoded": true,
    })
}

fn sqs_event(message: &str) -> Value {
    json!({ "Records": [{
        "messageId": "m", "receiptHandle": "h", "body": message, "attributes": { "ApproximateReceiveCount": "1" },
        "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs", "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:BatchQueue",
    }] })
}

/// Has `binary` work on one event: its answer, the message it sent, and the peak of its memory in MB.
async fn call(binary: &Path, tables: &str, event: Value) -> Result<(Value, Option<String>, u64), Failure> {
    let (answered, mut answers) = unbounded_channel();
    let (sent, mut messages): (_, UnboundedReceiver<String>) = unbounded_channel();
    let stage = Arc::new(Stage { event: Mutex::new(Some(event)), answered, sent });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let routes = Router::new().fallback(routing::any(move |request| serve(stage.clone(), request)));
    #[expect(clippy::disallowed_methods, reason = "the runtime serves beside the measurement")]
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut child = functions::start(binary, &address, tables)?;
    let answer = tokio::time::timeout(Duration::from_mins(1), answers.recv()).await;
    let peak = peak(&child);
    child.kill()?;
    child.wait()?;
    serving.abort();
    let answer = answer.ok().flatten().ok_or_else(|| format!("{} does not answer", binary.display()))?;
    Ok((answer, messages.try_recv().ok(), peak.ok_or("this machine does not tell the peak of a process")?))
}

async fn serve(stage: Arc<Stage>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap_or_else(|_| Bytes::new());
    let read = || serde_json::from_slice::<Value>(&body).unwrap_or_default();
    if path.ends_with("/invocation/next") {
        let event = stage.event.lock().unwrap_or_else(PoisonError::into_inner).take();
        // After the one event it waits, as between calls.
        let Some(event) = event else { return std::future::pending().await };
        let deadline = Clock::system().now().plus_ms(60_000).0;
        let next = Response::builder()
            .header("lambda-runtime-aws-request-id", "r")
            .header("lambda-runtime-deadline-ms", deadline)
            .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:measured");
        return next.body(event.to_string().into()).unwrap_or_default();
    }
    if path.contains("/invocation/") {
        let _ = stage.answered.send(read());
        return Response::builder().status(202).body(Body::empty()).unwrap_or_default();
    }
    let _ = stage.sent.send(read()["MessageBody"].as_str().unwrap_or_default().to_owned());
    Response::new(json!({ "MessageId": "m" }).to_string().into())
}

/// The most memory that the process had, in MB.
fn peak(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.split_whitespace().next()?.parse::<u64>().ok()?.div_ceil(1_024))
}
