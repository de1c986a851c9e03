/**
 * `npm run bench -- micro`: what does each hot operation cost, native and fallback? The npm package `benchmark` measures JavaScript (medians of its samples);
 * bench/native_micro.cc measures the C++ core where the engine calls it. `through N-API` is the same core called from JavaScript, as the agreement test does:
 * it shows what a crossing for each message would cost.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { http1 } from '../codecs/http1/index.js';
import { HpackDecoder } from '../codecs/http2/hpack/decoder.js';
import { HpackEncoder } from '../codecs/http2/hpack/encoder.js';
import { Http2Connection, http2Options } from '../codecs/http2/index.js';
import { BLOCK } from '../codecs/http2/spec.js';
import { loadAddon } from '../src/base/backend.js';
import { StatsStore } from '../src/base/stats.js';
import { measureCodec } from '../src/cli/codec/bench.js';
import { findSubject } from '../src/cli/codec/subject.js';
import { loadCodecs } from '../src/control/codecs.js';
import { compileConfig } from '../src/control/compile/index.js';
import { formatProblems, loadBootstrap } from '../src/control/config/index.js';
import { Edits } from '../src/protocol/edits.js';
import { createFrameDecoder, DECODED } from '../src/protocol/frame-decoder.js';
import { type Field, fixed, frameLayout, i16, i32, u8, u16, u32, type VariantDescription } from '../src/protocol/frame-layout.js';
import { compileFrameProgram } from '../src/protocol/frame-program.js';
import type { FramingLimits, Input, MessageSession, OutHead } from '../src/protocol/framing.js';
import type { Head } from '../src/protocol/head.js';
import { STREAM_EVENT } from '../src/protocol/stream-table.js';
import { compileTextFormat, DEFAULT_FORMAT } from '../src/proxy/access-log/formatter.js';
import { emptyRecord } from '../src/proxy/http/log-record.js';
import type { RouteTable } from '../src/proxy/runtime.js';
import { toolPath } from './process.js';

const USAGE = `npm run bench -- micro [--seconds N] [WORD...]
  --seconds N    length of one measurement; default 1
  WORD           only operations whose name holds one of the words`;

const REQUEST = [
  'GET /api/v1/products/42?currency=eur HTTP/1.1',
  'Host: shop.example.com',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'Accept: application/json, text/plain, */*',
  'Accept-Language: en-US,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br',
  'Cookie: session=2c8e1f6d4b9a7035; theme=dark',
  'X-Request-Id: 7a3c6f1e-52a5-4dc4-9a2f-0e5b7f0d9c11',
  'Connection: keep-alive',
  '',
  '',
].join('\r\n');
const RESPONSE_LINES = [
  'HTTP/1.1 200 OK',
  'Server: nginx/1.22.1',
  'Date: Sat, 21 Nov 2026 12:00:00 GMT',
  'Content-Type: application/json',
  'ETag: "5f2b-9c1d"',
];
const RESPONSE = [...RESPONSE_LINES, 'Content-Length: 0', '', ''].join('\r\n');
const CHUNK_BYTES = 1024;
const CHUNKS = 16;
const CHUNK = `${CHUNK_BYTES.toString(16)}\r\n${'x'.repeat(CHUNK_BYTES)}\r\n`;
const CHUNKED = `${[...RESPONSE_LINES, 'Transfer-Encoding: chunked', '', ''].join('\r\n')}${CHUNK.repeat(CHUNKS)}0\r\n\r\n`;
const LIMITS: FramingLimits = { maxHeadBytes: 61_440, maxHeaders: 100, maxTargetBytes: 61_440, acceptHttp10: true, underscores: 'allow' };
const GET_CONTEXT = { isHead: false, isConnect: false, isUpgrade: false, isHttp11: true } as const;
const PLAIN: OutHead = { framing: 'none', contentLength: -1, close: false, keepAlive: false, upgrade: false };

