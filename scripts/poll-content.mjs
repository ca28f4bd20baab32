// Runs the polling loop of docs/CONTENT.md, as it is printed, on every kind of content job.
import { readFileSync } from 'node:fs';

const [base, token, creator] = process.argv.slice(2);
const page = readFileSync(new URL('../docs/CONTENT.md', import.meta.url), 'utf8');
const printed = page.split('```javascript\n')[1].split('```')[0];
const pollBatchStatus = new Function('base', 'token', 'console', `${printed}; return pollBatchStatus;`)(base, token, {
  log() {},
});

async function post(path, body) {
  const response = await fetch(base + path, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

const content = (id, fields) => ({
  entity: 'content', action: 'create', store_params: { content_id: id, creator, price: 1, ...fields },
});
const made = await post('/batch', {
  operations: [content('id1', { onChainId: 1 }), content('id2', { onChainId: 2 }), content('plain', {})],
});
if (made.body.status !== 'completed') throw new Error(JSON.stringify(made.body));

const contentIds = ['id1', 'id2', 'plain', 'missing'];
const jobs = [
  ['batch-update-price', { creator, contentIds, newPrice: 1000000 }, 3, 1],
  ['batch-update-metadata', { creator, contentIds, updates: { title: 'A title' } }, 3, 1],
  ['batch-remove-content', { creator, contentIds: ['id1'] }, 1, 0],
  ['batch-remove', { creator, contentIds: ['id1', 'missing'] }, 0, 2],
];
for (const [path, body, succeeded, failed] of jobs) {
  const begun = await post(`/api/batches/${path}`, body);
  if (begun.status !== 201 || begun.body.status !== 'pending') throw new Error(JSON.stringify(begun));
  const batch = await pollBatchStatus(begun.body.batchId, 300, 100);
  const counts = [batch.status, batch.successCount, batch.failureCount];
  if (String(counts) !== String(['completed', succeeded, failed])) throw new Error(JSON.stringify(batch));
}
// One that is ended from outside.
const long = await post('/api/batches/batch-update-price', { creator, contentIds: ['id2'], newPrice: 2 });
await post(`/batches/${long.body.batchId}/cancel`, {});
const ended = await pollBatchStatus(long.body.batchId, 300, 100);
if (!['completed', 'failed'].includes(ended.status)) throw new Error(JSON.stringify(ended));
console.log(`the loop ended on ${jobs.length + 1} jobs`);
