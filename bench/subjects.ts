/** What is measured by `npm run bench -- proxy`: Sluice on both engines and its peers, each with one worker on one core. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Http2Traffic } from './h2.js';
import { freePort, type Running, start, toolPath, waitForPort } from './process.js';

/** `http`: an HTTP proxy; `tcp`: the same load through a TCP proxy; `rpc`: an RPC proxy, or a peer that relays the bytes as they are. */
export type Mode = 'http' | 'tcp' | 'rpc';

/** A subject that runs. */
export interface Subject {
  readonly name: string;
  readonly port: number;
  readonly running: Running;
}

/** Where and behind what a subject is started. */
export interface Place {
  /** The repository. */
  readonly root: string;
  /** A folder for generated configurations. */
  readonly folder: string;
  readonly mode: Mode;
  readonly core: number;
  readonly backendPort: number;
  /** Of mode `rpc`: the codec. */
  readonly codec?: string;
  /** Of mode `http`: what speaks HTTP/2; undefined: nothing. */
  readonly h2?: Http2Traffic;
}

/** How to start one subject. `launch` throws where it cannot run; the error says what is missing. */
export interface SubjectKind {
  readonly name: string;
  launch(place: Place): Promise<Subject>;
}

const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';

function configure(place: Place, template: string, port: number, more: Readonly<Record<string, string>> = {}): string {
  const values: Record<string, string> = {
    PORT: String(port),
    BACKEND_PORT: String(place.backendPort),
    FOLDER: place.folder,
    CODEC: place.codec ?? '',
    FRONT: '',
    BACK: '',
    ...more,
  };
  const text = readFileSync(join(place.root, 'bench/configs', template), 'utf8').replace(
    /@([A-Z_]+)@/g,
    (whole, name: string) => values[name] ?? whole,
  );
  const file = join(place.folder, `${port}-${template}`);
  writeFileSync(file, text);
  return file;
}

async function launched(name: string, port: number, running: Running): Promise<Subject> {
  try {
    await waitForPort(port, running, name);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return { name, port, running };
}

function sluice(name: string, backend: string): SubjectKind {
  return {
    name,
    launch: async (place) => {
      const main = join(place.root, 'dist/src/main.js');
      if (!existsSync(main)) throw new Error('dist/src/main.js is missing (npm run build)');
      const port = await freePort();
      const file = configure(place, `sluice-${place.h2?.back === true ? 'h2' : place.mode}.yaml`, port);
      const running = start(place.core, process.execPath, [main, '-c', file, '--concurrency', '1', '-l', 'warning'], { SLUICE_BACKEND: backend });
      return launched(name, port, running);
    },
  };
}

const nodeHttp: SubjectKind = {
  name: 'node-http',
  launch: async (place) => {
    if (place.mode === 'rpc') throw new Error('it knows HTTP and TCP only');
    const port = await freePort();
    const { h2 } = place;
    const program = h2 === undefined ? ['node-http.mjs', place.mode] : ['node-http2.mjs', h2.front ? 'h2' : 'h1', h2.back ? 'h2' : 'h1'];
    const args = [join(place.root, 'bench/peers', program[0]), ...program.slice(1), String(port), String(place.backendPort)];
    return launched('node-http', port, start(place.core, process.execPath, args));
  },
};

/** Peers that know no RPC protocol relay its bytes: the floor of what an RPC proxy can cost. */
const relayMode = ({ mode }: Place): 'http' | 'tcp' => (mode === 'http' ? 'http' : 'tcp');

const haproxy: SubjectKind = {
  name: 'haproxy',
  launch: async (place) => {
    const port = await freePort();
    const protocols = { FRONT: place.h2?.front === true ? ' proto h2' : '', BACK: place.h2?.back === true ? ' proto h2' : '' };
    const file = configure(place, `haproxy-${relayMode(place)}.cfg`, port, protocols);
    return launched('haproxy', port, start(place.core, toolPath('haproxy'), ['-db', '-f', file]));
  },
};

const nginx: SubjectKind = {
  name: 'nginx',
  launch: async (place) => {
    const command = toolPath('nginx');
    if (relayMode(place) === 'tcp' && !existsSync(STREAM_MODULE)) {
      throw new Error('the stream module of nginx is missing (Debian: apt-get install libnginx-mod-stream)');
    }
    if (place.h2?.back === true && !place.h2.grpc) throw new Error('it speaks HTTP/2 to servers for gRPC only');
    const port = await freePort();
    const folder = join(place.folder, `nginx-${port}`);
    mkdirSync(folder, { recursive: true });
    const template = `nginx-${place.h2?.grpc === true ? 'grpc' : relayMode(place)}.conf`;
    const values = { FOLDER: folder, LOAD_STREAM: `load_module ${STREAM_MODULE};`, FRONT: place.h2?.front === true ? ' http2' : '' };
    const file = configure(place, template, port, values);
    return launched('nginx', port, start(place.core, command, ['-e', 'stderr', '-p', folder, '-c', file]));
  },
};

const nghttpx: SubjectKind = {
  name: 'nghttpx',
  launch: async (place) => {
    if (place.h2 === undefined) throw new Error('it is a peer where HTTP/2 is spoken');
    const port = await freePort();
    const folder = join(place.folder, `nghttpx-${port}`);
    mkdirSync(folder, { recursive: true });
    // An empty configuration file, so that the one of the system is not read; the two counts are its own defaults but for unlimited clients.
    const file = join(folder, 'nghttpx.conf');
    writeFileSync(file, '');
    const backend = `127.0.0.1,${place.backendPort};/;no-tls${place.h2.back ? ';proto=h2' : ''}`;
    const args = [`--conf=${file}`, `--frontend=127.0.0.1,${port};no-tls`, `--backend=${backend}`, '--workers=1', '--single-process'];
    args.push('--worker-frontend-connections=0', '--rlimit-nofile=65536', '--log-level=WARN', `--pid-file=${join(folder, 'pid')}`);
    return launched('nghttpx', port, start(place.core, toolPath('nghttpx'), args));
  },
};

/** The subjects that are always there, in the order of the report. */
export const SUBJECTS: readonly SubjectKind[] = [
  sluice('sluice-native', 'native'),
  sluice('sluice-fallback', 'fallback'),
  nodeHttp,
  haproxy,
  nginx,
  nghttpx,
];

/**
 * A peer from the command line, `NAME=COMMAND@PORT`. COMMAND runs in a shell with `BENCH_PORT`, `BENCH_BACKEND_PORT`, `BENCH_MODE` (`http`, `tcp` or `rpc`), `BENCH_FRONT` and
 * `BENCH_BACK` (`h1` or `h2`) in its environment and must listen on PORT. Throws an Error where the text has another form.
 */
export function peer(text: string): SubjectKind {
  const match = /^([\w.-]+)=(.+)@(\d{1,5})$/s.exec(text);
  if (match === null) throw new Error(`--peer: NAME=COMMAND@PORT, not ${text}`);
  const [, name, command] = match;
  const port = Number(match[3]);
  return {
    name,
    launch: async (place) => {
      const speaks = (isHttp2: boolean | undefined) => (isHttp2 === true ? 'h2' : 'h1');
      const env = {
        BENCH_PORT: String(port),
        BENCH_BACKEND_PORT: String(place.backendPort),
        BENCH_MODE: place.mode,
        BENCH_FRONT: speaks(place.h2?.front),
        BENCH_BACK: speaks(place.h2?.back),
      };
      return launched(name, port, start(place.core, 'sh', ['-c', command], env));
    },
  };
}
