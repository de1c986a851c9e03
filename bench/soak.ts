/**
 * `npm run soak`: a proxy process under a random mix of good and bad luck (aborts, resets, slow readers, pipelining, half-closes, broken requests, upstream deaths and
 * restarts). It passes when no request was lost but those whose own peer died, no connection is left open, and memory is flat.
 */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, type Running, rssBytes, sleep, start, waitForPort } from './process.js';
import { Broken, Client } from './soak-client.js';
import { Echo, pattern, Upstream } from './soak-upstream.js';

const usage = () => `npm run soak [-- options]
  --seconds N            how long; default 600
  --clients N            at a time; default 24
  --backend NAME         auto, native or fallback; default: SLUICE_BACKEND or auto
  --only WORD            only what holds the word; one of ${Object.keys(ACTIONS).join(', ')}
  --seed N               repeats the choices of a run`;

const CLIENT_PAUSE_MS = 20;
const MIB = 1024 * 1024;
/** Between two samples of memory. */
const SAMPLE_MS = 500;
/** Time for pooled connections to fall idle, lingering closes to end and reports to be written. */
const SETTLE_MS = 15_000;

/** Mulberry32: a small generator, so that a run can be repeated. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a client does with its luck: `world` is all it needs. Throws where something went wrong that nobody's death explains. */
type Action = (world: World) => Promise<void>;

class World {
  readonly random: () => number;
  readonly httpPort: number;
  readonly tcpPort: number;
  readonly flaky: readonly Upstream[];
  #next = 1;

