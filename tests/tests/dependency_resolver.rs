//! The order of operations: what runs before what, what may run beside it, and what a cycle is called.

#![expect(
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "what a test or a benchmark cannot do without may stop it"
)]

use batch_core::dialect::records;
use batch_core::model::Model;
use batch_core::operation::Code;
use batch_core::plan::check;
use batch_core::plan::graph::{Cycle, Graph};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A graph of `n` operations from `(dependency, dependent)` pairs.
fn graph(n: usize, edges: &[(usize, usize)]) -> Graph {
    Graph::new(n, edges.iter().copied())
}

fn check_order(n: usize, edges: &[(usize, usize)], order: &[usize], waves: &[usize]) {
    let graph = graph(n, edges);
    assert_eq!(graph.order(), Ok(order.to_vec()), "order of {edges:?}");
    assert_eq!(graph.waves(), waves, "waves of {edges:?}");
}

fn check_cycle(n: usize, edges: &[(usize, usize)], path: &[usize]) {
    assert_eq!(graph(n, edges).order(), Err(Cycle { path: path.to_vec() }), "cycle of {edges:?}");
}

#[test]
fn simple_linear_dependencies() {
    check_order(3, &[(0, 1), (1, 2)], &[0, 1, 2], &[0, 1, 2]);
    // Written backwards in the request, the dependencies still decide.
    check_order(3, &[(2, 1), (1, 0)], &[2, 1, 0], &[2, 1, 0]);
}

#[test]
fn parallel_operations() {
    check_order(4, &[], &[0, 1, 2, 3], &[0, 0, 0, 0]);
    assert_eq!(graph(4, &[]).independents(), [0, 1, 2, 3]);
}

#[test]
fn diamond_pattern_dependencies() {
    let edges = [(0, 1), (0, 2), (1, 3), (2, 3)];
    check_order(4, &edges, &[0, 1, 2, 3], &[0, 1, 1, 2]);
    assert_eq!(graph(4, &edges).descendants(0), [1, 2, 3]);
    assert_eq!(graph(4, &edges).dependencies(3), [1, 2]);
}

#[test]
fn direct_circular_dependency_detection() {
    check_cycle(2, &[(0, 1), (1, 0)], &[0, 1, 0]);
}

#[test]
fn indirect_circular_dependency_detection() {
    // 0 depends on 2, 2 on 1, 1 on 0; 3 is only behind the cycle.
    check_cycle(4, &[(2, 0), (1, 2), (0, 1), (2, 3)], &[0, 2, 1, 0]);
}

#[test]
fn get_independent_operations() {
    let graph = graph(5, &[(1, 0), (3, 4), (1, 4)]);
    assert_eq!(graph.independents(), [1, 2, 3]);
    assert!(Graph::new(2, [(0, 1), (1, 0)]).independents().is_empty());
}

#[test]
fn get_dependents() {
    let graph = graph(5, &[(0, 3), (0, 1), (1, 2), (0, 3)]);
    assert_eq!(graph.dependents(0), [1, 3]);
    assert_eq!(graph.dependents(1), [2]);
    assert!(graph.dependents(4).is_empty());
    assert_eq!(graph.descendants(0), [1, 2, 3]);
}

#[test]
fn complex_dependency_graphs() {
    // Two roots far apart, a diamond between them, a tail, and two that nobody needs.
    let edges = [(6, 1), (6, 2), (1, 0), (2, 0), (4, 2), (0, 5), (5, 3)];
    check_order(8, &edges, &[4, 6, 1, 2, 0, 5, 3, 7], &[2, 1, 1, 4, 0, 3, 0, 0]);
    let graph = graph(8, &edges);
    assert_eq!(graph.independents(), [4, 6, 7]);
    assert_eq!(graph.descendants(4), [0, 2, 3, 5]);
    assert_eq!(graph.descendants(6), [0, 1, 2, 3, 5]);
    assert!(graph.descendants(7).is_empty());
}

/// The codes and pointers of what is wrong with operations of the shipped model.
fn problems(operations: Value) -> Vec<(Code, String)> {
    let request = records::parse(json!({ "operations": operations }));
    let model = Model::shipped().expect("the shipped model is right");
    let problems = request.problems.into_iter().chain(check(&request.drafts, &model));
    problems.map(|problem| (problem.code, problem.pointer)).collect()
}

