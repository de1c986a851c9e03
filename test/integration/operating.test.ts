/** Operating a running proxy: bounds of connections, drains by strategy, health check, statistics as configured, the admin server's own log. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidConfiguration } from '../../src/control/configuration.js';
import type { Server } from '../../src/control/server.js';
import { connect, eventually, type Peer } from '../support/peers.js';
import { Command, configOf, failWorkers, get, inFolder, portOf, serve, sourceFor, startTestServer, urlOf } from '../support/whole-proxy.js';

const HELLO = 'GET /hello HTTP/1.1\r\nhost: a\r\n\r\n';
const CONNECTIONS = 'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig';
const LIMIT = 'type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit';
const FILE_LOG = 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog';

const withRuntime = (config: object, staticLayer: object): object => ({
  ...config,
  layered_runtime: { layers: [{ name: 'base', static_layer: staticLayer }] },
});

/** The configuration with an access log on its first listener. */
function withAccessLog(config: object, path: string): object {
  const { listeners } = (config as { static_resources: { listeners: { filter_chains: { filters: { typed_config: object }[] }[] }[] } })
    .static_resources;
  const [filter] = listeners[0].filter_chains[0].filters;
  filter.typed_config = { ...filter.typed_config, access_log: [{ name: 'file', typed_config: { '@type': FILE_LOG, path } }] };
  return config;
}

/** One request on an open connection; true where the answer says that it is the last. */
async function saysClose(peer: Peer): Promise<boolean> {
  peer.send(HELLO);
  return /\r\nconnection: close\r\n/i.test(await peer.receivesUntil('hello'));
}
/** A connection that has been answered. */
async function answered(port: number): Promise<Peer> {
  const peer = await connect(port);
  assert.equal(await saysClose(peer), false);
  return peer;
}
/** A connection that is refused. */
async function isRefused(port: number): Promise<boolean> {
  const peer = await connect(port);
  await eventually(() => peer.isOver, 'the connection is closed');
  return peer.unread === '';
}
/** Waits until a new connection's first response says close (or, with `false`, does not). */
async function untilClosing(port: number, closing = true): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const peer = await connect(port);
    const says = await saysClose(peer);
    peer.close();
    if (says === closing) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.fail(`no response ${closing ? 'says' : 'without'} close`);
}
async function withServer(options: Parameters<typeof startTestServer>[0], body: (server: Server) => Promise<void>): Promise<void> {
  const server = await startTestServer(options);
  try {
    await body(server);
  } finally {
    await server.stop({ drainTimeMs: 0 });
  }
}

test('a listener refuses connections beyond its limit, counted over all workers, and takes them again when one is gone', () =>
  withServer(
    { config: sourceFor(withRuntime(configOf(), { 'envoy.resource_limits.listener.main.connection_limit': 3 })), concurrency: 2 },
    async (server) => {
      const port = portOf(server);
      const peers = [await answered(port), await answered(port), await answered(port)];
      assert.ok(await isRefused(port));
      assert.ok(await isRefused(port));
      const stat = (name: string) => server.stats.value(`listener.127.0.0.1_0.${name}`);
      assert.deepEqual([stat('downstream_cx_overflow'), stat('downstream_cx_total'), stat('downstream_cx_active')], [2, 3, 3]);
      peers[0].close();
      await eventually(() => stat('downstream_cx_active') === 2, 'the connection is gone');
      (await answered(port)).close();
      for (const peer of peers) peer.close();
    },
  ));

test('the connection limit filter bounds the connections of its chain', () => {
  const config = configOf() as { static_resources: { listeners: { filter_chains: { filters: object[] }[] }[] } };
  config.static_resources.listeners[0].filter_chains[0].filters.unshift({
    name: 'envoy.filters.network.connection_limit',
    typed_config: { '@type': LIMIT, stat_prefix: 'few', max_connections: 2 },
  });
  return withServer({ config: sourceFor(config), concurrency: 2 }, async (server) => {
    const peers = [await answered(portOf(server)), await answered(portOf(server))];
    assert.ok(await isRefused(portOf(server)));
    const stat = (name: string) => server.stats.value(`connection_limit.few.${name}_connections`);
    assert.deepEqual([stat('active'), stat('limited')], [2, 1]);
    peers[0].close();
    await eventually(() => stat('active') === 1, 'the connection is gone');
    (await answered(portOf(server))).close();
    peers[1].close();
  });
});

