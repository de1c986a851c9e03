import assert from 'node:assert/strict';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidConfiguration } from '../../src/control/configuration.js';
import { ListenersError } from '../../src/control/worker-pool.js';
import { connect, eventually } from '../support/peers.js';
import { Command, configOf, failWorkers, get, inFolder, portOf, serve, sourceFor, startTestServer, urlOf } from '../support/whole-proxy.js';

test('a worker that throws is replaced on the same port, logged and counted, and counters go on', async () => {
  const lines: string[] = [];
  const server = await startTestServer({ lines });
  try {
    const url = `http://127.0.0.1:${portOf(server)}/hello`;
    assert.equal((await get(url)).text, 'hello');
    failWorkers();
    await eventually(() => lines.some((line) => line === 'info main worker 0 was replaced'), 'the worker is replaced', 15_000);
    assert.equal((await get(url)).text, 'hello');
    assert.ok(lines.some((line) => line.startsWith('critical main worker 0 failed') && line.includes('made to fail by a test')));
    assert.equal(server.stats.value('server.worker_replaced'), 1);
    assert.equal(server.stats.value('http.in.downstream_rq_2xx'), 2);
  } finally {
    await server.stop({ drainTimeMs: 0 });
  }
});

test('a change keeps connections open, and their next request sees it', async () => {
  const server = await startTestServer({
    config: sourceFor(
      configOf({
        listeners: [
          ['main', 0],
          ['old', 0],
        ],
      }),
    ),
  });
  try {
    const port = portOf(server);
    const peer = await connect(port);
    peer.send('GET /hello HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.match(await peer.receivesUntil('hello'), /^HTTP\/1\.1 200 /);
    await server.reconfigure(
      sourceFor(
        configOf({
          listeners: [
            ['main', 0],
            ['new', 0],
          ],
          hello: 'changed',
        }),
      ),
    );
    peer.send('GET /hello HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.match(await peer.receivesUntil('changed'), /^HTTP\/1\.1 200 /);
    peer.close();
    assert.deepEqual(
      server.listeners.map(({ name }) => name),
      ['main', 'new'],
    );
    assert.equal(portOf(server), port);
    assert.equal((await get(`http://127.0.0.1:${portOf(server, 'new')}/hello`)).text, 'changed');
  } finally {
    await server.stop({ drainTimeMs: 0 });
  }
});

test('a broken change is refused with every problem, and what runs goes on', async () => {
  const server = await startTestServer();
  try {
    const broken = JSON.stringify(configOf(), undefined, 2).replace('"cluster": "web"', '"cluster": "wep"').replace('"stat_prefix"', '"stat_prefxi"');
    await assert.rejects(server.reconfigure({ text: broken, file: 'broken.json' }), (error) => {
      assert.ok(error instanceof InvalidConfiguration);
      assert.match(error.message, /broken\.json:\d+:\d+: .*stat_prefxi.*did you mean stat_prefix\?/);
      assert.match(error.message, /wep.*did you mean web\?/);
      return true;
    });
    assert.equal((await get(`http://127.0.0.1:${portOf(server)}/hello`)).text, 'hello');
  } finally {
    await server.stop({ drainTimeMs: 0 });
  }
});

test('ports in use fail the start, all of them named with their listeners; a change to one is refused', async () => {
  const taken = [createServer(), createServer()];
  for (const server of taken) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const [port, other] = taken.map((server) => (server.address() as { port: number }).port);
  try {
    const config = configOf({
      adminPort: null,
      listeners: [
        ['first', port],
        ['free', 0],
        ['second', other],
      ],
    });
    await assert.rejects(startTestServer({ config: sourceFor(config) }), (error) => {
      assert.ok(error instanceof ListenersError);
      assert.match(error.message, /first/);
      assert.match(error.message, /second/);
      return true;
    });
    const server = await startTestServer();
    try {
      const change = server.reconfigure(
        sourceFor(
          configOf({
            listeners: [
              ['main', 0],
              ['extra', port],
            ],
            hello: 'changed',
          }),
        ),
      );
      await assert.rejects(change, new RegExp(`listener extra: cannot listen on 127\\.0\\.0\\.1:${port}: EADDRINUSE`));
      assert.equal((await get(`http://127.0.0.1:${portOf(server)}/hello`)).text, 'hello');
    } finally {
      await server.stop({ drainTimeMs: 0 });
    }
  } finally {
    for (const server of taken) server.close();
  }
});

test('stopping waits for a request in flight and refuses new connections', async () => {
  let answer = (): void => {};
  const upstream = await serve((_, response) => {
    answer = () => response.end('late');
  });
  const server = await startTestServer({ config: sourceFor(configOf({ upstream: upstream.port })) });
  const port = portOf(server);
  const slow = get(`http://127.0.0.1:${port}/slow`);
  await new Promise<void>((resolve) => upstream.server.once('request', () => resolve()));
  const stopped = server.stop({ drainTimeMs: 10_000 });
  await eventually(() => server.state === 'DRAINING', 'draining');
  let refused = false;
  while (!refused) {
    const peer = await connect(port).catch(() => undefined);
    refused = peer === undefined || peer.isOver;
    peer?.close();
  }
  answer();
  assert.deepEqual(await slow, { status: 200, text: 'late' });
  await stopped;
  upstream.server.close();
});

test('stopping closes what is not over when the drain time is', async () => {
  const upstream = await serve(() => {});
  const server = await startTestServer({ config: sourceFor(configOf({ upstream: upstream.port })) });
  const never = get(`http://127.0.0.1:${portOf(server)}/never`).then(
    () => 'answered',
    () => 'closed',
  );
  await eventually(() => server.stats.value('cluster.web.upstream_rq_active') === 1, 'the request is upstream');
  const started = performance.now();
  await server.stop({ drainTimeMs: 200 });
  assert.equal(await never, 'closed');
  assert.ok(performance.now() - started < 5_000);
  upstream.server.closeAllConnections();
  upstream.server.close();
});

test('a cluster with a DNS name reaches its host from the first request on', async () => {
  const upstream = await serve((_, response) => response.end('found'));
  const server = await startTestServer({ config: sourceFor(configOf({ upstream: upstream.port, host: 'localhost' })) });
  try {
    assert.deepEqual(await get(`http://127.0.0.1:${portOf(server)}/x`), { status: 200, text: 'found' });
    assert.equal(server.stats.value('cluster.web.update_success'), 1);
  } finally {
    await server.stop({ drainTimeMs: 0 });
    upstream.server.close();
  }
});

test('an unreachable upstream is a 503, not an end', async () => {
  const server = await startTestServer();
  try {
    assert.equal((await get(`http://127.0.0.1:${portOf(server)}/x`)).status, 503);
    assert.equal((await get(`http://127.0.0.1:${portOf(server)}/hello`)).status, 200);
  } finally {
    await server.stop({ drainTimeMs: 0 });
  }
});

test('several workers share a port where the engine can, and say why where it cannot', async () => {
  const lines: string[] = [];
  const server = await startTestServer({ concurrency: 2, lines });
  try {
    if (server.backend?.name === 'native') assert.equal(server.concurrency, 2);
    else assert.ok(server.concurrency === 2 || lines.some((line) => /^warning main one worker instead of 2: .*SO_REUSEPORT/.test(line)));
    for (let i = 0; i < 8; i++) assert.equal((await get(`http://127.0.0.1:${portOf(server)}/hello`)).text, 'hello');
    assert.equal(server.stats.value('http.in.downstream_rq_2xx'), 8);
    assert.equal(server.stats.value('cluster.web.membership_total'), 1);
  } finally {
    await server.stop({ drainTimeMs: 0 });
  }
});

test('SIGTERM drains: the request in flight is answered, and the process ends with 0', () =>
  inFolder(async (folder) => {
    let answer = (): void => {};
    const upstream = await serve((_, response) => {
      answer = () => response.end('late');
    });
    writeFileSync(join(folder, 'config.json'), JSON.stringify(configOf({ upstream: upstream.port })));
    const command = new Command(['-c', join(folder, 'config.json'), '--admin-address-path', join(folder, 'admin'), '--concurrency', '1']);
    const admin = await command.admin(join(folder, 'admin'));
    await command.saysOnError('listeners are initialized');
    const listener = (await get(`${admin}/listeners`)).text.trim().split('::')[1];
    const slow = get(`http://${listener}/slow`);
    await new Promise<void>((resolve) => upstream.server.once('request', () => resolve()));
    command.kill('SIGHUP');
    command.kill('SIGTERM');
    await command.saysOnError('SIGTERM: draining');
    answer();
    assert.deepEqual(await slow, { status: 200, text: 'late' });
    assert.equal(await command.ended, 0);
    upstream.server.close();
  }));

test('a second signal ends the process at once', () =>
  inFolder(async (folder) => {
    const upstream = await serve(() => {});
    writeFileSync(join(folder, 'config.json'), JSON.stringify(configOf({ upstream: upstream.port })));
    const command = new Command(['run', '-c', join(folder, 'config.json'), '--admin-address-path', join(folder, 'admin'), '--concurrency=1']);
    const admin = await command.admin(join(folder, 'admin'));
    await command.saysOnError('listeners are initialized');
    const listener = (await get(`${admin}/listeners`)).text.trim().split('::')[1];
    const never = get(`http://${listener}/never`).catch(() => undefined);
    await new Promise<void>((resolve) => upstream.server.once('request', () => resolve()));
    command.kill('SIGINT');
    await command.saysOnError('SIGINT: draining');
    command.kill('SIGINT');
    assert.equal(await command.ended, 1);
    await never;
    upstream.server.closeAllConnections();
    upstream.server.close();
  }));

test('SIGUSR1 opens the log anew', () =>
  inFolder(async (folder) => {
    const log = join(folder, 'log');
    writeFileSync(join(folder, 'config.json'), JSON.stringify(configOf()));
    const command = new Command([
      '-c',
      join(folder, 'config.json'),
      '--log-path',
      log,
      '--admin-address-path',
      join(folder, 'admin'),
      '--concurrency',
      '1',
    ]);
    await command.admin(join(folder, 'admin'));
    renameSync(log, `${log}.1`);
    await eventually(() => {
      command.kill('SIGUSR1');
      return existsSync(log);
    }, 'the log is there again');
    rmSync(`${log}.1`);
    command.kill('SIGTERM');
    assert.equal(await command.ended, 0);
  }));

test('/quitquitquit ends the process with 0', () =>
  inFolder(async (folder) => {
    writeFileSync(join(folder, 'config.json'), JSON.stringify(configOf()));
    const command = new Command(['-c', join(folder, 'config.json'), '--admin-address-path', join(folder, 'admin'), '--concurrency', '1']);
    const admin = await command.admin(join(folder, 'admin'));
    await command.saysOnError('listeners are initialized');
    assert.equal((await get(`${admin}/quitquitquit`, { method: 'POST' })).text, 'OK\n');
    assert.equal(await command.ended, 0);
  }));

test('the admin server answers before and after a worker is gone', async () => {
  const lines: string[] = [];
  const server = await startTestServer({ lines });
  try {
    failWorkers();
    assert.equal((await get(`${urlOf(server.adminAddress)}/ready`)).text, 'LIVE\n');
    await eventually(() => lines.includes('info main worker 0 was replaced'), 'the worker is replaced', 15_000);
    assert.match((await get(`${urlOf(server.adminAddress)}/stats?filter=worker_replaced`)).text, /^server\.worker_replaced: 1\n$/);
  } finally {
    await server.stop({ drainTimeMs: 0 });
  }
});