/** A request of Bolt v1 and what is needed to read it: 11 fields, checked lengths, three sections. */
const FRAME_LAYOUT = (() => {
  const variant = (name: string, types: number[], own: Record<string, Field>, at: number): VariantDescription => ({
    name,
    when: { type: types },
    fields: {
      command: u16(2, { oneOf: [0, 1, 2] }),
      version: u8(4),
      id: u32(5),
      codec: u8(9),
      ...own,
      classBytes: i16(at, { min: 0 }),
      headerBytes: i16(at + 2, { min: 0 }),
      contentBytes: i32(at + 4, { min: 0 }),
    },
    length: fixed(at + 8).plus('classBytes', 'headerBytes', 'contentBytes'),
    sections: { class: 'classBytes', header: 'headerBytes', content: 'contentBytes' },
    id: 'id',
    kind:
      name === 'request'
        ? [{ is: 'heartbeat', when: { command: 0 } }, { is: 'oneway', when: { type: 2 } }, { is: 'request' }]
        : [{ is: 'heartbeat-ack', when: { command: 0 } }, { is: 'response' }],
  });
  return frameLayout({
    prefix: { protocol: u8(0, { equals: 1 }), type: u8(1, { oneOf: [0, 1, 2] }) },
    variants: [variant('request', [1, 2], { timeout: i32(10) }, 14), variant('response', [0], { status: u16(10) }, 12)],
  });
})();
const FRAME = Buffer.concat([
  Buffer.from('0101 0001 01 00000007 01 00000bb8 002c 0040 00000080'.replaceAll(' ', ''), 'hex'),
  Buffer.alloc(44 + 64 + 128, 'x'),
]);
const FRAME_LIMITS = { maxFrameBytes: 1 << 24 };

/** A request as a browser repeats it: the first block fills the tables, the second is what is measured; and one that must be read as literals. */
const H2_FIELDS = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'shop.example.com'],
  [':path', '/api/v1/products/42?currency=eur'],
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'],
  ['accept', 'application/json, text/plain, */*'],
  ['accept-language', 'en-US,en;q=0.5'],
  ['accept-encoding', 'gzip, deflate, br'],
  ['cookie', 'session=2c8e1f6d4b9a7035'],
  ['x-request-id', '7a3c6f1e-52a5-4dc4-9a2f-0e5b7f0d9c11'],
] as const;
const H2_LIMITS = { maxHeadBytes: 61_440, maxHeaders: 100, maxTargetBytes: 61_440, underscores: 'allow', extendedConnect: false } as const;
const AS_RECEIVED = { contentLength: -1, scheme: '', upgrade: false } as const;
function fieldBlock(encoder: HpackEncoder): Buffer {
  encoder.begin();
  for (const [name, value] of H2_FIELDS) encoder.field(Buffer.from(name), 0, name.length, Buffer.from(value), 0, value.length);
  return Buffer.from(encoder.end());
}
const [H2_FIRST, H2_AGAIN] = (() => {
  const encoder = new HpackEncoder();
  return [fieldBlock(encoder), fieldBlock(encoder)];
})();
const h2Frame = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer => {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
};
/** 16 frames of DATA of 1,024 bytes. */
const H2_DATA = Buffer.concat(Array.from({ length: 16 }, () => h2Frame(0, 0, 1, Buffer.alloc(1024, 'x'))));
const H2_PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  h2Frame(4, 0, 0, Buffer.alloc(0)),
  h2Frame(4, 1, 0, Buffer.alloc(0)),
  h2Frame(1, 4, 1, H2_FIRST),
]);

/** Reads the same header block again and again. */
function h2Decoder(again: boolean): () => void {
  const decoder = new HpackDecoder();
  decoder.decode(H2_FIRST, 0, H2_FIRST.length, BLOCK.REQUEST, H2_LIMITS);
  const block = again ? H2_AGAIN : H2_FIRST;
  return () => {
    decoder.decode(block, 0, block.length, BLOCK.REQUEST, H2_LIMITS);
    if (decoder.fault !== undefined) throw new Error(decoder.fault);
  };
}
function h2Encoder(): () => void {
  const decoder = new HpackDecoder();
  const head = decoder.decode(H2_FIRST, 0, H2_FIRST.length, BLOCK.REQUEST, H2_LIMITS).retain();
  const encoder = new HpackEncoder();
  const edits = new Edits();
  return () => encoder.head(head, edits, AS_RECEIVED);
}
function h2Reader(): () => void {
  const connection = new Http2Connection('downstream', http2Options());
  const preface = { bytes: H2_PREFACE, offset: 0, ended: false };
  while (connection.next(preface, 0).kind !== STREAM_EVENT.MORE);
  return () => {
    const input = { bytes: H2_DATA, offset: 0, ended: false };
    for (let event = connection.next(input, 0); event.kind !== STREAM_EVENT.MORE; event = connection.next(input, 0)) {
      if (event.kind !== STREAM_EVENT.DATA) throw new Error(`event ${event.kind}`);
      connection.consume(event.stream, event.bytes.length);
    }
    connection.output.take();
  };
}

