//! Wiring: settings, clients and model once, then calls.

use batch_core::app::App;
use batch_core::config::{Config, Function};
use batch_core::logging;
use lambda_http::{Error, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "a main reads the environment")]
    let config = Config::read(Function::Status, &|name| std::env::var(name).ok())?;
    logging::start(config.log_level);
    let app = App::open(config).await?;
    run(service_fn(|request: Request| async { Ok::<_, Error>(status::handle(&app, request).await) })).await
}
