/**
 * An engine in a worker thread, for tests of how a thread with live connections ends. Listens for HTTP/1 and answers `/` itself, never answers `/wait`,
 * throws on `/throw`, and opens connections to the `upstream` of its worker data. Posts its port, then the text of each uncaught exception where
 * `survives` is set. The message `block` makes the thread sleep for a while, so that what arrives meanwhile comes in one batch.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { http1 } from '../../codecs/http1/index.js';
import { Edits } from '../../src/protocol/edits.js';
import { engines } from './engines.js';

export interface EngineWorkerData {
  readonly engine: string;
  /** Port of loopback; connections to it are opened and kept. */
  readonly upstream?: number;
  /** Goes on after an uncaught exception, as a program does that has a handler for them. */
  readonly survives?: boolean;
}

const { engine: wanted, upstream, survives } = workerData as EngineWorkerData;
const create = engines().find(([name]) => name === wanted)?.[1];
if (create === undefined || parentPort === null) throw new Error(`no engine ${wanted}`);
const port = parentPort;
const engine = create();
const edits = new Edits();
if (survives === true) process.on('uncaughtException', (error) => port.postMessage(error.message));
port.on('message', (message) => {
  if (message === 'block') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
});

const downstream = engine.profile({ framing: http1, side: 'downstream', idleTimeoutMs: 60_000 });
const upstreamProfile = engine.profile({ framing: 'raw', side: 'upstream', idleTimeoutMs: 60_000 });
if (upstream !== undefined) {
  for (let i = 0; i < 3; i++) engine.connect({ address: { ip: '127.0.0.1', port: upstream }, profile: upstreamProfile }, { onClosed: () => {} });
}
const listener = await engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile: downstream }, () => ({
  onHead: (connection, head) => {
    if (head.target === '/throw') throw new Error('made to throw by a test');
    if (head.target !== '/wait') engine.reply(connection, edits.reset().status(204));
  },
  onClosed: () => {},
}));
port.postMessage('port' in listener.address ? listener.address.port : 0);
