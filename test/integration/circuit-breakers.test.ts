/** Circuit breakers hold for all workers of the process together. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';
import { configOf, failWorkers, portOf, sourceFor, startTestServer } from '../support/whole-proxy.js';

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
/** Answers every request on every new connection. */
const answersAll = (upstream: Upstream, response: string): void => {
  upstream.onConnection = async (up) => {
    while (!up.isOver) {
      // At the end of the connection there is no further head.
      await up.receivesHead().then(
        () => up.send(response),
        () => undefined,
      );
    }
  };
};
/** `configOf` with so many requests at once to its cluster. */
const bounded = (upstream: number, maxRequests: number): object => {
  const config = configOf({ upstream }) as { static_resources: { clusters: { circuit_breakers?: object }[] } };
  for (const cluster of config.static_resources.clusters) cluster.circuit_breakers = { thresholds: [{ max_requests: maxRequests }] };
  return config;
};

test('a bound holds over all workers, and is given back when requests end', async () => {
  const upstream = await Upstream.open();
  const server = await startTestServer({ config: sourceFor(bounded(upstream.port, 2)), concurrency: 2 });
  const peers: Peer[] = [];
  const ask = async () => {
    const peer = await connect(portOf(server));
    peers.push(peer);
    return peer.send(GET);
  };
  try {
    const held = [await ask(), await ask()];
    const ups = [await upstream.accepts(), await upstream.accepts()];
    for (const up of ups) await up.receivesHead();
    // The kernel spreads connections over the workers: one of the twelve would find room if each worker had a bound of its own.
    for (let i = 0; i < 12; i++) assert.match(await (await ask()).receivesHead(), /^HTTP\/1\.1 503 [\s\S]*x-envoy-overloaded: true/);
    assert.equal(server.stats.value('cluster.web.circuit_breakers.default.rq_open'), 1);
    for (const up of ups) up.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    for (const peer of held) assert.match(await peer.receivesHead(), /^HTTP\/1\.1 200/);
    answersAll(upstream, 'HTTP/1.1 204 No Content\r\n\r\n');
    for (const up of ups) up.close();
    for (let i = 0; i < 6; i++) assert.match(await (await ask()).receivesHead(), /^HTTP\/1\.1 204/);
    await eventually(() => server.stats.value('cluster.web.circuit_breakers.default.rq_open') === 0, 'it is still shown as open');
  } finally {
    for (const peer of peers) peer.close();
    await server.stop({ drainTimeMs: 0 });
    upstream.close();
  }
});

test('what a worker that failed had taken is given back', async () => {
  const upstream = await Upstream.open();
  const lines: string[] = [];
  const server = await startTestServer({ config: sourceFor(bounded(upstream.port, 1)), lines });
  try {
    const lost = (await connect(portOf(server))).send(GET);
    await (await upstream.accepts()).receivesHead();
    failWorkers();
    await eventually(() => lines.some((line) => line === 'info main worker 0 was replaced'), 'the worker is replaced', 15_000);
    lost.close();
    const next = (await connect(portOf(server))).send(GET);
    await (await upstream.accepts()).receivesHead();
    next.close();
  } finally {
    await server.stop({ drainTimeMs: 0 });
    upstream.close();
  }
});
