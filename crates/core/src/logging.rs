//! Logs: one JSON object a line, on standard output, where Lambda collects them.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, `trace`, or a filter of `tracing-subscriber`). Libraries
/// are held to warnings, because the SDK's debug lines hold request bodies. A second call does nothing.
pub fn start(level: &str) {
    let ours = format!("warn,batch_core={level},submit={level},executor={level},status={level},batch_local={level}");
    let filter = EnvFilter::try_new(ours).unwrap_or_else(|_| EnvFilter::new("warn,batch_core=info"));
    let logs = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_events(FmtSpan::NONE)
        .with_env_filter(filter);
    if logs.try_init().is_err() {
        tracing::debug!("logging was started before");
    }
}