fn artist(id: &str, depends_on: &[&str]) -> Value {
    json!({ "id": id, "entity": "artist", "action": "create", "store_params": { "name": "N" }, "depends_on": depends_on })
}

#[test]
fn unknown_dependency_handling() {
    let unknown = problems(json!([artist("a", &["b"]), artist("c", &["a", "nobody"])]));
    assert_eq!(
        unknown,
        [
            (Code::UnknownDependency, "/operations/0/depends_on/0".to_owned()),
            (Code::UnknownDependency, "/operations/1/depends_on/1".to_owned()),
        ]
    );
    assert_eq!(problems(json!([artist("a", &["b"]), artist("b", &[])])), []);
}

#[test]
fn duplicate_operation_id_detection() {
    let twice = problems(json!([artist("a", &[]), artist("b", &[]), artist("a", &[])]));
    assert_eq!(twice, [(Code::DuplicateId, "/operations/2/id".to_owned())]);
    let automatic = json!({ "entity": "artist", "action": "create", "store_params": { "name": "N" } });
    let taken = problems(json!([artist("op_1", &[]), automatic]));
    assert_eq!(taken, [(Code::DuplicateId, "/operations/1/id".to_owned())], "an automatic id counts too");
}

#[test]
fn of_those_ready_the_earliest_in_the_request_runs_first() {
    check_order(4, &[(3, 0)], &[1, 2, 3, 0], &[1, 0, 0, 0]);
    check_order(4, &[(0, 2)], &[0, 1, 2, 3], &[0, 0, 1, 0]);
}

#[test]
fn an_edge_given_twice_counts_once() {
    check_order(2, &[(1, 0), (1, 0), (1, 0)], &[1, 0], &[1, 0]);
    assert_eq!(graph(2, &[(1, 0), (1, 0)]), graph(2, &[(1, 0)]));
}

#[test]
fn an_operation_that_depends_on_itself_is_a_cycle() {
    check_cycle(3, &[(1, 1)], &[1, 1]);
}

#[test]
fn the_shortest_cycle_is_told_and_of_equal_ones_the_earliest() {
    let long = [(0, 1), (1, 2), (2, 0)];
    let short = [(4, 3), (3, 4)];
    check_cycle(5, &[long.as_slice(), short.as_slice()].concat(), &[3, 4, 3]);
    check_cycle(7, &[short.as_slice(), &[(5, 6), (6, 5)]].concat(), &[3, 4, 3]);
    // One cycle of two inside one of three, on the same operations.
    check_cycle(3, &[(0, 1), (1, 2), (2, 0), (1, 0)], &[0, 1, 0]);
}

#[test]
fn a_cycle_reads_as_a_path() {
    let cycle = Cycle { path: vec![0, 2, 0] };
    assert_eq!(cycle.to_string(), "operations depend on each other: 0 -> 2 -> 0");
}

#[test]
fn positions_outside_the_batch_have_no_edges() {
    check_order(2, &[(0, 2), (9, 1)], &[0, 1], &[0, 0]);
    assert!(graph(2, &[]).dependents(2).is_empty());
    assert!(graph(2, &[]).dependencies(2).is_empty());
    assert!(graph(2, &[(0, 1)]).descendants(2).is_empty());
    check_order(0, &[], &[], &[]);
}

#[test]
fn the_length_of_a_chain_costs_no_stack() {
    const N: usize = 100_000;
    let chain = Graph::new(N, (1..N).map(|i| (i - 1, i)));
    assert_eq!(chain.order(), Ok((0..N).collect()));
    assert_eq!(chain.waves().last(), Some(&(N - 1)));
    assert_eq!(chain.descendants(0).len(), N - 1);

    let ring = Graph::new(N, (0..N).map(|i| (i, (i + 1) % N)));
    let cycle = ring.order().expect_err("a ring has no order");
    assert_eq!(cycle.path.len(), N + 1);
    assert_eq!((cycle.path.first(), cycle.path.last()), (Some(&0), Some(&0)));

    let pairs = Graph::new(N, (0..N).map(|i| (i, i ^ 1)));
    assert_eq!(pairs.order(), Err(Cycle { path: vec![0, 1, 0] }));
}

type Edges = Vec<(usize, usize)>;

fn any_graph() -> impl Strategy<Value = (usize, Edges)> {
    (1usize..12).prop_flat_map(|n| (Just(n), prop::collection::vec((0..n, 0..n), 0..24)))
}

