//! Runs many batches of mixed kinds over a store that keeps failing: `soak --batches N --seed S`.

#![expect(clippy::print_stdout, reason = "a command tells its results")]

use std::process::ExitCode;

use batch_tests::soak;

const USAGE: &str = "soak [--batches N] [--seed S]";
/// Differences that are shown.
const SHOWN: usize = 20;

fn wanted() -> Result<(usize, u64), String> {
    let (mut batches, mut seed) = (10_000, 0);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse::<u64>().ok());
        let value = value.ok_or_else(|| format!("{word} takes a whole number; {USAGE}"))?;
        match word.as_str() {
            "--batches" => batches = usize::try_from(value).map_err(|_| USAGE)?,
            "--seed" => seed = value,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok((batches, seed))
}

fn main() -> ExitCode {
    let (batches, seed) = match wanted() {
        Ok(wanted) => wanted,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let report = soak::run(batches, seed);
    for ((kind, status), count) in &report.batches {
        println!("{count:>10} {kind}: {status}");
    }
    for (title, counts) in [("operations", &report.operations), ("calls", &report.calls), ("faults", &report.faults)] {
        println!("{:>10} {title}", counts.values().sum::<u64>());
        for (what, count) in counts {
            println!("{count:>10}   {what}");
        }
    }
    println!("{:>10} s of virtual time", report.took.as_secs());
    for difference in report.differences.iter().take(SHOWN) {
        println!("{difference}");
    }
    println!("{batches} batches, {} differences", report.differences.len());
    if report.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
