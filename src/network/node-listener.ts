/** Opens the fallback engine's listening sockets. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type ListenOptions as NodeListenOptions, type Server, type Socket } from 'node:net';
import { ListenError } from '../base/errors.js';
import type { Address, ListenOptions } from './engine.js';
import { addressText, isAbstract, socketPath } from './node-options.js';

/** A server that listens, and where. Throws ListenError. */
export async function openListener(options: ListenOptions, onSocket: (socket: Socket) => void): Promise<{ server: Server; address: Address }> {
  const { address } = options;
  let server: Server;
  try {
    server = await bind(options, onSocket);
  } catch (cause) {
    if (!('path' in address) || codeOf(cause) !== 'EADDRINUSE' || !(await isStale(address.path))) throw listenError(address, cause);
    try {
      unlinkSync(address.path);
      server = await bind(options, onSocket);
    } catch (second) {
      throw listenError(address, second);
    }
  }
  if ('path' in address) {
    try {
      if (options.mode !== undefined && !isAbstract(address.path)) chmodSync(address.path, options.mode);
    } catch (cause) {
      server.close();
      throw listenError(address, cause);
    }
    return { server, address };
  }
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new ListenError('EINVAL', addressText(address), 'no address after listen');
  return { server, address: { ip: bound.address, port: bound.port } };
}

function bind(options: ListenOptions, onSocket: (socket: Socket) => void): Promise<Server> {
  const { address, keepAlive } = options;
  const isUnix = 'path' in address;
  const server = createServer({
    allowHalfOpen: true,
    // Reading starts when the engine has taken the socket over (node-reader.ts).
    pauseOnConnect: true,
    ...(isUnix ? {} : { noDelay: options.noDelay !== false }),
    ...(isUnix || keepAlive === undefined ? {} : { keepAlive: true, keepAliveInitialDelay: (keepAlive.idleS ?? 0) * 1000 }),
  });
  server.on('connection', onSocket);
  const backlog = options.backlog ?? 1024;
  const where: NodeListenOptions & { reusePort?: boolean } = isUnix
    ? { path: socketPath(address.path), backlog, exclusive: true }
    : {
        host: address.ip,
        port: address.port,
        backlog,
        exclusive: true,
        ipv6Only: options.dualStack !== true,
        ...(options.reusePort === true ? { reusePort: true } : {}),
      };
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      // A failing accept (EMFILE) concerns one connection; the listener goes on, as it does in the native engine.
      server.on('error', () => {});
      resolve(server);
    });
  });
}

/** A socket file that nobody listens on. Only a refused connection proves that. */
function isStale(path: string): Promise<boolean> {
  if (isAbstract(path)) return Promise.resolve(false);
  try {
    if (!lstatSync(path).isSocket()) return Promise.resolve(false);
  } catch {
    // It went away meanwhile: the second attempt to bind tells.
    return Promise.resolve(true);
  }
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error) => resolve(codeOf(error) === 'ECONNREFUSED'));
  });
}

const codeOf = (cause: unknown): string => (cause as NodeJS.ErrnoException | undefined)?.code ?? 'EINVAL';
const listenError = (address: Address, cause: unknown): ListenError =>
  new ListenError(codeOf(cause), addressText(address), cause instanceof Error ? cause.message : String(cause));
