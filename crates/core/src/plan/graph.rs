//! The order of a batch's operations, from what depends on what.
//!
//! An operation is its position in the request. Nothing here recurses, so the length of a chain costs no stack, and
//! nothing depends on hashing or on the order in which edges were given, so the same batch always gets the same plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;

/// What depends on what in one batch; cycles are told when [`Graph::order`] is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// By operation: what it waits for, ascending.
    dependencies: Vec<Vec<usize>>,
    /// By operation: what waits for it, ascending.
    dependents: Vec<Vec<usize>>,
}

/// Operations that wait for each other, so that none can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Each operation depends on the one after it; the last is the first again, and the first is the earliest of them
    /// in the request. A self-dependency is `[i, i]`.
    pub path: Vec<usize>,
}

impl Graph {
    /// A graph of `n` operations; an edge is `(dependency, dependent)`.
    ///
    /// An edge given twice counts once. An edge to a position outside `0..n` is left out: names are checked before
    /// positions are made of them.
    pub fn new(n: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut dependencies = vec![Vec::new(); n];
        let mut dependents = vec![Vec::new(); n];
        for (dependency, dependent) in edges {
            if dependency < n && dependent < n {
                dependencies[dependent].push(dependency);
                dependents[dependency].push(dependent);
            }
        }
        for list in dependencies.iter_mut().chain(&mut dependents) {
            list.sort_unstable();
            list.dedup();
        }
        Self { dependencies, dependents }
    }

    /// Every operation after all it depends on; of those that could come next, always the earliest in the request
    /// (Kahn's algorithm over a heap, O((V + E) log V)).
    ///
    /// # Errors
    /// The shortest cycle there is; of several, the one that starts earliest in the request. Finding it takes
    /// O(V * E log V) at worst, which the limit on a batch's operations bounds.
    pub fn order(&self) -> Result<Vec<usize>, Cycle> {
        let order = self.startable();
        if order.len() < self.dependencies.len() {
            return Err(self.shortest_cycle());
        }
        Ok(order)
    }

    /// By operation: the length of the longest chain of dependencies that leads to it, so that the operations of one
    /// wave need nothing of each other.
    ///
    /// Means something only where [`Graph::order`] succeeds: what can never start, because it is on a cycle or behind
    /// one, counts only the dependencies that could.
    pub fn waves(&self) -> Vec<usize> {
        let mut waves = vec![0; self.dependencies.len()];
        for operation in self.startable() {
            for &dependent in &self.dependents[operation] {
                waves[dependent] = waves[dependent].max(waves[operation] + 1);
            }
        }
        waves
    }

    /// The operations that depend on nothing, ascending.
    pub fn independents(&self) -> Vec<usize> {
        let lists = self.dependencies.iter().enumerate();
        lists.filter(|(_, list)| list.is_empty()).map(|(operation, _)| operation).collect()
    }

    /// What `operation` itself names as its dependencies, ascending.
    pub fn dependencies(&self, operation: usize) -> &[usize] {
        self.dependencies.get(operation).map_or(&[], Vec::as_slice)
    }

    /// What names `operation` as a dependency, ascending.
    pub fn dependents(&self, operation: usize) -> &[usize] {
        self.dependents.get(operation).map_or(&[], Vec::as_slice)
    }

    /// All that cannot run without `operation`, over any number of steps, ascending and without itself: what its
    /// failure skips.
    pub fn descendants(&self, operation: usize) -> Vec<usize> {
        let mut reached = vec![false; self.dependents.len()];
        let mut open = vec![operation];
        while let Some(at) = open.pop() {
            for &dependent in self.dependents(at) {
                if !std::mem::replace(&mut reached[dependent], true) {
                    open.push(dependent);
                }
            }
        }
        (0..reached.len()).filter(|&other| other != operation && reached[other]).collect()
    }

    /// The order as far as it goes: all but what is on a cycle or behind one.
    fn startable(&self) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.dependencies.iter().map(Vec::len).collect();
        let mut ready: BinaryHeap<_> = self.independents().into_iter().map(Reverse).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(Reverse(operation)) = ready.pop() {
            order.push(operation);
            for &dependent in &self.dependents[operation] {
                waiting[dependent] -= 1;
                if waiting[dependent] == 0 {
                    ready.push(Reverse(dependent));
                }
            }
        }
        order
    }

    /// Looks from every operation in turn and takes it out afterwards: a cycle through it has then been seen, and the
    /// rest shrinks quickly.
    fn shortest_cycle(&self) -> Cycle {
        let mut core = Core::new(self);
        let mut path = Vec::new();
        for start in 0..self.dependencies.len() {
            if core.holds[start] {
                let limit = if path.is_empty() { usize::MAX } else { path.len() };
                if let Some(shorter) = core.cycle_from(start, limit) {
                    path = shorter;
                }
                core.remove(start);
            }
        }
        Cycle { path }
    }
}

/// The operations that may lie on a cycle: each has a dependency and a dependent among them.
struct Core<'a> {
    graph: &'a Graph,
    holds: Vec<bool>,
    /// By operation: how many of its dependencies are still held.
    before: Vec<usize>,
    /// By operation: how many of its dependents are still held.
    after: Vec<usize>,
}

impl<'a> Core<'a> {
    fn new(graph: &'a Graph) -> Self {
        let mut core = Self {
            graph,
            holds: vec![true; graph.dependencies.len()],
            before: graph.dependencies.iter().map(Vec::len).collect(),
            after: graph.dependents.iter().map(Vec::len).collect(),
        };
        for operation in 0..core.holds.len() {
            if core.before[operation] == 0 || core.after[operation] == 0 {
                core.remove(operation);
            }
        }
        core
    }

    /// Takes out an operation, and with it what can no longer be on a cycle.
    fn remove(&mut self, operation: usize) {
        let mut leaving = vec![operation];
        while let Some(operation) = leaving.pop() {
            if !std::mem::replace(&mut self.holds[operation], false) {
                continue;
            }
            for &dependent in &self.graph.dependents[operation] {
                self.before[dependent] -= 1;
                if self.before[dependent] == 0 {
                    leaving.push(dependent);
                }
            }
            for &dependency in &self.graph.dependencies[operation] {
                self.after[dependency] -= 1;
                if self.after[dependency] == 0 {
                    leaving.push(dependency);
                }
            }
        }
    }

    /// The shortest closed path from `start` back to it with fewer than `limit` entries, breadth first.
    fn cycle_from(&self, start: usize, limit: usize) -> Option<Vec<usize>> {
        let mut reached_from = BTreeMap::new();
        let mut queue = VecDeque::from([(start, 2)]);
        while let Some((at, length)) = queue.pop_front() {
            if length >= limit {
                return None;
            }
            for &next in &self.graph.dependencies[at] {
                if next == start {
                    return Some(closed_path(&reached_from, start, at));
                }
                if self.holds[next] && !reached_from.contains_key(&next) {
                    reached_from.insert(next, at);
                    queue.push_back((next, length + 1));
                }
            }
        }
        None
    }
}

/// `start`, the steps that led to `last`, and `start` again.
fn closed_path(reached_from: &BTreeMap<usize, usize>, start: usize, last: usize) -> Vec<usize> {
    let mut path = vec![start];
    let mut at = last;
    while at != start {
        path.push(at);
        at = reached_from.get(&at).copied().unwrap_or(start);
    }
    path.push(start);
    path.reverse();
    path
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.path.iter().map(usize::to_string).collect();
        write!(f, "operations depend on each other: {}", steps.join(" -> "))
    }
}

impl std::error::Error for Cycle {}
