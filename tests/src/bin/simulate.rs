//! The simulator's command.
//!
//! - `simulate [--kind KIND] [--schedules N] [--seed S] [--mutant NAME]` runs N schedules from seed S on; a single one is
//!   told call by call. A kind is `records`, which is the default, `content` or `intents`.
//! - `simulate --hunt [--schedules N] [--mutant NAME]` looks, for each deliberate bug, for the first seed that shows it.
//! - `simulate --crash-sweep [--scenario NAME]` runs each scenario without faults, and with a crash before and after
//!   each of its calls.
//! - `simulate --scenario NAME [--before N | --after N]` tells one of these call by call.
//!
//! `--threads N` takes so many threads, else as many as there are processors; what is found does not depend on it.

#![expect(clippy::print_stdout, reason = "a command tells its results")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use batch_tests::sim::{Counters, Crash, Fault, Kind, Mutant, Report, run, run_scenario, scenario_seed, scenarios};

const USAGE: &str = "simulate [--kind KIND] [--schedules N] [--seed S] [--mutant NAME] [--hunt | --crash-sweep | --scenario NAME \
                     [--before N | --after N]] [--threads N]";

#[derive(Debug, Default)]
struct Wanted {
    kind: Kind,
    schedules: Option<u64>,
    seed: u64,
    mutant: Option<Mutant>,
    hunt: bool,
    crash_sweep: bool,
    scenario: Option<usize>,
    crash: Option<Crash>,
    threads: Option<usize>,
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--hunt" => wanted.hunt = true,
            "--crash-sweep" => wanted.crash_sweep = true,
            _ => option(&mut wanted, &word, &words.next().ok_or(USAGE)?)?,
        }
    }
    Ok(wanted)
}