for (const [title, config] of [
  [
    'the overload manager',
    {
      ...configOf({
        listeners: [
          ['main', 0],
          ['other', 0],
          ['free', 0],
        ],
      }),
      overload_manager: {
        resource_monitors: [
          {
            name: 'envoy.resource_monitors.global_downstream_max_connections',
            typed_config: { '@type': CONNECTIONS, max_active_downstream_connections: '2' },
          },
        ],
      },
    },
  ],
  [
    'the runtime',
    withRuntime(
      configOf({
        listeners: [
          ['main', 0],
          ['other', 0],
          ['free', 0],
        ],
      }),
      { overload: { global_downstream_max_connections: 2 } },
    ),
  ],
] as const) {
  test(`a limit of the process set by ${title} holds over all listeners, but for those that ignore it`, () => {
    const { listeners } = (
      config as { static_resources: { listeners: { name: string; ignore_global_conn_limit?: boolean; stat_prefix?: string }[] } }
    ).static_resources;
    for (const listener of listeners) listener.stat_prefix = listener.name;
    listeners[2].ignore_global_conn_limit = true;
    return withServer({ config: sourceFor(config) }, async (server) => {
      const peers = [await answered(portOf(server, 'main')), await answered(portOf(server, 'other'))];
      assert.ok(await isRefused(portOf(server, 'main')));
      assert.equal(server.stats.value('listener.main.downstream_global_cx_overflow'), 1);
      peers.push(await answered(portOf(server, 'free')));
      for (const peer of peers) peer.close();
    });
  });
}

test('connections of a worker that failed do not count towards a limit', () => {
  const lines: string[] = [];
  return withServer(
    { config: sourceFor(withRuntime(configOf(), { 'envoy.resource_limits.listener.main.connection_limit': 1 })), lines },
    async (server) => {
      await answered(portOf(server));
      failWorkers();
      await eventually(() => lines.includes('info main worker 0 was replaced'), 'the worker is replaced', 15_000);
      (await answered(portOf(server))).close();
    },
  );
});

test('a graceful drain with strategy immediate: each next response ends its connection, new connections are served, idle ones stay until the end', () =>
  withServer({ drainStrategy: 'immediate', drainTimeMs: 700 }, async (server) => {
    const port = portOf(server);
    const [busy, idle] = [await answered(port), await answered(port)];
    const drained = server.drain({ graceful: true, inboundOnly: false, skipExit: false });
    await untilClosing(port);
    assert.equal(await saysClose(busy), true);
    assert.equal(idle.isOver, false);
    await drained;
    await eventually(() => idle.isOver, 'the idle connection is closed at the end');
    await assert.rejects(connect(port), /ECONNREFUSED/);
    assert.equal(server.state, 'LIVE');
  }));

test('a graceful drain with strategy gradual: at the beginning hardly a response ends its connection, at the end all do', () =>
  withServer({ drainTimeMs: 60_000 }, async (server) => {
    const peer = await answered(portOf(server));
    void server.drain({ graceful: true, inboundOnly: false, skipExit: true });
    let closing = 0;
    // The chance is below 2 % for the first second: of 20 answers at most a few say close.
    for (let i = 0; i < 20; i++) {
      const next = await connect(portOf(server));
      if (await saysClose(next)) closing++;
      next.close();
    }
    assert.ok(closing <= 5, `${closing} of 20`);
    peer.close();
  }));

test('skip_exit: listeners accept after the drain time, and every response ends its connection', () =>
  withServer({ drainTimeMs: 100 }, async (server) => {
    await server.drain({ graceful: true, inboundOnly: false, skipExit: true });
    assert.equal(await saysClose(await connect(portOf(server))), true);
    // The second step of pilot-agent: now they close.
    await server.drain({ graceful: true, inboundOnly: false, skipExit: false });
    await assert.rejects(connect(portOf(server)), /ECONNREFUSED/);
  }));

test('a failed health check ends connections with their next response until it passes again, but for listeners that drain on modification only', () => {
  const config = configOf({
    listeners: [
      ['main', 0],
      ['kept', 0],
    ],
  }) as { static_resources: { listeners: { drain_type?: string }[] } };
  config.static_resources.listeners[1].drain_type = 'MODIFY_ONLY';
  return withServer({ config: sourceFor(config) }, async (server) => {
    const admin = urlOf(server.adminAddress);
    assert.equal((await get(`${admin}/healthcheck/fail`, { method: 'POST' })).text, 'OK\n');
    assert.deepEqual(await get(`${admin}/ready`), { status: 503, text: 'DRAINING\n' });
    await untilClosing(portOf(server));
    const kept = await answered(portOf(server, 'kept'));
    assert.equal((await get(`${admin}/healthcheck/ok`, { method: 'POST' })).text, 'OK\n');
    assert.deepEqual(await get(`${admin}/ready`), { status: 200, text: 'LIVE\n' });
    await untilClosing(portOf(server), false);
    kept.close();
  });
});

