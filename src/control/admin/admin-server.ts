/**
 * The admin server: `node:http` on a listener of its own, on the main thread (it is not the data path). Paths, parameters, status codes and shapes are
 * Envoy's (https://www.envoyproxy.io/docs/envoy/latest/operations/admin). What changes something takes POST only.
 */

import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ListenError } from '../../base/errors.js';
import { LOG_LEVELS, type Logger, parseLogLevel } from '../../base/log.js';
import type { Address } from '../../network/engine.js';
import type { AccessLog } from '../../proxy/access-log/access-log.js';
import { BUCKET_MODES, type BucketMode, formatJson, formatPrometheus, formatText } from '../stats/format.js';
import type { Stat } from '../stats/stats-view.js';
import type { AdminBackend } from './backend.js';
import { selectDump } from './config-dump.js';
import { type EndpointHelp, homePage, type PageStatus } from './page.js';
import { logAdminRequest } from './request-log.js';
import { clustersJson, clustersText, listenersJson, listenersText } from './text.js';

/** Longest regular expression that a query may bring, in characters. */
const MAX_PATTERN_CHARS = 1024;
/** Most connections at a time; a further one is closed. */
const MAX_CONNECTIONS = 256;
/** A client that has not sent its request after so long is closed. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Parameters of a query, decoded. `+` stays a plus, as in Envoy: filters are regular expressions. */
export type Query = ReadonlyMap<string, string>;

interface Answer {
  readonly status?: number;
  readonly type?: 'text' | 'json' | 'html';
  readonly body: string;
}

interface Endpoint extends EndpointHelp {
  readonly answer: (query: Query, backend: AdminBackend) => Answer | Promise<Answer>;
}

const text = (body: string, status = 200): Answer => ({ status, body });
const json = (value: unknown): Answer => ({ type: 'json', body: JSON.stringify(value, undefined, 1) });
const done = (): Answer => text('OK\n');
const flag = (query: Query, name: string): boolean => query.has(name) && query.get(name) !== 'false' && query.get(name) !== '0';

/** Splits and decodes a query string. Text that is not valid percent-encoding is kept as it is: Istio sends filters half escaped. */
export function parseQuery(search: string): Query {
  const query = new Map<string, string>();
  for (const part of search.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decode(equals < 0 ? part : part.slice(0, equals));
    if (!query.has(name)) query.set(name, equals < 0 ? '' : decode(part.slice(equals + 1)));
  }
  return query;
}
function decode(part: string): string {
  return part.replace(/(?:%[0-9a-fA-F]{2})+/g, (escaped) => {
    try {
      return decodeURIComponent(escaped);
    } catch {
      return escaped; // not UTF-8
    }
  });
}

/** A pattern of a query, or what is wrong with it. */
function pattern(source: string | undefined): RegExp | undefined | Answer {
  if (source === undefined || source === '') return undefined;
  if (source.length > MAX_PATTERN_CHARS) return text(`Invalid re2 regex: longer than ${MAX_PATTERN_CHARS} characters\n`, 400);
  try {
    return new RegExp(source);
  } catch (cause) {
    return text(`Invalid re2 regex: ${(cause as Error).message}\n`, 400);
  }
}
const isAnswer = (value: RegExp | undefined | Answer): value is Answer => value !== undefined && !(value instanceof RegExp);

const STAT_TYPES: Readonly<Record<string, readonly Stat['kind'][]>> = {
  all: ['counter', 'gauge', 'histogram'],
  counters: ['counter'],
  gauges: ['gauge'],
  histograms: ['histogram'],
  textreadouts: [],
};

/** Counters of single hosts: `/clusters` shows them, and in large clusters they are most of all statistics. `hidden=include` shows them here. */
const HIDDEN = /^cluster\..+\.endpoint\.[^.]+\.(cx|rq)_[a-z_]+$/;

function stats(query: Query, backend: AdminBackend, forced?: string): Answer {
  const format = forced ?? query.get('format') ?? 'text';
  if (!['text', 'json', 'prometheus'].includes(format)) return text('usage: /stats?format=(json|prometheus|text)\n\n', 400);
  const kinds = STAT_TYPES[(query.get('type') ?? 'all').toLowerCase()];
  if (kinds === undefined) return text('usage: /stats?type=(All|Counters|Histograms|Gauges|TextReadouts)\n\n', 400);
  const filter = pattern(query.get('filter'));
  if (isAnswer(filter)) return filter;
  const usedOnly = flag(query, 'usedonly');
  const mode = bucketMode(query.get('histogram_buckets'));
  if (mode === undefined) return text(`usage: /stats?histogram_buckets=(${BUCKET_MODES.join('|')})\n`, 400);
  const hidden = query.get('hidden') ?? 'exclude';
  const onlyHidden = hidden === 'only' || hidden === 'showonly';
  const wanted = (name: string): boolean => (filter === undefined || filter.test(name)) && (hidden === 'include' || HIDDEN.test(name) === onlyHidden);
  const found = backend.stats.read(wanted).filter((stat) => kinds.includes(stat.kind) && (!usedOnly || stat.used));
  const bucketsOf = (name: string): readonly number[] => backend.bucketsOf(name);
  if (format === 'json') return { type: 'json', body: formatJson(found, mode, bucketsOf) };
  return text(format === 'prometheus' ? formatPrometheus(found, backend.tags, bucketsOf) : formatText(found, mode, bucketsOf));
}

