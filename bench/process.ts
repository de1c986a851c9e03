/** Processes of a benchmark: started pinned to a core, measured by /proc, ended by their own process group. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

/** CPU time of a process tree, in microseconds. */
export interface CpuTime {
  readonly userUs: number;
  readonly sysUs: number;
}

/** A running process and its children. */
export interface Running {
  readonly pid: number;
  /** What it has written so far, the last 16 KiB. */
  output(): string;
  /** Exit code or signal once it has ended; undefined while it runs. */
  exit(): string | undefined;
  /** Ends it and all its children: SIGTERM, after two seconds SIGKILL. */
  stop(): Promise<void>;
}

const OUTPUT_BYTES = 16 * 1024;
/** Ticks of /proc/PID/stat in a second (`getconf CLK_TCK`). */
const TICKS_PER_S = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout || 100);

/** Debian packages of the tools that are used here. */
const PACKAGES: Readonly<Record<string, string>> = {
  wrk: 'wrk',
  haproxy: 'haproxy',
  nginx: 'nginx',
  nghttpx: 'nghttp2-proxy',
  h2load: 'nghttp2-client',
  taskset: 'util-linux',
  'g++': 'g++',
};

/** Absolute path of a tool. Throws an Error that names its Debian package where it is missing. */
export function toolPath(name: string): string {
  // Debian keeps servers in /usr/sbin, which is not in every user's PATH.
  const { stdout } = spawnSync('sh', ['-c', `PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v ${name}`], { encoding: 'utf8' });
  const path = stdout.trim();
  if (path === '') throw new Error(`${name} is missing (Debian: apt-get install ${PACKAGES[name] ?? name})`);
  return path;
}

/** Starts a command on one core. Throws where it cannot be started. */
export function start(core: number, command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(toolPath('taskset'), ['-c', String(core), command, ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  return watch(child);
}

function watch(child: ChildProcess): Running {
  let output = '';
  let exit: string | undefined;
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString('latin1')).slice(-OUTPUT_BYTES);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const ended = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      exit ??= error.message;
      resolve();
    });
    child.on('close', (code, signal) => {
      exit ??= signal ?? `code ${code}`;
      resolve();
    });
  });
  const pid = child.pid as number;
  const signal = (name: NodeJS.Signals) => {
    try {
      process.kill(-pid, name);
    } catch {
      // The group has ended by itself.
    }
  };
  const onExit = () => signal('SIGKILL');
  process.once('exit', onExit);
  return {
    pid,
    output: () => output,
    exit: () => exit,
    stop: async () => {
      if (exit === undefined) {
        signal('SIGTERM');
        const timer = setTimeout(() => signal('SIGKILL'), 2_000);
        await ended;
        clearTimeout(timer);
      }
      signal('SIGKILL');
      process.removeListener('exit', onExit);
    },
  };
}

/** The process and all its descendants. */
function tree(pid: number): number[] {
  const pids = [pid];
  for (let i = 0; i < pids.length; i++) {
    try {
      for (const task of readdirSync(`/proc/${pids[i]}/task`)) {
        const children = readFileSync(`/proc/${pids[i]}/task/${task}/children`, 'latin1').trim();
        if (children !== '') pids.push(...children.split(' ').map(Number));
      }
    } catch {
      // It has ended meanwhile: what it used is in its parent's numbers no more, and in nobody's.
    }
  }
  return pids;
}

/** CPU time that the process tree has used since its start. */
export function cpuTime(pid: number): CpuTime {
  let [user, sys] = [0, 0];
  for (const each of tree(pid)) {
    try {
      const stat = readFileSync(`/proc/${each}/stat`, 'latin1');
      // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      user += Number(fields[11]);
      sys += Number(fields[12]);
    } catch {
      // Ended between the listing and here.
    }
  }
  const tickUs = 1e6 / TICKS_PER_S;
  return { userUs: user * tickUs, sysUs: sys * tickUs };
}

/** Resident memory of the process tree, in bytes. */
export function rssBytes(pid: number): number {
  let sum = 0;
  for (const each of tree(pid)) {
    try {
      const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${each}/status`, 'latin1'))?.[1];
      sum += Number(kib ?? 0) * 1024;
    } catch {
      // Ended between the listing and here.
    }
  }
  return sum;
}

/** Below those that the system gives to outgoing connections: one of these could take a port between its choice and its use. */
const [FIRST_PORT, LAST_PORT] = [12_000, 32_000];

/** A port nobody listens on now. Throws where none is found. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Waits until somebody listens on the port. Throws with the process's output where it ends first, or after `timeoutMs`. */
export async function waitForPort(port: number, running: Running, what: string, timeoutMs = 15_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await canConnect(port))) {
    const exit = running.exit();
    if (exit !== undefined) throw new Error(`${what} ended with ${exit}:\n${running.output()}`);
    if (Date.now() > end) throw new Error(`${what} does not listen on port ${port} after ${timeoutMs} ms:\n${running.output()}`);
    await sleep(25);
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (there: boolean) => {
      socket.destroy();
      resolve(there);
    };
    socket.on('connect', () => done(true));
    socket.on('error', () => done(false));
  });
}

export const sleep = (timeMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, timeMs));