/// Forward edges under a random renaming, so that it has an order.
fn acyclic_graph() -> impl Strategy<Value = (usize, Edges)> {
    any_graph().prop_flat_map(|(n, edges)| (Just((0..n).collect::<Vec<_>>()).prop_shuffle(), Just(edges))).prop_map(
        |(names, edges)| {
            let forward = edges.into_iter().filter(|(a, b)| a < b);
            (names.len(), forward.map(|(a, b)| (names[a], names[b])).collect())
        },
    )
}

/// Steps of the shortest way from each operation to each, at least one; Floyd and Warshall.
fn distances(n: usize, edges: &Edges) -> Vec<Vec<Option<usize>>> {
    let mut steps = vec![vec![None; n]; n];
    for &(from, to) in edges {
        steps[from][to] = Some(1);
    }
    for via in 0..n {
        for from in 0..n {
            for to in 0..n {
                if let (Some(a), Some(b)) = (steps[from][via], steps[via][to]) {
                    let known = steps[from][to].unwrap_or(usize::MAX);
                    steps[from][to] = Some(known.min(a + b));
                }
            }
        }
    }
    steps
}

/// Again and again the first operation whose dependencies are all done.
fn naive_order(n: usize, edges: &Edges) -> Vec<usize> {
    let mut order = Vec::new();
    while let Some(next) = (0..n).find(|i| {
        let waits = edges.iter().any(|(before, after)| after == i && !order.contains(before));
        !order.contains(i) && !waits
    }) {
        order.push(next);
    }
    order
}

proptest! {
    #[test]
    fn an_acyclic_graph_has_the_naive_order((n, edges) in acyclic_graph()) {
        let graph = Graph::new(n, edges.clone());
        let order = graph.order().map_err(|cycle| TestCaseError::fail(cycle.to_string()))?;
        prop_assert_eq!(&order, &naive_order(n, &edges));
        let place = |i: usize| order.iter().position(|&other| other == i);
        for &(before, after) in &edges {
            prop_assert!(place(before) < place(after));
        }
    }

    #[test]
    fn waves_are_one_more_than_the_deepest_dependency((n, edges) in acyclic_graph()) {
        let waves = Graph::new(n, edges.clone()).waves();
        for i in 0..n {
            let before = edges.iter().filter(|edge| edge.1 == i).map(|edge| waves[edge.0] + 1);
            prop_assert_eq!(waves[i], before.max().unwrap_or(0));
        }
    }

    #[test]
    fn a_graph_has_an_order_or_a_shortest_cycle_that_is_real((n, edges) in any_graph()) {
        let steps = distances(n, &edges);
        let shortest = (0..n).filter_map(|i| steps[i][i].map(|length| (length, i))).min();
        match Graph::new(n, edges.clone()).order() {
            Ok(order) => {
                prop_assert_eq!(shortest, None);
                prop_assert_eq!(order, naive_order(n, &edges));
            }
            Err(Cycle { path }) => {
                prop_assert_eq!(Some((path.len() - 1, path[0])), shortest);
                prop_assert_eq!(path.first(), path.last());
                for step in path.windows(2) {
                    prop_assert!(edges.contains(&(step[1], step[0])), "{:?} depends on the next", step);
                }
            }
        }
    }

    #[test]
    fn relatives_are_what_the_edges_say((n, edges) in any_graph()) {
        let (graph, steps) = (Graph::new(n, edges.clone()), distances(n, &edges));
        for (i, reached) in steps.iter().enumerate() {
            let those = |keep: &dyn Fn(usize) -> bool| (0..n).filter(|&j| keep(j)).collect::<Vec<_>>();
            prop_assert_eq!(graph.dependents(i), those(&|j| edges.contains(&(i, j))));
            prop_assert_eq!(graph.dependencies(i), those(&|j| edges.contains(&(j, i))));
            prop_assert_eq!(graph.descendants(i), those(&|j| j != i && reached[j].is_some()));
        }
    }

    #[test]
    fn the_order_in_which_edges_are_given_changes_nothing(
        ((n, edges), shuffled) in any_graph()
            .prop_flat_map(|(n, edges)| (Just((n, edges.clone())), Just(edges).prop_shuffle()))
    ) {
        prop_assert_eq!(Graph::new(n, edges).order(), Graph::new(n, shuffled).order());
    }
}
