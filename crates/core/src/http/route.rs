//! The routes, in one table.

use crate::batch::BatchId;
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
    /// Tell the limits.
    Capabilities,
    /// Tell that the service is up.
    Health,
}

/// Method, path as `openapi.yaml` writes it, and the function that answers.
pub const ROUTES: [(&str, &str, Function); 13] = [
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
    ("GET", "/capabilities", Function::Status),
    ("GET", "/health", Function::Status),
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
            ("GET", ["capabilities"]) => Self::Capabilities,
            ("GET", ["health"]) => Self::Health,
            _ => return None,
        })
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
            Self::Capabilities => ("GET", "/capabilities"),
            Self::Health => ("GET", "/health"),
        }
    }

    /// The function that answers it.
    pub fn function(&self) -> Function {
        match self {
            Self::Submit | Self::Plan | Self::Act(..) | Self::Retry(_) => Function::Submit,
            Self::Batches
            | Self::Batch(_)
            | Self::Results(_)
            | Self::FailureAnalysis(_)
            | Self::Audit(_)
            | Self::Capabilities
            | Self::Health => Function::Status,
        }
    }
}

/// Where a batch is told of, under the stage.
pub(super) fn location(base_path: &str, id: &BatchId) -> String {
    format!("{base_path}/batches/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_route_is_found_and_goes_to_its_function() {
        for (method, path, function) in ROUTES {
            let route = Route::find(method, &path.replace("{batchId}", "batch_1"));
            let found = route.map(|route| (route.function(), route.name()));
            assert_eq!(found, Some((function, (method, path))));
        }
        assert_eq!(Route::find("GET", "/batch"), None);
        assert_eq!(Route::find("DELETE", "/batches/x"), None);
        assert_eq!(Route::find("GET", "/batches/x/results/y"), None);
    }
}
