/** A proxy in a process of its own, so that its memory and processor time are not the test's: `const proxy = await ProxyProcess.start(context, yaml)`. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Command } from './whole-proxy.js';

/** Milliseconds of one tick in /proc/PID/stat: the kernel's USER_HZ is 100 everywhere that Node runs. */
const TICK_MS = 10;
/** Fields of /proc/PID/stat after the command's name: utime and stime. */
const [UTIME, STIME] = [11, 12];

/** Longest that the listeners may take to open, and how often to look. */
const [READY_MS, LOOK_MS] = [10_000, 20];

/** Waits until the proxy says that it serves. */
async function untilReady(admin: string): Promise<void> {
  for (const deadline = Date.now() + READY_MS; Date.now() < deadline; ) {
    if ((await fetch(`${admin}/ready`)).status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new Error('the proxy has not become ready');
}

/** A running command `sluice run` with one worker and an admin server. */
export class ProxyProcess {
  readonly #command: Command;
  readonly #admin: string;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(command: Command, admin: string, ports: ReadonlyMap<string, number>) {
    this.#command = command;
    this.#admin = admin;
    this.#ports = ports;
  }
  /** Starts it; it ends with the test. `yaml`: a bootstrap without admin. */
  static async start(context: TestContext, yaml: string, backend = process.env.SLUICE_BACKEND ?? 'auto'): Promise<ProxyProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    const [config, adminPath] = [join(folder, 'config.yaml'), join(folder, 'admin')];
    writeFileSync(config, `admin:\n  address: { socket_address: { address: 127.0.0.1, port_value: 0 } }\n${yaml}`);
    const options = ['--concurrency', '1', '--backend', backend, '--drain-time-s', '1', '-l', 'warning'];
    const command = new Command(['-c', config, '--admin-address-path', adminPath, ...options]);
    context.after(async () => {
      command.kill('SIGKILL');
      await command.ended;
    });
    const admin = await Promise.race([
      command.admin(adminPath),
      command.ended.then((code) => {
        throw new Error(`the proxy ended with ${code}: ${command.err}`);
      }),
    ]);
    await untilReady(admin);
    const { listener_statuses } = (await (await fetch(`${admin}/listeners?format=json`)).json()) as {
      listener_statuses: { name: string; local_address: { socket_address: { port_value: number } } }[];
    };
    const ports = listener_statuses.map(({ name, local_address }) => [name, local_address.socket_address.port_value] as const);
    return new ProxyProcess(command, admin, new Map(ports));
  }

  get pid(): number {
    const { pid } = this.#command.child;
    assert.ok(pid !== undefined);
    return pid;
  }
  get isRunning(): boolean {
    return this.#command.child.exitCode === null && this.#command.child.signalCode === null;
  }
  /** What it has written to standard error. */
  get log(): string {
    return this.#command.err;
  }
  port(name: string): number {
    const port = this.#ports.get(name);
    assert.ok(port !== undefined, `no listener ${name}`);
    return port;
  }
  /** Value of a counter or gauge; 0 where there is none. */
  async stat(name: string): Promise<number> {
    return (await this.stats()).get(name) ?? 0;
  }
  /** All counters and gauges. */
  async stats(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`${this.#admin}/stats`)).text();
    const lines = text.split('\n').map((line) => /^(.*): (\d+)$/.exec(line));
    return new Map(lines.flatMap((match) => (match === null ? [] : [[match[1], Number(match[2])] as const])));
  }
  /** Resident memory now. */
  rssBytes(): number {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'latin1')) ?? [];
    return Number(kilobytes) * 1024;
  }
  /** Processor time used so far, by all threads. */
  cpuMs(): number {
    const text = readFileSync(`/proc/${this.pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[UTIME]) + Number(fields[STIME])) * TICK_MS;
  }
}