/** Undefined where there is no such mode. */
function bucketMode(wanted = 'summary'): BucketMode | undefined {
  if (wanted === '' || wanted === 'none') return 'summary';
  return BUCKET_MODES.find((mode) => mode === wanted);
}

const LOGGING_USAGE =
  'usage: /logging?<name>=<level> (change single level)\n' +
  'usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n' +
  'usage: /logging?level=<level> (change all levels)\n' +
  `levels: ${LOG_LEVELS.join(' ')}\n`;

function logging(query: Query, backend: AdminBackend): Answer {
  const changes: [name: string | undefined, level: string][] = [];
  for (const [name, value] of query) {
    if (value === '') continue; // an empty field of the page's form
    if (name === 'level') changes.push([undefined, value]);
    else if (name === 'paths')
      for (const part of value.split(',')) changes.push([part.slice(0, part.lastIndexOf(':')), part.slice(part.lastIndexOf(':') + 1)]);
    else changes.push([name, value]);
  }
  const known = backend.logLevels();
  for (const [name, level] of changes) {
    if (parseLogLevel(level) === undefined) return text(`error: unknown logger level ${JSON.stringify(level)}\n${LOGGING_USAGE}`, 400);
    if (name !== undefined && !known.has(name)) return text(`error: unknown logger name ${JSON.stringify(name)}\n${LOGGING_USAGE}`, 400);
  }
  for (const [name, level] of changes) backend.setLogLevel(parseLogLevel(level) ?? 'info', name);
  const lines = [...backend.logLevels()].map(([name, level]) => `  ${name}: ${level}\n`);
  return text(`active loggers:\n${lines.join('')}\n`);
}

function configDump(query: Query, backend: AdminBackend): Answer {
  const nameRegex = pattern(query.get('name_regex') === undefined || query.get('name_regex') === '' ? undefined : `^(?:${query.get('name_regex')})$`);
  if (isAnswer(nameRegex)) return nameRegex;
  // `resource=static_endpoint_configs` needs the endpoints whether or not include_eds says so.
  const resource = query.get('resource');
  const includeEds = flag(query, 'include_eds') || resource?.endsWith('_endpoint_configs') === true;
  const found = selectDump(backend.configDump({ includeEds }), { mask: query.get('mask'), resource, nameRegex });
  return 'configs' in found ? json({ configs: found.configs }) : text(found.text, found.status);
}

function memory(backend: AdminBackend): Answer {
  const { allocated, heapSize, physical, external } = backend.memory();
  return json({
    allocated: String(allocated),
    heap_size: String(heapSize),
    pageheap_unmapped: '0',
    pageheap_free: String(Math.max(0, heapSize - allocated)),
    total_thread_cache: String(external),
    total_physical_bytes: String(physical),
  });
}

const read = (path: string, help: string, answer: Endpoint['answer'], params: EndpointHelp['params'] = []): Endpoint => ({
  path,
  help,
  answer,
  params,
  mutates: false,
});
const write = (path: string, help: string, answer: Endpoint['answer'], params: EndpointHelp['params'] = []): Endpoint => ({
  path,
  help,
  answer,
  params,
  mutates: true,
});

const STAT_PARAMS: EndpointHelp['params'] = [
  { name: 'usedonly', help: 'Only statistics that were ever changed', flag: true },
  { name: 'filter', help: 'Regular expression: only names in which it matches' },
];

