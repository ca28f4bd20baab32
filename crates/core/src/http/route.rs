//! The routes, in one table.

use crate::batch::{BatchId, Dialect, JobKind};
use crate::config::Function;
use crate::lifecycle::Act;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Take a batch in.
    Submit,
    /// Say what a batch would do.
    Plan,
    /// List batches.
    Batches,
    /// Tell of one batch; the text where its id stands.
    Batch(String),
    /// Tell the results of one batch.
    Results(String),
    /// Tell why a batch failed.
    FailureAnalysis(String),
    /// Tell who did what to a batch.
    Audit(String),
    /// Cancel, pause or resume a batch.
    Act(Act, String),
    /// Send what failed again.
    Retry(String),
    /// Take a content job in; by which of its paths.
    ContentJob(JobKind, &'static str),
    /// List content jobs, of the creator in the path.
    ContentBatches(Option<String>),
    /// Tell of one content job.
    ContentBatch(String),
    /// Send what failed of a content job again.
    ContentRetry(String),
    /// Build intents for the profile in the path.
    IntentCreate(String),
    /// Execute a batch of intents.
    IntentExecute(String),
    /// Tell how far a batch of intents is.
    IntentStatus(String),
    /// Build what failed of a batch of intents again.
    IntentRetry(String),
    /// Tell why a batch of intents failed.
    IntentAnalysis(String),
    /// Tell the limits.
    Capabilities,
    /// Tell that the service is up.
    Health,
    /// Take a batch of memories in.
    MemoryBatch,
    /// Tell that the service is up, as clients of memories ask.
    MemoryHealth,
    /// Do something with one memory, or find some, under either of the two names.
    Memory(Noun, Errand),
}

/// The two names of the routes of one memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// `/api/v1/memory`
    Memory,
    /// `/api/v1/memories`
    Memories,
}

/// What is done with one memory, or to find some; with the memory's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Make one.
    Create,
    /// Tell of those that match, page by page.
    List,
    /// Tell of one.
    Read(String),
    /// Change one.
    Update(String),
    /// Delete one.
    Delete(String),
    /// Find some by their texts.
    Search,
    /// Delete some.
    BulkDelete,
}

/// Method, path as `openapi.yaml` writes it, and the function that answers.
pub const ROUTES: [(&str, &str, Function); 42] = [
    ("POST", "/batch", Function::Submit),
    ("POST", "/batch/plan", Function::Submit),
    ("GET", "/batches", Function::Status),
    ("GET", "/batches/{batchId}", Function::Status),
    ("GET", "/batches/{batchId}/results", Function::Status),
    ("GET", "/batches/{batchId}/failure-analysis", Function::Status),
    ("GET", "/batches/{batchId}/audit", Function::Status),
    ("POST", "/batches/{batchId}/cancel", Function::Submit),
    ("POST", "/batches/{batchId}/pause", Function::Submit),
    ("POST", "/batches/{batchId}/resume", Function::Submit),
    ("POST", "/batches/{batchId}/retry", Function::Submit),
    ("POST", "/api/batches/batch-update-price", Function::Submit),
    ("POST", "/api/batches/batch-remove-content", Function::Submit),
    ("POST", "/api/batches/batch-remove", Function::Submit),
    ("POST", "/api/batches/batch-update-metadata", Function::Submit),
    ("GET", "/api/batches", Function::Status),
    ("GET", "/api/batches/creator/{creator}", Function::Status),
    ("GET", "/api/batches/{batchId}", Function::Status),
    ("POST", "/api/batches/{batchId}/retry", Function::Submit),
    ("POST", "/api/v1/profiles/{profileId}/batch-intent", Function::Submit),
    ("POST", "/api/v1/batch/{batchId}/execute", Function::Submit),
    ("GET", "/api/v1/batch/{batchId}/status", Function::Status),
    ("POST", "/api/v1/batch/{batchId}/retry", Function::Submit),
    ("GET", "/api/v1/batch/{batchId}/failure-analysis", Function::Status),
    ("GET", "/capabilities", Function::Status),
    ("GET", "/health", Function::Status),
    ("POST", "/api/v1/batch", Function::Submit),
    ("GET", "/api/v1/health", Function::Status),
    ("POST", "/api/v1/memory", Function::Submit),
    ("GET", "/api/v1/memory", Function::Status),
    ("GET", "/api/v1/memory/{memoryId}", Function::Status),
    ("PUT", "/api/v1/memory/{memoryId}", Function::Submit),
    ("DELETE", "/api/v1/memory/{memoryId}", Function::Submit),
    ("POST", "/api/v1/memory/search", Function::Submit),
    ("POST", "/api/v1/memory/bulk/delete", Function::Submit),
    ("POST", "/api/v1/memories", Function::Submit),
    ("GET", "/api/v1/memories", Function::Status),
    ("GET", "/api/v1/memories/{memoryId}", Function::Status),
    ("PUT", "/api/v1/memories/{memoryId}", Function::Submit),
    ("DELETE", "/api/v1/memories/{memoryId}", Function::Submit),
    ("POST", "/api/v1/memories/search", Function::Submit),
    ("POST", "/api/v1/memories/bulk/delete", Function::Submit),
];

