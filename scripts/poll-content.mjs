// Runs the polling loop of docs/CONTENT.md, as it is printed, on every kind of content job: on what was polled of each in
// tests/fixtures/content/polls.json, which the tests hold to be what is polled, and on jobs of the service at `base`.
import { readFileSync } from 'node:fs';

const [base, token, creator, unsigned] = process.argv.slice(2);
const text = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const printed = text('../docs/CONTENT.md').split('```javascript\n')[1].split('```')[0];
const names = ['base', 'token', 'console', 'fetch', 'setTimeout'];
const loop = new Function(...names, `${printed}; return pollBatchStatus;`);

function check(holds, told) {
  if (!holds) throw new Error(JSON.stringify(told, null, 2));
}

// The loop, and the lines that it prints.
function poller(fetched, wait) {
  const lines = [];
  return { lines, poll: loop(base, token, { log: (line) => lines.push(line) }, fetched, wait) };
}

// A client that reads these lines sees a number in each, and never less than before.
function checkLines(lines, batch) {
  let before = 0;
  for (const line of lines.filter((line) => line.startsWith('Progress: '))) {
    const [done, all] = line.slice('Progress: '.length).split('/').map(Number);
    check(before <= done && done <= all && all === batch.totalItems, lines);
    before = done;
  }
  check(lines.at(-1) === `Final: ${batch.successCount} succeeded, ${batch.failureCount} failed`, lines);
  check(before === batch.totalItems && batch.results.length === batch.totalItems, batch);
}

const recorded = JSON.parse(text('../tests/fixtures/content/polls.json'));
check(recorded.length >= 14, recorded.length);
for (const { kind, polls } of recorded) {
  const left = [...polls];
  const { lines, poll } = poller(async () => ({ json: async () => left.shift() }), (go) => queueMicrotask(go));
  const batch = await poll(polls[0].batchId);
  check(left.length === 0 && batch === polls.at(-1), kind);
  checkLines(lines, batch);
}

async function post(path, body) {
  const response = await fetch(base + path, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

let live = 0;
async function run(path, body, [succeeded, failed], during = async () => {}) {
  const begun = await post(`/api/batches/${path}`, body);
  check(begun.status === 201 && begun.body.status === 'pending', begun);
  await during(begun.body.batchId);
  const { lines, poll } = poller(fetch, setTimeout);
  const batch = await poll(begun.body.batchId, 300, 100);
  checkLines(lines, batch);
  const counts = [batch.status, batch.successCount, batch.failureCount];
  check(succeeded === undefined || String(counts) === String(['completed', succeeded, failed]), batch);
  live += 1;
  return batch;
}

const content = (id, fields) => ({
  entity: 'content', action: 'create', store_params: { content_id: id, creator, price: 1, ...fields },
});
const made = await post('/batch', {
  operations: [
    content('id1', { onChainId: 1 }), content('id2', { onChainId: 2 }), content('plain', {}),
    content('theirs', { creator: unsigned, onChainId: 3 }),
  ],
});
check(made.body.status === 'completed', made.body);

const contentIds = ['id1', 'id2', 'plain', 'missing'];
const price = await run('batch-update-price', { creator, contentIds, newPrice: 1000000 }, [3, 1]);
const again = await run(`${price.batchId}/retry`, {}, [0, 1]);
await run(`${again.batchId}/retry`, {}, [0, 1]);
await run('batch-update-metadata', { creator, contentIds, updates: { title: 'A title' } }, [3, 1]);
const theirs = await run('batch-update-price', { creator: unsigned, contentIds: ['theirs'], newPrice: 2 }, [1, 0]);
check(theirs.results[0].error.startsWith('NO_SIGNER'), theirs);
await run(`${theirs.batchId}/retry`, { only: 'contract' }, [1, 0]);
await run('batch-remove-content', { creator, contentIds: ['id1'] }, [1, 0]);
await run('batch-remove', { creator, contentIds: ['id1', 'missing'] }, [0, 2]);
// Whether the job or the client is faster, it ends.
const act = (word) => async (id) => check([200, 409].includes((await post(`/batches/${id}/${word}`, {})).status), word);
await run('batch-update-price', { creator, contentIds: ['id2'], newPrice: 2 }, [], act('cancel'));
await run('batch-update-price', { creator, contentIds: ['id2'], newPrice: 3 }, [], async (id) => {
  await act('pause')(id);
  await act('resume')(id);
});
console.log(`the loop ended on ${recorded.length} kinds of job as kept, and on ${live} jobs of the service`);
