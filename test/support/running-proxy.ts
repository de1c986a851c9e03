/** A whole proxy in the test's own thread, from a configuration in YAML: `const { proxy, port } = await runProxy(create, yaml)`. */
import assert from 'node:assert/strict';
import { http1 } from '../../codecs/http1/index.js';
import { http2 } from '../../codecs/http2/index.js';
import { StatsStore } from '../../src/base/stats.js';
import { type CodecSet, NO_CODECS } from '../../src/control/codecs.js';
import { compileConfig } from '../../src/control/compile/index.js';
import { loadBootstrap } from '../../src/control/config/index.js';
import type { Engine } from '../../src/network/engine.js';
import { createProxy, type Proxy, type ProxyOptions } from '../../src/proxy/proxy.js';
import type { RuntimeConfig } from '../../src/proxy/runtime.js';
import { eventually } from './peers.js';

export class RunningProxy {
  readonly engine: Engine;
  readonly proxy: Proxy;
  readonly #stats = new StatsStore();
  /** What the access logs have written. */
  readonly logs: string[] = [];

  readonly #codecs: CodecSet;

  constructor(engine: Engine, codecs: CodecSet = NO_CODECS, options: Partial<ProxyOptions> = {}) {
    this.engine = engine;
    this.#codecs = codecs;
    const log = { debug() {}, info() {}, warning() {}, error() {} };
    this.proxy = createProxy({ engine, stats: this.#stats, log, httpFramings: { http1, http2 }, ...options });
  }

  compile(yaml: string): RuntimeConfig {
    const loaded = loadBootstrap(yaml, { file: 'test.yaml' });
    assert.deepEqual(loaded.problems, []);
    assert.ok(loaded.bootstrap !== undefined);
    const write = (line: string) => void this.logs.push(line.trimEnd());
    const createFileLog = (path: string) => ({ path, write, reopen() {}, flush: async () => {}, close: async () => {} });
    const { config, problems } = compileConfig(loaded.bootstrap, { createFileLog, codecs: this.#codecs });
    assert.deepEqual(problems, []);
    return config;
  }
  async apply(yaml: string): Promise<void> {
    assert.deepEqual(await this.proxy.apply(this.compile(yaml)), []);
  }
  port(name: string): number {
    const found = this.proxy.listenerAddresses().find((listener) => listener.name === name);
    assert.ok(found !== undefined && 'port' in found.address, `no listener ${name}`);
    return found.address.port;
  }
  /** Value of a counter or gauge; 0 where there is none. */
  stat(name: string): number {
    const definition = this.#stats.definitions.get(name);
    return definition === undefined ? 0 : this.#stats.slabs[definition.slab][definition.index];
  }
  /** All gauges with their values. */
  gauges(): [name: string, value: number][] {
    const gauges = [...this.#stats.definitions.values()].filter(({ kind }) => kind === 'gauge');
    return gauges.map(({ name, slab, index }) => [name, this.#stats.slabs[slab][index]]);
  }
  async logged(count: number): Promise<string[]> {
    await eventually(() => this.logs.length >= count, `only ${this.logs.length} lines logged`);
    return this.logs;
  }
  /** Ends everything; nothing may be counted as open then. */
  async close(): Promise<void> {
    await this.proxy.shutdown();
  }
}

export interface RouteOptions {
  /** YAML of the routes, indented by nothing. */
  readonly routes?: string;
  /** Further fields of the connection manager. */
  readonly manager?: string;
  /** Further fields of cluster `up`. */
  readonly cluster?: string;
  /** Ports of cluster `up`. */
  readonly upstreams: readonly number[];
  /** Further virtual host fields. */
  readonly host?: string;
  /** Format of the access log. */
  readonly log?: string;
  /** YAML of the filters before the router, indented by nothing. */
  readonly filters?: string;
}

/** Moves every line to the right. */
export const indent = (text: string, by: number) =>
  text
    .trim()
    .split('\n')
    .map((line) => `${' '.repeat(by)}${line}`)
    .join('\n');

/** A bootstrap with one HTTP listener `web` and a cluster `up`. */
export const httpConfig = ({
  routes = '- match: { prefix: / }\n  route: { cluster: up }',
  manager = '',
  cluster = '',
  upstreams,
  host = '',
  log,
  filters = '',
}: RouteOptions): string => `
static_resources:
  listeners:
  - name: web
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          http_filters:
${indent(filters, 10)}
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
${
  log === undefined
    ? ''
    : `          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/null
              log_format: { text_format_source: { inline_string: ${JSON.stringify(log)} } }
`
}${indent(manager, 10)}
          route_config:
            name: table
            virtual_hosts:
            - name: all
              domains: ["*"]
${indent(host, 14)}
              routes:
${indent(routes, 14)}
  clusters:
${clusterConfig('up', upstreams, cluster)}
`;

/** A static cluster of loopback ports. */
export const clusterConfig = (name: string, ports: readonly number[], more = ''): string => `  - name: ${name}
    connect_timeout: 1s
${indent(more, 4)}
    load_assignment:
      cluster_name: ${name}
      endpoints:
      - lb_endpoints:
${ports.map((port) => `        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } }`).join('\n')}`;
