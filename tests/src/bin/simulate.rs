//! Runs schedules of the simulator: `simulate --schedules N --seed S [--mutant NAME]`. With one schedule it prints what
//! happened.

#![expect(clippy::print_stdout, reason = "a command tells its results")]

use std::process::ExitCode;

use batch_tests::sim::{Counters, Fault, Mutant, run};

const USAGE: &str = "simulate [--schedules N] [--seed S] [--mutant NAME]";

struct Wanted {
    schedules: u64,
    seed: u64,
    mutant: Option<Mutant>,
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { schedules: 1_000, seed: 0, mutant: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} takes a whole number; {USAGE}"));
        match word.as_str() {
            "--schedules" => wanted.schedules = number()?,
            "--seed" => wanted.seed = number()?,
            "--mutant" => {
                let names: Vec<&str> = Mutant::ALL.iter().map(|(_, name)| *name).collect();
                let mutant = Mutant::named(&value);
                wanted.mutant = Some(mutant.ok_or_else(|| format!("--mutant takes one of {}", names.join(", ")))?);
            }
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(wanted)
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let (mut faults, mut writes, mut batches) = (Counters::new(), 0, 0);
    for seed in wanted.seed..wanted.seed + wanted.schedules {
        let report = run(seed, wanted.mutant, wanted.schedules == 1);
        for line in &report.trace {
            println!("{line}");
        }
        for (fault, count) in &report.faults {
            *faults.entry(*fault).or_default() += count;
        }
        writes += report.writes;
        batches += report.batches;
        if !report.wrong.is_empty() {
            for wrong in &report.wrong {
                println!("{wrong}");
            }
            println!("seed {seed}: {} violations, after {} schedules", report.wrong.len(), seed - wanted.seed + 1);
            return ExitCode::FAILURE;
        }
    }
    for fault in Fault::ALL {
        println!("{:>10} {}", faults.get(fault).copied().unwrap_or(0), fault.name());
    }
    println!("{batches:>10} batches\n{writes:>10} writes");
    println!("{} schedules, 0 violations", wanted.schedules);
    ExitCode::SUCCESS
}
