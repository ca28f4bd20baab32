// Uses the published client of the memories API as its users do. Run by scripts/check-client, beside the client.
import assert from 'node:assert/strict';
import http from 'node:http';
import { createMemoryClient } from '@lanonasis/memory-client/core';
import { createRequire } from 'node:module';

const [url] = process.argv.slice(2);
const apiKey = process.env.KEY;
const retry = { maxRetries: 2, retryDelay: 20 };
const { version } = createRequire(import.meta.url)('./node_modules/@lanonasis/memory-client/package.json');

const done = async (name, call) => {
  const { data, error } = await call;
  assert.equal(error, undefined, `${name}: ${JSON.stringify(error)}`);
  return data;
};
const refused = async (name, call, statusCode) => {
  const { error } = await call;
  assert.equal(error?.statusCode, statusCode, `${name}: ${JSON.stringify(error)}`);
  assert.ok(error.message && !error.message.startsWith('HTTP '), `${name} is told: ${error.message}`);
};

const client = createMemoryClient({ apiUrl: url, apiKey, organizationId: 'an-organization', retry });

const health = await done('health', client.healthCheck());
assert.equal(health.status, 'ok');
assert.ok(Date.parse(health.timestamp));

const given = {
  title: 'Sessions',
  content: 'How the gateway authenticates users: tokens, sessions and keys. A price of $ref:op_1.x is only text.',
  memory_type: 'knowledge',
  tags: ['auth', 'gateway'],
  metadata: { team: 'identity', level: 3 },
};
const made = await done('create', client.createMemory(given));
assert.match(made.id, /^mem_[0-9a-f]{32}$/);
for (const [name, value] of Object.entries(given)) assert.deepEqual(made[name], value, name);
const other = await done('create', client.createMemory({ title: 'Lunch', content: 'Soup on Mondays', memory_type: 'personal', tags: [] }));

assert.deepEqual(await done('get', client.getMemory(made.id)), made);

const listed = await done('list', client.listMemories({ page: 1, limit: 10, memory_type: 'knowledge', tags: ['auth'], sort: 'created_at', order: 'desc' }));
assert.deepEqual(listed.data.map((one) => one.id), [made.id]);
assert.deepEqual(listed.pagination, { page: 1, limit: 10, total: 1, pages: 1 });

const changed = await done('update', client.updateMemory(made.id, { title: 'Sessions and keys', tags: ['auth'] }));
assert.deepEqual([changed.title, changed.tags, changed.content], ['Sessions and keys', ['auth'], given.content]);

const found = await done('search', client.searchMemories({ query: 'authenticating a user', memory_types: ['knowledge'], limit: 5, threshold: 0.7, status: 'active' }));
assert.deepEqual([found.results.length, found.total_results, found.results[0].id], [1, 1, made.id]);
assert.ok(found.results[0].similarity_score > 0 && found.results[0].similarity_score < 1);
assert.equal(typeof found.search_time_ms, 'number');

await done('delete', client.deleteMemory(made.id));
await refused('get of what is deleted', client.getMemory(made.id), 404);
await refused('delete of what is deleted', client.deleteMemory(made.id), 404);
await refused('a wrong key', createMemoryClient({ apiUrl: url, apiKey: `${apiKey}x`, retry }).listMemories(), 401);
const bearer = createMemoryClient({ apiUrl: url, authToken: apiKey, retry });
assert.equal((await done('list by bearer', bearer.listMemories())).data.length, 1);

const bulk = await done('bulk delete', client.bulkDeleteMemories([other.id, made.id]));
assert.deepEqual([bulk.deleted_count, bulk.failed_ids], [1, [made.id]]);

// A creation whose answer is lost: the client sends it again, and there is one memory.
let lost = 0;
const proxy = http.createServer((request, answer) => {
  const { method, headers, url: path } = request;
  const passed = http.request(`${url}${path}`, { method, headers }, (reply) => {
    if (lost++ === 0) {
      reply.resume().on('end', () => request.socket.destroy());
      return;
    }
    answer.writeHead(reply.statusCode, reply.headers);
    reply.pipe(answer);
  });
  request.pipe(passed);
});
await new Promise((ready) => proxy.listen(0, '127.0.0.1', ready));
const through = createMemoryClient({ apiUrl: `http://127.0.0.1:${proxy.address().port}`, apiKey, retry });
const again = await done('create through a bad line', through.createMemory({ title: 'Once', content: 'Sent twice, kept once' }));
assert.equal(lost, 2, 'it was sent again');
const all = await done('list', client.listMemories());
assert.deepEqual(all.data.map((one) => one.id), [again.id]);
proxy.close();
proxy.closeAllConnections();

console.log(`@lanonasis/memory-client ${version}: health, create, get, list, update, search, delete, bulk delete, a lost answer`);
// A call that broke leaves its timer behind, which node would wait for.
process.exit(0);
