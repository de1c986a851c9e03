import { selectBackend } from '../../base/backend.js';
import { ConfigError } from '../../base/errors.js';
import { DEFAULT_MAX_FRAME_BYTES, isScripted, layoutOf } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';
import { DECODED } from '../../protocol/frame-decoder.js';
import { reencodeFrame } from '../../protocol/frame-encoder.js';
import { compileFrameProgram } from '../../protocol/frame-program.js';
import { FRAME } from '../../protocol/frame-table.js';
import type { Output } from '../validate.js';
import { openDecoder, readFrames } from './frame-reader.js';
import { frameAddonOf } from './native-decoder.js';
import type { Style } from './style.js';
import { findSubject, type Subject, vectorsOf } from './subject.js';
import { bytesOfHex } from './vectors.js';

export interface BenchOptions {
  readonly json: boolean;
  /** Rounds of each engine, interleaved; the middle one counts. */
  readonly rounds: number;
  /** Length of a round. */
  readonly roundMs: number;
  /** Bytes of the last section of every frame; undefined: as in the vectors. */
  readonly bodyBytes?: number;
}
/** What a codec costs on one engine: medians. */
export interface Cost {
  readonly nsPerFrame: number;
  readonly framesPerSecond: number;
  readonly bytesPerSecond: number;
}
/** Frames are put one behind the other up to about so many bytes, as one read of a busy connection brings them. */
const INPUT_BYTES = 65_536;

/** What finding a frame of a codec costs. */
export interface CodecCosts {
  /** Different frames in the input. */
  readonly frames: number;
  readonly bytesPerFrame: number;
  /** Undefined: it does not run natively, for `nativeReason`. */
  readonly native: Cost | undefined;
  readonly nativeReason: string | undefined;
  readonly fallback: Cost;
  /** Fallback / native. */
  readonly ratio: number | undefined;
}

/** Measures a codec on both engines, in interleaved rounds. Throws ConfigError where its vectors hold no frame. */
export function measureCodec(subject: Subject, options: Omit<BenchOptions, 'json'>): CodecCosts {
  const frames = framesOf(subject, options.bodyBytes);
  const repeats = Math.max(1, Math.ceil(INPUT_BYTES / frames.reduce((sum, frame) => sum + frame.length, 0)));
  const input = new Uint8Array(Buffer.concat(Array.from({ length: repeats }, () => frames).flat()));
  const count = repeats * frames.length;
  const { native, nativeReason } = nativeRun(subject, input);
  const fallback = fallbackRun(subject, input);
  for (const run of [fallback, native]) {
    const found = run?.() ?? count;
    if (found !== count) throw new ConfigError(`${found} of ${count} frames were found: run sluice codec test first`);
  }
  const measured = { native: [] as number[], fallback: [] as number[] };
  for (let round = 0; round <= options.rounds; round++) {
    const ns = [native === undefined ? 0 : nsPerFrame(native, count, options.roundMs), nsPerFrame(fallback, count, options.roundMs)];
    // The first round is for the compiler.
    if (round === 0) continue;
    measured.native.push(ns[0]);
    measured.fallback.push(ns[1]);
  }
  const cost = (rounds: readonly number[]): Cost => {
    const ns = rounds.toSorted((a, b) => a - b)[rounds.length >> 1];
    return { nsPerFrame: ns, framesPerSecond: 1e9 / ns, bytesPerSecond: (input.length / count / ns) * 1e9 };
  };
  const result = { native: native === undefined ? undefined : cost(measured.native), fallback: cost(measured.fallback) };
  const ratio = result.native === undefined ? undefined : result.fallback.nsPerFrame / result.native.nsPerFrame;
  return { frames: frames.length, bytesPerFrame: input.length / count, ...result, nativeReason, ratio };
}

