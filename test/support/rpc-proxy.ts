/** A proxy for RPC protocols with a client and servers around it: `const { connect, upstream } = await rpcSetup(context, create, { codecs: [kv] })`. */
import type { TestContext } from 'node:test';
import type { CodecSet } from '../../src/control/codecs.js';
import type { Engine } from '../../src/network/engine.js';
import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import type { ProxyOptions } from '../../src/proxy/proxy.js';
import { RpcPeer, RpcServer } from './rpc-peers.js';
import { clusterConfig, indent, RunningProxy } from './running-proxy.js';

export interface RpcOptions {
  /** The protocols of the listener; peers speak the first. */
  readonly codecs: readonly Codec[];
  /** YAML of the virtual hosts; `routes` below is the short form for one that takes all. */
  readonly hosts?: string;
  readonly routes?: string;
  /** Further fields of the filter, and of cluster `up`. */
  readonly filter?: string;
  readonly cluster?: string;
  /** Format of the access log. */
  readonly log?: string;
  /** What the servers `up` and `other` answer. */
  readonly answer?: (frame: Frame, peer: RpcPeer) => Uint8Array | undefined;
  readonly proxy?: Partial<ProxyOptions>;
  /** In place of a server `other` of the support's own. */
  readonly otherPort?: number;
  readonly otherAnswer?: (frame: Frame, peer: RpcPeer) => Uint8Array | undefined;
}

export const codecSet = (codecs: readonly Codec[]): CodecSet => ({
  codecs: new Map(codecs.map((codec) => [codec.name, codec])),
  referenced: new Map(),
});

/** A bootstrap with one RPC listener `rpc`, and clusters `up` and `other`. */
export const rpcConfig = (ports: { readonly up: number; readonly other: number }, options: RpcOptions): string => {
  const { codecs, filter = '', cluster = '', routes = '- { match: { prefix: / }, route: { cluster: up } }' } = options;
  const hosts = options.hosts ?? `- name: all\n  domains: ["*"]\n  routes:\n${indent(routes, 2)}`;
  return `
static_resources:
  listeners:
  - name: rpc
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: sluice.filters.network.rpc_proxy
        typed_config:
          "@type": type.googleapis.com/sluice.extensions.filters.network.rpc_proxy.v1.RpcProxy
          stat_prefix: r
          downstream_protocols: [${codecs.map(({ name }) => `{ name: ${name} }`).join(', ')}]
${indent(filter, 10)}
${
  options.log === undefined
    ? ''
    : `          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/null
              log_format: { text_format_source: { inline_string: ${JSON.stringify(`${options.log}\n`)} } }
`
}          route_config:
            virtual_hosts:
${indent(hosts, 12)}
  clusters:
${clusterConfig('up', [ports.up], cluster)}
${clusterConfig('other', [ports.other])}
`;
};

export interface RpcSetup {
  readonly proxy: RunningProxy;
  readonly upstream: RpcServer;
  readonly other: RpcServer;
  connect(): Promise<RpcPeer>;
}

/** Everything, closed when the test ends. */
export async function rpcSetup(context: TestContext, create: () => Engine, options: RpcOptions): Promise<RpcSetup> {
  const [codec] = options.codecs;
  const upstream = await RpcServer.open(codec, options.answer);
  const other = await RpcServer.open(codec, options.otherAnswer ?? options.answer);
  const proxy = new RunningProxy(create(), codecSet(options.codecs), options.proxy);
  const clients: RpcPeer[] = [];
  context.after(async () => {
    for (const client of clients) client.close();
    await proxy.close();
    upstream.close();
    other.close();
  });
  await proxy.apply(rpcConfig({ up: upstream.port, other: options.otherPort ?? other.port }, options));
  const connect = async () => {
    const client = await RpcPeer.connect(codec, proxy.port('rpc'));
    clients.push(client);
    return client;
  };
  return { proxy, upstream, other, connect };
}