test('a removed listener drains by the strategy, and its connections are closed when the drain time is over', () =>
  withServer(
    {
      drainTimeMs: 300,
      config: sourceFor(
        configOf({
          listeners: [
            ['main', 0],
            ['old', 0],
          ],
        }),
      ),
    },
    async (server) => {
      const port = portOf(server, 'old');
      const peer = await answered(port);
      await server.reconfigure(sourceFor(configOf()));
      await assert.rejects(connect(port), /ECONNREFUSED/);
      await eventually(() => peer.isOver, 'the connection is closed');
      assert.equal(server.stats.value('listener_manager.listener_removed'), 1);
      assert.equal(server.stats.value('listener_manager.total_listeners_active'), 1);
    },
  ));

test('statistics are shown, tagged and put in buckets as stats_config says', () => {
  const config = {
    ...configOf(),
    stats_config: {
      stats_matcher: { inclusion_list: { patterns: [{ prefix: 'http.in.' }, { exact: 'server.state' }] } },
      histogram_bucket_settings: [{ match: { suffix: 'downstream_rq_time' }, buckets: [10, 1] }],
      stats_tags: [{ tag_name: 'cell', fixed_value: 'c1' }],
    },
  };
  return withServer({ config: sourceFor(config), statsTags: new Map([['mesh', 'm1']]) }, async (server) => {
    const admin = urlOf(server.adminAddress);
    await get(`http://127.0.0.1:${portOf(server)}/hello`);
    const names = (await get(`${admin}/stats`)).text.split('\n').map((line) => line.split(':')[0]);
    assert.deepEqual(
      names.filter((name) => name !== '' && !name.startsWith('http.in.')),
      ['server.state'],
    );
    const { text } = await get(`${admin}/stats/prometheus?filter=downstream_rq_time$`);
    assert.deepEqual(
      [...text.matchAll(/_bucket\{mesh="m1",cell="c1",envoy_http_conn_manager_prefix="in",le="([^"]+)"\} 1/g)].map(([, bound]) => bound),
      ['1', '10', '+Inf'],
    );
    // Not shown, and still counted.
    assert.equal(server.stats.value('listener.127.0.0.1_0.downstream_cx_total'), 1);
  });
});

test('requests are counted for each listener of a manager', () => {
  const config = configOf({
    listeners: [
      ['main', 0],
      ['other', 0],
    ],
  }) as { static_resources: { listeners: { name: string; stat_prefix?: string }[] } };
  for (const listener of config.static_resources.listeners) listener.stat_prefix = listener.name;
  return withServer({ config: sourceFor(config) }, async (server) => {
    await get(`http://127.0.0.1:${portOf(server)}/hello`);
    await get(`http://127.0.0.1:${portOf(server, 'other')}/hello`);
    await get(`http://127.0.0.1:${portOf(server, 'other')}/unreachable`);
    const stat = (listener: string, name: string) => server.stats.value(`listener.${listener}.http.in.downstream_rq_${name}`);
    assert.deepEqual(
      [stat('main', '2xx'), stat('main', 'completed'), stat('other', '2xx'), stat('other', '5xx'), stat('other', 'completed')],
      [1, 1, 1, 1, 2],
    );
    const { text } = await get(`${urlOf(server.adminAddress)}/stats/prometheus?filter=^listener.other.http.in.downstream_rq_5xx`);
    assert.match(
      text,
      /\nenvoy_listener_http_downstream_rq_xx\{envoy_response_code_class="5",envoy_http_conn_manager_prefix="in",envoy_listener_address="other"\} 1\n/,
    );
  });
});

test('the admin server writes its own access log, and opens it anew', () =>
  inFolder((folder) => {
    const path = join(folder, 'admin.log');
    const log = {
      name: 'file',
      typed_config: {
        '@type': FILE_LOG,
        path,
        log_format: { text_format_source: { inline_string: '%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %REQ(X-WHO)% %BYTES_SENT%\n' } },
      },
    };
    const config = configOf() as { admin: object };
    config.admin = { ...config.admin, access_log: [log] };
    return withServer({ config: sourceFor(config), accessLog: { flushIntervalMs: 20 } }, async (server) => {
      const admin = urlOf(server.adminAddress);
      await (await fetch(`${admin}/ready`, { headers: { 'x-who': 'me', connection: 'close' } })).text();
      assert.equal((await get(`${admin}/quitquitquit`)).status, 405);
      const written = () => (existsSync(path) ? readFileSync(path, 'utf8') : '');
      await eventually(() => written().split('\n').length === 3, 'two lines are written');
      assert.equal(written(), 'GET /ready HTTP/1.1 200 me 5\nGET /quitquitquit HTTP/1.1 405 - 18\n');
      renameSync(path, `${path}.1`);
      assert.equal((await get(`${admin}/reopen_logs`, { method: 'POST' })).text, 'OK\n');
      await get(`${admin}/ready`);
      await eventually(() => written().includes('/ready'), 'the new file is written');
    });
  }));

test('a log format in the configuration and by flag is an error with its place', async () => {
  const config = JSON.stringify({ application_log_config: { log_format: { text_format: '%v' } }, ...configOf() }, undefined, 1);
  await assert.rejects(startTestServer({ config: { text: config, file: 'a.json' } }), (error) => {
    assert.ok(error instanceof InvalidConfiguration);
    assert.match(error.message, /^a\.json:3:\d+: application_log_config\.log_format: the log format is given here and by --log-format/);
    return true;
  });
  await inFolder(async (folder) => {
    writeFileSync(join(folder, 'a.json'), config);
    const command = new Command(['-c', join(folder, 'a.json'), '--mode', 'validate', '--log-format', '%v']);
    assert.equal(await command.ended, 1);
    assert.match(command.err, /only one of them can say it/);
  });
});

test('SIGTERM with 50 idle keep-alive connections ends the process with 0 in well under a second', () =>
  inFolder(async (folder) => {
    writeFileSync(join(folder, 'config.json'), JSON.stringify(configOf()));
    const command = new Command(['-c', join(folder, 'config.json'), '--admin-address-path', join(folder, 'admin'), '--concurrency', '2']);
    const admin = await command.admin(join(folder, 'admin'));
    await command.saysOnError('listeners are initialized');
    const port = Number(/:(\d+)\n$/.exec((await get(`${admin}/listeners`)).text)?.[1]);
    const peers = await Promise.all(Array.from({ length: 50 }, () => answered(port)));
    const started = performance.now();
    command.kill('SIGTERM');
    assert.equal(await command.ended, 0);
    const took = performance.now() - started;
    assert.ok(took < 1000 * Number(process.env.SLUICE_TEST_SLOWNESS ?? 1), `${took} ms`);
    for (const peer of peers) peer.close();
  }));

test('SIGUSR1 opens access logs anew: lines of before stay in the renamed file, later ones go to a new one', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'access.log');
    writeFileSync(join(folder, 'config.json'), JSON.stringify(withAccessLog(configOf(), path)));
    const command = new Command([
      ...['-c', join(folder, 'config.json'), '--admin-address-path', join(folder, 'admin'), '--concurrency', '1'],
      ...['--file-flush-interval-msec', '10'],
    ]);
    const admin = await command.admin(join(folder, 'admin'));
    await command.saysOnError('listeners are initialized');
    const url = `http://127.0.0.1:${/:(\d+)\n$/.exec((await get(`${admin}/listeners`)).text)?.[1]}`;
    await get(`${url}/hello`);
    await eventually(() => existsSync(path) && readFileSync(path, 'utf8').includes('/hello'), 'the first line is written');
    renameSync(path, `${path}.1`);
    command.kill('SIGUSR1');
    for (let tries = 0; tries < 200 && !existsSync(path); tries++) {
      await get(`${url}/later`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.match(readFileSync(path, 'utf8'), /\/later/);
    assert.match(readFileSync(`${path}.1`, 'utf8'), /\/hello/);
    command.kill('SIGTERM');
    assert.equal(await command.ended, 0);
  }));

