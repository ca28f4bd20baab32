//! Schedules of the simulator: none breaks an invariant, and each deliberate bug does.

use batch_tests::sim::{Counters, Crash, Fault, Kind, Mutant, run, run_scenario, scenario_seed, scenarios};

/// Schedules of one run of this test; `simulate` runs as many as it is told.
const SCHEDULES: u64 = 150;
/// The same of content jobs, which take longer.
const CONTENT: u64 = 60;

/// The seed of the first schedule, counted from 0, that catches each mutant.
const CAUGHT: &[(&str, u64)] = &[
    ("no-state-guard", 5),
    ("no-cursor-guard", 5),
    ("no-version", 137),
    ("no-absence", 6),
    ("no-sentinel", 12),
    ("no-parent", 0),
    ("no-zero", 6),
    ("no-tombstone", 0),
    ("no-failure-checks", 0),
    ("no-read-checks", 27),
    ("results-apart", 0),
    ("token-only", 0),
    ("halves", 0),
    ("no-count", 0),
    ("no-claim", 0),
    ("blind-accept", 0),
    ("eventual-reads", 0),
    ("blind-unlock", 21),
    ("dirty-read", 21),
    ("lock-ignored", 115),
    ("no-read-locks", 255),
    ("no-lock-fence", 21),
    ("no-fencing-write", 1294),
    ("late-commit-point", 1),
    ("counter-nonce", 228),
    ("long-lease", 503),
    ("no-call-claim", 47),
    ("no-call-fence", 89),
    ("call-sent-first", 0),
    ("signed-anew", 0),
    ("no-set-claim", 54),
    ("set-sent-first", 0),
    ("no-set-guard", 10),
    ("executed-again", 10),
];

/// Runs schedules of a kind, in which every fault of it must happen.
fn check(kind: Kind, schedules: u64) {
    let mut faults = Counters::new();
    for seed in 0..schedules {
        let report = run(kind, seed, None, false);
        assert!(report.wrong.is_empty(), "seed {seed}: {:#?}", report.wrong);
        for (fault, count) in report.faults {
            *faults.entry(fault).or_default() += count;
        }
    }
    let possible = Fault::ALL.iter().filter(|fault| fault.is_of(kind));
    let never: Vec<&str> = possible.filter(|fault| !faults.contains_key(fault)).map(|fault| fault.name()).collect();
    assert!(never.is_empty(), "faults that never happened: {never:?}");
}

#[test]
fn no_schedule_of_records_breaks_an_invariant() {
    check(Kind::Records, SCHEDULES);
}

#[test]
fn whatever_happens_each_content_item_has_one_transaction_and_no_nonce_is_left_out() {
    check(Kind::Content, CONTENT);
}

#[test]
fn whatever_happens_no_operation_set_is_submitted_twice_and_every_batch_of_intents_ends() {
    check(Kind::Intents, SCHEDULES);
}

#[test]
fn each_mutant_is_caught_by_its_seed() {
    for (mutant, name) in Mutant::ALL {
        let seed = CAUGHT.iter().find(|(known, _)| *known == name).map(|(_, seed)| *seed);
        let seed = seed.unwrap_or_else(|| panic!("no seed is recorded for {name}"));
        let kind = mutant.kind();
        assert!(!run(kind, seed, Some(mutant), false).wrong.is_empty(), "seed {seed} does not catch {name}");
        assert!(run(kind, seed, None, false).wrong.is_empty(), "seed {seed} has something wrong without {name}");
    }
}

#[test]
fn one_seed_is_one_schedule() {
    for (kind, seed) in Kind::ALL.iter().flat_map(|(kind, _)| [3, 4, 5, 6].map(|seed| (*kind, seed))) {
        let (first, again) = (run(kind, seed, None, true).trace, run(kind, seed, None, true).trace);
        let differs = first.iter().zip(&again).find(|(one, other)| one != other);
        assert!(first.len() == again.len() && differs.is_none(), "seed {seed} of {kind:?}: {differs:?}");
    }
}

#[test]
fn each_scenario_shows_what_it_is_about() {
    for (place, name) in scenarios().into_iter().enumerate() {
        let seed = scenario_seed(place).unwrap_or_else(|| panic!("{name} never shows what it is about"));
        let report = run_scenario(place, seed, None, false);
        assert!(report.wrong.is_empty(), "{name}: {:#?}", report.wrong);
    }
}

/// `simulate --crash-sweep` does this with all of them.
#[test]
fn a_crash_at_any_call_breaks_no_invariant() {
    for wanted in ["atomic", "chunks", "wide", "a wide one is cancelled", "retried"] {
        let place = scenarios().into_iter().position(|name| name == wanted).expect("a scenario of that name");
        let seed = scenario_seed(place).expect("a seed that shows it");
        for call in 1..=run_scenario(place, seed, None, false).calls {
            for crash in [Crash::Before(call), Crash::After(call)] {
                let report = run_scenario(place, seed, Some(crash), false);
                assert!(report.wrong.is_empty(), "{wanted}, {crash:?}: {:#?}", report.wrong);
            }
        }
    }
}
