import { readFileSync, statSync } from 'node:fs';
import { ConfigError } from '../../base/errors.js';
import { type Codec, DEFAULT_MAX_FRAME_BYTES, type Side } from '../../protocol/codec.js';
import type { KindName } from '../../protocol/frame-layout.js';
import { isCapture, readCapture } from '../capture/capture-file.js';
import { bytesOfHexText } from '../capture/hex-text.js';
import { type Connection, connectionsOf, type Direction } from '../capture/tcp-streams.js';
import type { Output } from '../validate.js';
import { type DissectedFrame, dissect } from './dissect.js';
import { decodeAt, hexOf, openDecoder } from './frame-reader.js';
import { type Color, quoted, type Style } from './style.js';
import { findSubject } from './subject.js';

export interface DecodeOptions {
  readonly json: boolean;
  /** Absent: told by the bytes. */
  readonly format?: 'hex' | 'raw' | 'pcap';
  /** Who sent the bytes of a hex or raw input. */
  readonly side: Side;
  /** Of a capture: only connections to this port, and all of them. Absent: those that the codec's matcher knows. */
  readonly port?: number;
}
/** Larger inputs are refused: all of it is read at once. */
const MAX_INPUT_BYTES = 256 * 1024 * 1024;
/** Bytes of a section, and characters of a text, that are shown; JSON has all of them. */
const SHOWN_BYTES = 32;

/** Bytes that one end sent, and where they are from. */
interface Source {
  readonly bytes: Uint8Array;
  readonly side: Side;
  /** The connection, for captures. */
  readonly from?: string;
  readonly to?: string;
  timeAt?(offset: number): number;
  /** Bytes that the capture lacks before these. */
  readonly missing: number;
}
type Item =
  | { readonly is: 'frame'; readonly offset: number; readonly frame: DissectedFrame; readonly raw: Uint8Array }
  | { readonly is: 'error'; readonly offset: number; readonly code: string; readonly at: number; readonly message: string; readonly raw: Uint8Array }
  | { readonly is: 'rest'; readonly offset: number; readonly bytes: number }
  | { readonly is: 'missing'; readonly offset: number; readonly bytes: number };
type Placed = Item & { readonly source: Source; readonly timeMs?: number };

/** `sluice codec decode PATH FILE`: prints the frames. Answers the exit status: 1 where bytes are no frame. */
export async function decodeFile(
  path: string,
  file: string,
  codecs: URL,
  options: DecodeOptions,
  style: Style,
  { out, err }: Output,
): Promise<0 | 1> {
  const { codec } = await findSubject(path, codecs);
  const input = readInput(file);
  const format = options.format ?? formatOf(input);
  const sources = format === 'pcap' ? captured(codec, input, options.port, err) : [{ bytes: bytesOf(input, format), side: options.side, missing: 0 }];
  const items = sources.flatMap((source) => itemsOf(codec, source));
  // Of a capture: as it happened.
  const ordered = items.map((item, index) => ({ item, index })).sort((a, b) => (a.item.timeMs ?? 0) - (b.item.timeMs ?? 0) || a.index - b.index);
  for (const { item } of ordered) out(options.json ? `${JSON.stringify(jsonOf(item))}\n` : textOf(item, style));
  return items.some(({ is }) => is === 'error') ? 1 : 0;
}