impl Route {
    /// The route of a request; `None` when there is none. A trailing slash makes no difference.
    pub fn find(method: &str, path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        Some(match (method, parts.as_slice()) {
            ("POST", ["batch"]) => Self::Submit,
            ("POST", ["batch", "plan"]) => Self::Plan,
            ("GET", ["batches"]) => Self::Batches,
            ("GET", ["batches", id]) => Self::Batch((*id).to_owned()),
            ("GET", ["batches", id, "results"]) => Self::Results((*id).to_owned()),
            ("GET", ["batches", id, "failure-analysis"]) => Self::FailureAnalysis((*id).to_owned()),
            ("GET", ["batches", id, "audit"]) => Self::Audit((*id).to_owned()),
            ("POST", ["batches", id, "cancel"]) => Self::Act(Act::Cancel, (*id).to_owned()),
            ("POST", ["batches", id, "pause"]) => Self::Act(Act::Pause, (*id).to_owned()),
            ("POST", ["batches", id, "resume"]) => Self::Act(Act::Resume, (*id).to_owned()),
            ("POST", ["batches", id, "retry"]) => Self::Retry((*id).to_owned()),
            ("POST", ["api", "batches", word]) => return Self::content_job(word),
            ("GET", ["api", "batches"]) => Self::ContentBatches(None),
            ("GET", ["api", "batches", "creator", creator]) => Self::ContentBatches(Some((*creator).to_owned())),
            ("GET", ["api", "batches", id]) => Self::ContentBatch((*id).to_owned()),
            ("POST", ["api", "batches", id, "retry"]) => Self::ContentRetry((*id).to_owned()),
            ("POST", ["api", "v1", "profiles", id, "batch-intent"]) => Self::IntentCreate((*id).to_owned()),
            ("POST", ["api", "v1", "batch", id, "execute"]) => Self::IntentExecute((*id).to_owned()),
            ("GET", ["api", "v1", "batch", id, "status"]) => Self::IntentStatus((*id).to_owned()),
            ("POST", ["api", "v1", "batch", id, "retry"]) => Self::IntentRetry((*id).to_owned()),
            ("GET", ["api", "v1", "batch", id, "failure-analysis"]) => Self::IntentAnalysis((*id).to_owned()),
            ("GET", ["capabilities"]) => Self::Capabilities,
            ("GET", ["health"]) => Self::Health,
            ("POST", ["api", "v1", "batch"]) => Self::MemoryBatch,
            ("GET", ["api", "v1", "health"]) => Self::MemoryHealth,
            (method, ["api", "v1", noun, rest @ ..]) => Self::Memory(Noun::parse(noun)?, Errand::find(method, rest)?),
            _ => return None,
        })
    }

    fn content_job(word: &str) -> Option<Self> {
        let paths = [
            (JobKind::UpdatePrice, "/api/batches/batch-update-price"),
            (JobKind::RemoveContent, "/api/batches/batch-remove-content"),
            (JobKind::RemoveContent, "/api/batches/batch-remove"),
            (JobKind::UpdateMetadata, "/api/batches/batch-update-metadata"),
        ];
        let found = paths.into_iter().find(|(_, path)| path.strip_prefix("/api/batches/") == Some(word));
        found.map(|(kind, path)| Self::ContentJob(kind, path))
    }