const ENDPOINTS: readonly Endpoint[] = [
  read('/certs', 'print certs on machine', (_, backend) => json(backend.certificates())),
  read(
    '/clusters',
    'upstream cluster status',
    async (query, backend) =>
      query.get('format') === 'json' ? json(clustersJson(await backend.clusters())) : text(clustersText(await backend.clusters())),
    [{ name: 'format', help: 'Form of the answer', choices: ['text', 'json'] }],
  ),
  read('/config_dump', 'dump current configs (keys are redacted)', configDump, [
    { name: 'resource', help: 'Only this repeated field, e.g. static_clusters' },
    { name: 'mask', help: 'Field paths to keep, comma-separated' },
    { name: 'name_regex', help: 'Only resources with a name that matches as a whole' },
    { name: 'include_eds', help: 'Endpoints, too', flag: true },
  ]),
  read('/contention', 'dump current mutex contention stats (there are no mutexes: always zero)', () =>
    json({ num_contentions: '0', current_wait_cycles: '0', lifetime_wait_cycles: '0' }),
  ),
  write(
    '/drain_listeners',
    'drain listeners',
    (query, backend) => {
      const graceful = flag(query, 'graceful');
      const skipExit = flag(query, 'skip_exit');
      if (skipExit && !graceful) return text('skip_exit requires graceful\n', 400);
      backend.drainListeners({ graceful, inboundOnly: flag(query, 'inboundonly'), skipExit });
      return done();
    },
    [
      { name: 'graceful', help: 'Ask connections to close for the drain time, then stop accepting', flag: true },
      { name: 'skip_exit', help: 'With graceful: keep accepting at the end', flag: true },
      { name: 'inboundonly', help: 'Only listeners with traffic_direction INBOUND', flag: true },
    ],
  ),
  write('/healthcheck/fail', 'cause the server to fail health checks', (_, backend) => {
    backend.failHealthcheck(true);
    return done();
  }),
  write('/healthcheck/ok', 'cause the server to pass health checks', (_, backend) => {
    backend.failHealthcheck(false);
    return done();
  }),
  read('/help', 'print out list of admin commands', () => text(`admin commands are:\n${helpText()}`)),
  read('/hot_restart_version', 'print the hot restart compatibility version', () => text('disabled\n')),
  read('/init_dump', 'dump what the start still waits for', (_, backend) => json(backend.initDump())),
  read(
    '/listeners',
    'print listener info',
    (query, backend) => (query.get('format') === 'json' ? json(listenersJson(backend.listeners())) : text(listenersText(backend.listeners()))),
    [{ name: 'format', help: 'Form of the answer', choices: ['text', 'json'] }],
  ),
  write('/logging', 'query/change logging levels', logging, [
    { name: 'level', help: 'Level for all components', choices: ['', ...LOG_LEVELS] },
    { name: 'paths', help: 'component:level, comma-separated' },
  ]),
  read('/memory', 'print current allocation/heap usage, in bytes', (_, backend) => memory(backend)),
  write('/quitquitquit', 'exit the server', (_, backend) => {
    backend.quit();
    return done();
  }),
  read('/ready', 'print server state, return 200 if LIVE, otherwise return 503', (_, backend) =>
    text(`${backend.state()}\n`, backend.state() === 'LIVE' ? 200 : 503),
  ),
  write('/reopen_logs', 'reopen access logs', (_, backend) => {
    backend.reopenLogs();
    return done();
  }),
  write('/reset_counters', 'reset all counters to zero', (_, backend) => {
    backend.resetCounters();
    return done();
  }),
  read('/runtime', 'print runtime values', (_, backend) => json(backend.runtime())),
  read('/server_info', 'print server version/status information', (_, backend) => json(backend.serverInfo())),
  read('/stats', 'print server stats', (query, backend) => stats(query, backend), [
    ...STAT_PARAMS,
    { name: 'format', help: 'Form of the answer', choices: ['text', 'json', 'prometheus'] },
    { name: 'type', help: 'Kind of statistics', choices: ['All', 'Counters', 'Gauges', 'Histograms'] },
    { name: 'histogram_buckets', help: 'Quantiles, or counts by bucket', choices: BUCKET_MODES },
  ]),
  read('/stats/prometheus', 'print server stats in prometheus format', (query, backend) => stats(query, backend, 'prometheus'), STAT_PARAMS),
];

/** `/help`'s lines: path, what it does, and its parameters. */
function helpText(): string {
  let lines = '  /: Admin home page\n';
  for (const { path, help, mutates, params } of ENDPOINTS) {
    lines += `  ${path}${mutates ? ' (POST)' : ''}: ${help}\n`;
    for (const { name, help: what, choices } of params) {
      const which = choices === undefined ? '' : `; One of (${choices.filter((choice) => choice !== '').join(', ')})`;
      lines += `      ${name}: ${what}${which}\n`;
    }
  }
  return lines;
}

const TYPES = { text: 'text/plain; charset=UTF-8', json: 'application/json', html: 'text/html; charset=UTF-8' } as const;

export class AdminServer {
  readonly #backend: AdminBackend;
  readonly #log: Logger;
  readonly #accessLogs: readonly AccessLog[];
  readonly #server: Server;

