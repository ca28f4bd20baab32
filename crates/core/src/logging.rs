//! Logs: one JSON object a line, on standard output, where Lambda collects them.
//!
//! What a client sent is in none: a line holds ids of ours, fixed words, codes and counts.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;

/// Starts logging at `level`, and has a panic logged by its place alone. A second call changes nothing.
pub fn start(level: Level) {
    if tracing::subscriber::set_global_default(subscriber(level, std::io::stdout)).is_ok() {
        std::panic::set_hook(Box::new(panicked));
    }
}

/// What writes the lines of `level` to `writer`. Libraries are held to warnings, because the SDK's debug lines hold
/// request bodies.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let ours = ["batch_core", "gateway", "submit", "executor", "status"].map(|target| (target, level));
    let filter = Targets::new().with_default(LevelFilter::WARN).with_targets(ours);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_events(FmtSpan::NONE)
        .with_writer(writer);
    tracing_subscriber::registry().with(filter).with(lines)
}

/// Logs where a panic came from. Its message may quote what was being worked on, so it is left out.
pub fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panicked");
}
