//! One run of making a batch's calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::gap;
use super::outcome::{MOST_ATTEMPTS, Next, asked, next};
use super::standing::{self, Standing};
use crate::app::App;
use crate::batch::{ContentJob, Head, NO_NODE, NO_SIGNER, NOT_SENT, SUPERSEDED, Settled, State};
use crate::gateway::stacks::{Broadcast, Chain, Lost, Payload, Progress, Signer};
use crate::limits::{FOLD_ITEMS, FOLD_MS};
use crate::plan::RowKey;
use crate::runtime::Timestamp;
use crate::store::{Entry, Fault, LedgerPlace as Place, Sent, Store, TenantKey, Written};

/// Time kept at the end of a run for calls under way, milliseconds: as long as one takes at most.
const RESERVE_MS: i64 = 6_000;
/// Between two looks at an account whose chain is full, and between two sendings of the same bytes.
const WAIT: Duration = Duration::from_secs(1);

/// A call under way, and what the node said.
type Flight<'a> = Pin<Box<dyn Future<Output = (Ready, Answer)> + Send + 'a>>;

/// What the node said of a call.
enum Answer {
    /// It was sent; and where the node has seen it, when it may have been sent before.
    Sent(Broadcast, Option<Progress>),
    /// It was only asked for.
    Seen(Option<Progress>),
}

/// A call that is signed and not settled.
struct Ready {
    entry: Entry,
    /// How often it was sent by this run.
    attempts: u32,
    /// Whether an earlier run may have sent it.
    known: bool,
    /// Whether the node is asked for it before it may be sent: whoever signed it may have come to its end early.
    ask: bool,
    /// Not sent before this.
    from: Timestamp,
}

pub(super) struct Sender<'a> {
    app: &'a App,
    head: &'a Head,
    /// Of the items, by position.
    ids: &'a [String],
    keys: TenantKey,
    store: Store,
    until: Timestamp,
    state: State,
    unsigned: VecDeque<Entry>,
    ready: VecDeque<Ready>,
    flights: FuturesUnordered<Flight<'a>>,
    settled: Vec<(usize, Settled)>,
    folded: Timestamp,
    fee: Option<u64>,
    /// Transactions of the signer that are in blocks, when this run last looked.
    account: Option<u64>,
    looked: Timestamp,
    /// Whether nothing can be sent before some time has passed.
    blocked: bool,
    /// Whether somebody else ended, paused or took over the batch.
    over: bool,
}

impl<'a> Sender<'a> {
    pub fn new(
        app: &'a App,
        (head, ids): (&'a Head, &'a [String]),
        (keys, store, until): (TenantKey, Store, Timestamp),
        (state, entries): (State, Vec<Entry>),
    ) -> Self {
        let now = app.clock().now();
        let mut sender = Self {
            app,
            head,
            ids,
            keys,
            store,
            until,
            state,
            unsigned: VecDeque::new(),
            ready: VecDeque::new(),
            flights: FuturesUnordered::new(),
            settled: Vec::new(),
            folded: now,
            fee: None,
            account: None,
            looked: Timestamp(0),
            blocked: false,
            over: false,
        };
        for entry in entries {
            sender.sort(entry, true);
        }
        sender
    }

    pub fn into_state(self) -> State {
        self.state
    }