/** One operation, with its implementations; C++'s own is found by name in what native_micro prints. */
interface Operation {
  readonly name: string;
  readonly fallback: () => unknown;
  readonly napi?: () => unknown;
}

/** Nanoseconds of one call: the median of the samples of `benchmark`, each long enough for the clock. */
function nanoseconds(run: () => unknown, seconds: number): number {
  const Benchmark = createRequire(import.meta.url)('benchmark') as new (
    run: () => unknown,
    options: object,
  ) => { run(): void; readonly stats: { readonly sample: readonly number[] }; readonly error?: Error };
  const benchmark = new Benchmark(run, { maxTime: seconds, minSamples: 10 });
  benchmark.run();
  if (benchmark.error !== undefined) throw benchmark.error;
  const sample = [...benchmark.stats.sample].sort((a, b) => a - b);
  return sample[sample.length >> 1] * 1e9;
}

/** A session that reads the same message again and again. */
function reader(text: string, side: 'downstream' | 'upstream'): () => void {
  const session: MessageSession = http1.open(side, LIMITS);
  const input: { -readonly [K in keyof Input]: Input[K] } = { bytes: Buffer.from(text, 'latin1'), offset: 0, ended: false };
  return () => {
    input.offset = 0;
    for (let step = session.next(input); step.kind !== 'end'; step = session.next(input)) {
      if (step.kind === 'head') session.startBody(side === 'upstream' ? GET_CONTEXT : undefined);
      if (step.kind === 'more') throw new Error('the message is not whole');
    }
  };
}

function parsed(text: string, side: 'downstream' | 'upstream'): { session: MessageSession; head: Head } {
  const session = http1.open(side, LIMITS);
  const step = session.next({ bytes: Buffer.from(text, 'latin1'), offset: 0, ended: false });
  if (step.kind !== 'head') throw new Error('no head');
  return { session, head: step.head };
}

/** The route table of a configuration with many routes, the last of which is the one that is asked for. */
function routeTable(root: string): RouteTable {
  const text = readFileSync(join(root, 'bench/configs/sluice-http.yaml'), 'utf8').replaceAll(/@\w+@/g, '18080');
  const routes = Array.from(
    { length: 50 },
    (_, i) => `                        - { match: { prefix: /service-${i}/ }, route: { cluster: backend } }\n`,
  );
  const at = text.indexOf('                        - match: { prefix: / }');
  const loaded = loadBootstrap(text.slice(0, at) + routes.join('') + text.slice(at), { file: 'bench.yaml' });
  if (loaded.bootstrap === undefined) throw new Error(formatProblems(loaded.problems, 'text'));
  const { config } = compileConfig(loaded.bootstrap);
  const filter = config.listeners[0]?.chains[0]?.filter;
  if (filter?.kind !== 'http') throw new Error('bench/configs/sluice-http.yaml has no HTTP listener');
  return filter.routes;
}

/** Reads the same frame again and again. */
function frameReader(): () => void {
  const decode = createFrameDecoder('bench', FRAME_LAYOUT, FRAME_LIMITS);
  const ints = new Int32Array(FRAME_LAYOUT.tableWords);
  return () => {
    if (decode(FRAME, 0, FRAME.length, ints, 0) !== DECODED.WHOLE) throw new Error('the frame is not whole');
  };
}
function nativeFrameReader(addon: object | undefined): (() => unknown) | undefined {
  if (addon === undefined) return undefined;
  const { words, codes } = compileFrameProgram(FRAME_LAYOUT);
  type Open = (words: Int32Array, codes: number, maxFrameBytes: number, cutThroughBytes: number) => { decode(...args: unknown[]): unknown };
  const decoder = (addon as { readonly frameDecoder: Open }).frameDecoder(words, codes.length, FRAME_LIMITS.maxFrameBytes, 0);
  const ints = new Int32Array(FRAME_LAYOUT.tableWords);
  return () => decoder.decode(FRAME, 0, FRAME.length, ints, 0);
}

type NativeHttp1 = Readonly<Record<'http1ParseHead' | 'http1Body' | 'http1WriteHead', (...args: unknown[]) => { readonly table: Int32Array }>>;

