//! From operations to an order they can run in.

mod check;
mod footprint;
pub mod graph;
mod key;
mod permit;
mod read;
pub mod reference;
mod search;
mod size;

pub use check::{check, check_parameters, check_shape};
pub use footprint::{Access, Footprint, Id, Touch};
pub use key::{Key, RowKey, UniqueKey};
pub use permit::{
    Named, Verdict, check_given, check_named, check_some, forbidden, may_not_write, named_by_conditions,
    named_by_options, narrowed, verdict,
};
pub use read::{ReadOptions, Route, route};
pub use search::SearchOptions;
pub use size::{item_bytes, value_bytes};

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::batch::{Content, Work};
use crate::json::Object;
use crate::operation::{Operation, OperationId};
use graph::{Cycle, Graph};

/// Operations with their dependencies and the order they run in.
#[derive(Debug)]
pub struct Plan {
    operations: Vec<Operation>,
    given: BTreeMap<OperationId, Value>,
    content: Option<Content>,
    by_id: HashMap<String, usize>,
    graph: Graph,
    order: Vec<usize>,
    referenced: Vec<bool>,
}

impl Plan {
    /// Orders `operations`: dependencies first, request order where they leave a choice.
    pub fn new(operations: Vec<Operation>) -> Result<Self, Cycle> {
        let mut plan = Self::ordered(Work { operations, ..Work::default() }, Vec::new());
        plan.order = plan.graph.order()?;
        Ok(plan)
    }

    /// The plan of accepted work, with the order it was accepted with, so that another version of this code agrees on what a cursor means.
    pub fn ordered(work: Work, order: Vec<usize>) -> Self {
        let Work { operations, given, content, intents: _ } = work;
        let by_id: HashMap<String, usize> =
            operations.iter().enumerate().map(|(index, operation)| (operation.id.to_string(), index)).collect();
        let mut referenced = vec![false; operations.len()];
        let mut edges = Vec::new();
        for (index, operation) in operations.iter().enumerate() {
            edges.extend(operation.depends_on.iter().filter_map(|id| Some((*by_id.get(id.as_str())?, index))));
            for source in referred(operation).filter_map(|id| by_id.get(id).copied()) {
                edges.push((source, index));
                if let Some(flag) = referenced.get_mut(source) {
                    *flag = true;
                }
            }
        }
        let graph = Graph::new(operations.len(), edges);
        Self { operations, given, content, by_id, graph, order, referenced }
    }

    /// The operations alone, in request order.
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// In request order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The result of another batch's operation that this one may refer to.
    pub fn given(&self, id: &str) -> Option<&Value> {
        self.given.get(&OperationId::parse(id)?)
    }

    /// The items of a content job.
    pub fn content(&self) -> Option<&Content> {
        self.content.as_ref()
    }

    /// Positions in the request, in the order they run.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// What depends on what.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The position in the request of the operation with this id.
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Whether another operation refers to this one's result.
    pub fn is_referenced(&self, index: usize) -> bool {
        self.referenced.get(index).copied().unwrap_or(false)
    }
}

/// The ids that an operation's parameters refer to.
pub fn referred(operation: &Operation) -> impl Iterator<Item = &str> {
    let parameters = [&operation.store, &operation.query, &operation.metadata];
    parameters.into_iter().flat_map(Object::values).flat_map(reference::operations)
}
