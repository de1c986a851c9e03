/** Runs the contract in a thread of its own, so that a decoder that never ends can be ended. */
import { parentPort, workerData } from 'node:worker_threads';
import { selectBackend } from '../../base/backend.js';
import { type RuleResult, runContract } from './contract.js';
import { frameAddonOf, nativeFrom, type OpenFrameDecoder } from './native-decoder.js';
import { findSubject, vectorsOf } from './subject.js';

/** What the thread is started with. */
export interface ContractWork {
  readonly path: string;
  readonly codecs: string;
  readonly seed?: number;
  readonly runs?: number;
  /** Where the bytes are noted that the codec looks at, for the case that it never comes back: their number in the first 4 bytes, then as many as fit. */
  readonly looksAt: SharedArrayBuffer;
}
/** What it says. */
export type ContractMessage =
  | { readonly is: 'rule'; readonly rule: string }
  | { readonly is: 'done'; readonly results: readonly RuleResult[] }
  | { readonly is: 'failed'; readonly message: string };

const { path, codecs, seed, runs, looksAt } = workerData as ContractWork;
const [noted, notedBytes] = [new Uint8Array(looksAt, 4), new Uint32Array(looksAt, 0, 1)];
const say = (message: ContractMessage): void => parentPort?.postMessage(message);
try {
  const subject = await findSubject(path, new URL(codecs));
  const { addon } = selectBackend();
  const native = addon === undefined ? undefined : nativeFrom(frameAddonOf(addon));
  const decoders = native === undefined ? [] : [{ name: 'native', open: (...args: Parameters<OpenFrameDecoder>) => native(...args).decode }];
  const results = runContract(subject.codec, vectorsOf(subject), {
    others: subject.others,
    decoders,
    seed,
    runs,
    onRule: (rule) => say({ is: 'rule', rule }),
    onBytes: (bytes) => {
      notedBytes[0] = Math.min(bytes.length, noted.length);
      noted.set(bytes.subarray(0, noted.length));
    },
  });
  say({ is: 'done', results });
} catch (cause) {
  say({ is: 'failed', message: cause instanceof Error ? cause.message : String(cause) });
}
