/** Packets of a capture file: pcap (both orders of bytes, micro- and nanoseconds) and pcapng. Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. */

/** A packet as it was captured: maybe not all of it. */
export interface Packet {
  /** LINKTYPE_ number of the interface: what `bytes` begin with. */
  readonly linkType: number;
  /** Since 1970, with fractions; 0 where the file does not say. */
  readonly timeMs: number;
  readonly bytes: Uint8Array;
}
/** Packets of a file are at most so large; more is taken for a broken file. */
const MAX_PACKET_BYTES = 262_144;
const MAX_INTERFACES = 1024;

const PCAP_HEAD_BYTES = 24;
const PCAP_RECORD_BYTES = 16;
/** Magic as read big-endian: how many ticks a millisecond has, and the order of bytes. */
const PCAP_MAGIC: ReadonlyMap<number, { readonly ticks: number; readonly isLittle: boolean }> = new Map([
  [0xa1b2c3d4, { ticks: 1e3, isLittle: false }],
  [0xd4c3b2a1, { ticks: 1e3, isLittle: true }],
  [0xa1b23c4d, { ticks: 1e6, isLittle: false }],
  [0x4d3cb2a1, { ticks: 1e6, isLittle: true }],
]);
const BLOCK = { SECTION: 0x0a0d0d0a, INTERFACE: 1, PACKET: 2, SIMPLE: 3, ENHANCED: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPTION_TSRESOL = 9;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** True for bytes that begin as a capture file does. */
export const isCapture = (bytes: Uint8Array): boolean =>
  bytes.length >= 4 && (PCAP_MAGIC.has(viewOf(bytes).getUint32(0)) || viewOf(bytes).getUint32(0) === BLOCK.SECTION);

/** The packets of a capture file, in its order. A file that ends within a packet ends before it. Throws RangeError where it is broken, with the place. */
export function readCapture(bytes: Uint8Array): Packet[] {
  const magic = PCAP_MAGIC.get(bytes.length >= 4 ? viewOf(bytes).getUint32(0) : 0);
  return magic === undefined ? readPcapng(bytes) : readPcap(bytes, magic);
}

function readPcap(bytes: Uint8Array, { ticks, isLittle }: { readonly ticks: number; readonly isLittle: boolean }): Packet[] {
  if (bytes.length < PCAP_HEAD_BYTES) throw new RangeError('the capture file ends within its head');
  const view = viewOf(bytes);
  // The upper bits say whether frames end in a checksum.
  const linkType = view.getUint32(20, isLittle) & 0x0fff_ffff;
  const packets: Packet[] = [];
  for (let at = PCAP_HEAD_BYTES; at + PCAP_RECORD_BYTES <= bytes.length; ) {
    const size = view.getUint32(at + 8, isLittle);
    if (size > MAX_PACKET_BYTES) throw new RangeError(`a packet of ${size} bytes at byte ${at} of the capture file`);
    const from = at + PCAP_RECORD_BYTES;
    if (from + size > bytes.length) break;
    const timeMs = view.getUint32(at, isLittle) * 1000 + view.getUint32(at + 4, isLittle) / ticks;
    packets.push({ linkType, timeMs, bytes: bytes.subarray(from, from + size) });
    at = from + size;
  }
  return packets;
}

interface Interface {
  readonly linkType: number;
  readonly ticksPerMs: number;
}
function readPcapng(bytes: Uint8Array): Packet[] {
  const view = viewOf(bytes);
  const packets: Packet[] = [];
  let interfaces: Interface[] = [];
  let isLittle = false;
  for (let at = 0; at + 12 <= bytes.length; ) {
    const isSection = view.getUint32(at) === BLOCK.SECTION;
    if (isSection) {
      if (view.getUint32(at + 8, true) !== BYTE_ORDER_MAGIC && view.getUint32(at + 8) !== BYTE_ORDER_MAGIC)
        throw new RangeError(`a section of unknown byte order at byte ${at} of the capture file`);
      isLittle = view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC;
      interfaces = [];
    } else if (at === 0) throw new RangeError('not a capture file: neither pcap nor pcapng');
    const size = view.getUint32(at + 4, isLittle);
    if (size < 12 || size % 4 !== 0) throw new RangeError(`a block of ${size} bytes at byte ${at} of the capture file`);
    if (at + size > bytes.length) break;
    const body = bytes.subarray(at + 8, at + size - 4);
    const type = view.getUint32(at, isLittle);
    if (type === BLOCK.INTERFACE && body.length >= 8) {
      if (interfaces.length === MAX_INTERFACES) throw new RangeError(`more than ${MAX_INTERFACES} interfaces in the capture file`);
      interfaces.push({ linkType: viewOf(body).getUint16(0, isLittle), ticksPerMs: ticksPerMsOf(body, isLittle) });
    } else if (!isSection) {
      const packet = packetOf(type, body, interfaces, isLittle);
      if (packet !== undefined) packets.push(packet);
    }
    at += size;
  }
  return packets;
}
function packetOf(type: number, body: Uint8Array, interfaces: readonly Interface[], isLittle: boolean): Packet | undefined {
  const view = viewOf(body);
  if (type === BLOCK.SIMPLE && body.length >= 4 && interfaces.length > 0) {
    const size = Math.min(view.getUint32(0, isLittle), body.length - 4);
    return { linkType: interfaces[0].linkType, timeMs: 0, bytes: body.subarray(4, 4 + size) };
  }
  if ((type !== BLOCK.ENHANCED && type !== BLOCK.PACKET) || body.length < 20) return undefined;
  const from = interfaces[type === BLOCK.ENHANCED ? view.getUint32(0, isLittle) : view.getUint16(0, isLittle)];
  if (from === undefined) return undefined;
  const ticks = view.getUint32(4, isLittle) * 2 ** 32 + view.getUint32(8, isLittle);
  const size = Math.min(view.getUint32(12, isLittle), body.length - 20);
  return { linkType: from.linkType, timeMs: ticks / from.ticksPerMs, bytes: body.subarray(20, 20 + size) };
}
/** `if_tsresol`: a power of ten, or of two; microseconds where it is missing. */
function ticksPerMsOf(body: Uint8Array, isLittle: boolean): number {
  const view = viewOf(body);
  for (let at = 8; at + 4 <= body.length; ) {
    const [code, size] = [view.getUint16(at, isLittle), view.getUint16(at + 2, isLittle)];
    if (code === 0) break;
    if (code === OPTION_TSRESOL && size >= 1 && at + 4 < body.length) {
      const resolution = body[at + 4];
      return ((resolution & 0x80) === 0 ? 10 ** resolution : 2 ** (resolution & 0x7f)) / 1000;
    }
    at += 4 + size + ((4 - (size % 4)) % 4);
  }
  return 1000;
}
