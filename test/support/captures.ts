/** Captures made by hand: TCP segments in IP packets, in pcap and pcapng files. */
import type { Packet } from '../../src/cli/capture/capture-file.js';

export interface Parts {
  readonly from?: readonly [host: number, port: number];
  readonly to?: readonly [host: number, port: number];
  readonly sequence?: number;
  readonly flags?: number;
  readonly text?: string;
  /** In place of `text`. */
  readonly bytes?: Buffer;
}
export const SYN = 2;
export const ACK = 16;
export const CLIENT = [1, 50_000] as const;
export const SERVER = [2, 7000] as const;
export function tcp({ from = CLIENT, to = SERVER, sequence = 1, flags = ACK, text = '', bytes = Buffer.from(text) }: Parts): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt16BE(from[1], 0);
  head.writeUInt16BE(to[1], 2);
  head.writeUInt32BE(sequence >>> 0, 4);
  head[12] = 5 << 4;
  head[13] = flags;
  return Buffer.concat([head, bytes]);
}
export function ipv4(parts: Parts): Buffer {
  const { from = CLIENT, to = SERVER } = parts;
  const payload = tcp(parts);
  const head = Buffer.from([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, from[0], 10, 0, 0, to[0]]);
  head.writeUInt16BE(20 + payload.length, 2);
  return Buffer.concat([head, payload]);
}
export function ipv6(parts: Parts, extension: Buffer = Buffer.alloc(0)): Buffer {
  const { from = CLIENT, to = SERVER } = parts;
  const payload = Buffer.concat([extension, tcp(parts)]);
  const head = Buffer.alloc(40);
  head[0] = 0x60;
  head.writeUInt16BE(payload.length, 4);
  head[6] = extension.length > 0 ? 0 : 6;
  for (const [at, [host]] of [
    [8, from],
    [24, to],
  ] as const) {
    head.set([0x20, 0x01, 0x0d, 0xb8], at);
    head[at + 15] = host;
  }
  return Buffer.concat([head, payload]);
}
export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');
export const ethernet = (ip: Buffer, tags = ''): Buffer =>
  Buffer.concat([Buffer.alloc(12), hex(tags), ip[0] >> 4 === 4 ? hex('0800') : hex('86dd'), ip, Buffer.alloc(6)]);
export const raw = (bytes: Uint8Array, timeMs = 0): Packet => ({ linkType: 101, timeMs, bytes });

export function pcap(packets: readonly Buffer[], { little = true, nanoseconds = false, linkType = 101 } = {}): Buffer {
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    if (little) bytes.writeUInt32LE(value);
    else bytes.writeUInt32BE(value);
    return bytes;
  };
  const head = [u32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4), u32(0x00040002), u32(0), u32(0), u32(65_535), u32(linkType)];
  const records = packets.flatMap((bytes, i) => [
    u32(1_700_000_000 + i),
    u32(nanoseconds ? 250_000_000 : 250_000),
    u32(bytes.length),
    u32(bytes.length),
    bytes,
  ]);
  return Buffer.concat([...head, ...records]);
}
export function pcapng(packets: readonly Buffer[], { linkType = 101, resolution = -1 } = {}): Buffer {
  const block = (type: number, body: Buffer): Buffer => {
    const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32LE(type);
    ends.writeUInt32LE(padded.length + 12, 4);
    return Buffer.concat([ends, padded, ends.subarray(4)]);
  };
  const about = Buffer.alloc(8);
  about.writeUInt16LE(linkType);
  const options = resolution < 0 ? Buffer.alloc(0) : Buffer.from([9, 0, 1, 0, resolution, 0, 0, 0, 0, 0, 0, 0]);
  const ticks = BigInt(1_700_000_000_250) * (resolution === 9 ? 1_000_000n : 1000n);
  return Buffer.concat([
    block(0x0a0d0d0a, hex('4d3c2b1a 0100 0000 ffffffffffffffff')),
    block(1, Buffer.concat([about, options])),
    block(5, Buffer.alloc(12)), // statistics: skipped
    ...packets.map((bytes) => {
      const head = Buffer.alloc(20);
      head.writeUInt32LE(Number(ticks >> 32n), 4);
      head.writeUInt32LE(Number(ticks & 0xffff_ffffn), 8);
      head.writeUInt32LE(bytes.length, 12);
      head.writeUInt32LE(bytes.length, 16);
      return block(6, Buffer.concat([head, bytes]));
    }),
  ]);
}