  constructor(random: () => number, httpPort: number, tcpPort: number, flaky: readonly Upstream[]) {
    this.random = random;
    this.httpPort = httpPort;
    this.tcpPort = tcpPort;
    this.flaky = flaky;
  }
  below(bound: number): number {
    return Math.floor(this.random() * bound);
  }
  id(): string {
    return String(this.#next++);
  }
  client(): Client {
    return new Client(this.httpPort);
  }
}

const head = (method: string, path: string, ...lines: string[]) =>
  `${method} ${path} HTTP/1.1\r\nHost: soak\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;

function expect(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** True where the connection lives on. */
async function echo(client: Client, world: World, path: string): Promise<boolean> {
  const id = world.id();
  const body = pattern(world.below(3) === 0 ? world.below(300_000) : world.below(2_000));
  if (world.below(2) === 0) {
    client.send(head('POST', path, `x-id: ${id}`, `Content-Length: ${body.length}`));
    client.send(body);
  } else {
    client.send(head('POST', path, `x-id: ${id}`, 'Transfer-Encoding: chunked'));
    for (let at = 0; at < body.length; ) {
      const piece = body.subarray(at, at + 1 + world.below(20_000));
      client.send(`${piece.length.toString(16)}\r\n`);
      client.send(piece);
      client.send('\r\n');
      at += piece.length;
      if (world.below(10) === 0) await sleep(2);
    }
    client.send('0\r\n\r\n');
  }
  const answer = await client.answer();
  expect(answer.status === 200, `echo: ${answer.status} instead of 200`);
  expect(answer.headers.get('x-id') === id, `echo: the answer of request ${answer.headers.get('x-id')} instead of ${id}`);
  expect(answer.body.equals(body), `echo: ${answer.body.length} of ${body.length} bytes, or others`);
  return answer.headers.get('connection') !== 'close';
}

const ACTIONS: Readonly<Record<string, Action>> = {
  'keep-alive GETs': async (world) => {
    const client = world.client();
    for (let i = 1 + world.below(10); i > 0; i--) {
      const bytes = world.below(20_000);
      client.send(head('GET', `/stable/${world.below(2) === 0 ? 'bytes' : 'chunked'}/${bytes}`));
      const answer = await client.answer();
      expect(answer.status === 200 && answer.body.equals(pattern(bytes)), `GET of ${bytes} bytes: ${answer.status} with ${answer.body.length}`);
    }
    client.close();
  },
  'echo POSTs': async (world) => {
    let client = world.client();
    for (let i = 1 + world.below(4); i > 0; i--) {
      // The echo begins before the request is whole; then the answer says that the connection ends with it.
      if (await echo(client, world, '/stable/echo')) continue;
      client.close();
      client = world.client();
    }
    client.close();
  },
  'pipelined requests': async (world) => {
    const client = world.client();
    const sizes = Array.from({ length: 2 + world.below(7) }, () => world.below(5_000));
    client.send(sizes.map((bytes) => head('GET', `/stable/bytes/${bytes}`)).join(''));
    for (const bytes of sizes) {
      const answer = await client.answer();
      expect(
        answer.status === 200 && answer.body.equals(pattern(bytes)),
        `pipelined GET of ${bytes} bytes: ${answer.status} with ${answer.body.length}`,
      );
    }
    client.close();
  },
  'HEAD and slow answers': async (world) => {
    const client = world.client();
    client.send(head('HEAD', '/stable/bytes/5000'));
    expect((await client.answer(true)).headers.get('content-length') === '5000', 'HEAD: another content-length');
    client.send(head('GET', `/stable/slow/${world.below(300)}`));
    expect((await client.answer()).body.toString() === 'slow', 'slow: another body');
    client.close();
  },
  'FIN after the request': async (world) => {
    const client = world.client();
    client.send(head('GET', '/stable/bytes/3000', 'Connection: close'));
    client.finish();
    const answer = await client.answer();
    expect(answer.status === 200 && answer.body.length === 3_000, `half-closed: ${answer.status} with ${answer.body.length} bytes`);
    client.close();
  },
  'connection closed by the upstream': async (world) => {
    const client = world.client();
    for (let i = 0; i < 3; i++) {
      client.send(head('GET', '/stable/close'));
      expect((await client.answer()).body.toString() === 'close', 'close: another body');
    }
    client.close();
  },
  'abort in a request': async (world) => {
    const client = world.client();
    const text = head('POST', '/stable/echo', 'Content-Length: 100000');
    client.send(text.slice(0, 1 + world.below(text.length + 20)));
    if (world.below(2) === 0) client.send(pattern(world.below(50_000)));
    await sleep(world.below(30));
    if (world.below(2) === 0) client.reset();
    else client.close();
  },
  'abort in an answer': async (world) => {
    const client = world.client();
    client.send(head('GET', '/stable/bytes/4000000'));
    await client.take(1 + world.below(200_000));
    if (world.below(2) === 0) client.reset();
    else client.close();
  },
  'slow reader': async (world) => {
    const client = world.client();
    const bytes = 500_000 + world.below(2_000_000);
    client.send(head('GET', `/stable/bytes/${bytes}`));
    for (let i = 0; i < 8; i++) {
      client.socket.pause();
      await sleep(20 + world.below(150));
      client.socket.resume();
      await sleep(2);
    }
    const answer = await client.answer();
    expect(answer.status === 200 && answer.body.equals(pattern(bytes)), `slow reader: ${answer.body.length} of ${bytes} bytes, or others`);
    client.close();
  },
  'answer before the request is whole': async (world) => {
    const client = world.client();
    client.send(head('POST', '/stable/early', 'Content-Length: 1000000'));
    client.send(pattern(world.below(100_000)));
    const answer = await client.answer();
    expect(answer.status === 413 && answer.body.toString() === 'early', `early answer: ${answer.status}`);
    client.close();
  },
  'upstream dies in its answer': async (world) => {
    const client = world.client();
    client.send(head('GET', '/stable/die'));
    try {
      const answer = await client.answer();
      // A reset that overtakes the head is an error answer of the proxy; a whole 200 is a lie.
      expect(answer.status >= 500, `a cut answer arrived as a whole one of ${answer.body.length} bytes`);
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
    }
    client.close();
  },
  'broken request': async (world) => {
    const client = world.client();
    const texts = [
      'GET  / HTTP/1.1\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      '\x16\x03\x01\x02',
      'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
    ];
    client.send(texts[world.below(texts.length)]);
    const answer = await client.answer();
    expect(answer.status >= 400 && answer.status < 500, `broken request: ${answer.status}`);
    await client.rest();
    client.close();
  },
  'no route': async (world) => {
    const client = world.client();
    client.send(head('GET', '/nowhere'));
    expect((await client.answer()).status === 404, 'no route: not 404');
    client.close();
  },
  'restarting upstream': async (world) => {
    const client = world.client();
    const from = performance.now();
    try {
      for (let i = 1 + world.below(6); i > 0; i--) {
        const bytes = world.below(20_000);
        client.send(head('GET', `/flaky/bytes/${bytes}`));
        const answer = await client.answer();
        expect(answer.status === 200, `restarting upstream: ${answer.status} ${answer.body.toString('latin1').slice(0, 100)}`);
        expect(answer.body.equals(pattern(bytes)), `restarting upstream: ${answer.body.length} of ${bytes} bytes`);
      }
    } catch (error) {
      if (!world.flaky.some((upstream) => upstream.diedSince(from))) throw error;
      excused++;
    }
    client.close();
  },
  'TCP echo': async (world) => {
    const client = new Client(world.tcpPort);
    const bytes = pattern(world.below(200_000));
    client.send(bytes);
    if (world.below(4) === 0) {
      await sleep(world.below(10));
      client.reset();
      return;
    }
    client.finish();
    const back = await client.rest();
    expect(back.equals(bytes), `TCP echo: ${back.length} of ${bytes.length} bytes`);
    client.close();
  },
};

/** Requests whose upstream died under them. */
let excused = 0;

const configuration = (
  ports: Readonly<Record<'http' | 'tcp' | 'admin' | 'echo', number>>,
  stable: readonly Upstream[],
  flaky: readonly Upstream[],
) => {
  const address = (port: number) => ({ socketAddress: { address: '127.0.0.1', portValue: port } });
  const cluster = (name: string, upstreams: readonly { readonly port: number }[]) => ({
    name,
    type: 'STATIC',
    connectTimeout: '1s',
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        commonHttpProtocolOptions: { idleTimeout: '2s' },
        explicitHttpConfig: { httpProtocolOptions: {} },
      },
    },
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: upstreams.map(({ port }) => ({ endpoint: { address: address(port) } })) }] },
  });
  const route = (name: string, more: object = {}) => ({
    match: { prefix: `/${name}/` },
    route: { cluster: name, prefixRewrite: '/', timeout: '30s', ...more },
  });
  return {
    admin: { address: address(ports.admin) },
    staticResources: {
      listeners: [
        {
          name: 'http',
          address: address(ports.http),
          filterChains: [
            {
              filters: [
                {
                  name: 'envoy.filters.network.http_connection_manager',
                  typedConfig: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                    statPrefix: 'soak',
                    httpFilters: [
                      {
                        name: 'envoy.filters.http.router',
                        typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                      },
                    ],
                    routeConfig: {
                      name: 'soak',
                      virtualHosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          routes: [
                            route('stable'),
                            route('flaky', { retryPolicy: { retryOn: 'connect-failure,reset,gateway-error', numRetries: 3 } }),
                          ],
                        },
                      ],
                    },
                  },
                },
              ],
            },
          ],
        },
        {
          name: 'tcp',
          address: address(ports.tcp),
          filterChains: [
            {
              filters: [
                {
                  name: 'envoy.filters.network.tcp_proxy',
                  typedConfig: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
                    statPrefix: 'soak',
                    cluster: 'echo',
                  },
                },
              ],
            },
          ],
        },
      ],
      clusters: [cluster('stable', stable), cluster('flaky', flaky), cluster('echo', [{ port: ports.echo }])],
    },
  };
};

/** Sockets that the process holds, listeners and event sources apart from connections included: compared with the number before the load. */
function sockets(pid: number): number {
  let count = 0;
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${name}`).startsWith('socket:')) count++;
    } catch {
      // Closed between the listing and here.
    }
  }
  return count;
}

