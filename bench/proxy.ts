/**
 * `npm run bench -- proxy`: what does a proxied request cost, here and in other proxies, side by side in one run? Each subject has one worker on one core; load and backend
 * share the other. Rounds are interleaved and medians reported, since shared machines are noisy: ratios are stable, absolute numbers are not.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkAnswer, runH2load, WrongAnswer, withIdleStreams } from './h2.js';
import { type LoadResult, runWrk, SCENARIOS, type Scenario, withIdle } from './load.js';
import { cpuTime, freePort, type Running, rssBytes, start, toolPath, waitForPort } from './process.js';
import { RPC_TRAFFIC, runRpcLoad, serverArguments } from './rpc.js';
import { type Place, peer, SUBJECTS, type Subject, type SubjectKind } from './subjects.js';

/** One row of the JSON report: medians of the rounds. For `idle10k` and `h2idle10k` `rssMb` is the growth of memory with the connections or streams, in MiB like elsewhere. */
export interface Row {
  readonly subject: string;
  readonly scenario: string;
  readonly rps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUserUs: number;
  readonly cpuSysUs: number;
  readonly cpuUs: number;
  readonly rssMb: number;
}

/** Load and backend share one core, so that each subject has one for itself. */
const LOAD_CORE = 0;
const SUBJECT_CORE = availableParallelism() > 1 ? 1 : 0;

const USAGE = `npm run bench -- proxy [options]
  --scenario NAME            ${SCENARIOS.map(({ name }) => name).join(', ')}; may be repeated; default: all
  --subject NAME             ${SUBJECTS.map(({ name }) => name).join(', ')}; may be repeated; default: all
  --seconds N                length of one measurement; default 5
  --rounds N                 measurements of each subject, interleaved; default 3
  --json FILE                the medians as JSON
  --peer NAME=COMMAND@PORT   one more subject: COMMAND listens on PORT and proxies to 127.0.0.1:$BENCH_BACKEND_PORT; may be repeated
CPU is user and system time of the whole process tree, divided by the requests.`;

interface Options {
  scenarios: Scenario[];
  subjects: SubjectKind[];
  seconds: number;
  rounds: number;
  json: string | undefined;
}

function parse(args: readonly string[]): Options | undefined {
  const options: Options = { scenarios: [], subjects: [], seconds: 5, rounds: 3, json: undefined };
  const peers: SubjectKind[] = [];
  const number = (name: string, text: string) => {
    const value = Number(text);
    if (!(value > 0)) throw new Error(`${name}: a number above 0, not ${text}`);
    return value;
  };
  const named = <T extends { readonly name: string }>(flag: string, all: readonly T[], name: string): T => {
    const found = all.find((one) => one.name === name);
    if (found === undefined) throw new Error(`${flag}: ${all.map((one) => one.name).join(', ')}, not ${name}`);
    return found;
  };
  for (let i = 0; i < args.length; i++) {
    const [flag, inline] = args[i].startsWith('--peer') ? [args[i], undefined] : args[i].split('=', 2);
    if (flag === '--help' || flag === '-h') return undefined;
    const value = inline ?? args[++i];
    if (value === undefined) throw new Error(`${flag} needs a value\n${USAGE}`);
    if (flag === '--scenario') {
      const one = named(flag, SCENARIOS, value);
      // A protocol by its name: all its payloads.
      options.scenarios.push(...SCENARIOS.filter((other) => other === one || (other.rpc !== undefined && other.rpc.protocol === value)));
    } else if (flag === '--subject') options.subjects.push(named(flag, SUBJECTS, value));
    else if (flag === '--seconds') options.seconds = number(flag, value);
    else if (flag === '--rounds') options.rounds = Math.ceil(number(flag, value));
    else if (flag === '--json') options.json = value;
    else if (flag === '--peer') peers.push(peer(value));
    else throw new Error(`unknown option ${flag}\n${USAGE}`);
  }
  if (options.scenarios.length === 0) options.scenarios = [...SCENARIOS];
  if (options.subjects.length === 0) options.subjects = [...SUBJECTS];
  options.subjects.push(...peers);
  return options;
}

/** Compiles a program of this folder where it is missing or older than its source; gives its path. */
function program(root: string, name: string): string {
  const source = join(root, `bench/${name}.cc`);
  const path = join(root, `build/bench/${name}`);
  const built = statSync(path, { throwIfNoEntry: false });
  if (built !== undefined && built.mtimeMs >= statSync(source).mtimeMs) return path;
  mkdirSync(join(root, 'build/bench'), { recursive: true });
  const { status, stderr } = spawnSync(toolPath('g++'), ['-std=c++20', '-O2', source, '-o', path], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`bench/${name}.cc: ${stderr}`);
  return path;
}

/** Sends load to a subject. Throws where it fails. */
function runLoad({ root, folder }: Place, port: number, scenario: Scenario, seconds: number): Promise<LoadResult> {
  const { rpc, h2 } = scenario;
  if (h2?.front === true) return runH2load(folder, LOAD_CORE, port, scenario, seconds);
  if (rpc === undefined) return runWrk(root, LOAD_CORE, port, scenario, seconds);
  return runRpcLoad(program(root, 'rpc_peer'), LOAD_CORE, port, RPC_TRAFFIC[rpc.protocol](rpc.payloadBytes), seconds);
}

