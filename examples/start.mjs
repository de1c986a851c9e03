/**
 * `npm start`: sets the checkout up where needed, starts three small HTTP services, two in Bolt, and the proxy with quickstart.yaml in front of them, sends a handful of
 * requests through it and prints where they went, then stays up until Ctrl-C.
 */
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { root, setUp } from '../src/cli/setup.mjs';
import { callBolt, startBoltService } from './bolt.mjs';

/** The ports are the ones in quickstart.yaml. */
const SERVICES = [
  { name: 'products', port: 10_001 },
  { name: 'reviews v1', port: 10_002 },
  { name: 'reviews v2', port: 10_003 },
];
const BOLT_SERVICES = [
  { name: 'orders', port: 12_201 },
  { name: 'catalog', port: 12_202 },
];
const PROXY_PORT = 10_000;
const BOLT_PROXY_PORT = 12_200;
const WEIGHTED_REQUESTS = 40;

function startService({ name, port }) {
  const server = createServer((incoming, outgoing) => outgoing.end(`${name} answers ${incoming.method} ${incoming.url}\n`));
  return new Promise((resolve, reject) => {
    server.on('error', (cause) => reject(new Error(`the demo service "${name}" needs port ${port}: ${cause.message}`, { cause })));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** One request through the proxy: status, Location and body. */
function get(path, headers = {}) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port: PROXY_PORT, host: '127.0.0.1', path, headers }, (incoming) => {
      const chunks = [];
      incoming.on('data', (chunk) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode, location: incoming.headers.location, body: Buffer.concat(chunks).toString('latin1').trim() }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

const addressText = (address, scheme = 'http') => ('path' in address ? address.path : `${scheme}://${address.ip}:${address.port}`);

async function main() {
  await setUp();
  const { start } = await import('../dist/src/index.js');
  const services = [];
  for (const service of SERVICES) services.push(await startService(service));
  for (const service of BOLT_SERVICES) services.push(await startBoltService(service));
  const proxy = await start({ config: { file: join(root, 'examples/quickstart.yaml') }, concurrency: 1 });

  const show = (what, { status, location, body }) => console.log(`  ${what.padEnd(44)} ${status} ${location ?? body}`);
  console.log('\nBy path:');
  show('GET /', await get('/'));
  show('GET /reviews/1', await get('/reviews/1'));
  show('GET /hello      (answered by the proxy)', await get('/hello'));
  show('GET /old/1      (redirected)', await get('/old/1'));
  console.log('By header:');
  for (let i = 0; i < 3; i++) show('GET /reviews/1  x-user: jason', await get('/reviews/1', { 'x-user': 'jason' }));
  console.log(`By weight (${WEIGHTED_REQUESTS} requests for /reviews/1, 75 : 25):`);
  const counts = new Map();
  for (let i = 0; i < WEIGHTED_REQUESTS; i++) {
    const name = (await get('/reviews/1')).body.split(' answers ')[0];
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  for (const [name, count] of [...counts].sort()) console.log(`  ${name.padEnd(12)} ${'#'.repeat(count)} ${count}`);

  console.log('Bolt, by service and method (one connection, four requests at once):');
  const calls = [
    ['com.example.Orders:1.0', 'find'],
    ['com.example.Catalog:1.0', 'list'],
    ['com.example.Reviews:1.0', 'list'],
    ['com.example.Orders:1.0', 'place'],
  ];
  const answers = await callBolt(BOLT_PROXY_PORT, calls);
  calls.forEach(([service, method], at) => {
    show(`${service}/${method}`, answers[at]);
  });

  console.log('\nRunning:');
  for (const { name, addresses } of proxy.listeners) {
    const scheme = name === 'rpc' ? 'bolt' : 'http';
    console.log(`  listener ${name}: ${addresses.map((address) => addressText(address, scheme)).join(', ')}`);
  }
  if (proxy.admin !== undefined) console.log(`  admin: ${addressText(proxy.admin)}`);
  for (const { name, port } of SERVICES) console.log(`  service ${name}: http://127.0.0.1:${port}`);
  for (const { name, port } of BOLT_SERVICES) console.log(`  service ${name}: bolt://127.0.0.1:${port}`);
  console.log(`\nTry: curl -v http://127.0.0.1:${PROXY_PORT}/reviews/1     Configuration: examples/quickstart.yaml     Stop: Ctrl-C`);

  let stopping = false;
  const stop = async () => {
    if (stopping) process.exit(1);
    stopping = true;
    console.log('\nStopping (again: at once) ...');
    for (const service of services) service.close();
    await proxy.stop();
    for (const service of services) service.closeAllConnections?.();
    process.exit(0);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

main().catch((error) => {
  console.error(`sluice: ${error.message}`);
  process.exit(1);
});