    /// As the table has it: method and path, with nothing of the request's own.
    pub fn name(&self) -> (&'static str, &'static str) {
        match self {
            Self::Submit => ("POST", "/batch"),
            Self::Plan => ("POST", "/batch/plan"),
            Self::Batches => ("GET", "/batches"),
            Self::Batch(_) => ("GET", "/batches/{batchId}"),
            Self::Results(_) => ("GET", "/batches/{batchId}/results"),
            Self::FailureAnalysis(_) => ("GET", "/batches/{batchId}/failure-analysis"),
            Self::Audit(_) => ("GET", "/batches/{batchId}/audit"),
            Self::Act(Act::Cancel, _) => ("POST", "/batches/{batchId}/cancel"),
            Self::Act(Act::Pause, _) => ("POST", "/batches/{batchId}/pause"),
            Self::Act(Act::Resume, _) => ("POST", "/batches/{batchId}/resume"),
            Self::Retry(_) => ("POST", "/batches/{batchId}/retry"),
            Self::ContentJob(_, path) => ("POST", path),
            Self::ContentBatches(None) => ("GET", "/api/batches"),
            Self::ContentBatches(Some(_)) => ("GET", "/api/batches/creator/{creator}"),
            Self::ContentBatch(_) => ("GET", "/api/batches/{batchId}"),
            Self::ContentRetry(_) => ("POST", "/api/batches/{batchId}/retry"),
            Self::IntentCreate(_) => ("POST", "/api/v1/profiles/{profileId}/batch-intent"),
            Self::IntentExecute(_) => ("POST", "/api/v1/batch/{batchId}/execute"),
            Self::IntentStatus(_) => ("GET", "/api/v1/batch/{batchId}/status"),
            Self::IntentRetry(_) => ("POST", "/api/v1/batch/{batchId}/retry"),
            Self::IntentAnalysis(_) => ("GET", "/api/v1/batch/{batchId}/failure-analysis"),
            Self::Capabilities => ("GET", "/capabilities"),
            Self::Health => ("GET", "/health"),
            Self::MemoryBatch => ("POST", "/api/v1/batch"),
            Self::MemoryHealth => ("GET", "/api/v1/health"),
            Self::Memory(Noun::Memory, errand) => match errand {
                Errand::Create => ("POST", "/api/v1/memory"),
                Errand::List => ("GET", "/api/v1/memory"),
                Errand::Read(_) => ("GET", "/api/v1/memory/{memoryId}"),
                Errand::Update(_) => ("PUT", "/api/v1/memory/{memoryId}"),
                Errand::Delete(_) => ("DELETE", "/api/v1/memory/{memoryId}"),
                Errand::Search => ("POST", "/api/v1/memory/search"),
                Errand::BulkDelete => ("POST", "/api/v1/memory/bulk/delete"),
            },
            Self::Memory(Noun::Memories, errand) => match errand {
                Errand::Create => ("POST", "/api/v1/memories"),
                Errand::List => ("GET", "/api/v1/memories"),
                Errand::Read(_) => ("GET", "/api/v1/memories/{memoryId}"),
                Errand::Update(_) => ("PUT", "/api/v1/memories/{memoryId}"),
                Errand::Delete(_) => ("DELETE", "/api/v1/memories/{memoryId}"),
                Errand::Search => ("POST", "/api/v1/memories/search"),
                Errand::BulkDelete => ("POST", "/api/v1/memories/bulk/delete"),
            },
        }
    }

    /// The function that answers it.
    pub fn function(&self) -> Function {
        match self {
            Self::Memory(_, Errand::List | Errand::Read(_)) | Self::MemoryHealth => Function::Status,
            Self::Submit
            | Self::Plan
            | Self::Act(..)
            | Self::Retry(_)
            | Self::MemoryBatch
            | Self::Memory(..)
            | Self::ContentJob(..)
            | Self::ContentRetry(_)
            | Self::IntentCreate(_)
            | Self::IntentExecute(_)
            | Self::IntentRetry(_) => Function::Submit,
            Self::Batches
            | Self::Batch(_)
            | Self::Results(_)
            | Self::FailureAnalysis(_)
            | Self::Audit(_)
            | Self::ContentBatches(_)
            | Self::ContentBatch(_)
            | Self::IntentStatus(_)
            | Self::IntentAnalysis(_)
            | Self::Capabilities
            | Self::Health => Function::Status,
        }
    }
}

impl Route {
    /// The contract whose errors it tells, unless the client asks for problem details.
    pub fn contract(&self) -> Dialect {
        match self {
            Self::MemoryBatch | Self::MemoryHealth | Self::Memory(..) => Dialect::Memories,
            Self::ContentJob(..) | Self::ContentBatches(_) | Self::ContentBatch(_) | Self::ContentRetry(_) => {
                Dialect::Content
            }
            Self::IntentCreate(_)
            | Self::IntentExecute(_)
            | Self::IntentStatus(_)
            | Self::IntentRetry(_)
            | Self::IntentAnalysis(_) => Dialect::Intents,
            _ => Dialect::Records,
        }
    }
}

impl Noun {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "memory" => Some(Self::Memory),
            "memories" => Some(Self::Memories),
            _ => None,
        }
    }
}

impl Errand {
    fn find(method: &str, path: &[&str]) -> Option<Self> {
        Some(match (method, path) {
            ("POST", []) => Self::Create,
            ("GET", []) => Self::List,
            ("POST", ["search"]) => Self::Search,
            ("POST", ["bulk", "delete"]) => Self::BulkDelete,
            ("GET", [id]) => Self::Read((*id).to_owned()),
            ("PUT", [id]) => Self::Update((*id).to_owned()),
            ("DELETE", [id]) => Self::Delete((*id).to_owned()),
            _ => return None,
        })
    }
}

/// Where a batch is told of, under the stage.
pub(super) fn location(base_path: &str, id: &BatchId) -> String {
    format!("{base_path}/batches/{id}")
}

/// Where a content job is told of, under the stage.
pub(super) fn content_location(base_path: &str, id: &BatchId) -> String {
    format!("{base_path}/api/batches/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_route_is_found_and_goes_to_its_function() {
        for (method, path, function) in ROUTES {
            let route = Route::find(method, &path.replace("{batchId}", "batch_1").replace("{memoryId}", "mem_1"));
            let found = route.map(|route| (route.function(), route.name()));
            assert_eq!(found, Some((function, (method, path))));
        }
        assert_eq!(Route::find("GET", "/batch"), None);
        assert_eq!(Route::find("DELETE", "/batches/x"), None);
        assert_eq!(Route::find("GET", "/batches/x/results/y"), None);
    }
}