test('a full disk under the access log costs lines, not requests, and is logged once', () => {
  const lines: string[] = [];
  const config = withAccessLog(configOf(), '/dev/full');
  return withServer({ config: sourceFor(config), lines, accessLog: { flushIntervalMs: 10, flushMinBytes: 1 } }, async (server) => {
    for (let i = 0; i < 5; i++) assert.equal((await get(`http://127.0.0.1:${portOf(server)}/hello`)).text, 'hello');
    await eventually(
      () => (server.stats.value('filesystem.write_failed') ?? 0) > 0 && server.stats.value('filesystem.write_total_buffered') === 0,
      'the failed writes are counted',
    );
    assert.deepEqual(
      lines.filter((line) => line.includes('/dev/full')),
      ['warning file access log /dev/full: ENOSPC: no space left on device, write'],
    );
  });
});

test('the library starts, changes and stops a proxy, and says why it cannot', async () => {
  const { start } = await import('../../src/index.js');
  const upstream = await serve((_, response) => response.end('up'));
  const proxy = await start({ config: configOf({ upstream: upstream.port }), concurrency: 1 });
  const url = `http://127.0.0.1:${portOf(proxy)}`;
  assert.equal((await get(`${url}/x`)).text, 'up');
  await proxy.reconfigure(configOf({ upstream: upstream.port, hello: 'changed' }));
  assert.equal((await get(`${url}/hello`)).text, 'changed');
  await assert.rejects(proxy.reconfigure({ static_resources: { listners: [] } }), /did you mean listeners\?/);
  assert.equal(proxy.stat('http.in.downstream_rq_2xx'), 2);
  await proxy.stop();
  await proxy.closed;
  await assert.rejects(get(`${url}/hello`));
  upstream.server.close();
});
