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
}
/** What it says. */
export type ContractMessage =
  | { readonly is: 'rule'; readonly rule: string }
  | { readonly is: 'done'; readonly results: readonly RuleResult[] }
  | { readonly is: 'failed'; readonly message: string };

const { path, codecs, seed, runs } = workerData as ContractWork;
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
  });
  say({ is: 'done', results });
} catch (cause) {
  say({ is: 'failed', message: cause instanceof Error ? cause.message : String(cause) });
}
