//! Random schedules of content jobs; `cargo run --profile sim -p batch-tests --bin ledger -- 5000` runs more.

use batch_tests::ledger_schedule::run;

#[test]
fn whatever_happens_each_item_has_one_transaction_and_no_nonce_is_left_out() {
    let mut total = (0, 0, 0);
    for seed in 0..120 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let seen = runtime.block_on(run(seed)).unwrap_or_else(|wrong| panic!("{wrong}"));
        total = (total.0 + seen.taken, total.1 + seen.payments, total.2 + seen.deaths);
    }
    assert!(total.0 > 500 && total.1 > 5 && total.2 > 100, "{total:?}");
}