type Measured = Omit<Row, 'subject' | 'scenario'>;
const MIB = 1024 * 1024;

function measured(result: LoadResult, before: ReturnType<typeof cpuTime>, after: ReturnType<typeof cpuTime>, bytes: number): Measured {
  const cpuUserUs = (after.userUs - before.userUs) / result.requests;
  const cpuSysUs = (after.sysUs - before.sysUs) / result.requests;
  const rps = result.requests / result.seconds;
  return { rps, p50Ms: result.p50Ms, p99Ms: result.p99Ms, cpuUserUs, cpuSysUs, cpuUs: cpuUserUs + cpuSysUs, rssMb: bytes / MIB };
}

async function measure(place: Place, subject: Subject, scenario: Scenario, seconds: number, server: Running | undefined): Promise<Measured> {
  const { pid } = subject.running;
  const { h2 } = scenario;
  if (h2 !== undefined) await checkAnswer(subject.port, scenario.path, h2);
  const before = cpuTime(pid);
  if (scenario.idle > 0) {
    const rssBefore = rssBytes(pid);
    const held = async (result: LoadResult) => {
      if (result.errors > 0) throw new WrongAnswer(`${result.errors} of the idle connections were closed`);
      return measured(result, before, cpuTime(pid), rssBytes(pid) - rssBefore);
    };
    if (h2 !== undefined && server !== undefined) return withIdleStreams(subject.port, scenario.idle, server, held);
    return withIdle(subject.port, scenario.idle, held);
  }
  const result = await runLoad(place, subject.port, scenario, seconds);
  const after = cpuTime(pid);
  if (result.errors > 0 && h2 !== undefined) throw new WrongAnswer(`${result.errors} errors in ${result.requests} requests`);
  if (result.errors > 0) console.log(`  ${subject.name}: ${result.errors} errors in ${result.requests} requests`);
  if (result.loadUs !== undefined) console.log(`  ${subject.name}: the load generator took ${result.loadUs.toFixed(2)} µs of CPU for each request`);
  return measured(result, before, after, rssBytes(pid));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const round = (value: number, digits: number) => Number(value.toFixed(digits));

function summary(subject: string, scenario: string, rounds: readonly Measured[]): Row {
  const of = (key: keyof Measured, digits: number) => round(median(rounds.map((one) => one[key])), digits);
  return {
    subject,
    scenario,
    rps: of('rps', 0),
    p50Ms: of('p50Ms', 3),
    p99Ms: of('p99Ms', 3),
    cpuUserUs: of('cpuUserUs', 2),
    cpuSysUs: of('cpuSysUs', 2),
    cpuUs: of('cpuUs', 2),
    rssMb: of('rssMb', 1),
  };
}

function printTable(scenario: Scenario, rows: readonly Row[]): void {
  const isIdle = scenario.idle > 0;
  const head = [
    'subject',
    'req/s',
    'p50 ms',
    'p99 ms',
    'user µs',
    'sys µs',
    'CPU µs',
    isIdle ? 'KiB each' : 'RSS MiB',
    ...rows.map(({ subject }) => `/ ${subject}`),
  ];
  const cost = (row: Row) => (isIdle ? row.rssMb : row.cpuUs);
  const lines = rows.map((row) => [
    row.subject,
    String(row.rps),
    row.p50Ms.toFixed(2),
    row.p99Ms.toFixed(2),
    row.cpuUserUs.toFixed(1),
    row.cpuSysUs.toFixed(1),
    row.cpuUs.toFixed(1),
    isIdle ? ((row.rssMb * 1024) / scenario.idle).toFixed(2) : row.rssMb.toFixed(0),
    ...rows.map((other) => (other === row ? '' : cost(other) > 0 ? (cost(row) / cost(other)).toFixed(2) : '-')),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column].length)));
  const print = (line: readonly string[]) =>
    console.log(line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  '));
  console.log(`\n${scenario.name}: ${scenario.what}; ratios are of ${isIdle ? 'memory for each' : 'CPU for each request'}`);
  print(head);
  for (const line of lines) print(line);
}

/** How a subject ended, and its last words; empty while it runs. */
const endOf = (subject: Subject | undefined): string =>
  subject?.running.exit() === undefined ? '' : `; it ended with ${subject.running.exit()}:\n${subject.running.output()}`;

/**
 * Starts one subject and sends it a little load, so that JavaScript is compiled, pools are filled and lazy memory is there before anything is measured. Undefined where
 * it cannot run; throws a WrongAnswer where it answers what was not asked.
 */
