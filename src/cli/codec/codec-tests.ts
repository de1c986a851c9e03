import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ConfigError } from '../../base/errors.js';
import type { Output } from '../validate.js';
import { type RuleResult, withBytes } from './contract.js';
import type { ContractMessage, ContractWork } from './contract-worker.js';
import type { Style } from './style.js';
import { findSubject, type Subject, testFilesOf } from './subject.js';

export interface TestOptions {
  readonly json: boolean;
  readonly seed?: number;
  readonly runs?: number;
  /** A rule, or a test file, that takes longer is a hang. */
  readonly timeoutMs: number;
}
/** One test file of the folder. */
export interface OwnTest {
  readonly file: string;
  readonly ok: boolean;
  readonly output: string;
}

/** `sluice codec test PATH`: the contract, then the folder's own tests. Answers the exit status. */
export async function testCodec(path: string, codecs: URL, options: TestOptions, style: Style, { out }: Output): Promise<0 | 1> {
  const subject = await findSubject(path, codecs);
  const rules = await runRules(subject, { path, codecs: codecs.href, seed: options.seed, runs: options.runs }, options.timeoutMs);
  const tests: OwnTest[] = [];
  for (const file of testFilesOf(subject)) tests.push(await runOwnTest(file, options.timeoutMs));
  const ok = rules.every((rule) => rule.ok) && tests.every((test) => test.ok);
  if (options.json) out(`${JSON.stringify({ codec: subject.codec.name, path, ok, rules, tests })}\n`);
  else out(report(subject, rules, tests, style));
  return ok ? 0 : 1;
}

/** Bytes that are told of a hang. */
const NOTED_BYTES = 4096;
/** The contract's results; of one that hangs, the rules up to it cannot be had. Throws ConfigError where it cannot begin. */
function runRules({ codec }: Subject, given: Omit<ContractWork, 'looksAt'>, timeoutMs: number): Promise<readonly RuleResult[]> {
  const looksAt = new SharedArrayBuffer(4 + NOTED_BYTES);
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./contract-worker.js', import.meta.url), { workerData: { ...given, looksAt } satisfies ContractWork });
    let rule = 'the codec loads';
    let timer = setTimeout(hangs, timeoutMs);
    function hangs(): void {
      const bytes = new Uint8Array(looksAt, 4, new Uint32Array(looksAt, 0, 1)[0]).slice();
      const detail = `${codec.name} did not answer for ${timeoutMs / 1000} s: a loop that does not end`;
      end(() => resolve([{ rule, ok: false, detail: withBytes(detail, bytes) }]));
    }
    function end(settle: () => void): void {
      clearTimeout(timer);
      worker.removeAllListeners('error');
      worker.on('error', () => {}); // it is ended on purpose
      void worker.terminate().then(settle);
    }
    worker.on('message', (message: ContractMessage) => {
      if (message.is === 'done') end(() => resolve(message.results));
      else if (message.is === 'failed') end(() => reject(new ConfigError(message.message)));
      else {
        rule = message.rule;
        clearTimeout(timer);
        timer = setTimeout(hangs, timeoutMs);
      }
    });
    worker.on('error', (cause) => end(() => reject(cause)));
  });
}

function runOwnTest(file: string, timeoutMs: number): Promise<OwnTest> {
  const runner = fileURLToPath(new URL('./own-tests.js', import.meta.url));
  // Inside of a test runner its variable would make the child report in another form.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--test-reporter=spec', runner, file], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs });
    let output = '';
    const add = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-65_536);
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    child.on('error', (cause) => resolve({ file, ok: false, output: cause.message }));
    child.on('close', (code, signal) => resolve({ file, ok: code === 0, output: signal === null ? output : `${output}ended by ${signal}\n` }));
  });
}

function report({ codec, path, others }: Subject, rules: readonly RuleResult[], tests: readonly OwnTest[], style: Style): string {
  const lines = [`codec ${style('bold', codec.name)} (${path}), beside ${others.length} built-in ones`];
  for (const { rule, ok, detail } of rules) {
    if (!ok) lines.push(`  ${style('red', 'FAILED')}  ${rule}`, ...linesOf(detail).map((line) => `          ${line}`));
    else if (detail === '') lines.push(`  ${style('green', 'ok')}      ${rule}`);
    else lines.push(`  ${style('dim', '-')}       ${style('dim', `${rule}: ${detail}`)}`);
  }
  for (const { file, ok, output } of tests) {
    lines.push(ok ? `  ${style('green', 'ok')}      ${basename(file)}: ${passedOf(output)}` : `  ${style('red', 'FAILED')}  ${basename(file)}`);
    if (!ok) lines.push(...linesOf(output.split('✖ failing tests:')[0]).map((line) => `          ${line}`));
  }
  const broken = rules.filter(({ ok }) => !ok).length + tests.filter(({ ok }) => !ok).length;
  lines.push(broken === 0 ? style('green', 'passed') : style('red', `${broken} of ${rules.length + tests.length} failed`));
  return `${lines.join('\n')}\n`;
}
/** Without the lines of a stack that are not the codec's. */
const linesOf = (detail: string): string[] =>
  detail
    .trimEnd()
    .replaceAll('?sluice', '')
    .split('\n')
    .filter((line) => !/^\s*at /.test(line) || !(line.includes('node:') || line.includes('<anonymous>') || line.includes(OWN_CODE)));
const OWN_CODE = new URL('../..', import.meta.url).href;
const passedOf = (output: string): string => {
  const passed = output.match(/ℹ pass (\d+)/)?.[1] ?? '0';
  return `${passed} test${passed === '1' ? '' : 's'}`;
};
