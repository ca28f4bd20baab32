//! Wiring: settings, clients and model once, then deliveries.

use aws_lambda_events::sqs::SqsEvent;
use batch_core::app::App;
use batch_core::config::{Config, Function};
use batch_core::logging;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "a main reads the environment")]
    let config = Config::read(Function::Executor, &|name| std::env::var(name).ok())?;
    logging::start(config.log_level);
    let app = App::open(config).await?;
    run(service_fn(|event: LambdaEvent<SqsEvent>| async { Ok::<_, Error>(executor::handle(&app, event).await) })).await
}