    /// Puts an entry where it belongs.
    fn sort(&mut self, entry: Entry, known: bool) {
        match (entry.place, &entry.sent, &entry.refused) {
            (Place::Item(index), ..) if self.state.calls.contains_key(&index) => {}
            (Place::Item(index), _, Some(word)) => self.settled.push((index, Settled::refused(word))),
            (Place::Nonce(_), _, Some(_)) => {}
            (Place::Nonce(_), ..) if entry.progress.is_some() => {}
            (_, None, _) => self.unsigned.push_back(entry),
            (_, Some(sent), _) => {
                // Two processes that send it at once may be told different things.
                let from = sent.left_alone_until();
                self.ready.push_back(Ready { entry, attempts: 0, known, ask: true, from });
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.app.clock().now()
    }

    fn deadline(&self) -> Timestamp {
        self.head.deadline(self.state.started, self.state.paused_ms)
    }

    /// Works until every call is settled, or there is no time left.
    pub async fn run(&mut self) -> Result<(), Fault> {
        let Some(job) = &self.head.job else { return Ok(()) };
        let (chain, signer) = match self.app.chain() {
            None => return self.settle_unsigned(NO_NODE).await,
            Some(chain) => (chain, chain.signer(&job.creator)),
        };
        let Some(signer) = signer else { return self.settle_unsigned(NO_SIGNER).await };
        while self.state.waits_for_calls() && !self.over {
            let now = self.now();
            if now >= self.deadline() {
                return self.settle_rest().await;
            }
            let closing = now.plus_ms(RESERVE_MS) >= self.until;
            if !closing {
                self.fill(chain, signer, job).await?;
            } else if self.flights.is_empty() {
                return self.fold().await;
            }
            self.wait(chain, signer).await?;
            let waited = self.now().since_ms(self.folded) >= FOLD_MS;
            let done = self.flights.is_empty() && self.ready.is_empty() && self.unsigned.is_empty();
            if done {
                gap::close((&self.store, &self.keys, self.head), chain, signer, self.now()).await?;
            }
            if self.settled.len() >= FOLD_ITEMS || (waited && !self.settled.is_empty()) || done {
                self.fold().await?;
            }
        }
        Ok(())
    }

    /// Brings as many calls under way as may be.
    async fn fill(&mut self, chain: &'a Chain, signer: &'a Signer, job: &ContentJob) -> Result<(), Fault> {
        let most = self.app.content_concurrency();
        let now = self.now();
        self.blocked = true;
        let mut waiting = VecDeque::new();
        while let Some(mut ready) = self.ready.pop_front() {
            let (early, full) = (ready.from > now, self.flights.len() >= most);
            if full || (early && !ready.ask) {
                waiting.push_back(ready);
            } else if early {
                self.ask(chain, ready);
            } else {
                ready.attempts += 1;
                self.send(chain, ready);
            }
        }
        self.ready = waiting;
        // What is signed goes first: the others wait behind its nonce.
        let slots = most.saturating_sub(self.flights.len() + self.ready.len()).min(self.unsigned.len());
        if slots > 0 && !self.over {
            self.claim(chain, (signer, job), slots).await?;
        }
        Ok(())
    }

    /// Signs and stores up to `slots` calls in one write, and sends them.
    async fn claim(
        &mut self,
        chain: &'a Chain,
        (signer, job): (&Signer, &ContentJob),
        slots: usize,
    ) -> Result<(), Fault> {
        let address = signer.address().to_string();
        let network = chain.network().as_str();
        if !self.look_at(chain, signer).await {
            return Ok(());
        }
        let account = self.account.unwrap_or(0);
        let mut nonces = self.store.nonces(network, &address).await?;
        nonces.catch_up(account);
        let most = account.saturating_add(self.app.limits().in_chain);
        if nonces.lowest() >= most {
            return Ok(());
        }
        let Some((standing, slots)) = self.leave_out_what_no_longer_stands(job, slots).await? else { return Ok(()) };
        let (mut claimed, mut rows) = (Vec::new(), Vec::new());
        while claimed.len() < slots && nonces.lowest() < most {
            let Some(mut entry) = self.unsigned.pop_front() else { break };
            if let Place::Item(index) = entry.place {
                rows.extend(standing.get(&index).cloned());
            }
            let Some(intent) = &entry.intent else { continue };
            let payload = chain.call(&intent.function, intent.arguments.clone());
            let fee = self.fee(chain, &payload).await;
            let nonce = nonces.take();
            let transaction =
                signer.sign(nonce, fee, payload).map_err(|_| Fault::new("sign call", "the key does not sign"))?;
            entry.sent = Some(Sent { signer: address.clone(), at: self.now(), nonce, signed: transaction });
            claimed.push(entry);
        }
        if claimed.is_empty() {
            return Ok(());
        }
        tracing::debug!(batch.id = %self.head.id, calls = claimed.len(), kind = job.kind.as_str(), "calls are signed");
        match self.store.claim(&self.keys, self.head, (network, &address, &nonces), (&claimed, &rows)).await? {
            Written::Done => {
                for entry in claimed {
                    self.send(chain, Ready { entry, attempts: 1, known: false, ask: false, from: Timestamp(0) });
                }
            }
            // Another run, or another batch of the same signer, was faster.
            Written::Guard => {
                self.blocked = false;
                self.reload().await?;
            }
            Written::Late => self.over = true,
        }
        Ok(())
    }

    /// Settles those of the next `slots` calls that the contract is not to be told of any more; the rows of the others, by
    /// position, and how many these are. `None` when somebody else was at them.
    async fn leave_out_what_no_longer_stands(
        &mut self,
        job: &ContentJob,
        slots: usize,
    ) -> Result<Option<(BTreeMap<usize, (RowKey, u64)>, usize)>, Fault> {
        let next = self.unsigned.iter().take(slots).filter_map(|entry| match entry.place {
            Place::Item(index) => Some((index, self.ids.get(index)?.as_str())),
            Place::Nonce(_) => None,
        });
        let Standing { rows, superseded } = standing::of(&self.store, &self.keys, job, next.collect()).await?;
        self.blocked &= superseded.is_empty();
        let is_left = |entry: &Entry| matches!(entry.place, Place::Item(index) if superseded.contains(&index));
        let (left, stand) = std::mem::take(&mut self.unsigned).into_iter().partition::<Vec<Entry>, _>(is_left);
        self.unsigned = stand.into();
        Ok(self.leave(left, SUPERSEDED).await?.then_some((rows, slots.saturating_sub(superseded.len()))))
    }

    /// Settles calls as not made, because of `cause`. From then on nobody signs them; false when somebody may have before.
    async fn leave(&mut self, entries: Vec<Entry>, cause: &str) -> Result<bool, Fault> {
        if entries.is_empty() {
            return Ok(true);
        }
        let left = entries.into_iter().map(|entry| Entry { refused: Some(cause.to_owned()), ..entry });
        let left: Vec<Entry> = left.collect();
        match self.store.leave_unsigned(&self.keys, self.head, &left).await? {
            Written::Done => {
                for entry in left {
                    if let Place::Item(index) = entry.place {
                        self.settled.push((index, Settled::refused(cause)));
                    }
                }
                Ok(true)
            }
            Written::Guard => {
                self.blocked = false;
                self.reload().await?;
                Ok(false)
            }
            Written::Late => {
                self.over = true;
                Ok(false)
            }
        }
    }

    /// What is offered for a call: asked once a run, for all calls of a batch are alike.
    async fn fee(&mut self, chain: &Chain, payload: &Payload) -> u64 {
        if let Some(fee) = self.fee {
            return fee;
        }
        let estimate = chain.node.fee(payload).await.unwrap_or_else(|error| {
            tracing::warn!(batch.id = %self.head.id, %error, "no estimate of the fee; the setting is offered");
            None
        });
        *self.fee.insert(chain.fee(payload, estimate))
    }

    /// Learns how many of the signer's transactions are in blocks; false when that is not known.
    async fn look_at(&mut self, chain: &Chain, signer: &Signer) -> bool {
        let now = self.now();
        if self.account.is_some() && now.since_ms(self.looked) < FOLD_MS {
            return true;
        }
        match chain.node.account(signer.address()).await {
            Ok(account) => self.account = Some(account.nonce),
            Err(error) => tracing::warn!(batch.id = %self.head.id, %error, "the signer's account cannot be read"),
        }
        self.looked = now;
        self.account.is_some()
    }

    fn send(&mut self, chain: &'a Chain, ready: Ready) {
        self.flights.push(Box::pin(async move {
            let Some(sent) = &ready.entry.sent else { return (ready, Answer::Seen(None)) };
            let broadcast = chain.node.broadcast(&sent.signed).await;
            let ends = match broadcast {
                Broadcast::Refused(_) => ready.known,
                Broadcast::Later(_) => ready.known && ready.attempts >= MOST_ATTEMPTS,
                Broadcast::Taken | Broadcast::Unknown(_) => false,
            };
            if !ends {
                return (ready, Answer::Sent(broadcast, None));
            }
            // What is not taken now may have been before. Where the node does not tell, nobody knows.
            let answer = match chain.node.progress(&sent.signed.txid).await {
                Ok(seen) => Answer::Sent(broadcast, Some(seen)),
                Err(_) => Answer::Sent(Broadcast::Unknown(Lost::Broken), None),
            };
            (ready, answer)
        }));
    }

    /// Asks for a call that is not sent yet, because another process may be about to.
    fn ask(&mut self, chain: &'a Chain, ready: Ready) {
        self.flights.push(Box::pin(async move {
            let Some(sent) = &ready.entry.sent else { return (ready, Answer::Seen(None)) };
            let seen = chain.node.progress(&sent.signed.txid).await.ok();
            (ready, Answer::Seen(seen))
        }));
    }

    /// Waits for the next answer, or for what is worth another look.
    async fn wait(&mut self, chain: &'a Chain, signer: &'a Signer) -> Result<(), Fault> {
        if self.flights.is_empty() {
            if self.blocked && !(self.ready.is_empty() && self.unsigned.is_empty()) {
                tokio::time::sleep(WAIT).await;
            }
            return Ok(());
        }
        let fold_in = Duration::from_millis(u64::try_from(FOLD_MS).unwrap_or(1_000));
        let Ok(Some(landed)) = tokio::time::timeout(fold_in, self.flights.next()).await else { return Ok(()) };
        self.landed(landed, chain, signer).await?;
        // Others that have landed meanwhile are taken along.
        while let Some(Some(landed)) = futures::FutureExt::now_or_never(self.flights.next()) {
            self.landed(landed, chain, signer).await?;
        }
        Ok(())
    }

    async fn landed(&mut self, (ready, answer): (Ready, Answer), chain: &Chain, signer: &Signer) -> Result<(), Fault> {
        let Some(sent) = &ready.entry.sent else { return Ok(()) };
        let Ready { attempts, from, .. } = ready;
        let (step, from) = match answer {
            Answer::Sent(broadcast, seen) => (next(sent, broadcast, attempts, seen), self.now().plus_ms(FOLD_MS)),
            Answer::Seen(seen) => (asked(sent, seen), from),
        };
        let entry = ready.entry;
        match (step, entry.place) {
            (Next::Settle(settled), Place::Item(index)) => self.settled.push((index, settled)),
            (Next::Settle(_), Place::Nonce(_)) => {}
            (Next::Again, _) => {
                self.ready.push_back(Ready { entry, attempts, known: true, ask: false, from });
            }
            (Next::Release(reason), place) => {
                let refused = Entry { refused: Some(reason.as_str().to_owned()), ..entry };
                gap::give_back((&self.store, &self.keys, self.head), chain, signer, &refused).await?;
                if let Place::Item(index) = place {
                    self.settled.push((index, Settled::refused(reason.as_str())));
                }
            }
        }
        Ok(())
    }

    /// Sees how the batch stands after somebody else has changed it.
    async fn reload(&mut self) -> Result<(), Fault> {
        let read = self.store.batch_and_ledger(&self.keys, &self.head.id).await?;
        let Some((_, Some(state), entries)) = read.filter(|(head, ..)| head.seed == self.head.seed) else {
            self.over = true;
            return Ok(());
        };
        self.state = state;
        self.over = !self.state.waits_for_calls();
        // What this run has under way, or has settled, is its own; the rest is as the ledger has it.
        let mut own: BTreeSet<Place> = self.settled.iter().map(|(index, _)| Place::Item(*index)).collect();
        own.extend(self.ready.iter().map(|ready| ready.entry.place));
        self.unsigned.clear();
        let in_flight = self.flights.len();
        for entry in entries {
            // While calls are under way it is not known whose a signed one is: it is looked at when they have landed.
            if own.contains(&entry.place) || (entry.sent.is_some() && in_flight > 0) {
                continue;
            }
            self.sort(entry, true);
        }
        if !self.store.pause(1).await {
            self.over = true;
        }
        Ok(())
    }

    /// Writes what is settled to the state.
    async fn fold(&mut self) -> Result<(), Fault> {
        while !self.settled.is_empty() && self.state.waits_for_calls() {
            let mut next = self.state.next(self.app.entropy().hex32(), self.now());
            for (index, settled) in &self.settled {
                next.settle(*index, settled.clone());
            }
            match self.store.put_state(&self.keys, self.head, Some(self.state.rev), &next).await? {
                Written::Done => {
                    self.state = next;
                    self.settled.clear();
                }
                Written::Late => {
                    self.over = true;
                    return Ok(());
                }
                Written::Guard => {
                    let stands = self.store.batch(&self.keys, &self.head.id).await?.and_then(|(_, state)| state);
                    let Some(stands) = stands.filter(|state| state.belongs_to(self.head)) else {
                        self.over = true;
                        return Ok(());
                    };
                    // It may be this very write, whose answer was lost.
                    self.settled.retain(|(index, _)| !stands.calls.contains_key(index));
                    self.state = stands;
                }
            }
        }
        self.folded = self.now();
        if self.flights.is_empty() && self.ready.is_empty() && self.unsigned.is_empty() && self.state.waits_for_calls()
        {
            // Somebody else had calls under way that are not settled: they are looked at anew.
            self.reload().await?;
        }
        Ok(())
    }

    /// Settles every call that is not signed as not made.
    async fn settle_unsigned(&mut self, cause: &str) -> Result<(), Fault> {
        let unsigned = self.unsigned.drain(..).map(|entry| entry.place);
        let refused = unsigned.filter_map(|place| match place {
            Place::Item(index) => Some((index, Settled::refused(cause))),
            Place::Nonce(_) => None,
        });
        self.settled.extend(refused);
        for ready in self.ready.drain(..) {
            if let Place::Item(index) = ready.entry.place {
                self.settled.push((index, Settled::Unknown));
            }
        }
        self.fold().await
    }

    /// The batch's time is over: what was sent may still be taken, the rest never will be sent.
    async fn settle_rest(&mut self) -> Result<(), Fault> {
        self.flights.clear();
        self.unsigned.clear();
        self.ready.clear();
        let known: BTreeSet<usize> = self.settled.iter().map(|(index, _)| *index).collect();
        let read = self.store.batch_and_ledger(&self.keys, &self.head.id).await?;
        let mut unsigned = Vec::new();
        for entry in read.map(|(_, _, entries)| entries).unwrap_or_default() {
            let Place::Item(index) = entry.place else { continue };
            if known.contains(&index) {
                continue;
            }
            match (&entry.sent, &entry.refused) {
                (_, Some(word)) => self.settled.push((index, Settled::refused(word))),
                (Some(_), None) => self.settled.push((index, Settled::Unknown)),
                (None, None) => unsigned.push(entry),
            }
        }
        // Where another process, by its clock, has time left and signs one of them: it is looked at anew.
        if !self.leave(unsigned, NOT_SENT).await? {
            return Err(Fault::new("settle calls", "somebody else is at them"));
        }
        self.fold().await
    }
}