function operations(root: string, addon: NativeHttp1 | undefined): Operation[] {
  const [request, response, chunked] = [REQUEST, RESPONSE, CHUNKED].map((text) => Buffer.from(text, 'latin1'));
  const { session, head } = parsed(REQUEST, 'downstream');
  const lines = Buffer.from('x-request-id: 7a3c6f1e-52a5-4dc4-9a2f-0e5b7f0d9c11\r\nx-forwarded-proto: http\r\n', 'latin1');
  const edits = new Edits();
  const table = addon?.http1ParseHead(request, false, LIMITS).table;
  const chunkedTable = addon?.http1ParseHead(chunked, true, LIMITS).table;
  const chunkedBody = chunked.subarray(CHUNKED.indexOf('\r\n\r\n') + 4);
  const native = <T>(run: (addon: NativeHttp1) => T) => (addon === undefined ? undefined : () => run(addon));

  const routes = routeTable(root);
  const routeInput = { host: 'shop.example.com', path: head.path, scheme: 'http', isConnect: false, upgrade: '', random: 0.5 };
  const format = compileTextFormat(DEFAULT_FORMAT);
  const record = {
    ...emptyRecord(),
    startTime: 1_795_000_000_000,
    end: 12,
    requestHead: head.retain(),
    responseHead: parsed(RESPONSE, 'upstream').head.retain(),
  };
  Object.assign(record, {
    method: 'GET',
    path: head.path,
    originalPath: head.path,
    protocol: 'HTTP/1.1',
    responseCode: 200,
    authority: 'shop.example.com',
  });
  record.upstreamHost = { ip: '10.0.0.7', port: 8080 };
  const store = new StatsStore();
  const [counter, histogram] = [store.counter('bench'), store.histogram('bench_ms')];
  let value = 0;
  return [
    { name: 'parse request head', fallback: reader(REQUEST, 'downstream'), napi: native((to) => to.http1ParseHead(request, false, LIMITS)) },
    { name: 'parse response head', fallback: reader(RESPONSE, 'upstream'), napi: native((to) => to.http1ParseHead(response, true, LIMITS)) },
    {
      name: 'write request head',
      fallback: () => session.encodeHead(head, edits.reset().appendBytes(lines), PLAIN),
      napi: native((to) => {
        edits.reset().appendBytes(lines);
        return to.http1WriteHead(request, table, edits.ints, edits.bytes, PLAIN);
      }),
    },
    { name: 'read chunked body', fallback: reader(CHUNKED, 'upstream'), napi: native((to) => to.http1Body(chunkedBody, chunkedTable, GET_CONTEXT)) },
    { name: 'decode a described frame', fallback: frameReader(), napi: nativeFrameReader(addon) },
    { name: 'HPACK decode literals', fallback: h2Decoder(false) },
    { name: 'HPACK decode indexed', fallback: h2Decoder(true) },
    { name: 'HPACK encode request', fallback: h2Encoder() },
    { name: 'read 16 DATA frames', fallback: h2Reader() },
    { name: 'edit a head', fallback: () => edits.reset().target('/v2/products').replace(1, 'example.org').appendBytes(lines) },
    { name: 'look up a known header', fallback: () => head.known('user-agent') },
    { name: 'look up any header', fallback: () => head.get('accept-language') },
    { name: 'keep a head', fallback: () => head.retain() },
    { name: 'match the last of 51 routes', fallback: () => routes.match(head, routeInput) },
    { name: 'format an access log line', fallback: () => format.format(record) },
    {
      name: 'count and record',
      fallback: () => {
        value = (value + 7) & 1023;
        counter.inc();
        histogram.record(value);
      },
    },
  ];
}

