/**
 * A well-behaved HTTP/2 client in a thread of its own, so that what keeps the test busy does not count as the proxy's: it asks again and again on one connection.
 * `const steady = await SteadyClient.start(context, port, '/hello'); ...; const { slowestMs } = await steady.since();`
 */
import { once } from 'node:events';
import { connect } from 'node:http2';
import type { TestContext } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** Pause between two requests. */
const PAUSE_MS = 5;
/** A request that takes longer has failed. */
const MAX_MS = 5000;
/** Answers that an account needs at least. */
const MIN_ANSWERS = 5;

/** What became of the requests since the last account. */
export interface Account {
  readonly answers: number;
  /** Requests without an answer of 200. */
  readonly failures: number;
  readonly slowestMs: number;
  /** Nineteen of twenty, and all but one, were no slower. */
  readonly mostMs: number;
}

/** Runs from `start` to the end of the test. */
export class SteadyClient {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }
  static async start(context: TestContext, port: number, path: string): Promise<SteadyClient> {
    const worker = new Worker(new URL(import.meta.url), { workerData: { port, path } });
    context.after(() => worker.terminate());
    const steady = new SteadyClient(worker);
    await steady.since();
    return steady;
  }
  /** Waits for some more answers, and gives the account since the last one. */
  async since(): Promise<Account> {
    const account = once(this.#worker, 'message');
    this.#worker.postMessage('account');
    return (await account)[0];
  }
}

async function ask(): Promise<void> {
  const { port, path } = workerData as { port: number; path: string };
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  let times: number[] = [];
  let failures = 0;
  let waiting = 0;
  parentPort?.on('message', () => {
    waiting = MIN_ANSWERS;
  });
  while (true) {
    const at = performance.now();
    const isGood = await new Promise<boolean>((resolve) => {
      // The proxy has ended it, which it does after the test as well.
      if (session.destroyed || session.closed) {
        resolve(false);
        return;
      }
      const timer = setTimeout(() => resolve(false), MAX_MS);
      let isAnswered = false;
      const stream = session.request({ ':path': path });
      stream.on('response', (headers) => {
        isAnswered = headers[':status'] === 200;
      });
      stream.on('error', () => {});
      stream.on('close', () => {
        clearTimeout(timer);
        resolve(isAnswered);
      });
      stream.resume();
    });
    if (isGood) times.push(performance.now() - at);
    else failures++;
    if (waiting > 0 && --waiting === 0) {
      times.sort((a, b) => a - b);
      const account: Account = {
        answers: times.length,
        failures,
        slowestMs: times.at(-1) ?? MAX_MS,
        mostMs: times.at(-1 - Math.max(1, Math.floor(times.length / 20))) ?? MAX_MS,
      };
      parentPort?.postMessage(account);
      times = [];
      failures = 0;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
if (!isMainThread && parentPort !== null && typeof workerData === 'object' && workerData !== null && 'path' in workerData) void ask();
