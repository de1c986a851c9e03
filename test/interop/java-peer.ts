/** The Java peers (test/interop/java): stock SOFABolt and Dubbo, in a process of their own that is told what to do (Peer.java). */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const JAR = fileURLToPath(new URL('../../../test/interop/java/target/interop.jar', import.meta.url));
const OPENED = ['java.lang', 'java.util', 'java.math', 'java.time'].flatMap((name) => ['--add-opens', `java.base/${name}=ALL-UNNAMED`]);
/** Longest that any command may take. */
const COMMAND_MS = 60_000;
/** What is kept of standard error, for a failure's message. */
const MAX_ERROR_CHARS = 4000;

/** Why the Java peers cannot be run here; undefined: they can. */
export function javaMissing(): string | undefined {
  if (spawnSync('java', ['-version'], { stdio: 'ignore' }).status !== 0) return 'there is no Java';
  return existsSync(JAR) ? undefined : 'test/interop/java is not built (npm run test:interop builds it, with Maven)';
}

/** What a command has said. */
export interface Said {
  /** `result NAME=VALUE`. */
  readonly results: ReadonlyMap<string, string>;
  /** `case NAME ok`, or why not. */
  readonly cases: readonly { readonly name: string; readonly failure: string | undefined }[];
}

/** A process of Java peers. */
export class JavaPeer {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;
  #errors = '';
  #ended = false;

  constructor() {
    this.#child = spawn(
      'java',
      [...OPENED, '-Xmx512m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Dbolt.tcp.heartbeat.interval=200', '-jar', JAR],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-MAX_ERROR_CHARS);
    });
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake?.();
    });
    this.#child.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }
  /** Runs a command. `onResult` sees results as they come. Throws where the peer fails as a whole. */
  async run(command: string, onResult?: (name: string, value: string) => void): Promise<Said> {
    const results = new Map<string, string>();
    const cases: { name: string; failure: string | undefined }[] = [];
    this.#child.stdin.write(`${command}\n`);
    const deadline = Date.now() + COMMAND_MS;
    if (this.#ended) throw new Error(`${command}: the process has ended`);
    for (;;) {
      const line = await this.#line(command, deadline);
      const [, kind, rest] = /^(\w+) ?(.*)$/.exec(line) ?? [];
      if (kind === 'done') return { results, cases };
      if (kind === 'error') throw new Error(`${command}: ${rest}\n${this.#errors}`);
      if (kind === 'result') {
        const [name, value] = rest.split('=', 2);
        results.set(name, value);
        onResult?.(name, value);
      } else if (kind === 'case') {
        const [, name, failure] = /^(.*?) (?:ok|failed: (.*))$/.exec(rest) ?? [rest, rest, 'no verdict'];
        cases.push({ name, failure });
      }
    }
  }
  /** Ends the process. */
  async stop(): Promise<void> {
    if (this.#ended) return;
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 3000);
    await closed;
    clearTimeout(timer);
  }

  async #line(command: string, deadline: number): Promise<string> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      const left = deadline - Date.now();
      // What it would say later must not be taken for the next command's.
      if (left <= 0) this.#child.kill('SIGKILL');
      if (this.#ended || left <= 0) throw new Error(`${command}: ${this.#ended ? 'the process ended' : 'not done in time'}\n${this.#errors}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