/** `sluice codec bench PATH`: what finding a frame costs, native and fallback. Answers the exit status. */
export async function benchCodec(path: string, codecs: URL, options: BenchOptions, style: Style, { out }: Output): Promise<0> {
  const subject = await findSubject(path, codecs);
  const result = measureCodec(subject, options);
  const { frames, bytesPerFrame, nativeReason, ratio } = result;
  if (options.json) {
    const { rounds, roundMs } = options;
    out(`${JSON.stringify({ codec: subject.codec.name, rounds, roundMs, ...result })}\n`);
    return 0;
  }
  const row = (name: string, { framesPerSecond, nsPerFrame: ns, bytesPerSecond }: Cost): string =>
    `  ${name.padEnd(10)}${Math.round(framesPerSecond).toLocaleString('en').padStart(14)}${ns.toFixed(1).padStart(12)}${(bytesPerSecond / 1e6).toFixed(0).padStart(10)}`;
  const lines = [
    `${style('bold', subject.codec.name)}: ${frames} frames, ${bytesPerFrame.toFixed(0)} bytes on average; median of ${options.rounds} rounds of ${options.roundMs} ms`,
    style('dim', `  ${' '.repeat(10)}${'frames/s'.padStart(14)}${'ns/frame'.padStart(12)}${'MB/s'.padStart(10)}`),
    ...(result.native === undefined ? [`  ${'native'.padEnd(10)}${style('dim', `  ${nativeReason}`)}`] : [row('native', result.native)]),
    row('fallback', result.fallback),
  ];
  if (ratio !== undefined) lines.push(`  native is ${style('bold', `${ratio.toFixed(1)} ×`)} fallback`);
  out(`${lines.join('\n')}\n`);
  return 0;
}

/** One frame of each that the vectors hold, with another body where one is asked for. Throws ConfigError where there are none. */
function framesOf(subject: Subject, bodyBytes: number | undefined): Uint8Array[] {
  const { codec } = subject;
  const limits = { maxFrameBytes: codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES };
  // One side only: a session may keep state.
  const vectors = vectorsOf(subject).filter(({ error, side = 'downstream' }) => error === undefined && side === 'downstream');
  const found = vectors.flatMap(({ hex }) => readFrames(codec, 'downstream', limits, bytesOfHex(hex)).frames);
  if (found.length === 0) throw new ConfigError('the vectors hold no frame');
  return found.map((frame) => (bodyBytes === undefined ? frame.raw : withBody(subject, frame, bodyBytes)));
}
function withBody({ codec: { framing } }: Subject, frame: Frame, bytes: number): Uint8Array {
  if (isScripted(framing)) throw new ConfigError('--body-bytes: only frames of a layout can be made larger');
  const variant = framing.variants.find(({ name }) => name === frame.variant) ?? framing.variants[0];
  const last = variant.sections.at(-1);
  if (last === undefined) return frame.raw;
  return reencodeFrame(frame, { sections: { [framing.sectionNames[last.index]]: new Uint8Array(bytes) } });
}

/** Goes through the input once; answers how many frames it found. */
type Run = () => number;
function fallbackRun({ codec }: Subject, input: Uint8Array): Run {
  const decode = openDecoder(codec, 'downstream', { maxFrameBytes: codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES });
  const ints = new Int32Array(layoutOf(codec).tableWords);
  return () => {
    let frames = 0;
    for (let at = 0; at < input.length; at += ints[FRAME.BYTES]) {
      if (decode(input, at, input.length, ints, 0) !== DECODED.WHOLE) break;
      frames++;
    }
    return frames;
  };
}
function nativeRun({ codec }: Subject, input: Uint8Array): { readonly native?: Run; readonly nativeReason?: string } {
  const { framing } = codec;
  if (isScripted(framing)) return { nativeReason: 'a scripted framing runs in TypeScript on both engines' };
  const { addon, reason } = selectBackend();
  if (addon === undefined) return { nativeReason: `the addon is not loaded: ${reason}` };
  const { words, codes } = compileFrameProgram(framing);
  const { decodeAll } = frameAddonOf(addon).frameDecoder(words, codes.length, codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES, 0);
  const ints = new Int32Array(framing.tableWords);
  return { native: () => decodeAll(input, 0, input.length, ints, 0) };
}
function nsPerFrame(run: Run, frames: number, roundMs: number): number {
  const startedAt = process.hrtime.bigint();
  const end = startedAt + BigInt(Math.round(roundMs * 1e6));
  let runs = 0;
  let now = startedAt;
  while (now < end) {
    run();
    runs++;
    now = process.hrtime.bigint();
  }
  return Number(now - startedAt) / (runs * frames);
}