/** Gauges that must be 0 when nothing is going on. */
async function activeGauges(adminPort: number): Promise<string[]> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/stats`)).text();
  return text.split('\n').filter((line) => /^(http\.soak|tcp\.soak|cluster\.(stable|flaky|echo))\..*(cx|rq|rq_pending)_active: (?!0$)/.test(line));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

interface Options {
  seconds: number;
  clients: number;
  backend: string;
  only: string;
  seed: number;
}

function parse(args: readonly string[]): Options | undefined {
  const options: Options = { seconds: 600, clients: 24, backend: process.env.SLUICE_BACKEND ?? 'auto', only: '', seed: Date.now() % 2 ** 31 };
  for (let i = 0; i < args.length; i++) {
    const [flag, inline] = args[i].split('=', 2);
    if (flag === '--help' || flag === '-h') return undefined;
    const value = inline ?? args[++i];
    if (flag === '--backend' && ['auto', 'native', 'fallback'].includes(value)) options.backend = value;
    else if (flag === '--only' && Object.keys(ACTIONS).some((name) => name.includes(value))) options.only = value;
    else if ((flag === '--seconds' || flag === '--clients' || flag === '--seed') && Number(value) > 0)
      options[flag.slice(2) as 'seconds' | 'clients' | 'seed'] = Number(value);
    else throw new Error(`${args[i - (inline === undefined ? 1 : 0)]} ${inline === undefined ? (value ?? '') : ''}\n${usage()}`);
  }
  return options;
}

/** Failures by what they say, with how often; at most so many different ones are kept. */
class Failures {
  readonly #counts = new Map<string, number>();
  add(text: string): void {
    if (this.#counts.has(text) || this.#counts.size < 50) this.#counts.set(text, (this.#counts.get(text) ?? 0) + 1);
  }
  get lines(): string[] {
    return [...this.#counts].map(([text, count]) => `${text}${count > 1 ? ` (${count} times)` : ''}`);
  }
}

/** Runs the soak; gives 0 where everything held, else 1. */
export async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options === undefined) {
    console.log(usage());
    return 0;
  }
  excused = 0;
  const folder = mkdtempSync(join(tmpdir(), 'sluice-soak-'));
  const random = generator(options.seed);
  const ports = { http: await freePort(), tcp: await freePort(), admin: await freePort(), echo: await freePort() };
  const stable = [new Upstream(await freePort()), new Upstream(await freePort())];
  const flaky = [new Upstream(await freePort()), new Upstream(await freePort())];
  const echoService = new Echo(ports.echo);
  const services = [...stable, ...flaky, echoService];
  let proxy: Running | undefined;
  try {
    for (const service of services) await service.start();
    const file = join(folder, 'soak.json');
    writeFileSync(file, JSON.stringify(configuration(ports, stable, flaky)));
    const main = join(process.cwd(), 'dist/src/main.js');
    proxy = start(0, process.execPath, [main, '-c', file, '--concurrency', '1', '-l', 'warning'], { SLUICE_BACKEND: options.backend });
    await waitForPort(ports.http, proxy, 'sluice');
    await waitForPort(ports.tcp, proxy, 'sluice');
    console.log(`soak: ${options.seconds} s, ${options.clients} clients, backend ${options.backend}, seed ${options.seed}`);
    return await soak(options, proxy, ports.admin, new World(random, ports.http, ports.tcp, flaky), services);
  } finally {
    for (const service of services) service.stop();
    await proxy?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function soak(options: Options, proxy: Running, adminPort: number, world: World, services: readonly (Upstream | Echo)[]): Promise<number> {
  const { pid } = proxy;
  const failures = new Failures();
  const counts = new Map<string, number>();
  const names = Object.keys(ACTIONS).filter((name) => name.includes(options.only));
  await sleep(2_500);
  const socketsBefore = sockets(pid);
  const end = performance.now() + options.seconds * 1_000;
  const isOver = () => performance.now() >= end || proxy.exit() !== undefined;

  const client = async () => {
    while (!isOver()) {
      const name = names[world.below(names.length)];
      try {
        await ACTIONS[name](world);
      } catch (error) {
        failures.add(`${name}: ${(error as Error).message}`);
      }
      counts.set(name, (counts.get(name) ?? 0) + 1);
      await sleep(world.below(CLIENT_PAUSE_MS));
    }
  };
  const restarter = async () => {
    while (!isOver()) {
      await sleep(Math.min(500 + world.below(3_000), Math.max(0, end - performance.now())));
      // One at a time: with both gone there is nobody to retry with.
      if (!isOver()) await world.flaky[world.below(world.flaky.length)].restart(world.below(800), world.below(2) === 0);
    }
  };
  const rss: number[] = [];
  const sampler = async () => {
    for (let at = 0; !isOver(); at++) {
      rss.push(rssBytes(pid));
      if (at % 60 === 59) {
        const done = [...counts.values()].reduce((sum, count) => sum + count, 0);
        console.log(
          `soak: ${done} actions, ${excused} excused, ${failures.lines.length} kinds of failure, RSS ${(rss[rss.length - 1] / MIB).toFixed(0)} MiB`,
        );
      }
      await sleep(SAMPLE_MS);
    }
  };
  await Promise.all([...Array.from({ length: options.clients }, client), restarter(), sampler()]);

  if (proxy.exit() !== undefined) failures.add(`the proxy ended with ${proxy.exit()}:\n${proxy.output()}`);
  else await checkQuiet(pid, adminPort, socketsBefore, services, failures);

  // The first fifth fills caches, pools and the heap; what is compared is the beginning and the end of the rest.
  const settled = rss.slice(Math.floor(rss.length / 5));
  const quarter = Math.max(1, settled.length >> 2);
  const [early, late] = [median(settled.slice(0, quarter)), median(settled.slice(-quarter))];
  // A short run has not seen a full collection of the heap yet.
  const allowed = options.seconds >= 300 ? Math.max(16 * MIB, early * 0.15) : 64 * MIB;
  if (late - early > allowed) failures.add(`memory grew from ${(early / MIB).toFixed(1)} to ${(late / MIB).toFixed(1)} MiB`);

  for (const [name, count] of [...counts].sort()) console.log(`  ${String(count).padStart(7)}  ${name}`);
  console.log(`soak: memory ${(early / MIB).toFixed(1)} MiB early, ${(late / MIB).toFixed(1)} MiB late; ${excused} requests whose upstream died`);
  for (const line of failures.lines) console.log(`soak: FAILED: ${line}`);
  if (failures.lines.length === 0) console.log('soak: no request lost, no connection left open, memory flat');
  return failures.lines.length === 0 ? 0 : 1;
}

/** Waits until nothing is open any more; what still is after SETTLE_MS is a leak. */
async function checkQuiet(
  pid: number,
  adminPort: number,
  socketsBefore: number,
  services: readonly (Upstream | Echo)[],
  failures: Failures,
): Promise<void> {
  const end = performance.now() + SETTLE_MS;
  for (;;) {
    const gauges = await activeGauges(adminPort);
    const open = services.reduce((sum, service) => sum + service.connections, 0);
    const left = sockets(pid) - socketsBefore;
    // The admin connection of this very question may still be open.
    if (gauges.length === 0 && open === 0 && left <= 1) return;
    if (performance.now() < end) {
      await sleep(250);
      continue;
    }
    for (const gauge of gauges) failures.add(`still active: ${gauge}`);
    if (open > 0) failures.add(`${open} upstream connections are still open`);
    if (left > 1) failures.add(`the proxy holds ${left} sockets more than before`);
    return;
  }
}
