//! Random schedules of intents; `cargo run --profile sim -p batch-tests --bin intents -- 5000` runs more.

use batch_tests::intent_schedule::run;

#[test]
fn whatever_happens_nothing_is_sent_twice_and_every_batch_ends() {
    let mut total = (0, 0, 0, 0, 0);
    for seed in 0..80 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let seen = runtime.block_on(run(seed)).unwrap_or_else(|wrong| panic!("{wrong}"));
        total = (
            total.0 + seen.sent,
            total.1 + seen.completed,
            total.2 + seen.failed,
            total.3 + seen.retries,
            total.4 + seen.deaths,
        );
    }
    assert!(total.0 > 200 && total.1 > 100 && total.2 > 30 && total.3 > 20 && total.4 > 80, "{total:?}");
}