/** Nanoseconds by name of the C++ core; empty, with a sentence, where it cannot be built. */
function nativeCore(root: string, seconds: number): Map<string, number> {
  const found = new Map<string, number>();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-micro-'));
  try {
    const program = Buffer.from(compileFrameProgram(FRAME_LAYOUT).words.buffer).toString('latin1');
    const files = {
      request: REQUEST,
      response: RESPONSE,
      chunked: CHUNKED,
      frame: FRAME.toString('latin1'),
      program,
      h2First: H2_FIRST.toString('latin1'),
      h2Again: H2_AGAIN.toString('latin1'),
      h2Preface: H2_PREFACE.toString('latin1'),
      h2Data: H2_DATA.toString('latin1'),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, 'latin1');
    const list = spawnSync(process.execPath, [join(root, 'native/sources.mjs'), 'core'], { encoding: 'utf8' });
    const sources = list.stdout.split('\n').filter((file) => /http1|http2|hpack|frame_|crc32/.test(file));
    const executable = join(root, 'build/bench/native_micro');
    mkdirSync(join(root, 'build/bench'), { recursive: true });
    const args = ['-std=c++20', '-O3', '-DNDEBUG', '-fno-exceptions', '-Inative', 'bench/native_micro.cc', ...sources, '-o', executable];
    const built = spawnSync(toolPath('g++'), args, { cwd: root, encoding: 'utf8' });
    if (built.status !== 0) throw new Error(built.stderr);
    const ran = spawnSync(executable, [String(seconds), ...Object.keys(files).map((name) => join(folder, name))], { encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(ran.stderr);
    for (const [, name, ns] of ran.stdout.matchAll(/^(.+)\t([\d.]+)$/gm)) found.set(name, Number(ns));
  } catch (error) {
    console.log(`The C++ core is left out: ${(error as Error).message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return found;
}

const CODEC_FRAMES = 'find a frame of';
/** Finding the frames of each codec's vectors, and of Bolt with a megabyte of payload each; through N-API once for many frames. */
async function codecFrames(words: readonly string[], seconds: number, print: (cells: readonly string[]) => void): Promise<void> {
  const folder = new URL('../codecs/', import.meta.url);
  const cases = [...(await loadCodecs({ folder, paths: [] })).codecs.keys()].map((codec): { name: string; codec: string; bodyBytes?: number } => ({
    name: `${CODEC_FRAMES} ${codec}`,
    codec,
  }));
  cases.push({ name: `${CODEC_FRAMES} bolt, 1 MiB`, codec: 'bolt', bodyBytes: 1024 * 1024 });
  for (const { name, codec, bodyBytes } of cases) {
    if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
    const { native, fallback, ratio, bytesPerFrame } = measureCodec(await findSubject(codec, folder), {
      rounds: 5,
      roundMs: (seconds * 1000) / 10,
      ...(bodyBytes === undefined ? {} : { bodyBytes }),
    });
    const show = (cost: typeof native) => (cost === undefined ? '' : cost.nsPerFrame.toFixed(cost.nsPerFrame < 100 ? 1 : 0));
    const speed = native === undefined || bytesPerFrame < 1e6 ? '' : `${(native.bytesPerSecond / 1e9).toFixed(0)} GB/s`;
    print([name, show(fallback), show(native), ratio === undefined ? '' : ratio.toFixed(1), speed]);
  }
}

/** Runs the micro benchmarks and prints one line for each. Gives the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  const words = [...args];
  const at = words.indexOf('--seconds');
  const seconds = at < 0 ? 1 : Number(words.splice(at, 2)[1]);
  if (!(seconds > 0)) throw new Error(`--seconds: a number above 0\n${USAGE}`);
  const root = process.cwd();
  let addon: NativeHttp1 | undefined;
  try {
    addon = loadAddon() as unknown as NativeHttp1;
  } catch (error) {
    console.log(`The addon is left out: ${(error as Error).message.split('\n')[0]}`);
  }
  const wanted = operations(root, addon).filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
  if (wanted.length === 0 && !words.some((word) => CODEC_FRAMES.includes(word))) throw new Error(`no operation is named like ${words.join(', ')}`);
  const core = nativeCore(root, seconds);
  console.log(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, Node ${process.versions.node}; nanoseconds for one, medians`,
  );
  const print = (cells: readonly string[]) => console.log(cells.map((cell, column) => (column === 0 ? cell.padEnd(28) : cell.padStart(14))).join(''));
  print(['operation', 'fallback', 'native', 'ratio', 'through N-API']);
  for (const { name, fallback, napi } of wanted) {
    const fallbackNs = nanoseconds(fallback, seconds);
    const nativeNs = core.get(name);
    const napiNs = napi === undefined ? undefined : nanoseconds(napi, seconds);
    const show = (ns: number | undefined) => (ns === undefined ? '' : ns.toFixed(ns < 100 ? 1 : 0));
    print([name, show(fallbackNs), show(nativeNs), nativeNs === undefined ? '' : (fallbackNs / nativeNs).toFixed(1), show(napiNs)]);
  }
  await codecFrames(words, seconds, print);
  return 0;
}
