/** Stock programs: those of Debian's packages, and those in Go that `npm run test:interop` builds (test/interop/go). */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const GO_PROGRAMS = fileURLToPath(new URL('../../../test/interop/go/target/', import.meta.url));
/** Longest that a program may run. */
const RUN_MS = 60_000;
/** What is kept of its output. */
const MAX_OUTPUT_CHARS = 4_000_000;

/** Path of a program in Go. */
export const goProgram = (name: 'h2spec' | 'client' | 'server'): string => `${GO_PROGRAMS}${name}`;
/** Why a program in Go cannot be run here; undefined: it can. */
export const goMissing = (): string | undefined =>
  existsSync(goProgram('h2spec')) ? undefined : 'test/interop/go is not built (npm run test:interop builds it, with Go)';
/** Why a program cannot be run here; undefined: it can. */
export const programMissing = (name: string): string | undefined =>
  spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0 ? undefined : `${name} is not there`;

/** How a program ended. */
export interface Ran {
  /** Exit code; undefined where a signal ended it. */
  readonly code: number | undefined;
  readonly out: string;
  readonly err: string;
}
/** Runs a program to its end, or for `timeoutMs`. */
export function run(command: string, args: readonly string[], timeoutMs = RUN_MS): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' });
    const texts = { out: '', err: '' };
    const collect = (name: 'out' | 'err') => (chunk: string) => {
      if (texts[name].length < MAX_OUTPUT_CHARS) texts[name] += chunk;
    };
    child.stdout.setEncoding('latin1').on('data', collect('out'));
    child.stderr.setEncoding('latin1').on('data', collect('err'));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? undefined, ...texts }));
  });
}
/** Starts a program that serves until `stop`. */
export function serve(command: string, args: readonly string[]): { readonly child: ChildProcess; stop(): Promise<void> } {
  const child = spawn(command, args, { stdio: 'ignore' });
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve()).on('error', () => resolve()));
  return {
    child,
    async stop() {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