async function warm(kind: SubjectKind, place: Place, scenario: Scenario, seconds: number): Promise<Subject | undefined> {
  const load = { ...scenario, connections: scenario.idle > 0 ? 100 : scenario.connections };
  let subject: Subject | undefined;
  try {
    subject = await kind.launch(place);
    if (scenario.h2 !== undefined) await checkAnswer(subject.port, scenario.path, scenario.h2);
    await runLoad(place, subject.port, load, Math.min(2, Math.max(1, Math.ceil(seconds / 2))));
    return subject;
  } catch (error) {
    const end = endOf(subject);
    await subject?.running.stop();
    if (error instanceof WrongAnswer) throw new WrongAnswer(`${error.message}${end}`);
    console.log(`  ${kind.name} is left out: ${(error as Error).message}`);
    return undefined;
  }
}

/** Starts the server of a scenario where the one that all share does not do; undefined where it does. */
async function startServer(root: string, { rpc, h2 }: Scenario): Promise<{ readonly port: number; readonly running: Running } | undefined> {
  if (rpc === undefined && h2?.back !== true) return undefined;
  const port = await freePort();
  const running =
    rpc !== undefined
      ? start(LOAD_CORE, program(root, 'rpc_peer'), serverArguments(port, RPC_TRAFFIC[rpc.protocol](rpc.payloadBytes)))
      : start(LOAD_CORE, program(root, 'h2_backend'), [String(port), String(h2?.answerBytes), h2?.grpc === true ? 'grpc' : 'http']);
  await waitForPort(port, running, 'the server of the scenario');
  return { port, running };
}

/** What a scenario gave. */
interface Outcome {
  /** Medians of the rounds. */
  readonly rows: readonly Row[];
  /** A subject answered what was not asked. */
  readonly isWrong: boolean;
}

/** Measures the subjects of one scenario in interleaved rounds. */
async function runScenario(root: string, folder: string, scenario: Scenario, options: Options, backendPort: number): Promise<Outcome> {
  const { rpc, h2 } = scenario;
  const server = await startServer(root, scenario);
  const codec = rpc && RPC_TRAFFIC[rpc.protocol](rpc.payloadBytes).codec;
  const more = { ...(codec === undefined ? {} : { codec }), ...(h2 === undefined ? {} : { h2 }) };
  const place: Place = { root, folder, mode: scenario.mode, core: SUBJECT_CORE, backendPort: server?.port ?? backendPort, ...more };
  let isWrong = false;
  const subjects = new Map<string, Subject>();
  const rounds = new Map<string, Measured[]>();
  // Memory that was once used is not given back: what idle connections cost is asked of a fresh process each time.
  const isFresh = scenario.idle > 0;
  const left = new Set(options.subjects);
  try {
    for (let i = 0; i < options.rounds; i++) {
      for (const kind of left) {
        try {
          const subject = subjects.get(kind.name) ?? (await warm(kind, place, scenario, options.seconds));
          if (subject === undefined) {
            left.delete(kind);
            continue;
          }
          subjects.set(kind.name, subject);
          const one = await measure(place, subject, scenario, options.seconds, server?.running);
          rounds.set(kind.name, [...(rounds.get(kind.name) ?? []), one]);
        } catch (error) {
          console.log(`  ${kind.name}: round ${i + 1} failed: ${(error as Error).message}${endOf(subjects.get(kind.name))}`);
          isWrong ||= error instanceof WrongAnswer;
          if (!subjects.has(kind.name)) left.delete(kind);
        }
        if (isFresh) {
          await subjects.get(kind.name)?.running.stop();
          subjects.delete(kind.name);
        }
      }
    }
  } finally {
    await Promise.all([...subjects.values()].map((subject) => subject.running.stop()));
    await server?.running.stop();
  }
  return { rows: [...rounds].map(([name, results]) => summary(name, scenario.name, results)), isWrong };
}

/** Runs the benchmark. Gives the exit code: 1 where a scenario gave no result at all, or a subject answered what was not asked. */
export async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options === undefined) {
    console.log(USAGE);
    return 0;
  }
  for (const tool of ['wrk', 'taskset', 'g++', ...(options.scenarios.some(({ h2 }) => h2?.front === true) ? ['h2load'] : [])]) toolPath(tool);
  const root = process.cwd();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  const backendPort = await freePort();
  const backend = start(LOAD_CORE, program(root, 'backend'), [String(backendPort)]);
  const rows: Row[] = [];
  let failed = false;
  const interrupted = () => process.exit(130);
  process.once('SIGINT', interrupted);
  try {
    await waitForPort(backendPort, backend, 'the backend');
    console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, Linux ${release()}, Node ${process.versions.node}`);
    console.log(`${options.rounds} rounds of ${options.seconds} s; subjects on core ${SUBJECT_CORE}, load and backend on core ${LOAD_CORE}`);
    for (const scenario of options.scenarios) {
      const { rows: found, isWrong } = await runScenario(root, folder, scenario, options, backendPort);
      failed ||= isWrong;
      if (found.length === 0) {
        console.log(`${scenario.name}: no result`);
        failed = true;
        continue;
      }
      printTable(scenario, found);
      rows.push(...found);
    }
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, undefined, 2)}\n`);
  } finally {
    process.removeListener('SIGINT', interrupted);
    await backend.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return failed ? 1 : 0;
}
