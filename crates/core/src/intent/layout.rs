//! The order of a batch's operations: by chain, approvals before what needs them, none twice.

use super::Intent;

/// The operations of one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// EIP-155 number.
    pub chain: u64,
    /// Positions in the request, in the order they are submitted; without those that are merged into others.
    pub members: Vec<usize>,
    /// What was done to save gas, for people.
    pub notes: Vec<String>,
}

/// How a batch is laid out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Sorted by chain.
    pub groups: Vec<Group>,
    /// Positions in the order they are submitted: across chains for an atomic batch, else chain after chain.
    pub order: Vec<usize>,
    /// For each operation, the one that does its work too.
    pub merged_into: Vec<Option<usize>>,
}

impl Layout {
    /// Lays out `intents`.
    pub fn of(intents: &[Intent], atomic: bool) -> Self {
        let mut layout = Self { merged_into: vec![None; intents.len()], ..Self::default() };
        let mut chains: Vec<u64> = intents.iter().map(Intent::chain).collect();
        chains.sort_unstable();
        chains.dedup();
        layout.groups =
            chains.into_iter().map(|chain| Group { chain, members: Vec::new(), notes: Vec::new() }).collect();
        let mut sequence: Vec<usize> = (0..intents.len()).collect();
        if !atomic {
            // Stable, so the order of a chain's own operations is that of the request.
            sequence.sort_by_key(|index| intents.get(*index).map(Intent::chain));
        }
        for index in sequence {
            layout.place(intents, index);
        }
        for index in &layout.order {
            let chain = intents.get(*index).map(Intent::chain);
            if let Some(group) = layout.groups.iter_mut().find(|group| Some(group.chain) == chain) {
                group.members.push(*index);
            }
        }
        layout
    }

    fn place(&mut self, intents: &[Intent], index: usize) {
        let Some(intent) = intents.get(index) else { return };
        let before = |place: usize| self.order.get(place).and_then(|index| intents.get(*index));
        let same: Vec<usize> = (0..self.order.len())
            .filter(|place| before(*place).is_some_and(|other| same_grant(intent, other)))
            .collect();
        // An approval takes the place of the one before, so only the last one can do this one's work too.
        if let Some(place) = same.last().copied().filter(|place| before(*place) == Some(intent)) {
            // What is spent in between may have used a limited grant up: then it is given again.
            let used = (place + 1..self.order.len()).any(|later| before(later).is_some_and(|op| spends(op, intent)));
            if !used || is_unlimited(intent) {
                let kept = self.order.get(place).copied();
                self.note(
                    intent.chain(),
                    format!("op_{index} is the same approval as op_{}", kept.unwrap_or_default()),
                );
                if let Some(merged) = self.merged_into.get_mut(index) {
                    *merged = kept;
                }
                return;
            }
        }
        let spender = (0..self.order.len()).find(|place| before(*place).is_some_and(|other| spends(other, intent)));
        match spender {
            Some(place) if same.is_empty() => {
                let ahead_of = self.order.get(place).copied().unwrap_or_default();
                self.order.insert(place, index);
                self.note(intent.chain(), format!("op_{index} was moved ahead of op_{ahead_of}, which needs it"));
            }
            _ => self.order.push(index),
        }
    }

    fn note(&mut self, chain: u64, note: String) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.chain == chain) {
            group.notes.push(note);
        }
    }
}

fn is_unlimited(intent: &Intent) -> bool {
    matches!(intent, Intent::Approve { allowance: super::Allowance::Unlimited, .. })
}

/// Whether both are approvals of one token for one spender.
fn same_grant(one: &Intent, other: &Intent) -> bool {
    match (one, other) {
        (Intent::Approve { token, spender, .. }, Intent::Approve { token: other, spender: to, .. }) => {
            token.is(other) && spender == to
        }
        _ => false,
    }
}

/// Whether `intent` may need `approval`. Which contract a swap goes through is not known before it is built.
fn spends(intent: &Intent, approval: &Intent) -> bool {
    let Intent::Approve { token, spender, .. } = approval else { return false };
    match intent {
        Intent::Swap { from, .. } => from.token.is(token),
        Intent::AddLiquidity { pair, router, .. } => router == spender && pair.iter().any(|sum| sum.token.is(token)),
        Intent::Transfer { .. } | Intent::Approve { .. } => false,
    }
}