fn option(wanted: &mut Wanted, word: &str, value: &str) -> Result<(), String> {
    let number = || value.parse::<usize>().map_err(|_| format!("{word} takes a whole number; {USAGE}"));
    let long = || number().map(|number| u64::try_from(number).unwrap_or(u64::MAX));
    match word {
        "--schedules" => wanted.schedules = Some(long()?),
        "--seed" => wanted.seed = long()?,
        "--threads" => wanted.threads = Some(number()?.max(1)),
        "--before" => wanted.crash = Some(Crash::Before(number()?)),
        "--after" => wanted.crash = Some(Crash::After(number()?)),
        "--kind" => {
            let names: Vec<&str> = Kind::ALL.iter().map(|(_, name)| *name).collect();
            wanted.kind = Kind::named(value).ok_or_else(|| format!("--kind takes one of {}", names.join(", ")))?;
        }
        "--mutant" => {
            let names: Vec<&str> = Mutant::ALL.iter().map(|(_, name)| *name).collect();
            let mutant = Mutant::named(value);
            wanted.mutant = Some(mutant.ok_or_else(|| format!("--mutant takes one of {}", names.join(", ")))?);
        }
        "--scenario" => {
            let place = scenarios().into_iter().position(|name| name == value);
            wanted.scenario = Some(place.ok_or_else(|| format!("--scenario takes one of {}", scenarios().join("; ")))?);
        }
        _ => return Err(USAGE.to_owned()),
    }
    Ok(())
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = wanted.threads.unwrap_or(processors);
    let right = if wanted.hunt {
        hunt(&wanted, threads)
    } else if wanted.crash_sweep {
        crash_sweep(wanted.scenario, threads)
    } else if let Some(place) = wanted.scenario {
        tell(&run_scenario(place, scenario_seed(place).unwrap_or(0), wanted.crash, true))
    } else {
        schedules(&wanted, threads)
    };
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs `0..count` on so many threads, in that order, until one is wrong; the first that is, whatever the threads do.
fn first_wrong(count: u64, threads: usize, run: impl Fn(u64) -> bool + Sync) -> Option<u64> {
    let (next, wrong) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    // What comes before one that is wrong is still run to its end.
                    if number >= count || number > wrong.load(Ordering::Relaxed) {
                        return;
                    }
                    if !run(number) {
                        wrong.fetch_min(number, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Some(wrong.into_inner()).filter(|number| *number < count)
}

/// What a run told, and whether nothing was wrong.
fn tell(report: &Report) -> bool {
    for line in report.trace.iter().chain(&report.wrong) {
        println!("{line}");
    }
    println!("{} calls, {} writes, {} violations", report.calls, report.writes, report.wrong.len());
    report.wrong.is_empty()
}

#[derive(Default)]
struct Sum {
    faults: Counters,
    batches: usize,
    calls: usize,
    writes: usize,
}

fn schedules(wanted: &Wanted, threads: usize) -> bool {
    let schedules = wanted.schedules.unwrap_or(1_000);
    if schedules == 1 {
        tell(&run(wanted.kind, wanted.seed, wanted.mutant, true));
    }
    let sum = Mutex::<Sum>::default();
    let wrong = first_wrong(schedules, threads, |number| {
        let report = run(wanted.kind, wanted.seed + number, wanted.mutant, false);
        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
        for (fault, count) in &report.faults {
            *sum.faults.entry(*fault).or_default() += count;
        }
        sum.batches += report.batches;
        sum.calls += report.calls;
        sum.writes += report.writes;
        report.wrong.is_empty()
    });
    if let Some(number) = wrong {
        let seed = wanted.seed + number;
        let report = run(wanted.kind, seed, wanted.mutant, false);
        report.wrong.iter().for_each(|wrong| println!("{wrong}"));
        println!("seed {seed}: {} violations, after {} schedules", report.wrong.len(), number + 1);
        return false;
    }
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    for fault in Fault::ALL.iter().filter(|fault| fault.is_of(wanted.kind)) {
        println!("{:>10} {}", sum.faults.get(fault).copied().unwrap_or(0), fault.name());
    }
    println!("{:>10} batches\n{:>10} calls\n{:>10} writes", sum.batches, sum.calls, sum.writes);
    println!("{schedules} schedules, 0 violations");
    true
}

fn hunt(wanted: &Wanted, threads: usize) -> bool {
    let schedules = wanted.schedules.unwrap_or(20_000);
    let mutants = Mutant::ALL.into_iter().filter(|(mutant, _)| wanted.mutant.is_none_or(|wanted| wanted == *mutant));
    let mutants: Vec<_> = mutants.collect();
    let mut survivors = 0;
    for (mutant, name) in &mutants {
        let kind = mutant.kind();
        // What is wrong without it too is not its doing.
        let catches = |seed| {
            !run(kind, seed, Some(*mutant), false).wrong.is_empty() && run(kind, seed, None, false).wrong.is_empty()
        };
        if let Some(number) = first_wrong(schedules, threads, |number| !catches(wanted.seed + number)) {
            println!("{name}: seed {}", wanted.seed + number);
        } else {
            println!("{name}: not caught by {schedules} schedules");
            survivors += 1;
        }
    }
    println!("{} mutants, {survivors} not caught", mutants.len());
    survivors == 0
}

fn crash_sweep(only: Option<usize>, threads: usize) -> bool {
    let all = scenarios();
    let places: Vec<usize> = (0..all.len()).filter(|place| only.is_none_or(|only| only == *place)).collect();
    let names: Vec<&str> = places.iter().map(|place| all[*place]).collect();
    // Of each scenario its seed and how many calls it makes.
    let plain = Mutex::new(vec![(0, 0); names.len()]);
    let violations = AtomicUsize::new(0);
    let one = |place: usize, seed: u64, crash: Option<Crash>| {
        let report = run_scenario(places[place], seed, crash, false);
        if !report.wrong.is_empty() {
            violations.fetch_add(report.wrong.len(), Ordering::Relaxed);
            println!("{}, {crash:?}: {:#?}", names[place], report.wrong);
        }
        report.calls
    };
    first_wrong(to_u64(names.len()), threads, |number| {
        let place = to_usize(number);
        let seed = scenario_seed(places[place]).unwrap_or_else(|| {
            violations.fetch_add(1, Ordering::Relaxed);
            println!("{} never shows what it is about", names[place]);
            0
        });
        let calls = one(place, seed, None);
        plain.lock().unwrap_or_else(PoisonError::into_inner)[place] = (seed, calls);
        true
    });
    let plain = plain.into_inner().unwrap_or_else(PoisonError::into_inner);
    let crashes = plain.iter().enumerate().flat_map(|(place, (seed, calls))| {
        let both = |call| [Crash::Before(call), Crash::After(call)];
        (1..=*calls).flat_map(both).map(move |crash| (place, *seed, crash))
    });
    let crashes: Vec<(usize, u64, Crash)> = crashes.collect();
    first_wrong(to_u64(crashes.len()), threads, |number| {
        let (place, seed, crash) = crashes[to_usize(number)];
        one(place, seed, Some(crash));
        true
    });
    for (name, (_, calls)) in names.iter().zip(&plain) {
        println!("{:>10} runs: {name}", 1 + 2 * calls);
    }
    let violations = violations.into_inner();
    println!("{} scenarios, {} runs, {violations} violations", names.len(), names.len() + crashes.len());
    violations == 0
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
