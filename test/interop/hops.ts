/** Proxies between real peers: client -> sluice -> server on one port, client -> sluice -> sluice -> server on another. */
import type { TestContext } from 'node:test';
import { type Sluice, start } from '../../src/index.js';
import { portOf } from '../support/whole-proxy.js';

/** Where requests go. */
export interface Route {
  /** Virtual host: a service, or `*`. Default `*`. */
  readonly service?: string;
  /** Ports of the servers. */
  readonly servers: readonly number[];
  /** A retry policy, as in an Envoy route. */
  readonly retry?: object;
}
export interface HopsOptions {
  readonly engine: 'native' | 'fallback';
  readonly codecs: readonly string[];
  readonly routes: readonly Route[];
}

/** Two running proxies, the second in front of the first. */
export class Hops {
  /** Through `oneHop` a client reaches the servers by one proxy, through `twoHops` by two. */
  readonly oneHop: number;
  readonly twoHops: number;
  readonly near: Sluice;
  readonly far: Sluice;

  private constructor(near: Sluice, far: Sluice) {
    this.near = near;
    this.far = far;
    this.oneHop = portOf(near);
    this.twoHops = portOf(far);
  }
  static async open(context: TestContext, { engine, codecs, routes }: HopsOptions): Promise<Hops> {
    const open = (next: readonly Route[]) => start({ config: configOf(codecs, next), admin: false, backend: engine, concurrency: 1 });
    const near = await open(routes);
    context.after(() => near.stop());
    const far = await open([{ servers: [portOf(near)] }]);
    context.after(() => far.stop());
    return new Hops(near, far);
  }
  get ports(): readonly (readonly [name: string, port: number])[] {
    return [
      ['one proxy', this.oneHop],
      ['two proxies', this.twoHops],
    ];
  }
  /** Upstream connections that a proxy has opened to share them; a request that is cut through may have had one of its own. */
  shared(proxy: Sluice, cluster: string): number {
    const [all, ownAtMost] = [proxy.stat(`cluster.${cluster}.upstream_cx_total`) ?? 0, proxy.stat('rpc.in.downstream_rq_cut_through') ?? 0];
    return Math.max(1, all - ownAtMost);
  }
  /** What both have counted so far, for the message of a failure. */
  account(): string {
    const lines = (name: string, proxy: Sluice) =>
      proxy.stats(/^rpc\.|upstream_(cx|rq)/).flatMap((stat) => ('value' in stat && stat.value !== 0 ? [`${name} ${stat.name} ${stat.value}`] : []));
    return [...lines('near', this.near), ...lines('far', this.far)].join('\n');
  }
  /** A counter or gauge, added up over both proxies. */
  total(name: string): number {
    return (this.near.stat(name) ?? 0) + (this.far.stat(name) ?? 0);
  }
}

const TYPE = 'type.googleapis.com/sluice.extensions.filters.network.rpc_proxy.v1.RpcProxy';
const socket = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

const configOf = (codecs: readonly string[], routes: readonly Route[]): object => ({
  static_resources: {
    listeners: [
      {
        name: 'main',
        address: socket(0),
        filter_chains: [
          {
            filters: [
              {
                name: 'sluice.filters.network.rpc_proxy',
                typed_config: {
                  '@type': TYPE,
                  stat_prefix: 'in',
                  downstream_protocols: codecs.map((name) => ({ name })),
                  route_config: {
                    virtual_hosts: routes.map(({ service = '*', retry }, index) => ({
                      name: `to-${index}`,
                      domains: [service],
                      routes: [
                        { match: { prefix: '/' }, route: { cluster: `up-${index}`, ...(retry === undefined ? {} : { retry_policy: retry }) } },
                      ],
                    })),
                  },
                },
              },
            ],
          },
        ],
      },
    ],
    clusters: routes.map(({ servers }, index) => ({
      name: `up-${index}`,
      type: 'STATIC',
      connect_timeout: '2s',
      load_assignment: {
        cluster_name: `up-${index}`,
        endpoints: [{ lb_endpoints: servers.map((port) => ({ endpoint: { address: socket(port) } })) }],
      },
    })),
  },
});