function readInput(file: string): Uint8Array {
  if (file !== '-' && statSync(file).size > MAX_INPUT_BYTES) throw new ConfigError(`${file} has more than ${MAX_INPUT_BYTES} bytes`);
  const bytes = readFileSync(file === '-' ? 0 : file);
  if (bytes.length > MAX_INPUT_BYTES) throw new ConfigError(`the input has more than ${MAX_INPUT_BYTES} bytes`);
  if (bytes.length === 0) throw new ConfigError('the input is empty');
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
const asText = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
function formatOf(input: Uint8Array): 'hex' | 'raw' | 'pcap' {
  if (isCapture(input)) return 'pcap';
  return bytesOfHexText(asText(input)) === undefined ? 'raw' : 'hex';
}
function bytesOf(input: Uint8Array, format: 'hex' | 'raw'): Uint8Array {
  if (format === 'raw') return input;
  const bytes = bytesOfHexText(asText(input));
  if (bytes === undefined) throw new ConfigError('the input is no text of pairs of hex digits');
  return bytes;
}

/** The streams of a capture that speak the protocol. */
function captured(codec: Codec, input: Uint8Array, port: number | undefined, err: Output['err']): Source[] {
  const connections = connectionsOf(readCapture(input));
  const wanted = connections.map((connection) => placed(connection, port)).filter((connection) => speaks(codec, connection, port));
  err(`${wanted.length} of ${connections.length} TCP connections ${port === undefined ? `speak ${codec.name}` : `go to port ${port}`}\n`);
  return wanted.flatMap(({ client, server }) => [...sourcesOf(client, 'downstream'), ...sourcesOf(server, 'upstream')]);
}
/** The one that listens on `port` is the server, whatever the capture looks like. */
const placed = (connection: Connection, port: number | undefined): Connection =>
  port !== undefined && connection.client.from.port === port && connection.server.from.port !== port
    ? { client: connection.server, server: connection.client }
    : connection;
function speaks(codec: Codec, { client, server }: Connection, port: number | undefined): boolean {
  if (port !== undefined) return server.from.port === port;
  if (codec.match === undefined) return true;
  const head = client.runs[0] ?? server.runs[0];
  return head !== undefined && codec.match(head.bytes.subarray(0, 256)) !== 'no';
}
const sourcesOf = ({ from, to, runs }: Direction, side: Side): Source[] =>
  runs.map((run) => ({
    bytes: run.bytes,
    side,
    from: from.text,
    to: to.text,
    missing: Math.max(0, run.missing),
    timeAt: (offset) => run.timeAt(offset),
  }));

/** Everything that a stream of bytes is. After a broken frame nothing is looked for: where the next one starts nobody knows. */
function itemsOf(codec: Codec, source: Source): Placed[] {
  const { bytes, side } = source;
  const decode = openDecoder(codec, side, { maxFrameBytes: codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES });
  const items: Placed[] = [];
  const add = (item: Item, lastByte: number): void => {
    items.push({ ...item, source, timeMs: source.timeAt?.(lastByte) });
  };
  if (source.missing > 0) add({ is: 'missing', offset: 0, bytes: source.missing }, 0);
  for (let at = 0; at < bytes.length; ) {
    const outcome = decodeAt(codec, decode, bytes, at);
    if (outcome.is === 'more') {
      add({ is: 'rest', offset: at, bytes: bytes.length - at }, bytes.length - 1);
      break;
    }
    if (outcome.is === 'error') {
      const { code, offset, message } = outcome.error;
      add({ is: 'error', offset: at, code, at: offset, message, raw: bytes.subarray(at, at + offset + SHOWN_BYTES) }, at);
      break;
    }
    const { frame } = outcome;
    const size = Math.max(1, frame.length);
    add({ is: 'frame', offset: at, frame: dissect(codec, frame, side), raw: frame.raw }, at + size - 1);
    at += size;
  }
  return items;
}

function jsonOf(item: Placed): object {
  const { source, timeMs, offset } = item;
  const where = {
    from: source.from,
    to: source.to,
    side: source.side,
    time: timeMs === undefined ? undefined : new Date(timeMs).toISOString(),
    offset,
  };
  if (item.is === 'frame') {
    const { frame } = item;
    return { ...where, ...frame, sections: frame.sections.map(({ bytes, ...section }) => ({ ...section, bytes: bytes.length, hex: hexOf(bytes) })) };
  }
  if (item.is === 'error') return { ...where, error: { code: item.code, offset: item.at, message: item.message } };
  return item.is === 'rest' ? { ...where, left: item.bytes } : { ...where, missing: item.bytes };
}

const KIND_COLOR: Readonly<Record<KindName, Color>> = {
  request: 'green',
  oneway: 'green',
  response: 'blue',
  heartbeat: 'magenta',
  'heartbeat-ack': 'magenta',
  'go-away': 'yellow',
  event: 'yellow',
  unknown: 'red',
};
function textOf(item: Placed, style: Style): string {
  const { source, timeMs, offset } = item;
  const time = timeMs === undefined ? '' : `${style('dim', new Date(timeMs).toISOString().slice(11, 23))} `;
  const where = source.from === undefined ? '' : `${source.from} > ${source.to} `;
  const start = `${time}${where}${style('dim', `byte ${offset}`)}  `;
  if (item.is === 'rest') return `${start}${style('yellow', `${item.bytes} bytes are no whole frame yet`)}\n`;
  if (item.is === 'missing') return `${start}${style('yellow', `${item.bytes} bytes before these were not captured`)}\n`;
  if (item.is === 'error') return `${start}${style('red', item.message)}\n  ${markedHex(item.raw, item.at, style)}\n`;
  return `${start}${frameText(item.frame, item.raw, style)}`;
}
/** Hex digits, the byte at `at` marked. */
const markedHex = (bytes: Uint8Array, at: number, style: Style): string =>
  `${hexOf(bytes.subarray(0, at))}${style('red', `[${hexOf(bytes.subarray(at, at + 1))}]`)}${hexOf(bytes.subarray(at + 1))}`;

function frameText(frame: DissectedFrame, raw: Uint8Array, style: Style): string {
  const { kind, variant, id, bytes, service, method, timeoutMs, status, statusClass, headers, error } = frame;
  const title = [
    style(KIND_COLOR[kind], kind),
    ...(variant === undefined ? [] : [variant]),
    ...(id === undefined ? [] : [`id ${id}`]),
    ...(service === undefined ? [] : [`service ${quoted(service)}`]),
    ...(method === undefined ? [] : [`method ${quoted(method)}`]),
    ...(timeoutMs === undefined ? [] : [`timeout ${timeoutMs} ms`]),
    ...(status === undefined ? [] : [`status ${status} (as HTTP ${statusClass})`]),
    `${bytes} bytes`,
  ];
  const row = (at: string, digits: string, name: string, value: string): string =>
    `  ${style('dim', at.padStart(5))}  ${style('dim', digits.padEnd(16))}  ${style('cyan', name.padEnd(14))} ${value}`;
  const lines = [title.join(', ')];
  for (const { name, offset, width = 0, bits, value, means } of frame.fields) {
    const digits = offset === undefined ? '' : hexOf(raw.subarray(offset, offset + width));
    const notes = [...(means === undefined ? [] : [means]), ...(bits === undefined ? [] : [style('dim', `(${bits})`)])];
    lines.push(row(offset === undefined ? '-' : `${offset}`, digits, name, [value, ...notes].join(' ')));
  }
  for (const section of frame.sections) {
    const shown = section.bytes.subarray(0, SHOWN_BYTES);
    const rest = section.bytes.length > shown.length ? ' ...' : '';
    const digits = shown.length <= 8 ? hexOf(shown) : `${hexOf(shown.subarray(0, 6))} ..`;
    const text = shown.length === 0 ? '' : ` ${quoted(textIn(shown) ?? hexOf(shown))}${rest}`;
    lines.push(row(`${section.offset}`, digits, section.name, `${section.bytes.length} bytes${text}`));
  }
  for (const [name, value] of Object.entries(headers ?? {})) lines.push(row('', '', 'header', `${quoted(name)}: ${quoted(value)}`));
  if (error !== undefined) lines.push(`  ${style('red', error)}`);
  return `${lines.join('\n')}\n`;
}
/** Bytes as text where they look like one; else undefined. A character that was cut off at the end does not count. */
function textIn(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(bytes).replace(/\ufffd$/, '');
  return text.includes('\ufffd') || bytes.some((byte) => byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 13) ? undefined : text;
}
