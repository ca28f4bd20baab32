//! Charging a call before it makes a batch.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Arrivals, Charge, Rates, Standing};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::Dialect;
use crate::limits::LIMITER_BUDGET_MS;
use crate::store::{Charged, Payer, TenantKey};
use crate::submit::Refusal;

/// Callers remembered; the memory is emptied when it is full.
const MOST_SEEN: usize = 1_000;

/// Holds callers to the quotas of the deployment. What it remembers of them saves a call and decides nothing.
#[derive(Debug)]
pub struct Limiter {
    rates: Rates,
    seen: Mutex<HashMap<String, Arrivals>>,
}

impl Limiter {
    /// With these quotas.
    pub fn new(rates: Rates) -> Self {
        Self { rates, seen: Mutex::default() }
    }

    /// The quotas.
    pub fn rates(&self) -> Rates {
        self.rates
    }

    /// Charges a batch of so many operations to its maker, and tells where it stands then; `None` where that cannot be
    /// known, because the table does not answer: then the call goes on, for a limit that is down must not take the
    /// service with it. A table that asks to slow down is another thing: whoever sends fast enough for that is not let
    /// through.
    pub async fn charge(
        &self,
        app: &App,
        caller: &Caller,
        dialect: Dialect,
        operations: usize,
    ) -> Result<Option<Standing>, Refusal> {
        let now = app.clock().now();
        let charge = Charge::new(self.rates.of(dialect), operations, now.0);
        let payer = Payer { keys: &TenantKey::new(caller.tenant()), dialect, subject: caller.subject() };
        let store = app.store().until(now.plus_ms(LIMITER_BUDGET_MS));
        let name = payer.name();
        let last = self.last(&name);
        // The times only move on, so what exceeds a quota as last seen still does: a flood of refused calls costs none.
        if let Some(exceeded) = last.and_then(|last| charge.exceeds(last)) {
            return Err(Refusal::Limited(exceeded));
        }
        match store.charge(&payer, &charge, last).await {
            Ok(Charged::Passed(arrivals)) => {
                self.note(name, arrivals);
                Ok(Some(charge.standing(arrivals)))
            }
            Ok(Charged::Exceeded(exceeded, arrivals)) => {
                self.note(name, arrivals);
                Err(Refusal::Limited(exceeded))
            }
            Err(fault) if fault.is_throttled() => Err(Refusal::NotStarted(fault)),
            Err(fault) => {
                tracing::error!(error = %fault, "rate limit not checked; the call is let through");
                Ok(None)
            }
        }
    }

    fn last(&self, name: &str) -> Option<Arrivals> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn note(&self, name: String, arrivals: Arrivals) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_SEEN {
            seen.clear();
        }
        seen.insert(name, arrivals);
    }
}
