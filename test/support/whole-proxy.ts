/** The whole program under test: configurations, the library's entry with a worker that can be made to fail, and the command in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BoundListeners, type Server, type ServerOptions, startServer } from '../../src/control/server.js';
import type { Address } from '../../src/network/engine.js';
import { eventually } from './peers.js';

/** A process may take so long to come up on a busy machine. */
const START_MS = 15_000;

/** The compiled command. */
export const COMMAND = fileURLToPath(new URL('../../src/main.js', import.meta.url));

export interface ConfigParts {
  /** `null`: no admin server. */
  readonly adminPort?: number | null;
  /** Name and port (0: any) of each listener. */
  readonly listeners?: readonly (readonly [name: string, port: number])[];
  /** Text of `GET /hello`. */
  readonly hello?: string;
  /** Where everything else goes. */
  readonly upstream?: number;
  /** Host of the upstream; a name makes the cluster STRICT_DNS. */
  readonly host?: string;
}

/** A bootstrap with one HTTP route table on every listener. */
export function configOf({ adminPort = 0, listeners = [['main', 0]], hello = 'hello', upstream = 9, host = '127.0.0.1' }: ConfigParts = {}): object {
  const socket = (address: string, port: number) => ({ socket_address: { address, port_value: port } });
  return {
    ...(adminPort === null ? {} : { admin: { address: socket('127.0.0.1', adminPort) } }),
    static_resources: {
      listeners: listeners.map(([name, port]) => ({
        name,
        address: socket('127.0.0.1', port),
        filter_chains: [
          {
            filters: [
              {
                name: 'envoy.filters.network.http_connection_manager',
                typed_config: {
                  '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                  stat_prefix: 'in',
                  route_config: {
                    name: 'routes',
                    virtual_hosts: [
                      {
                        name: 'all',
                        domains: ['*'],
                        routes: [
                          { match: { path: '/hello' }, direct_response: { status: 200, body: { inline_string: hello } } },
                          { match: { prefix: '/' }, route: { cluster: 'web' } },
                        ],
                      },
                    ],
                  },
                  http_filters: [
                    {
                      name: 'envoy.filters.http.router',
                      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                    },
                  ],
                },
              },
            ],
          },
        ],
      })),
      clusters: [
        {
          name: 'web',
          type: host === '127.0.0.1' ? 'STATIC' : 'STRICT_DNS',
          dns_lookup_family: 'V4_ONLY',
          connect_timeout: '1s',
          load_assignment: { cluster_name: 'web', endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(host, upstream) } }] }] },
        },
      ],
    },
  };
}

/** Text and name, as `startServer` takes them. */
export const sourceFor = (config: object): ServerOptions['config'] => ({ text: JSON.stringify(config), file: 'test.json' });

/** Starts the proxy with workers that fail when `failWorker` says so; log lines are collected. */
export async function startTestServer(options: Partial<ServerOptions> & { readonly lines?: string[] } = {}): Promise<Server> {
  const { lines = [], ...rest } = options;
  const wanted = process.env.SLUICE_BACKEND;
  return startServer({
    config: sourceFor(configOf()),
    concurrency: 1,
    backend: wanted === 'native' || wanted === 'fallback' ? wanted : 'auto',
    log: { level: 'info', format: '%l %n %v', write: (line) => lines.push(line) },
    version: '0.0.0',
    workerEntry: new URL('./failing-worker.js', import.meta.url),
    codecs: new URL('../../codecs/', import.meta.url),
    ...rest,
  });
}

/** Makes every worker of `startTestServer` in this process throw. */
export function failWorkers(): void {
  const channel = new BroadcastChannel('fail');
  channel.postMessage('now');
  channel.close();
}

/** Port of the server's listener `name`. */
export function portOf(server: { readonly listeners: readonly BoundListeners[] }, name = 'main'): number {
  const address = server.listeners.find((listener) => listener.name === name)?.addresses[0];
  if (address === undefined || !('port' in address)) throw new Error(`no listener ${name}`);
  return address.port;
}
/** URL of an address. */
export const urlOf = (address: Address | undefined): string => {
  if (address === undefined || !('port' in address)) throw new Error('no address');
  return `http://${address.ip}:${address.port}`;
};

/** One request on a connection of its own. */
export async function get(url: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
  const response = await fetch(url, { ...init, headers: { connection: 'close' } });
  return { status: response.status, text: await response.text() };
}

/** An HTTP service on loopback. */
export async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ port: number; server: HttpServer }> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, server };
}

/** A folder of the test's own, removed afterwards. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The command in a process of its own. */
export class Command {
  readonly child: ChildProcess;
  out = '';
  err = '';
  /** Exit code, or the signal's name. */
  readonly ended: Promise<number | string>;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(process.execPath, [COMMAND, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.child.stdout?.on('data', (chunk) => {
      this.out += chunk;
    });
    this.child.stderr?.on('data', (chunk) => {
      this.err += chunk;
    });
    this.ended = new Promise((resolve) => this.child.on('close', (code, signal) => resolve(code ?? signal ?? 'lost')));
  }
  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
  /** Waits until the admin server has written its address, and gives its URL. */
  async admin(path: string): Promise<string> {
    let address = '';
    await eventually(
      () => {
        if (existsSync(path)) address = readFileSync(path, 'utf8');
        return address !== '';
      },
      'the admin address is written',
      START_MS,
    );
    return `http://${address}`;
  }
  /** Waits for a text on standard error. */
  saysOnError(text: string): Promise<void> {
    return eventually(() => this.err.includes(text), `says ${text}`, START_MS);
  }
}
