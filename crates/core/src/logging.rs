//! Logs: one JSON object a line, on standard output, where Lambda collects them.
//!
//! What a client sent is in none: a line holds ids of ours, fixed words, codes and counts. Beside its own fields it has
//! those of the spans it was written in, on one level with them, so that every line of a request or a run is found by
//! `request.id`, `batch.id` and `trace.id`, wherever it was written.

use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::{Layer, Registry};

use crate::runtime::Clock;

/// The crates whose lines are written at the level of the setting, and whose spans count.
const OURS: [&str; 5] = ["batch_core", "gateway", "submit", "executor", "status"];

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
    let filter = Targets::new().with_default(LevelFilter::WARN).with_targets(OURS.map(|target| (target, level)));
    Registry::default().with(filter).with(Lines { writer, clock: Clock::system() })
}

/// Logs where a panic came from. Its message may quote what was being worked on, so it is left out.
pub fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panicked");
}

/// Writes a line for each event.
struct Lines<W> {
    writer: W,
    clock: Clock,
}

/// The fields of an event or a span.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id).filter(|span| is_ours(span.metadata().target())) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), self.clock.now().to_string().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        // The message first, as the others are read after it; the ids that are around it before those of its own, which
        // take their place.
        line.extend(own.0.shift_remove_entry("message"));
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.extend(fields.0.clone());
            }
        }
        line.extend(own.0);
        line.insert("target".to_owned(), event.metadata().target().into());
        // A line that cannot be written is not worth failing for.
        let _ = writeln!(self.writer.make_writer_for(event.metadata()), "{}", Value::Object(line));
    }
}

fn is_ours(target: &str) -> bool {
    OURS.iter().any(|ours| target.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}
