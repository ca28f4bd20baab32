//! Runs random schedules of intents: `intents COUNT [FIRST]`. Ends 1 at the first that breaks a promise.

#![expect(clippy::print_stdout, reason = "what it says is what it is for")]

use std::process::ExitCode;

use batch_tests::intent_schedule::{Seen, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let (count, first) = (arguments.next().unwrap_or(1_000), arguments.next().unwrap_or(0));
    let mut total = Seen::default();
    for seed in first..first + count {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let Ok(runtime) = runtime else { return ExitCode::FAILURE };
        match runtime.block_on(run(seed)) {
            Ok(seen) => {
                total.sent += seen.sent;
                total.completed += seen.completed;
                total.failed += seen.failed;
                total.retries += seen.retries;
                total.deaths += seen.deaths;
            }
            Err(wrong) => {
                println!("{wrong}");
                return ExitCode::FAILURE;
            }
        }
    }
    let Seen { sent, completed, failed, retries, deaths } = total;
    println!(
        "{count} schedules: {sent} signed operations sent, {completed} operations came about, {failed} did not, {retries} \
         retries; {deaths} processes died; every promise held"
    );
    ExitCode::SUCCESS
}