  constructor(backend: AdminBackend, log: Logger, accessLogs: readonly AccessLog[] = []) {
    this.#backend = backend;
    this.#log = log;
    this.#accessLogs = accessLogs;
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /** Opens the listener and gives the bound address. Throws ListenError. `mode`: file mode of a Unix socket. */
  listen(address: Address, mode?: number): Promise<Address> {
    const wanted = 'path' in address ? address.path : `${address.ip}:${address.port}`;
    return new Promise((resolve, reject) => {
      const failed = (cause: NodeJS.ErrnoException): void => reject(new ListenError(cause.code ?? 'ERROR', `admin ${wanted}`, cause.message));
      this.#server.once('error', failed);
      const listening = (): void => {
        this.#server.removeListener('error', failed);
        this.#server.on('error', (cause) => this.#log.error(`admin listener: ${cause.message}`));
        const bound = this.#server.address() as AddressInfo | string;
        if ('path' in address && mode !== undefined && !address.path.startsWith('@')) chmodSync(address.path, mode);
        resolve(typeof bound === 'string' ? address : { ip: bound.address, port: bound.port });
      };
      if ('path' in address) this.#server.listen(address.path.replace(/^@/, '\0'), listening);
      else this.#server.listen({ host: address.ip, port: address.port, exclusive: true }, listening);
    });
  }

  /** Stops listening; requests in progress are cut after `graceMs`. */
  async close(graceMs = 500): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(timer);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [startTime, start] = [Date.now(), performance.now()];
    const answer = await this.#answer(request).catch((cause: unknown): Answer => {
      this.#log.error(`${request.method} ${request.url}: ${cause instanceof Error ? cause.stack : String(cause)}`);
      return text('Internal Server Error\n', 500);
    });
    request.resume(); // a body, if there is one, means nothing here
    const [status, bodyBytes] = [answer.status ?? 200, Buffer.byteLength(answer.body)];
    response.writeHead(status, {
      'content-type': TYPES[answer.type ?? 'text'],
      'cache-control': 'no-cache, max-age=0',
      'x-content-type-options': 'nosniff',
      'content-length': bodyBytes,
    });
    const bytesSent = request.method === 'HEAD' ? 0 : bodyBytes;
    response.end(request.method === 'HEAD' ? undefined : answer.body);
    logAdminRequest(this.#accessLogs, request, { startTime, start, end: performance.now(), status, bytesSent });
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const target = request.url ?? '/';
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    const query = parseQuery(mark < 0 ? '' : target.slice(mark + 1));
    if (path === '/') {
      return { type: 'html', body: homePage(await this.#status(), ENDPOINTS) };
    }
    const endpoint = ENDPOINTS.find((candidate) => candidate.path === path);
    if (endpoint === undefined) return text(`invalid path. admin commands are:\n${helpText()}`, 404);
    if (endpoint.mutates) {
      if (request.method !== 'POST') {
        this.#log.error(`admin path "${path}" mutates state, method=${request.method} rather than POST`);
        return text('Method Not Allowed', 405);
      }
      // A page of another site must not be able to stop the proxy through the operator's browser.
      if (request.headers['sec-fetch-site'] === 'cross-site') return text('Forbidden', 403);
    } else if (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'POST') {
      return text('Method Not Allowed', 405);
    }
    // The page's forms send their fields in the body; pilot-agent and istioctl use the query.
    const form = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') ? await readForm(request) : undefined;
    return endpoint.answer(form === undefined ? query : new Map([...form, ...query]), this.#backend);
  }

  async #status(): Promise<PageStatus> {
    const { stats } = this.#backend;
    stats.refresh();
    const info = this.#backend.serverInfo() as { version?: string; uptime_current_epoch?: string; backend?: { name?: string } };
    const hosts = (await this.#backend.clusters()).flatMap((cluster) => cluster.hosts);
    const workers = stats.value('server.concurrency');
    const facts = [
      ['Up', info.uptime_current_epoch],
      ['Engine', [info.backend?.name, workers === undefined ? undefined : `${workers} worker${workers === 1 ? '' : 's'}`].filter(Boolean).join(', ')],
      ['Listeners', String(this.#backend.listeners().length)],
      ['Upstream hosts', String(hosts.length)],
      ['Open connections', String(stats.value('server.total_connections') ?? 0)],
      ['Requests', String(stats.sum(/^http\..*\.downstream_rq_total$/))],
      ['Answered 5xx', String(stats.sum(/^http\..*\.downstream_rq_5xx$/))],
      ['Memory', `${Math.round(this.#backend.memory().physical / 1_048_576)} MiB`],
    ] as const;
    return { state: this.#backend.state(), version: info.version ?? '', facts: facts.map(([label, value]) => [label, value ?? '']) };
  }
}

/** A form's fields. Bodies beyond 64 KiB are cut. */
async function readForm(request: IncomingMessage): Promise<Query> {
  let body = '';
  for await (const chunk of request) {
    body += (chunk as Buffer).toString('latin1');
    if (body.length > 65_536) break;
  }
  return parseQuery(body.replaceAll('+', ' '));
}
