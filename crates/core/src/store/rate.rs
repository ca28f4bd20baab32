//! The arrival times of callers, in the `control` table.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure as ReturnOld};

use super::attribute::{Item, Reader, n, s};
use super::call::{Fault, refused};
use super::{Store, TenantKey};
use crate::batch::Dialect;
use crate::rate::{Arrivals, Charge, Exceeded, Move};

/// Writes tried for one call: each but the first knows what is there, so another one is only for a caller whose
/// arrival time was just passed or met.
const MOST_ROUNDS: u32 = 8;
/// How long a caller's times are kept after its last call, milliseconds. Those of a caller who was silent for a window
/// are as good as none; TTL deletes late, so that is no promise.
const KEPT_MS: i64 = 3_600_000;

/// Who pays.
#[derive(Debug, Clone, Copy)]
pub struct Payer<'a> {
    /// The tenant's keys.
    pub keys: &'a TenantKey,
    /// The contract, which has its own quotas.
    pub dialect: Dialect,
    /// Who sends.
    pub subject: &'a str,
}

impl Payer<'_> {
    /// Unlike that of any other.
    pub fn name(&self) -> String {
        self.keys.rate(self.dialect.as_str(), self.subject)
    }
}

/// What became of a charge.
#[derive(Debug)]
pub enum Charged {
    /// It is paid; the times now.
    Passed(Arrivals),
    /// Nothing was written; the times as they are.
    Exceeded(Exceeded, Arrivals),
}

impl Store {
    /// Charges both policies in one conditional write. It is a second one only where `guess`, the times as last seen,
    /// misleads about whether a policy is ahead of the clock: then the first has failed, and brought what is there.
    pub async fn charge(
        &self,
        payer: &Payer<'_>,
        charge: &Charge,
        mut guess: Option<Arrivals>,
    ) -> Result<Charged, Fault> {
        // One for all sendings of this call: that its answer was lost costs the caller nothing.
        let mark = self.entropy.hex32();
        for _ in 0..MOST_ROUNDS {
            let request = self.charging(payer, charge, charge.moves(guess), &mark);
            match self.call("charge call", || request.clone().send()).await? {
                Ok(answer) => return Ok(Charged::Passed(arrivals(&answer.attributes.unwrap_or_default())?)),
                Err(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    // No item, no condition to fail: it was there, and TTL has it now.
                    let Some(item) = failed.item().filter(|item| !item.is_empty()) else {
                        guess = None;
                        continue;
                    };
                    let stored = arrivals(item)?;
                    if Reader(item).maybe_text("mark") == Some(&mark) {
                        return Ok(Charged::Passed(stored));
                    }
                    if let Some(exceeded) = charge.exceeds(stored) {
                        return Ok(Charged::Exceeded(exceeded, stored));
                    }
                    guess = Some(stored);
                }
                Err(error) => return Err(Fault::new("charge call", refused(&error))),
            }
        }
        Err(Fault::new("charge call", "the times kept changing"))
    }

    fn charging(
        &self,
        payer: &Payer<'_>,
        charge: &Charge,
        [batches, operations]: [Move; 2],
        mark: &str,
    ) -> UpdateItemFluentBuilder {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.control)
            .key("pk", s(payer.name()))
            .update_expression(format!(
                "SET #b = {} :b_cost, #o = {} :o_cost, #mark = :mark, #ttl = :ttl",
                from("#b", batches),
                from("#o", operations)
            ))
            .condition_expression(format!(
                "(attribute_not_exists(#mark) OR #mark <> :mark) AND {} AND {}",
                holds("b", batches),
                holds("o", operations)
            ))
            .expression_attribute_names("#b", "batches")
            .expression_attribute_names("#o", "operations")
            .expression_attribute_names("#mark", "mark")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", n(Millis(charge.now())))
            .expression_attribute_values(":b_cost", n(Millis(batches.cost)))
            .expression_attribute_values(":o_cost", n(Millis(operations.cost)))
            .expression_attribute_values(":mark", s(mark))
            .expression_attribute_values(":ttl", n(self.now().plus_ms(KEPT_MS).seconds()))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnOld::AllOld);
        let bounds = [("b", batches), ("o", operations)].into_iter().map(|(name, step)| {
            if step.ahead { (format!(":{name}_most"), step.latest) } else { (":absurd".to_owned(), charge.absurd()) }
        });
        bounds.fold(request, |request, (name, bound)| request.expression_attribute_values(name, n(Millis(bound))))
    }
}

fn from(name: &str, step: Move) -> String {
    if step.ahead { format!("{name} +") } else { ":now +".to_owned() }
}

/// That the move is the right one, and allowed.
fn holds(name: &str, step: Move) -> String {
    if step.ahead {
        format!("#{name} > :now AND #{name} <= :{name}_most")
    } else {
        format!("(attribute_not_exists(#{name}) OR #{name} <= :now OR #{name} > :absurd)")
    }
}

fn arrivals(item: &Item) -> Result<Arrivals, Fault> {
    let item = Reader(item);
    let Millis(batches) = item.int("batches")?;
    let Millis(operations) = item.int("operations")?;
    Ok(Arrivals { batches, operations })
}

/// Microseconds, written as milliseconds with three digits behind the point.
struct Millis(i64);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 1_000, self.0 % 1_000) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, rest) => write!(f, "{whole}.{rest:03}"),
        }
    }
}

impl std::str::FromStr for Millis {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let whole: i64 = whole.parse().map_err(|_| ())?;
        let rest: i64 = format!("{rest:0<3}").get(..3).ok_or(())?.parse().map_err(|_| ())?;
        whole.checked_mul(1_000).and_then(|whole| whole.checked_add(rest)).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_kept_exactly_as_milliseconds() {
        for (us, text) in [
            (0, "0"),
            (1, "0.001"),
            (50, "0.050"),
            (1_767_225_600_000_000, "1767225600000"),
            (1_767_225_600_000_900, "1767225600000.900"),
        ] {
            assert_eq!(Millis(us).to_string(), text);
            assert_eq!(text.parse::<Millis>().map(|ms| ms.0), Ok(us));
        }
        // As the store gives numbers back.
        assert_eq!("1767225600000.9".parse::<Millis>().map(|ms| ms.0), Ok(1_767_225_600_000_900));
        for wrong in ["", "x", "1e12", "1.2.3", "99999999999999999999"] {
            assert!(wrong.parse::<Millis>().is_err(), "{wrong}");
        }
    }
}
