/**
 * Runs in a network namespace of its own (`unshare -n`), where redirecting packets concerns nobody else: prints as JSON what the native engine sees of
 * intercepted connections. Started by test/integration/interception.test.ts.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect as netConnect } from 'node:net';
import { loadAddon } from '../../src/base/backend.js';
import type { Address, ConnectionInfo, SocketOptions } from '../../src/network/engine.js';
import { createNativeEngine } from '../../src/network/native-engine.js';

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: 'utf8' });
const PROXY_PORT = 15001;
const MARK = 1337;

run('ip', 'link', 'set', 'lo', 'up');
for (const address of ['10.9.8.7/32', 'fd00:9::7/128']) run('ip', 'addr', 'add', address, 'dev', 'lo', ...(address.includes(':') ? ['nodad'] : []));
// Addresses that this host has not, but whose packets it takes: what a transparent listener is for.
run('ip', 'route', 'add', 'local', '192.0.2.0/24', 'dev', 'lo');
for (const family of ['ip', 'ip6']) {
  run('nft', 'add', 'table', family, 'nat');
  run('nft', 'add', 'chain', family, 'nat', 'output', '{ type nat hook output priority -100; }');
  run('nft', 'add', 'rule', family, 'nat', 'output', 'tcp', 'dport', '80', 'redirect', 'to', `:${PROXY_PORT}`);
}
run('nft', 'add', 'table', 'ip', 'marks');
run('nft', 'add', 'chain', 'ip', 'marks', 'output', '{ type filter hook output priority 0; }');
run('nft', 'add', 'rule', 'ip', 'marks', 'output', 'meta', 'mark', String(MARK), 'tcp', 'flags', 'syn', 'counter');

const engine = createNativeEngine(loadAddon());
const profile = engine.profile({ framing: 'raw', side: 'downstream' });
const upstream = engine.profile({ framing: 'raw', side: 'upstream' });

/** What the engine tells of the one connection that a client makes to `target`, with a listener on `address`. */
async function seen(
  address: Address,
  options: SocketOptions & { originalDst?: boolean; dualStack?: boolean },
  target: { host: string; port: number },
) {
  let told: (info: ConnectionInfo | undefined) => void = () => {};
  const info = new Promise<ConnectionInfo | undefined>((resolve) => {
    told = resolve;
  });
  const listener = await engine.listen({ ...options, address, profile }, (connection) => {
    told(engine.info(connection));
    return { onClosed() {} };
  });
  const client = netConnect(target);
  client.on('error', (error) => {
    throw error;
  });
  const found = await info;
  client.destroy();
  engine.unlisten(listener.handle);
  return found;
}

const v4 = await seen({ ip: '0.0.0.0', port: PROXY_PORT }, { originalDst: true }, { host: '10.9.8.7', port: 80 });
const v6 = await seen({ ip: '::', port: PROXY_PORT }, { originalDst: true }, { host: 'fd00:9::7', port: 80 });
const dual = await seen({ ip: '::', port: PROXY_PORT }, { originalDst: true, dualStack: true }, { host: '10.9.8.7', port: 80 });
const direct = await seen({ ip: '0.0.0.0', port: PROXY_PORT }, { originalDst: true }, { host: '10.9.8.7', port: PROXY_PORT });
const transparent = await seen({ ip: '192.0.2.1', port: 8080 }, { transparent: true }, { host: '192.0.2.1', port: 8080 });

const server = createServer((socket) => socket.end());
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as { port: number };
await new Promise<void>((resolve) => {
  engine.connect({ address: { ip: '127.0.0.1', port }, profile: upstream, mark: MARK }, { onConnected: () => resolve(), onClosed: () => resolve() });
});
const marked = Number(/counter packets (\d+)/.exec(run('nft', 'list', 'chain', 'ip', 'marks', 'output'))?.[1]);

process.stdout.write(JSON.stringify({ v4, v6, dual, direct, transparent, marked }));
process.exit();
